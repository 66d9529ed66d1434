"""Messages to buyers from the command line: written by an act, listed and shown."""

import json
from collections.abc import Callable

from tests.cli.conftest import Command
from webapp.orders.models import Order
from webapp.sync.allowed_messages import ask_allowed
from webapp.testing import FakeChannel, sync_now


def test_a_message_is_written_listed_and_shown(
    cli: Command, make_order: Callable[..., Order], channel: FakeChannel
) -> None:
    order = make_order()
    wish = json.dumps({"kind": "problem", "text": "Your mug is late."})
    done = cli("orders", "act", order.number, "message", "--data", wish, "--json").document
    assert done["made"] == [{"kind": "message", "id": 1, "number": None}]
    [row] = cli("messages", "list", "--order", order.number, "--json").document
    assert (row["id"], row["kind"], row["state"]) == (1, "problem", "held")
    assert "mug" not in cli("messages", "list").out
    assert cli("messages", "show", "1", "--json").document == row | {"text": "Your mug is late."}
    assert cli("orders", "act", order.number, "undo_message").code == 0
    sync_now(order.store)
    assert cli("messages", "list", "--json").document[0]["state"] == "withdrawn"
    missing = cli("messages", "show", "9")
    assert (missing.code, "No message here goes by “9”." in missing.err) == (3, True)
    channel.messages = []
    ask_allowed(order.id)
    refused = cli("orders", "act", order.number, "message", "--data", wish)
    assert (refused.code, "allows no message" in refused.err) == (1, True)

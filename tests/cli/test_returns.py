"""Returns from the command line: requested and worked by acts, listed, shown, and named by their order."""

import json
from collections.abc import Callable

from tests.cli.conftest import Command
from tests.refunds import shipped_line, shipped_order
from webapp.orders.models import Order


def test_a_return_is_requested_worked_listed_and_shown(cli: Command, take: Callable[..., list[Order]]) -> None:
    [order] = take(shipped_order([shipped_line("MUG", 3)]))
    assert cli("returns", "list", "--json").document == []
    line = order.lines[0].id
    wish = {"items": [{"lines": {line: 2}, "reason": "defective", "resolution": "exchange"}], "comment": "He is kind."}
    done = cli("orders", "act", order.number, "return", "--data", json.dumps(wish), "--json").document
    assert done["made"] == [{"kind": "return", "id": 1, "number": "R-000001"}]
    assert cli("orders", "act", order.number, "authorize_return", "--data", '{"return_id": 1}').code == 0

    shown = cli("orders", "show", order.number, "--json").document
    [row] = shown["returns"]
    assert (row["number"], row["state"], row["lines"][0]["reason"]) == ("R-000001", "authorized", "defective")
    assert (shown["lines"][0]["returned"], shown["lines"][0]["returnable"]) == (0, 1)
    assert shown["comments"][0]["text"] is None  # sealed, as every comment
    assert cli("returns", "list", "--json").document == [row]
    assert cli("returns", "show", "r-1", "--json").document == row
    assert "exchange" in cli("returns", "show", "R-000001").out
    assert cli("returns", "show", "R-9").code == 3
    refused = cli(
        "orders", "act", order.number, "return", "--data", json.dumps({"lines": {line: 2}, "reason": "other"})
    )
    assert (refused.code, refused.err.strip()) == (1, "The quantity is too high. Units of MUG still available: 1.")
    wrong = cli("orders", "act", order.number, "return", "--data", '{"reason": "he is rich"}')
    assert (wrong.code, "reason" in wrong.err.lower()) == (1, True)
    accepted = json.dumps({"return_id": 1, "condition": "damaged"})
    assert cli("orders", "act", order.number, "receive_return", "--data", '{"return_id": 1}').code == 0
    assert cli("orders", "act", order.number, "accept_return", "--data", accepted).code == 0
    told = [event["text"] for event in cli("orders", "show", order.number, "--json").document["timeline"]]
    assert "Return R-000001 inspected: Damaged (units accepted: 2, rejected: 0)" in told

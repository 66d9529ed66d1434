"""Traffic with channels from the command line: updates, quarantined orders and calls, each tried again."""

from collections.abc import Callable

from tests.cli.conftest import PARCEL, UPDATE, Command, MakeOrder
from webapp.channels.connecting import ChannelError
from webapp.channels.incoming import UnreadableOrder
from webapp.channels.models import Store
from webapp.channels.outgoing import Refused, Unknown
from webapp.orders.models import Order
from webapp.sync import jobs
from webapp.testing import FakeChannel, incoming_order


def test_updates_are_waited_for_and_sent_again(
    cli: Command, make_order: MakeOrder, channel: FakeChannel, work: Callable[[], int]
) -> None:
    order = make_order()
    channel.outcomes.append(Refused("The channel says no."))
    [update] = cli("orders", "act", order.number, "ship", "--data", PARCEL, "--json").document["updates"]
    early = cli("updates", "wait", update["id"], "--seconds", 0)
    assert (early.code, early.err) == (5, "The update was still owed after 0 seconds.\n")
    work()
    refused = cli("updates", "wait", update["id"])
    assert (refused.code, refused.err) == (1, "The update is refused: The channel says no.\n")
    assert cli("updates", "list", "--order", order.number, "--state", "effective", "--json").document == []
    [again] = cli("updates", "retry", update["id"], "--json").document
    assert again["state"] == "owed"
    twice = cli("updates", "retry", update["id"])
    assert (twice.code, "can't be sent again" in twice.err) == (1, True)
    early = cli("updates", "close", update["id"])
    assert (early.code, "can't be closed" in early.err) == (1, True)
    channel.outcomes.append(Refused("The channel says no."))
    work()
    [closed] = cli("updates", "close", update["id"], "--json").document
    assert (closed["state"], closed["message"]) == ("withdrawn", "The channel says no.")


def test_what_was_refused_is_closed_as_done_elsewhere(
    cli: Command, make_order: MakeOrder, channel: FakeChannel, work: Callable[[], int]
) -> None:
    order = make_order()
    channel.outcomes.append(Refused("The channel says no."))
    [update] = cli("orders", "act", order.number, "ship", "--data", PARCEL, "--json").document["updates"]
    early = cli("updates", "close", update["id"], "--elsewhere")
    assert (early.code, "Only a refused update" in early.err) == (1, True)
    work()
    assert cli("updates", "show", update["id"], "--json").document["can"] == ["retry", "elsewhere", "close"]
    both = cli("updates", "close", update["id"], "--elsewhere", "--did-not")
    assert (both.code, "Give one of" in both.err) == (2, True)
    [closed] = cli("updates", "close", update["id"], "--elsewhere", "--json").document
    assert (closed["state"], closed["message"]) == ("done_elsewhere", None)
    assert cli("updates", "wait", update["id"]).code == 0


def test_an_update_is_shown_with_its_steps_and_what_can_be_decided(
    cli: Command, make_order: MakeOrder, channel: FakeChannel, work: Callable[[], int]
) -> None:
    order = make_order()
    channel.outcomes.append(Unknown())
    [update] = cli("orders", "act", order.number, "ship", "--data", PARCEL, "--json").document["updates"]
    shown = cli("updates", "show", update["id"], "--json").document
    assert shown.keys() == UPDATE | {"store", "created_at", "goes_at", "refused_at", "can"}
    assert (shown["state"], shown["goes_at"], shown["can"]) == ("owed", None, ["undo"])
    work()
    shown = cli("updates", "show", update["id"])
    assert "retry, confirm, close" in shown.out
    both = cli("updates", "close", update["id"], "--happened", "--did-not")
    assert (both.code, "Give one of" in both.err) == (2, True)
    [closed] = cli("updates", "close", update["id"], "--did-not", "--json").document
    assert closed["state"] == "withdrawn"
    assert cli("updates", "show", 77).code == 3


def test_quarantined_orders_are_listed_and_tried_again(
    cli: Command, store: Store, work: Callable[[], int], channel: FakeChannel
) -> None:
    order = incoming_order()
    channel.offer(UnreadableOrder(order.number, "total", "no number", {}))
    cli("sync", store.id)
    work()
    [quarantined] = cli("quarantine", "list", "--store", store.id, "--json").document
    assert (quarantined["number"], quarantined["field"], quarantined["problem"]) == (order.number, "total", "no number")
    channel.offer(order)
    assert cli("quarantine", "retry", "--all").code == 0
    work()
    assert cli("quarantine", "list", "--json").document == []
    assert cli("orders", "show", order.number).code == 0


def test_calls_are_listed_and_tried_again(
    cli: Command, store: Store, work: Callable[[], int], channel: FakeChannel, make_order: Callable[..., Order]
) -> None:
    order = make_order()
    channel.offer(incoming_order())
    channel.failures.append(ChannelError(channel="Fake", problem="a web page"))
    cli("sync", store.id)
    work()
    [failed] = cli("calls", "list", "--failed", "--store", store.id, "--json").document
    assert (failed["operation"], failed["outcome"], failed["code"]) == ("orders", "failed", "channel_failed")
    assert failed["message"].startswith("Fake channel sent an answer that Waybill can't process")
    assert (failed["order"], failed["status"], failed["tries"]) == (None, None, 1)
    jobs.fetch_order(store.id, order.channel_order_number)
    [single] = cli("calls", "list", "--order", order.number, "--json").document
    assert (single["order"], single["status"], single["outcome"]) == (order.number, 200, "ok")
    assert "channel_failed" in cli("calls", "list").out
    assert "The sync of the store has started." in cli("calls", "retry", failed["id"]).out
    assert cli("calls", "retry", single["id"]).code != 0
    assert cli("calls", "retry", 99999).code == 3

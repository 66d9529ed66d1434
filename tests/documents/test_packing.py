"""Packing slips: the content of the parcel; none for orders being canceled; gift texts and addresses only by right."""

from collections.abc import Callable
from zoneinfo import ZoneInfo

import pytest

from webapp.audit.actor import Actor
from webapp.channels.legal_face import FACE, Face
from webapp.db import db, unit_of_work
from webapp.documents import packing
from webapp.documents.composed import texts
from webapp.documents.packing import Slip, Slips, composed_slip, slips_for, slips_of
from webapp.orders.models import Order
from webapp.orders.queries import find_order
from webapp.orders.services import act, find_action, read_input
from webapp.settings.services import change
from webapp.testing import JANE, incoming_line, incoming_order


@pytest.fixture
def orders(take: Callable[..., list[Order]]) -> list[Order]:
    lines = [incoming_line("MUG", 2, gift=True), incoming_line("TEA", 1)]
    wishes = {"gift_messages": {lines[0].number: "Happy birthday!"}, "customizations": {lines[1].number: "Loose"}}
    return take(incoming_order(lines, buyer=JANE | wishes | {"instructions": "Ring twice"}), incoming_order())


def slips(actor: Actor, *orders: Order) -> Slips:
    return slips_for(actor, ids=[order.id for order in orders])


def test_a_slip_says_what_goes_into_the_parcel(orders: list[Order], mia: Actor) -> None:
    [slip] = slips(mia, orders[0]).slips
    told = [(line.sku, line.quantity, line.gift, line.gift_text, line.customization) for line in slip.lines]
    assert told == [("MUG", 2, True, "Happy birthday!", ""), ("TEA", 1, False, "", "Loose")]
    assert slip.address["city"] == "Vrombaut"
    assert (slip.instructions, slip.again, slip.paper) == ("Ring twice", False, "a4")


def test_a_slip_carries_the_face_of_its_shop(orders: list[Order], mia: Actor, operator: Actor) -> None:
    [slip] = slips(mia, orders[0]).slips
    assert slip.face == Face(orders[0].shop.name, "", "", "")
    told = {"legal_name": "Harbor GmbH", "address": "1 Rue X\nParis", "vat_numbers": "FR12345678901, DE123456789"}
    with unit_of_work():
        change(FACE, told, find_order(str(orders[0].number), mia).shop, actor=operator)
    [slip] = slips(mia, orders[0]).slips
    assert slip.face == Face(orders[0].shop.name, "Harbor GmbH", "1 Rue X\nParis", "DE123456789", country="FR")


def test_only_what_is_open_is_packed_and_what_left_can_be_printed_again(orders: list[Order], mia: Actor) -> None:
    number, line_id = str(orders[0].number), orders[0].lines[0].id

    def ship(lines: dict[int, int]) -> None:
        package = {"carrier": "DHL", "tracking_number": "JD1", "lines": lines}
        with unit_of_work():
            order = find_order(number, mia, lock=True)
            act(find_action("ship"), order, read_input(find_action("ship"), {"packages": [package]}), mia)

    ship({line_id: 1})
    [slip] = slips(mia, find_order(number, mia)).slips
    assert [(line.sku, line.quantity) for line in slip.lines] == [("MUG", 1), ("TEA", 1)]
    assert facts(slip)["Parcel"] == "2"  # the number of parcels is not known yet
    [first] = slips_of(mia, [find_order(number, mia)], package=1).slips
    assert [(line.sku, line.quantity) for line in first.lines] == [("MUG", 1)]
    assert (facts(first)["Parcel"], facts(first)["Tracking number"]) == ("1", "JD1")
    ship({})
    left = slips(mia, find_order(number, mia)).slips
    assert [(slip.again, slip.place, slip.parcels) for slip in left] == [(True, 1, 2), (True, 2, 2)]
    assert [[(line.sku, line.quantity) for line in slip.lines] for slip in left] == [
        [("MUG", 1)],
        [("MUG", 1), ("TEA", 1)],
    ]
    [second] = slips_of(mia, [find_order(number, mia)], package=2).slips
    assert second == left[1]
    assert facts(second)["Parcel"] == "2 of 2"
    assert not slips_of(mia, [find_order(number, mia)], package=3).slips


def facts(slip: Slip) -> dict[str, str]:
    return {fact.label: fact.text for fact in composed_slip(slip).facts}


def test_a_document_says_all_of_a_slip_in_the_order_in_which_it_is_read(orders: list[Order], mia: Actor) -> None:
    [slip] = slips(mia, orders[0]).slips
    said = [text for text in texts(composed_slip(slip)) if text]
    order, shop = orders[0], orders[0].shop.name
    placed = order.placed_at.astimezone(ZoneInfo(order.shop.zone))
    assert said[:4] == [shop, "Packing slip", order.number, "Ship to"]
    assert said[said.index("Order") :] == [
        *("Order", order.number, "Fake channel order number", order.channel_order_number),
        *("Placed", f"{placed:%b} {placed.day}, {placed:%Y, %H:%M}"),
        "Delivery instructions: Ring twice",
        *("Quantity", "SKU", "Product"),
        *("2", "MUG", "A mug", "Happy birthday!"),
        *("1", "TEA", "A tea", "Customization: Loose"),
        *("Units", "3"),
    ]


def test_a_slip_is_for_the_paper_that_was_asked_for(orders: list[Order], mia: Actor) -> None:
    [slip] = slips(mia, orders[0]).slips
    assert [composed_slip(slip, paper).paper for paper in ("", "letter", "4x6")] == ["a4", "letter", "4x6"]


@pytest.mark.parametrize(
    ("changed", "why"),
    [
        ({"canceling": True}, "being canceled"),
        ({"state": "canceled"}, "is canceled"),
        ({"buyer_wants_cancel": True}, "asked to cancel"),
        ({"on_hold": True}, "on hold"),
        ({"state": "pending"}, "payment is not verified"),
        ({"fulfilled_by": "channel"}, "itself ships"),
    ],
)
def test_what_must_not_leave_gets_the_reason_instead(
    orders: list[Order], mia: Actor, changed: dict[str, object], why: str
) -> None:
    with unit_of_work():
        db.session.execute(db.update(Order).where(Order.id == orders[0].id).values(**changed))
    found = slips(mia, *orders)
    assert [slip.order.id for slip in found.slips] == [orders[1].id]
    [(order, refusal)] = found.refused
    assert order.id == orders[0].id
    assert why in str(refusal)


def test_a_label_bought_at_the_channel_is_no_reason_against_a_slip(orders: list[Order], mia: Actor) -> None:
    with unit_of_work():
        db.session.execute(db.update(Order).where(Order.id == orders[0].id).values(flags=["label_required"]))
    assert len(slips(mia, orders[0]).slips) == 1


def test_buyers_are_opened_by_right_once_and_on_the_record(
    orders: list[Order], mia: Actor, make_user: Callable[..., Actor], monkeypatch: pytest.MonkeyPatch
) -> None:
    record: list[tuple[str, list[int]]] = []
    monkeypatch.setattr(
        "webapp.vault.services.audit_reading", lambda code, **more: record.append((more["purpose"], more["orders"]))
    )
    slips(mia, *orders)
    assert record == [("packing_slip", [order.id for order in orders])]
    for slip in slips(make_user("read_only", "Rob"), *orders).slips:
        assert not slip.address
        assert not slip.instructions
        assert not any(line.gift_text or line.customization for line in slip.lines)
    assert len(record) == 1


def test_a_page_has_its_limit(orders: list[Order], mia: Actor, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(packing, "MOST", 1)
    found = slips_for(mia)
    assert (len(found.slips), found.more) == (1, True)
    assert not slips(mia, orders[0]).more

"""Invoices by hand: what is on them, what is left, their numbers, and that they stay as they were issued."""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from threading import Barrier

import pytest
from flask import Flask
from sqlalchemy import delete, insert, select, text, update
from sqlalchemy.exc import DBAPIError

from webapp.audit.actor import Actor
from webapp.billing.attention import OVERDRAWN
from webapp.billing.contract import DocumentIssued, DocumentKind
from webapp.billing.models import Invoice, InvoiceLine
from webapp.billing.remaining import Remaining
from webapp.billing.services import (
    SNAPSHOT,
    CanceledNotInvoiced,
    CancelingNotInvoiced,
    NothingOnInvoice,
    NothingToInvoice,
    NotPaid,
    TooFewToInvoice,
    TotalWithheld,
    invoice_refusal,
    issue_invoice,
    issue_invoices,
)
from webapp.channels.incoming import ChannelStage, Component, IncomingAmount, IncomingOrder
from webapp.channels.legal_face import FACE
from webapp.channels.models import NumberSequence
from webapp.channels.shops import change_shop, create_shop
from webapp.db import db, unit_of_work
from webapp.errors import Forbidden, Invalid, InvalidInput, Stale
from webapp.hooks import hookimpl, hooks
from webapp.orders.events import events_of, rebuild
from webapp.orders.models import Order, OrderAmount
from webapp.orders.queries import find_order, locked, reference
from webapp.orders.services import Done, Wanted, act, act_many, find_action, read_input
from webapp.settings.services import store_all
from webapp.testing import JANE, again, incoming_line, incoming_order, line_again
from webapp.vault import services as vault

Take = Callable[..., list[Order]]
SHIPPED = (IncomingAmount(Component.ITEM, 1000, 190, 100), IncomingAmount(Component.SHIPPING, 499, 95))


def issue(order: Order, lines: dict[int, int] | None = None, *, actor: Actor, **components: bool) -> Invoice:
    with unit_of_work():
        return issue_invoice(locked(order), lines, components, actor=actor)


def rows(invoice: Invoice) -> list[tuple[str, int, tuple[int, int, int]]]:
    return [(line.component, line.units, tuple(line.figures)) for line in invoice.lines]  # type: ignore[misc]


@pytest.fixture
def order(take: Take) -> Order:
    """Three mugs with shipping, a cup, and a tip for the whole order."""
    lines = [incoming_line("MUG", 3, amounts=SHIPPED, total=1684), incoming_line("CUP", price=500)]
    [order] = take(incoming_order(lines, amounts=(IncomingAmount(Component.TIP, 101),), total=2385))
    return order


def test_an_invoice_takes_everything(order: Order, mia: Actor) -> None:
    mug, cup = order.lines
    invoice = issue(order, actor=mia)

    assert invoice.number == "INV-" + "0" * 5 + "1"
    assert (invoice.total_minor, invoice.currency, invoice.actor_id) == (2385, "EUR", mia.id)
    assert [(line.line_id, line.sku, line.position) for line in invoice.lines] == [
        (mug.id, "MUG", 1),
        (mug.id, "MUG", 2),
        (cup.id, "CUP", 3),
        (None, "", 4),
    ]
    assert rows(invoice) == [
        ("item", 3, (1000, 190, 100)),
        ("shipping", 0, (499, 95, 0)),
        ("item", 1, (500, 100, 0)),
        ("tip", 0, (101, 0, 0)),
    ]
    assert [line.invoiced for line in order.lines] == [3, 1]
    assert not Remaining(order)
    assert isinstance(invoice_refusal(order, mia), NothingToInvoice)


def test_parts_are_in_proportion_and_the_last_takes_the_rest(order: Order, mia: Actor) -> None:
    mug, cup = order.lines
    first = issue(order, {mug.id: 1}, actor=mia)
    assert rows(first) == [("item", 1, (333, 63, 33)), ("shipping", 0, (166, 32, 0)), ("tip", 0, (25, 0, 0))]
    second = issue(order, {mug.id: 1, cup.id: 1}, shipping=True, actor=mia)
    assert rows(second) == [
        ("item", 1, (334, 64, 34)),
        ("shipping", 0, (333, 63, 0)),
        ("item", 1, (500, 100, 0)),
        ("tip", 0, (51, 0, 0)),
    ]
    last = issue(order, actor=mia)
    assert rows(last) == [("item", 1, (333, 63, 33)), ("tip", 0, (25, 0, 0))]
    assert sum(one.total_minor for one in (first, second, last)) == 2385
    assert [one.number for one in (first, second, last)] == ["INV-000001", "INV-000002", "INV-000003"]


def test_a_component_is_kept_off_and_has_an_invoice_of_its_own_later(order: Order, mia: Actor) -> None:
    goods = issue(order, actor=mia, shipping=False)
    assert rows(goods) == [("item", 3, (1000, 190, 100)), ("item", 1, (500, 100, 0)), ("tip", 0, (101, 0, 0))]
    assert (Remaining(order).net, invoice_refusal(order, mia)) == (594, None)

    shipping = issue(order, actor=mia)
    assert (shipping.total_minor, rows(shipping)) == (594, [("shipping", 0, (499, 95, 0))])
    assert goods.total_minor + shipping.total_minor == 2385
    assert events_of(order)[0].data["values"]["units"] == 0
    assert isinstance(invoice_refusal(order, mia), NothingToInvoice)


def test_an_invoice_says_what_was_kept_off_it_only_of_what_the_order_has(order: Order, take: Take, mia: Actor) -> None:
    [bare] = take(incoming_order())
    with unit_of_work():
        issued = issue_invoices([locked(order), locked(bare)], components={"shipping": False, "cod": False}, actor=mia)
    assert [one.terms.get("left_out") for one in issued] == [["shipping"], None]


def test_a_component_alone_is_invoiced_before_the_goods(order: Order, mia: Actor) -> None:
    mug, cup = order.lines
    assert rows(issue(order, {}, actor=mia, shipping=True)) == [("shipping", 0, (499, 95, 0))]
    assert [line.invoiced for line in order.lines] == [0, 0]
    first = issue(order, {mug.id: 3}, actor=mia, tip=False)
    assert rows(first) == [("item", 3, (1000, 190, 100))]
    last = issue(order, {cup.id: 1}, actor=mia)  # the last units take what was kept off
    assert rows(last) == [("item", 1, (500, 100, 0)), ("tip", 0, (101, 0, 0))]
    assert not Remaining(order)


def test_an_invoice_of_nothing_is_refused(order: Order, mia: Actor) -> None:
    with pytest.raises(NothingOnInvoice, match="would be empty"):
        issue(order, {}, actor=mia)
    with pytest.raises(Invalid, match="gift_wrap: This amount is completely invoiced"):
        issue(order, {}, actor=mia, gift_wrap=True)
    issue(order, actor=mia, shipping=False)
    with pytest.raises(NothingOnInvoice):
        issue(order, actor=mia, shipping=False)
    assert [one.number for one in db.session.scalars(select(Invoice))] == ["INV-000001"]


def test_what_takes_from_the_price_goes_with_the_units_alone(take: Take, mia: Actor) -> None:
    deduction = (IncomingAmount(Component.OTHER, -50),)
    [order] = take(incoming_order([incoming_line("MUG", 2, price=500)], amounts=deduction, total=1150))
    for all_ in (True, False):
        with pytest.raises(Invalid, match="other: This amount is a discount on the price"):
            issue(order, {order.lines[0].id: 1}, actor=mia, other=all_)
    first = issue(order, {order.lines[0].id: 1}, actor=mia)
    assert rows(first) == [("item", 1, (500, 100, 0)), ("other", 0, (-25, 0, 0))]


def test_free_goods_have_an_invoice_of_zero(take: Take, mia: Actor) -> None:
    [order] = take(incoming_order([incoming_line(amounts=(), total=0)], total=0, flags=("replacement",)))
    invoice = issue(order, actor=mia)
    assert (invoice.total_minor, rows(invoice)) == (0, [("item", 1, (0, 0, 0))])
    assert isinstance(invoice_refusal(order, mia), NothingToInvoice)


def test_canceled_units_are_not_invoiced(take: Take, mia: Actor) -> None:
    told = incoming_order([incoming_line("MUG", 3)])
    take(told)
    [order] = take(again(told, lines=line_again(told, ordered=2, unfulfilled=2, canceled_by="BUYER")))
    assert order.lines[0].canceled == 1
    assert Remaining(order).units == {order.lines[0].id: 2}


def test_an_event_tells_of_it_and_the_order_can_be_rebuilt(order: Order, mia: Actor) -> None:
    version = order.version
    issue(order, {order.lines[0].id: 2}, actor=mia)
    event = events_of(order)[0]
    assert (event.code, event.version, event.actor_id) == ("invoiced", version + 1, mia.id)
    assert event.data["values"] == {"id": 1, "number": "INV-000001", "total": "11.74 EUR", "units": 2}
    rebuilt = rebuild(reversed(events_of(order)))
    assert rebuilt.lines[str(order.lines[0].id)]["invoiced"] == 2


def test_listeners_are_told(order: Order, mia: Actor) -> None:
    class Listener:
        heard: list[DocumentIssued] = []

        @hookimpl
        def documents_issued(self, documents: list[DocumentIssued]) -> None:
            self.heard += documents

    hooks.manager.register(Listener())
    invoice = issue(order, actor=mia)
    assert Listener.heard == [DocumentIssued(invoice.id, order.id, DocumentKind.INVOICE, "INV-000001")]


@pytest.mark.parametrize(
    ("told", "refusal"),
    [
        ({"stage": ChannelStage.AWAITING_PAYMENT}, NotPaid),
        ({"stage": ChannelStage.CANCELED}, CanceledNotInvoiced),
        ({"total": None}, TotalWithheld),
    ],
)
def test_orders_that_are_not_invoiced(
    take: Take, mia: Actor, told: dict[str, object], refusal: type[Exception]
) -> None:
    [order] = take(incoming_order(**told))  # type: ignore[arg-type]
    assert isinstance(invoice_refusal(order, mia), refusal)
    with pytest.raises(refusal):
        issue(order, actor=mia)
    assert db.session.scalars(select(Invoice)).all() == []


def test_an_order_that_is_being_canceled_waits(order: Order, mia: Actor) -> None:
    with unit_of_work():
        db.session.execute(update(Order).values(canceling=True))
    assert isinstance(invoice_refusal(order, mia), CancelingNotInvoiced)


def test_wrong_lines_are_refused(take: Take, order: Order, mia: Actor) -> None:
    [other] = take(incoming_order())
    mug, cup = order.lines
    for lines, sentence in (
        ({other.lines[0].id: 1}, "not on this order"),
        ({mug.id: 0}, "at least 1"),
    ):
        with pytest.raises(Exception, match=sentence):
            issue(order, lines, actor=mia)
    with pytest.raises(TooFewToInvoice, match="Units of MUG left to invoice: 3"):
        issue(order, {mug.id: 4, cup.id: 1}, actor=mia)
    assert [line.invoiced for line in order.lines] == [0, 0]
    assert db.session.scalars(select(NumberSequence.next).where(NumberSequence.kind == "invoice")).all() == []


def test_the_act_takes_json_and_checks_right_and_version(
    order: Order, mia: Actor, make_user: Callable[..., Actor]
) -> None:
    action, version, mug = find_action("invoice"), order.version, order.lines[0].id
    with pytest.raises(InvalidInput):
        read_input(action, {"lines": "all"})
    with pytest.raises(InvalidInput):
        read_input(action, {"item": False})
    alone = read_input(action, {"lines": {}, "shipping": True, "tip": False})
    assert (alone.lines, alone.components) == ({}, {"shipping": True, "tip": False})  # type: ignore[attr-defined]
    packer = make_user("packer", "Paul")
    with pytest.raises(Forbidden), unit_of_work():
        act(action, find_order(reference(order), packer, lock=True), read_input(action, {}), packer)
    for expected in (Done, Stale):  # the second clerk saw the same version
        with unit_of_work():
            wanted = Wanted(locked(order), read_input(action, {"lines": {str(mug): 2}}), version=version)
            [outcome] = act_many(action, [wanted], mia)
        assert isinstance(outcome, expected)
    assert [line.invoiced for line in order.lines] == [2, 0]


def test_a_repeated_submission_issues_one_invoice(order: Order, mia: Actor) -> None:
    action = find_action("invoice")
    for _ in range(2):
        with unit_of_work():
            act(action, locked(order), read_input(action, {}), mia, key="k1")
    assert len(db.session.scalars(select(Invoice)).all()) == 1


def test_many_orders_are_invoiced_at_once_and_a_refused_one_leaves_no_gap(take: Take, mia: Actor) -> None:
    orders = take(incoming_order(), incoming_order(stage=ChannelStage.AWAITING_PAYMENT), incoming_order())
    action = find_action("invoice")
    with unit_of_work():
        found = act_many(action, [Wanted(locked(order), read_input(action, {})) for order in orders], mia)
    assert [type(one) for one in found] == [Done, NotPaid, Done]
    numbers = db.session.scalars(select(Invoice.number).order_by(Invoice.order_id)).all()
    assert numbers == ["INV-000001", "INV-000002"]


def test_one_that_fails_leaves_no_gap(
    take: Take, mia: Actor, monkeypatch: pytest.MonkeyPatch, plugin_failures: list[object]
) -> None:
    orders = take(*(incoming_order() for _ in range(3)))
    action = find_action("invoice")
    with unit_of_work():
        wanted = [Wanted(locked(order), read_input(action, {"shipping": False})) for order in orders]
        bad = wanted[1]
        too_many = read_input(action, {"lines": {str(bad.order.lines[0].id): 7}})
        wanted[1] = Wanted(bad.order, too_many)
        found = act_many(action, wanted, mia)
    assert [type(one) for one in found] == [Done, TooFewToInvoice, Done]
    assert db.session.scalars(select(Invoice.number).order_by(Invoice.id)).all() == ["INV-000001", "INV-000002"]


def test_a_rollback_leaves_no_gap(order: Order, mia: Actor) -> None:
    mug, cup = (line.id for line in order.lines)
    with suppress(ZeroDivisionError), unit_of_work():
        issue_invoice(locked(order), {mug: 1}, actor=mia)
        _ = 1 / 0
    with unit_of_work():
        nested = db.session.begin_nested()
        issue_invoice(locked(order), {cup: 1}, actor=mia)
        nested.rollback()
    assert issue(order, actor=mia).number == "INV-000001"
    assert db.session.scalars(select(NumberSequence.next).where(NumberSequence.kind == "invoice")).all() == [2]


def test_each_shop_has_its_own_numbers(store: object, take: Take, mia: Actor, operator: Actor) -> None:
    orders = take(*(incoming_order() for _ in range(3)))
    with unit_of_work():
        other = create_shop("Other", prefix="X-", padding=4, actor=operator)
        db.session.execute(update(Order).where(Order.id == orders[1].id).values(shop_id=other.id))
    with unit_of_work():
        issued = issue_invoices([locked(order) for order in orders], actor=mia)
    assert [one.number for one in issued] == ["INV-000001", "INV-X-0001", "INV-000002"]


def test_numbers_go_on_when_the_prefix_of_orders_changes(order: Order, mia: Actor, operator: Actor) -> None:
    mug = order.lines[0].id
    issue(order, {mug: 1}, actor=mia)
    with unit_of_work():
        change_shop(order.shop, name="Shop", prefix="N-", zone="UTC", padding=3, actor=operator)
    assert issue(order, {mug: 1}, actor=mia).number == "INV-000002"


def test_two_writers_at_once_get_consecutive_numbers(app: Flask, take: Take, mia: Actor) -> None:
    ids = [order.id for order in take(*(incoming_order([incoming_line(quantity=2)]) for _ in range(6)))]
    db.session.rollback()
    ready = Barrier(2)

    def write(own: Sequence[int]) -> list[str]:
        numbers = []
        with app.app_context():
            ready.wait(60)
            for order_id in own:
                with unit_of_work():
                    order = db.session.get_one(Order, order_id)
                    numbers.append(issue_invoice(locked(order), actor=mia).number)
            db.session.remove()
        return numbers

    with ThreadPoolExecutor(2) as pool:
        found = list(pool.map(write, (ids[:3], ids[3:])))
    assert sorted(found[0] + found[1]) == [f"INV-{number:06d}" for number in range(1, 7)]
    times = db.session.scalars(select(Invoice.issued_at).order_by(Invoice.number)).all()
    assert list(times) == sorted(times)


def test_two_clerks_at_one_order_invoice_it_once(app: Flask, order: Order, mia: Actor) -> None:
    order_id, version = order.id, order.version
    db.session.rollback()
    ready = Barrier(2)

    def write(_: int) -> type:
        with app.app_context():
            action = find_action("invoice")
            ready.wait(60)
            with unit_of_work():
                wanted = Wanted(locked(db.session.get_one(Order, order_id)), read_input(action, {}), version=version)
                [outcome] = act_many(action, [wanted], mia)
            db.session.remove()
            return type(outcome)

    with ThreadPoolExecutor(2) as pool:
        assert set(pool.map(write, range(2))) == {Done, NothingToInvoice}
    assert len(db.session.scalars(select(Invoice)).all()) == 1


@pytest.mark.parametrize("column", ["number", "issued_at", "total_minor", "seller", "sealed"])
def test_an_issued_invoice_does_not_change(order: Order, mia: Actor, column: str) -> None:
    issue(order, actor=mia)
    values = {"number": "X", "issued_at": order.placed_at, "total_minor": 1, "seller": {}, "sealed": b"other"}
    with pytest.raises(DBAPIError, match="append-only"), unit_of_work():
        db.session.execute(update(Invoice).values({column: values[column]}))


def test_nothing_of_an_invoice_is_deleted_and_its_lines_stay(order: Order, mia: Actor) -> None:
    issue(order, actor=mia)
    for statement in (delete(InvoiceLine), delete(Invoice), update(InvoiceLine).values(units=0)):
        with pytest.raises(DBAPIError, match=r"append-only|FOREIGN KEY"), unit_of_work():
            db.session.execute(statement)


@pytest.mark.parametrize(
    "row", [{"units": -1}, {"units": 1, "component": "shipping"}, {"units": 1, "line_id": None}, {"tax_rate": -1}]
)
def test_odd_lines_are_refused_by_the_database(order: Order, mia: Actor, row: dict[str, object]) -> None:
    invoice = issue(order, actor=mia)
    values = {
        "invoice_id": invoice.id, "position": 9, "line_id": order.lines[0].id, "component": "item", "sku": "",
        "title": "", "units": 0, "charged": 0, "tax": 0, "discount": 0, "tax_rate": None,
    }  # fmt: skip
    with pytest.raises(DBAPIError), unit_of_work():
        db.session.execute(insert(InvoiceLine).values(values | row))


def test_no_more_than_was_ever_paid_can_be_counted_as_invoiced(order: Order) -> None:
    with pytest.raises(DBAPIError), unit_of_work():
        db.session.execute(update(OrderAmount).values(invoiced_charged=OrderAmount.ceiling + 1))


# --- Who bought, and who sold -----------------------------------------------------------------------------------------


def test_the_snapshot_is_sealed_and_goes_with_the_buyer(order: Order, mia: Actor) -> None:
    invoice = issue(order, actor=mia)
    assert invoice.sealed is not None
    sealed = invoice.sealed
    assert b"Jane" not in sealed
    [body] = vault.reveal_sealed(mia, [(order.id, SNAPSHOT, sealed)], purpose="test")
    assert body == {"name": JANE["name"], "address": JANE["address"]}

    with unit_of_work():
        vault.erase([order.id])
    db.session.expire_all()
    assert invoice.sealed is None
    assert vault.open_sealed([(order.id, SNAPSHOT, sealed)]) == [None]


def test_an_erased_order_can_still_be_invoiced(order: Order, mia: Actor) -> None:
    with unit_of_work():
        vault.erase([order.id])
    assert issue(order, actor=mia).sealed is None


def test_a_clerk_who_may_not_see_buyers_issues_the_same_invoice(order: Order) -> None:
    invoice = issue(order, actor=Actor.job("billing"))
    assert vault.open_sealed([(order.id, SNAPSHOT, invoice.sealed or b"")])[0]["name"] == JANE["name"]


def test_what_the_invoice_says_of_the_shop_stays(order: Order, mia: Actor, operator: Actor) -> None:
    with unit_of_work():
        store_all(FACE, {"address": "1 High Street", "vat_numbers": "FR12345678901, DE123456789"}, order.shop)
    invoice = issue(order, actor=mia)
    with unit_of_work():
        store_all(FACE, {"address": "2 Low Street"}, order.shop)
    db.session.expire_all()
    assert invoice.seller == {
        "name": order.shop.name, "legal_name": "", "address": "1 High Street", "vat_number": "DE123456789",
        "country": "FR",
    }  # fmt: skip


# --- When the channel changes amounts ---------------------------------------------------------------------------------


def cheaper(told: IncomingOrder, price: int) -> IncomingOrder:
    amounts = (IncomingAmount(Component.ITEM, price, price // 5),)
    return again(told, lines=line_again(told, amounts=amounts, total=price * 6 // 5), total=price * 6 // 5)


def test_a_mirror_below_what_is_invoiced_is_attention(take: Take, mia: Actor) -> None:
    told = incoming_order([incoming_line("MUG", 2, price=1000)])
    [order] = take(told)
    mug = order.lines[0].id
    issue(order, {mug: 1}, actor=mia)
    lower = cheaper(told, 800)
    [order] = take(lower)
    assert [trouble["kind"] for trouble in order.attention] == [OVERDRAWN.code]
    assert order.needs_attention
    rebuilt = rebuild(reversed(events_of(order)))
    assert rebuilt.order["attention"] == order.attention

    last = issue(order, actor=mia)  # takes nothing back
    assert rows(last) == [("item", 1, (0, 0, 0))]

    [order] = take(cheaper(again(lower), 1800))
    assert order.attention == []
    rest = issue(order, actor=mia)
    assert rows(rest) == [("item", 0, (800, 160, 0))]


def test_the_last_invoice_takes_what_is_left_of_the_mirror_then(take: Take, mia: Actor) -> None:
    told = incoming_order([incoming_line("MUG", 2, price=1000)])
    [order] = take(told)
    issue(order, {order.lines[0].id: 1}, actor=mia)
    [order] = take(cheaper(told, 1500))
    assert order.attention == []
    assert rows(issue(order, actor=mia)) == [("item", 1, (500, 100, 0))]


def test_two_databases_keep_the_same_triggers(app: Flask) -> None:
    if db.engine.dialect.name == "sqlite":
        query = "SELECT name FROM sqlite_master WHERE type = 'trigger' AND tbl_name LIKE 'invoice%' ORDER BY name"
    else:
        query = "SELECT tgname FROM pg_trigger WHERE NOT tgisinternal AND tgname LIKE 'invoice%' ORDER BY tgname"
    assert db.session.scalars(text(query)).all() == [
        "invoice_lines_no_delete", "invoice_lines_no_update", "invoices_no_delete", "invoices_stay",
    ]  # fmt: skip

"""Invoices that orders get by themselves: which, what is on them, and that there is exactly one, whatever happens."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from threading import Barrier
from typing import Any

import pytest
import time_machine
from flask import Flask
from sqlalchemy import func, select, update

from webapp.audit.actor import Actor
from webapp.billing import dues, jobs
from webapp.billing.automatic import (
    AUTOMATIC,
    ByHandAlone,
    InvoicedByChannel,
    PlacedBefore,
    ShippedBefore,
    ShippedByChannelByHand,
    automatic_refusal,
    issue_due,
)
from webapp.billing.models import Invoice, InvoiceDue
from webapp.billing.remaining import Remaining
from webapp.billing.services import UNTAXED, NothingOnInvoice, issue_invoice
from webapp.billing.taxes import TAXES
from webapp.channels.incoming import INVOICE_BY_CHANNEL, ChannelStage, Component, FulfilledBy, IncomingAmount
from webapp.channels.models import Shop, Store
from webapp.channels.services import add_store
from webapp.clock import now
from webapp.db import db, unit_of_work
from webapp.errors import Invalid
from webapp.fulfillment.contract import PackageInput
from webapp.fulfillment.services import ship_order
from webapp.orders.holds import OnHold, hold, release
from webapp.orders.models import Order
from webapp.orders.queries import locked
from webapp.settings.services import change, store_all
from webapp.sync import activity
from webapp.testing import again, incoming_line, incoming_order, line_again

Take = Callable[..., list[Order]]
Work = Callable[[], int]
SHIPPED, IMPORTED = "when_shipped", "on_import"


def switch(store: Store, when: str = SHIPPED, since: str = "", **more: Any) -> None:
    since = since or (now() - timedelta(days=3)).date().isoformat()
    with unit_of_work():
        store_all(AUTOMATIC, {"invoices": when, "invoice_from": since, **more}, db.session.get_one(Store, store.id))


def ship(order: Order, units: dict[int, int] | None = None, *, actor: Actor) -> None:
    with unit_of_work():
        ship_order(locked(order), [PackageInput("dhl", "JD0001", lines=units or {})], actor=actor)


def issued() -> list[tuple[int, int]]:
    """The order and the total of each invoice, the oldest first."""
    rows = db.session.execute(select(Invoice.order_id, Invoice.total_minor).order_by(Invoice.id)).all()
    return [tuple(row) for row in rows]


def waiting() -> int:
    return db.session.scalar(select(func.count()).select_from(InvoiceDue)) or 0


# --- When -------------------------------------------------------------------------------------------------------------


def test_by_hand_alone_until_the_merchant_switches_it_on(store: Store, take: Take, mia: Actor, work: Work) -> None:
    [order] = take(incoming_order())
    ship(order, actor=mia)
    work()
    assert issued() == []
    assert waiting() == 0
    assert isinstance(automatic_refusal(order, mia), ByHandAlone)


def test_what_shipped_is_invoiced_and_the_last_units_take_the_rest(
    store: Store, take: Take, mia: Actor, work: Work
) -> None:
    switch(store)
    amounts = (IncomingAmount(Component.ITEM, 1000, 200), IncomingAmount(Component.SHIPPING, 500, 100))
    [order] = take(
        incoming_order([incoming_line("MUG", 3, amounts=amounts, total=1800), incoming_line("CUP", price=500)])
    )
    mug, cup = order.lines
    work()
    assert issued() == []  # nothing has left yet

    ship(order, {mug.id: 1}, actor=mia)
    assert issued() == []  # the act itself invoices nothing
    work()
    assert issued() == [(order.id, 600)]
    invoice = db.session.scalars(select(Invoice)).one()
    assert (invoice.actor_kind, [line.units for line in invoice.lines]) == ("job", [1, 0])

    ship(order, {mug.id: 2, cup.id: 1}, actor=mia)
    work()
    assert [total for _order, total in issued()] == [600, 1800]
    db.session.expire_all()
    assert not Remaining(order)
    assert waiting() == 0


def test_on_import_everything_is_invoiced_once_the_payment_is_verified(store: Store, take: Take, work: Work) -> None:
    switch(store, IMPORTED)
    told = incoming_order([incoming_line("MUG", 3)], stage=ChannelStage.AWAITING_PAYMENT, status="PENDING")
    [paid, pending] = take(incoming_order([incoming_line("MUG", 2)]), told)
    assert issued() == []  # nothing is invoiced inside an import
    work()
    assert issued() == [(paid.id, 2400)]
    take(again(told, stage=ChannelStage.OPEN, status="UNSHIPPED"))
    work()
    assert issued() == [(paid.id, 2400), (pending.id, 3600)]


def test_units_that_left_elsewhere_are_invoiced_too(store: Store, take: Take, work: Work) -> None:
    switch(store)
    told = incoming_order([incoming_line("MUG", 2)])
    [order] = take(told)
    take(again(told, lines=line_again(told, fulfilled=2, unfulfilled=0), stage=ChannelStage.SHIPPED, status="SHIPPED"))
    work()
    assert issued() == [(order.id, 2400)]


def test_who_asks_to_cancel_is_not_charged_before_it_ships(store: Store, take: Take, mia: Actor, work: Work) -> None:
    switch(store, IMPORTED)
    told = incoming_order([incoming_line(cancel_requested=True)])
    [order] = take(told)
    work()
    assert issued() == []
    with unit_of_work():
        ship_order(locked(order), [PackageInput("dhl", "JD0001")], actor=mia, anyway=True)
    work()
    assert issued() == [(order.id, 1200)]


# --- Never by themselves ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("told", "refusal"),
    [
        ({"stage": ChannelStage.SHIPPED, "status": "SHIPPED"}, ShippedBefore),
        ({"flags": (INVOICE_BY_CHANNEL,)}, InvoicedByChannel),
        ({"fulfilled_by": FulfilledBy.CHANNEL}, ShippedByChannelByHand),
        ({"created_at": now() - timedelta(days=9)}, PlacedBefore),
    ],
)
def test_orders_that_are_never_invoiced_by_themselves(
    store: Store, take: Take, mia: Actor, work: Work, told: dict[str, Any], refusal: type[Exception]
) -> None:
    switch(store, IMPORTED)
    lines = [incoming_line(fulfilled=1)] if refusal is ShippedBefore else None
    [order] = take(incoming_order(lines, **told))
    assert isinstance(automatic_refusal(order, mia), refusal)
    with unit_of_work():
        dues.remember([order.id])
    work()
    assert issued() == []
    assert waiting() == 0


def test_withheld_totals_and_orders_without_a_number_wait(store: Store, take: Take, work: Work) -> None:
    switch(store, IMPORTED)
    told = incoming_order(total=None)
    [order, other] = take(told, incoming_order())
    with unit_of_work():
        db.session.execute(update(Order).where(Order.id == other.id).values(number=None))
    work()
    assert issued() == []
    take(again(told, total=1200))
    work()
    assert issued() == [(order.id, 1200)]


def test_orders_that_the_channel_ships_have_a_switch(store: Store, take: Take, work: Work) -> None:
    switch(store, IMPORTED, invoice_channel_fulfilled=True)
    [order] = take(incoming_order(fulfilled_by=FulfilledBy.CHANNEL))
    work()
    assert issued() == [(order.id, 1200)]


def test_a_hold_holds_the_invoice_back(store: Store, take: Take, mia: Actor, work: Work) -> None:
    switch(store, IMPORTED)
    [order] = take(incoming_order())
    with unit_of_work():
        hold(locked(order), reason="Fraud?", until=None, actor=mia)
    work()
    assert issued() == []
    assert isinstance(automatic_refusal(locked(order), mia), OnHold)
    with unit_of_work():
        release(locked(order), actor=mia)
    work()
    assert issued() == [(order.id, 1200)]


def test_what_costs_nothing_gets_no_invoice_of_its_own(store: Store, take: Take, mia: Actor, work: Work) -> None:
    switch(store)
    free = incoming_line("CARD", amounts=(), total=0)
    [replacement, mixed] = take(
        incoming_order([incoming_line(amounts=(), total=0)], total=0, flags=("replacement",)),
        incoming_order([free, incoming_line("MUG")]),
    )
    card, mug = mixed.lines
    for order, units in ((replacement, None), (mixed, {card.id: 1})):
        ship(order, units, actor=mia)
    work()
    assert issued() == []
    ship(mixed, {mug.id: 1}, actor=mia)
    work()
    assert issued() == [(mixed.id, 1200)]
    assert [line.units for line in db.session.scalars(select(Invoice)).one().lines] == [1, 1]


def test_amounts_without_a_unit_are_left_to_people(store: Store, take: Take, work: Work) -> None:
    switch(store, IMPORTED)
    told = incoming_order()
    [order] = take(told)
    work()
    dearer = (IncomingAmount(Component.ITEM, 1100, 220),)
    take(again(told, lines=line_again(told, amounts=dearer, total=1320), total=1320))
    work()
    assert issued() == [(order.id, 1200)]


def test_a_tip_that_appears_after_the_invoice_is_left_to_people_whole(
    store: Store, take: Take, mia: Actor, work: Work
) -> None:
    switch(store)
    told = incoming_order()
    [order] = take(told)
    ship(order, actor=mia)
    work()
    take(again(told, amounts=(IncomingAmount(Component.TIP, 300),), total=1500))
    work()
    assert issued() == [(order.id, 1200)]
    with pytest.raises(NothingOnInvoice), unit_of_work():
        issue_invoice(locked(order), {}, actor=mia)
    with unit_of_work():
        issue_invoice(locked(order), actor=mia)
    assert issued() == [(order.id, 1200), (order.id, 300)]


def test_shipping_of_the_order_that_was_kept_off_waits_for_the_last_line_and_comes_without_a_tip(
    store: Store, take: Take, mia: Actor, work: Work
) -> None:
    switch(store)
    own = (IncomingAmount(Component.SHIPPING, 500),)
    told = incoming_order([incoming_line("MUG"), incoming_line("CUP")], amounts=own, total=2900)
    [order] = take(told)
    mug, cup = (line.id for line in order.lines)
    with unit_of_work():
        issue_invoice(locked(order), components={"shipping": False}, actor=mia)
    ship(order, {mug: 1}, actor=mia)
    work()
    assert issued() == [(order.id, 2400)]
    take(again(told, amounts=(*own, IncomingAmount(Component.TIP, 300)), total=3200))
    ship(order, {cup: 1}, actor=mia)
    work()
    assert issued() == [(order.id, 2400), (order.id, 500)]


def test_what_somebody_kept_off_an_invoice_follows_once_all_is_shipped(
    store: Store, take: Take, mia: Actor, work: Work
) -> None:
    switch(store)
    amounts = (IncomingAmount(Component.ITEM, 2000, 400), IncomingAmount(Component.SHIPPING, 500))
    [order] = take(incoming_order([incoming_line("MUG", 2, amounts=amounts, total=2900)], total=2900))
    with unit_of_work():
        issue_invoice(locked(order), components={"shipping": False}, actor=mia)
    ship(order, {order.lines[0].id: 1}, actor=mia)
    work()
    assert issued() == [(order.id, 2400)]
    ship(order, actor=mia)
    work()
    assert issued() == [(order.id, 2400), (order.id, 500)]
    assert not Remaining(order)


def test_what_is_kept_off_an_order_that_has_shipped_is_left_to_people(
    store: Store, take: Take, mia: Actor, work: Work
) -> None:
    amounts = (IncomingAmount(Component.ITEM, 1000, 200), IncomingAmount(Component.SHIPPING, 500))
    [order] = take(incoming_order([incoming_line("MUG", amounts=amounts, total=1700)], total=1700))
    ship(order, actor=mia)
    switch(store)
    with unit_of_work():
        issue_invoice(locked(order), components={"shipping": False}, actor=mia)
    with unit_of_work():
        dues.remember([order.id])  # whatever has the job look again
    work()
    jobs.issue_due()
    assert issued() == [(order.id, 1200)]
    with unit_of_work():
        issue_invoice(locked(order), actor=mia)
    assert issued() == [(order.id, 1200), (order.id, 500)]


def test_what_was_kept_off_follows_too_where_the_last_unit_is_canceled(
    store: Store, take: Take, mia: Actor, work: Work
) -> None:
    switch(store)
    cup = IncomingAmount(Component.ITEM, 500)
    own = (IncomingAmount(Component.SHIPPING, 500),)
    told = incoming_order(
        [incoming_line("MUG"), incoming_line("CUP", amounts=(cup,), total=500)], amounts=own, total=2200
    )
    [order] = take(told)
    with unit_of_work():
        issue_invoice(locked(order), components={"shipping": False}, actor=mia)
    ship(order, {order.lines[0].id: 1}, actor=mia)
    work()
    assert issued() == [(order.id, 1700)]
    take(again(told, lines=line_again(told, 1, ordered=0, unfulfilled=0, canceled_by="BUYER", amounts=(), total=0)))
    work()
    assert issued() == [(order.id, 1700), (order.id, 500)]


def test_a_store_that_sends_nothing_issues_nothing(store: Store, take: Take, mia: Actor, work: Work) -> None:
    """A database that was restored, or copied, would give numbers that are given already."""
    switch(store, IMPORTED)
    with unit_of_work():
        activity.stop_sending(db.session.get_one(Store, store.id), actor=Actor.operator())
    [order] = take(incoming_order())
    work()
    assert issued() == []
    with unit_of_work():
        activity.let_send(db.session.get_one(Store, store.id), actor=Actor.operator())
    assert not dues.any_due()
    with time_machine.travel(now() + timedelta(minutes=11), tick=True):
        assert dues.any_due()
        jobs.issue_due()
    assert issued() == [(order.id, 1200)]


def test_a_tax_that_fits_no_declared_rate_is_attention(store: Store, take: Take, work: Work) -> None:
    switch(store, IMPORTED)
    with unit_of_work():
        store_all(TAXES, {"tax_rates": "DE 19, 7"}, db.session.get_one(Shop, store.shop_id))
    [order] = take(incoming_order())  # with a tax of 20 %
    work()
    db.session.expire_all()
    assert issued() == []
    assert [one["kind"] for one in order.attention] == [UNTAXED]
    with unit_of_work():
        store_all(TAXES, {"tax_rates": "DE 20"}, db.session.get_one(Shop, store.shop_id))
    work()
    db.session.expire_all()
    assert issued() == [(order.id, 1200)]
    assert order.attention == []


# --- Settings ---------------------------------------------------------------------------------------------------------


def test_it_is_not_switched_on_without_a_day(store: Store, operator: Actor) -> None:
    with pytest.raises(Invalid, match="Enter a day") as error, unit_of_work():
        change(AUTOMATIC, {"invoices": SHIPPED}, db.session.get_one(Store, store.id), actor=operator)
    assert error.value.values["field"] == "invoice_from"
    with unit_of_work():
        change(
            AUTOMATIC,
            {"invoices": SHIPPED, "invoice_from": "2026-11-01"},
            db.session.get_one(Store, store.id),
            actor=operator,
        )


def test_switching_it_on_invoices_nothing_that_was_there(store: Store, take: Take, mia: Actor, work: Work) -> None:
    [order] = take(incoming_order())
    ship(order, actor=mia)
    switch(store)
    work()
    jobs.issue_due()
    assert issued() == []


def test_switched_off_again_nothing_waits(store: Store, take: Take, mia: Actor) -> None:
    switch(store)
    [order] = take(incoming_order())
    ship(order, actor=mia)
    with unit_of_work():
        store_all(AUTOMATIC, {"invoices": "by_hand"}, db.session.get_one(Store, store.id))
    jobs.issue_due()
    assert (issued(), waiting()) == ([], 0)


def test_a_practice_store_invoices_what_ships(channel: object, operator: Actor) -> None:
    with unit_of_work():
        practice = add_store("fake", "Practice", {"key": "k"}, actor=operator, practice=True)
        real = add_store("fake", "Real", {"key": "k"}, actor=operator)
    assert AUTOMATIC.read(practice)["invoices"] == SHIPPED
    assert AUTOMATIC.read(real)["invoices"] == "by_hand"


# --- Exactly once -----------------------------------------------------------------------------------------------------


def test_a_lost_job_is_found_by_the_clock_and_one_that_runs_twice_issues_one(
    store: Store, take: Take, mia: Actor
) -> None:
    switch(store)
    [order] = take(incoming_order([incoming_line("MUG", 2)]))
    ship(order, {order.lines[0].id: 1}, actor=mia)
    assert dues.any_due()  # whatever the queue says
    jobs.issue_due()
    jobs.issue_due()
    assert issued() == [(order.id, 1200)]
    assert not dues.any_due()
    with unit_of_work():
        dues.remember([order.id])  # told once more
    jobs.issue_due()
    assert issued() == [(order.id, 1200)]


def test_two_workers_at_once_issue_one_invoice_of_each(app: Flask, store: Store, take: Take, mia: Actor) -> None:
    switch(store)
    orders = take(*(incoming_order() for _ in range(4)))
    for order in orders:
        ship(order, actor=mia)
    ids = [order.id for order in orders]
    db.session.rollback()
    ready = Barrier(2)

    def work_off(_: int) -> None:
        with app.app_context():
            ready.wait(60)
            jobs.issue_due()
            db.session.remove()

    with ThreadPoolExecutor(2) as pool:
        list(pool.map(work_off, range(2)))
    assert sorted(issued()) == [(order_id, 1200) for order_id in ids]
    assert waiting() == 0


def test_a_stop_between_issues_nothing_and_the_next_job_all_of_it(
    store: Store, take: Take, mia: Actor, monkeypatch: pytest.MonkeyPatch
) -> None:
    switch(store)
    [order] = take(incoming_order())
    ship(order, actor=mia)

    def stop(*_args: object, **_more: object) -> None:
        raise SystemExit

    with monkeypatch.context() as patch:
        patch.setattr(dues, "delete", stop)  # the invoice is written, its transaction not committed
        with pytest.raises(SystemExit):
            jobs.issue_due()
    assert (issued(), waiting()) == ([], 1)
    jobs.issue_due()
    assert issued() == [(order.id, 1200)]
    assert db.session.scalars(select(Invoice.number)).all() == ["INV-000001"]


def test_an_order_that_fails_waits_and_the_others_get_theirs(
    store: Store, take: Take, mia: Actor, monkeypatch: pytest.MonkeyPatch
) -> None:
    switch(store)
    orders = take(*(incoming_order() for _ in range(3)))
    for order in orders:
        ship(order, actor=mia)
    bad, real = orders[1].id, dues.issue

    def issue(plans: Any, *, actor: Actor) -> list[Invoice]:
        if any(order.id == bad for order, _parts in plans):
            raise ZeroDivisionError
        return real(plans, actor=actor)

    with monkeypatch.context() as patch:
        patch.setattr(dues, "issue", issue)
        jobs.issue_due()
    assert {order_id for order_id, _total in issued()} == {orders[0].id, orders[2].id}
    assert db.session.scalars(select(InvoiceDue.order_id)).all() == [bad]
    assert not dues.any_due()
    with time_machine.travel(now() + timedelta(minutes=2), tick=True):
        jobs.issue_due()
    assert len(issued()) == 3
    numbers = db.session.scalars(select(Invoice.number).order_by(Invoice.id)).all()
    assert numbers == ["INV-000001", "INV-000002", "INV-000003"]


def test_what_a_person_invoiced_meanwhile_is_not_invoiced_again(store: Store, take: Take, mia: Actor) -> None:
    switch(store)
    [order] = take(incoming_order())
    ship(order, actor=mia)
    with unit_of_work():
        issue_invoice(locked(order), actor=mia)
    jobs.issue_due()
    assert issued() == [(order.id, 1200)]


def test_only_what_is_due_is_issued_of_many(store: Store, take: Take, mia: Actor) -> None:
    switch(store)
    [order] = take(incoming_order([incoming_line("MUG", 3)]))
    ship(order, {order.lines[0].id: 2}, actor=mia)
    with unit_of_work():
        [invoice] = issue_due([locked(order)], actor=mia)
    assert (invoice.total_minor, invoice.actor_id) == (2400, mia.id)

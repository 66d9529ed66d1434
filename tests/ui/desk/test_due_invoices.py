"""Switching invoices on over orders that are here: a preview, and by choice a run."""

import re
from collections.abc import Callable
from datetime import timedelta

import pytest
from sqlalchemy import select, update

from tests.ui.conftest import Browser
from webapp.audit.actor import Actor
from webapp.billing import backlog
from webapp.billing.automatic import AUTOMATIC
from webapp.billing.models import Invoice
from webapp.billing.services import issue_invoice
from webapp.channels.incoming import ChannelStage, Component, IncomingAmount
from webapp.channels.models import Store
from webapp.clock import now
from webapp.db import db, unit_of_work
from webapp.fulfillment.contract import PackageInput
from webapp.fulfillment.services import ship_order
from webapp.jobs import runs
from webapp.jobs.models import Run
from webapp.orders import bulk
from webapp.orders.models import Order
from webapp.orders.queries import locked
from webapp.settings.services import store_all
from webapp.testing import again, incoming_line, incoming_order, line_again

Take = Callable[..., list[Order]]
KEY = re.compile(r'name="submission_key" value="([^"]+)"')


@pytest.fixture
def shipped(take: Take, mia: Actor) -> list[Order]:
    """Two orders that left in part and as a whole, one that is open, and one that had left before it arrived."""
    before = incoming_order([incoming_line(fulfilled=1)], stage=ChannelStage.SHIPPED, status="SHIPPED")
    orders = take(incoming_order([incoming_line("MUG", 3)]), incoming_order(), incoming_order(), before)
    for order, units in ((orders[0], {orders[0].lines[0].id: 2}), (orders[1], {})):
        with unit_of_work():
            ship_order(locked(order), [PackageInput("dhl", "JD0001", lines=units)], actor=mia)
    return orders


def day() -> str:
    return (now() - timedelta(days=2)).date().isoformat()


def words(page: str) -> str:
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", page)).replace("\xa0", " ")


def test_who_switches_it_on_sees_what_would_be_issued_and_issues_it(
    store: Store, browser: Browser, shipped: list[Order], work: Callable[[], int]
) -> None:
    url = f"/stores/{store.id}/settings"
    wrong = browser.post(f"{url}/groups/invoices", {"invoices": "when_shipped", "invoice_from": ""})
    assert wrong.status_code == 422
    assert "Invoice from" in words(wrong.text)
    assert "Enter a day" in words(wrong.text)
    saved = browser.post(f"{url}/groups/invoices", {"invoices": "when_shipped", "invoice_from": day()})
    assert saved.location == f"{url}/invoices"
    work()
    page = browser.get(saved.location).text
    assert "2 invoices would be issued now. Their total is: €36.00" in words(page)
    assert all(order.channel_order_number in page for order in shipped[:2])
    assert shipped[2].channel_order_number not in page
    assert db.session.scalars(select(Invoice)).all() == []
    assert "when shipped" in words(browser.get(f"{url}/orders/preview").text)
    [group] = re.findall(r'<section [^>]*"settings-invoices">.*?</section>', browser.get(url).text, re.DOTALL)
    assert f'href="{url}/invoices"' in group

    key = KEY.search(page)[1]  # type: ignore[index]
    for _ in range(2):  # pressed twice
        started = browser.post(f"{url}/invoices", {"submission_key": key})
    [run] = db.session.scalars(select(Run).where(Run.kind == bulk.KIND))
    assert started.location == f"/runs/{run.id}"
    work()
    invoices = db.session.scalars(select(Invoice).order_by(Invoice.total_minor)).all()
    assert [one.total_minor for one in invoices] == [1200, 2400]
    assert {one.actor_kind for one in invoices} == {"person"}
    assert "No invoices are due" in browser.get(f"{url}/invoices").text


def test_the_run_can_be_stopped(store: Store, shipped: list[Order], mia: Actor, work: Callable[[], int]) -> None:
    with unit_of_work():
        store_all(AUTOMATIC, {"invoices": "when_shipped", "invoice_from": day()}, db.session.get_one(Store, store.id))
    ids = backlog.due_ids(store, mia)
    with unit_of_work():
        run_id = backlog.issue_all(store, ids, actor=mia).id
    with unit_of_work():
        runs.stop(runs.find_run(run_id, lock=True))
    work()
    assert db.session.scalars(select(Invoice)).all() == []


def test_orders_of_the_archive_are_among_them_and_by_hand_nothing_is(
    store: Store, shipped: list[Order], mia: Actor
) -> None:
    assert backlog.preview(store, mia).due == []
    with unit_of_work():
        db.session.execute(update(Order).where(Order.id == shipped[1].id).values(archived_at=now()))
        store_all(AUTOMATIC, {"invoices": "when_shipped", "invoice_from": day()}, db.session.get_one(Store, store.id))
    found = backlog.preview(store, mia)
    assert {one.order.id for one in found.due} == {shipped[0].id, shipped[1].id}
    assert ([str(total) for total in found.totals], found.more) == (["36.00"], False)


def test_what_was_kept_off_an_invoice_is_among_them(store: Store, take: Take, mia: Actor) -> None:
    amounts = (IncomingAmount(Component.ITEM, 1000), IncomingAmount(Component.SHIPPING, 500))
    line = incoming_line(amounts=amounts, total=1500)
    told = [incoming_order([line], total=1500) for _ in range(3)]
    first, second, raised = take(*told)
    for order, components in ((first, {"shipping": False}), (second, {"shipping": False}), (raised, {})):
        with unit_of_work():
            issue_invoice(locked(order), components=components, actor=mia)
    dearer = (IncomingAmount(Component.ITEM, 1000), IncomingAmount(Component.SHIPPING, 600))
    take(again(told[2], lines=line_again(told[2], amounts=dearer), total=1600))
    with unit_of_work():
        ship_order(locked(first), [PackageInput("dhl", "JD0001")], actor=mia)
        store_all(AUTOMATIC, {"invoices": "when_shipped", "invoice_from": day()}, db.session.get_one(Store, store.id))
    [due] = backlog.preview(store, mia).due
    assert (due.order.id, due.units, due.total.minor) == (first.id, 0, 500)
    assert sorted(backlog.due_ids(store, mia)) == [first.id, second.id]  # the other was raised by the channel


def test_the_preview_needs_both_rights(
    store: Store, make_browser: Callable[[Actor], Browser], make_user: Callable[..., Actor]
) -> None:
    clerk = make_browser(make_user("clerk", "Carl"))
    assert clerk.get(f"/stores/{store.id}/settings/invoices").status_code == 403
    assert clerk.post(f"/stores/{store.id}/settings/invoices", {}).status_code == 403


def test_many_are_counted_up_to_a_limit(
    store: Store, shipped: list[Order], mia: Actor, monkeypatch: pytest.MonkeyPatch
) -> None:
    with unit_of_work():
        store_all(AUTOMATIC, {"invoices": "on_import", "invoice_from": day()}, db.session.get_one(Store, store.id))
    monkeypatch.setattr(backlog, "LOOKED_AT", 2)
    found = backlog.preview(store, mia)
    assert (len(found.due), found.more) == (2, True)

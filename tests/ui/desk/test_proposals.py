"""Refunds to approve: on the dashboard, in their view, and on the order."""

import re
from collections.abc import Callable

import pytest

from tests.ui.conftest import Browser
from tests.ui.desk.test_dashboard import selects, stats_of
from webapp.accounts.roles import change_role_rights
from webapp.audit.actor import Actor
from webapp.audit.rights import rights_of_built_in
from webapp.billing.memos import record_refund
from webapp.billing.models import CreditMemo, MemoState
from webapp.billing.refundable import LineWish, Wish
from webapp.db import db, unit_of_work
from webapp.fulfillment.contract import PackageInput
from webapp.fulfillment.services import ship_order
from webapp.orders.models import Order
from webapp.orders.queries import locked
from webapp.testing import incoming_line, incoming_order

MakeBrowser = Callable[..., Browser]
MakeUser = Callable[..., Actor]
CARD = "/dashboard/cards/work"


@pytest.fixture
def proposed(take: Callable[..., list[Order]], mia: Actor, operator: Actor) -> list[Order]:
    """Six orders of which Mia, a clerk, proposed a refund that is above her limit."""
    with unit_of_work():
        change_role_rights("clerk", rights_of_built_in("clerk") | {"orders.refund"}, limits="10 EUR", actor=operator)
    orders = take(*(incoming_order([incoming_line("MUG", 2)]) for _ in range(6)))
    for order in orders:
        with unit_of_work():
            ship_order(locked(order), [PackageInput("DHL", "JD1")], actor=operator)
        with unit_of_work():
            record_refund(locked(order), Wish({order.lines[0].id: LineWish(1)}), "CustomerReturn", actor=mia)
    return orders


def rows(page: str) -> list[tuple[int, list[str]]]:
    """The proposals of the card: the memo's id, and the acts that are offered."""
    return [
        (int(id_), re.findall(r'action="/orders/[^"]+/actions/(\w+)"', part))
        for id_, part in re.findall(r'<li id="proposal-(\d+)">(.*?)</li>', page, re.DOTALL)
    ]


def fields(page: str, memo: int, code: str) -> tuple[str, dict[str, str]]:
    """The address and the hidden fields of a button."""
    [part] = re.findall(rf'<li id="proposal-{memo}">(.*?)</li>', page, re.DOTALL)
    [(url, inputs)] = re.findall(rf'action="([^"]+/actions/{code})"[^>]*>(.*?)</form>', part, re.DOTALL)
    return url, dict(re.findall(r'<input type="hidden" name="(memo|submission_key)" value="([^"]*)"', inputs))


def memos() -> list[CreditMemo]:
    db.session.expire_all()
    return db.session.query(CreditMemo).order_by(CreditMemo.id).all()


def test_the_oldest_are_decided_from_the_dashboard(browser: Browser, proposed: list[Order]) -> None:
    page = browser.get(CARD).text
    assert len(selects(browser)) <= 6, "\n".join(selects(browser))
    assert stats_of(page)["Refunds to approve"][0] == "6"
    oldest = [memo.id for memo in memos()]
    assert rows(page) == [(id_, ["approve_refund", "decline_refund"]) for id_ in oldest[:5]]
    assert "€12.00" in page
    listed = browser.get(stats_of(page)["Refunds to approve"][1]).text
    assert len(re.findall(r'<tr id="order-\d+"', listed)) == 6
    assert "Refunds to approve" in browser.get("/orders/?view=refunds").text
    assert "Refund to approve" in browser.get(f"/orders/{proposed[0].number}").text  # its attention

    url, given = fields(page, oldest[0], "approve_refund")
    assert browser.post(url, given, htmx=True).status_code == 200
    url, given = fields(page, oldest[1], "decline_refund")
    assert browser.post(url, given).status_code == 302
    assert [memo.state for memo in memos()[:3]] == [MemoState.RECORDED, MemoState.WITHDRAWN, MemoState.PROPOSED]
    assert [bool(order.attention) for order in proposed[:3]] == [False, False, True]
    page = browser.get(CARD).text
    assert [id_ for id_, _acts in rows(page)] == oldest[2:]

    again = browser.post(url, given | {"submission_key": "another"}, htmx=True)
    assert (again.status_code, "A decision on this refund was already made" in again.text) == (409, True)


def test_who_may_not_approve_reads_why(
    proposed: list[Order], make_browser: MakeBrowser, make_user: MakeUser, mia: Actor
) -> None:
    own = make_browser(mia).get(CARD).text
    assert {tuple(acts) for _id, acts in rows(own)} == {("decline_refund",)}
    assert "You proposed this refund" in own
    other = make_browser(make_user("clerk", "Ben")).get(CARD).text
    assert {tuple(acts) for _id, acts in rows(other)} == {("decline_refund",)}
    assert "above your limit of 10.00 EUR" in other
    reader = make_browser(make_user("read_only", "Rob")).get(CARD).text
    assert {tuple(acts) for _id, acts in rows(reader)} == {()}
    assert "have the right to do this (refund buyers)" in reader


def test_the_orders_page_decides_too(browser: Browser, proposed: list[Order]) -> None:
    order = proposed[0]
    page = browser.get(f"/orders/{order.number}?tab=refunds").text
    buttons = re.findall(r'action="(/orders/[^"]+/actions/\w+)"[^>]*>(.*?)</form>', page, re.DOTALL)
    [(url, inputs)] = [one for one in buttons if one[0].endswith("approve_refund")]
    given = dict(re.findall(r'<input type="hidden" name="(\w+)" value="([^"]*)"', inputs))
    given.pop("csrf_token", None)
    assert browser.post(url, given).status_code == 302
    assert memos()[0].state == MemoState.RECORDED

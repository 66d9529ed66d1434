"""Several parcels of one order in a real browser: added, taken away, shipped; by keyboard and without scripts."""

from collections.abc import Callable
from typing import Any

import pytest
from playwright.sync_api import expect

from tests.ui.frame.test_look import _flaws, desk, page, plain  # noqa: F401 - the fixtures of a desk in a browser
from webapp.audit.actor import Actor
from webapp.db import db, unit_of_work
from webapp.fulfillment.contract import PackageInput
from webapp.fulfillment.models import Package
from webapp.fulfillment.services import ship_order
from webapp.orders.models import Order
from webapp.orders.queries import locked
from webapp.testing import incoming_line, incoming_order

pytestmark = [pytest.mark.browser, pytest.mark.parametrize("database", ["sqlite"], indirect=True)]


@pytest.fixture
def order(take: Callable[..., list[Order]]) -> Order:
    [made] = take(incoming_order([incoming_line("MUG", 2, number="L1"), incoming_line("CUP", 1, number="L2")]))
    return made


def parcels() -> list[tuple[str, dict[int, int]]]:
    db.session.rollback()
    rows = db.session.query(Package).order_by(Package.id).all()
    return [(row.tracking_number, {line.line_id: line.quantity for line in row.lines}) for row in rows]


def test_two_parcels_leave_at_once(page: Any, order: Order) -> None:  # noqa: F811
    mug, cup = (line.id for line in order.lines)
    page.goto(f"/orders/{order.number}/actions/ship")
    page.select_option("[name=carrier]", index=1)
    page.fill("[name=tracking_number]", "JD0001")
    page.get_by_role("button", name="Add a parcel").focus()
    page.keyboard.press("Enter")
    first, second = page.get_by_role("group", name="Parcel 1"), page.get_by_role("group", name="Parcel 2")
    expect(second).to_be_visible()
    expect(page.locator("[name=tracking_number]")).to_have_value("JD0001")
    for width, scheme in ((1440, "light"), (390, "dark")):
        page.set_viewport_size({"width": width, "height": 900})
        page.emulate_media(color_scheme=scheme)
        assert _flaws(page) == []
        assert not page.evaluate("document.documentElement.scrollWidth > innerWidth")
    first.get_by_label("Only what is chosen here").check()
    first.locator(f"[name=lines-line][value='{mug}']").check()
    second.locator("[name=packages-1-carrier]").select_option(index=2)
    second.get_by_label("Only what is chosen here").check()
    second.locator(f"[name=packages-1-lines-line][value='{cup}']").check()
    second.locator("[name=packages-1-tracking_number]").focus()
    page.keyboard.press("Enter")  # ships, and neither adds nor removes one: what is wrong is said
    expect(page.locator("[name=packages-1-tracking_number][aria-invalid=true]")).to_be_focused()
    assert parcels() == []
    page.keyboard.type("1Z0002")
    page.keyboard.press("Enter")
    expect(page.locator("#order-packages")).to_contain_text("1Z0002")
    assert parcels() == [("JD0001", {mug: 2}), ("1Z0002", {cup: 1})]


def test_a_parcel_is_taken_away_with_what_was_typed_in_it(page: Any, order: Order) -> None:  # noqa: F811
    page.goto(f"/orders/{order.number}/actions/ship")
    for _ in range(2):
        page.get_by_role("button", name="Add a parcel").click()
        page.wait_for_load_state("networkidle")
    expect(page.get_by_role("button", name="Add a parcel")).to_have_count(0)  # of three units no more can be made
    for at, number in (("", "A1"), ("packages-1-", "B2"), ("packages-2-", "C3")):
        page.fill(f"[name={at}tracking_number]", number)
    page.get_by_role("button", name="Remove parcel 2").click()
    expect(page.get_by_role("group", name="Parcel 3")).to_have_count(0)
    expect(page.locator("[name=tracking_number]")).to_have_value("A1")
    expect(page.locator("[name=packages-1-tracking_number]")).to_have_value("C3")
    page.get_by_role("button", name="Remove parcel 1").click()
    expect(page.locator("[name=tracking_number]")).to_have_value("C3")
    expect(page.get_by_role("group", name="Parcel 1")).to_have_count(0)
    assert parcels() == []


def test_parcels_need_no_script(plain: Any, order: Order) -> None:  # noqa: F811
    mug, cup = (line.id for line in order.lines)
    plain.goto(f"/orders/{order.number}/actions/ship")
    plain.select_option("[name=carrier]", index=1)
    plain.fill("[name=tracking_number]", "JD0001")
    plain.get_by_role("button", name="Add a parcel").click()
    assert plain.input_value("[name=tracking_number]") == "JD0001"
    for at, line in (("", mug), ("packages-1-", cup)):
        plain.check(f"[name={at}lines][value=some]")
        plain.check(f"[name={at}lines-line][value='{line}']")
    plain.select_option("[name=packages-1-carrier]", index=1)
    plain.fill("[name=packages-1-tracking_number]", "JD0002")
    plain.click("form.chosen button.main")
    plain.wait_for_url(f"**/orders/{order.number}")
    assert parcels() == [("JD0001", {mug: 2}), ("JD0002", {cup: 1})]


def test_the_tab_loads_how_far_mails_about_shipments_are_whenever_it_renews_itself(
    page: Any,  # noqa: F811
    order: Order,
    mia: Actor,
) -> None:
    with unit_of_work():
        ship_order(locked(order), [PackageInput("DHL", "JD0001")], actor=mia)
    page.goto(f"/orders/{order.number}?tab=shipments")
    loaded = page.locator("div#shipment-mails")
    expect(loaded).to_have_count(1)
    with page.expect_response("**/shipment-mails"):
        page.evaluate("htmx.trigger('#order-tab-body', 'refresh')")
    expect(loaded).to_have_count(1)

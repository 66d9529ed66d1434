"""The list in a real browser: rows are chosen in ranges, columns open in place, the search box completes."""

import re
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from playwright.sync_api import expect

from tests.ui.frame.test_look import _flaws, desk, page, renew  # noqa: F401 - the fixtures of a desk in a browser
from webapp.accounts.models import User
from webapp.audit.actor import Actor
from webapp.channels.incoming import ChannelStage, IncomingPackage
from webapp.clock import now
from webapp.db import db, unit_of_work
from webapp.lists.saved_views import save_view
from webapp.orders.models import Order
from webapp.search.query import parse
from webapp.testing import incoming_line, incoming_order

pytestmark = [pytest.mark.browser, pytest.mark.parametrize("database", ["sqlite"], indirect=True)]
# The look of every 20 s, by which a page finds by itself what nobody told it.
NO_LOOK_BY_THE_CLOCK = "{ const real = setInterval; setInterval = (act, time) => time < 20000 && real(act, time); }"


def choose_act(page: Any, name: str) -> None:  # noqa: F811
    """Press a button of the bar's menu, once the bar has what the chosen rows allow."""
    page.click(".bulk-bar summary")
    page.locator(".bulk-bar").get_by_role("button", name=name, exact=True).click()


def test_the_list_is_worked_by_mouse_and_keys(page: Any, take: Callable[..., list[Order]]) -> None:  # noqa: F811
    take(*[incoming_order(created_at=now() - timedelta(hours=n)) for n in range(1, 7)])
    page.goto("/orders/")
    page.click("#list-rows tr:nth-child(2) td.tick input")
    page.click("#list-rows tr:nth-child(5) td.tick input", modifiers=["Shift"])
    ticked = page.locator("#list-rows input:checked")
    expect(ticked).to_have_count(4)
    page.keyboard.press("j")
    expect(page.locator("tr.at")).to_be_visible()
    page.keyboard.press("x")
    expect(ticked).to_have_count(5)
    page.click("[data-all]")
    expect(ticked).to_have_count(6)

    page.click("#columns-open")
    page.wait_for_selector("#list-columns")
    page.locator("#list-columns").get_by_label("Country", exact=True).check()
    page.wait_for_selector("#list th[data-column=country]")
    page.click("[data-close-panel]")
    expect(page.locator("#columns-open")).to_be_focused()

    page.keyboard.press("/")
    page.keyboard.type("state:proc")
    page.wait_for_selector("#search-completions [role=option]")
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Enter")
    search = page.locator("#search")
    expect(search).to_have_value("state:processing")
    page.keyboard.type(" sta")
    page.wait_for_selector("#search-completions [data-insert='status:']")
    page.keyboard.press("Tab")
    expect(search).to_have_value("state:processing state:")
    page.wait_for_selector("#search-completions [data-insert=open]")
    page.keyboard.press("Shift+Tab")
    expect(search).not_to_be_focused()
    expect(search).to_have_value("state:processing state:")
    page.focus("#search")
    page.fill("#search", "state:processing -ho")
    page.wait_for_selector("#search-completions [data-insert=hold]")
    page.keyboard.press("Tab")
    expect(search).to_have_value("state:processing -hold")
    expect(page.locator("#search-completions [role=option]")).to_have_count(0)
    with page.expect_navigation():
        page.keyboard.press("Enter")
    expect(page.locator(".filter-chip").first).to_be_visible()
    expect(page.locator("#list-rows tr")).to_have_count(6)
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")


def test_a_completion_takes_in_what_was_typed_since_it_was_listed(page: Any) -> None:  # noqa: F811
    page.goto("/orders/")
    page.keyboard.press("/")
    page.keyboard.type("is sta")
    page.wait_for_selector("#search-completions [data-insert='status:']")
    page.evaluate("""() => {
      const box = document.getElementById("search");
      box.value += "t";
      box.dispatchEvent(new Event("input"));
      box.dispatchEvent(new KeyboardEvent("keydown", { key: "Tab" }));
    }""")
    expect(page.locator("#search")).to_have_value("is state:")


def test_somebody_elses_columns_cannot_be_dragged(
    page: Any,  # noqa: F811
    take: Callable[..., list[Order]],
    make_user: Callable[..., Actor],
) -> None:
    take(incoming_order())
    max_ = make_user("manager", "Max")
    with unit_of_work():
        columns = [("number", None), ("total", None)]
        code = save_view("Money", parse("state:open"), actor=max_, columns=columns, shared=True).id
    page.goto(f"/orders/?view={code}")
    assert page.locator("#list thead th[data-column]").count() == 2
    assert page.locator("#list .grip, #list th[draggable=true]").count() == 0
    page.click("#columns-open")
    page.get_by_label("Compact rows").check()
    page.wait_for_selector("#list.dense")
    assert page.locator("#list-columns [name=column]").count() == 0
    assert _flaws(page) == []


def test_a_width_that_is_not_kept_is_said(page: Any, take: Callable[..., list[Order]]) -> None:  # noqa: F811
    take(incoming_order())
    page.goto("/orders/")
    page.route("**/orders/columns*", lambda route: route.fulfill(status=403, body=""))
    page.locator("#list .grip").first.focus()
    page.keyboard.press("ArrowRight")
    page.wait_for_selector("#messages :text('That did not work')")


def test_orders_that_come_between_two_pages_are_on_one_of_them(
    page: Any,  # noqa: F811
    take: Callable[..., list[Order]],
) -> None:
    orders = take(*[incoming_order(created_at=now() - timedelta(hours=n)) for n in range(60, 0, -1)])
    page.goto("/orders/")
    older = page.locator("#list-pager [rel=next]")
    before = older.get_attribute("href")
    orders += take(*[incoming_order(created_at=now() - timedelta(minutes=n)) for n in range(20, 0, -1)])
    page.evaluate("document.dispatchEvent(new Event('visibilitychange'))")
    page.wait_for_selector(f"#order-{orders[-1].id}")
    page.wait_for_function(
        "before => document.querySelector('#list-pager [rel=next]').getAttribute('href') !== before", arg=before
    )
    assert page.locator("#list-news").inner_text() == ""
    seen = set(page.locator("#list-rows tr").evaluate_all("rows => rows.map(row => row.id)"))
    with page.expect_navigation():
        page.keyboard.press("n")
    expect(page.locator("#list-pager [rel=prev]")).to_be_visible()
    seen |= set(page.locator("#list-rows tr").evaluate_all("rows => rows.map(row => row.id)"))
    assert seen == {f"order-{order.id}" for order in orders}


def test_the_next_order_is_also_on_the_next_page_of_the_list(
    page: Any,  # noqa: F811
    take: Callable[..., list[Order]],
) -> None:
    orders = take(*[incoming_order(created_at=now() - timedelta(hours=n)) for n in range(1, 53)])
    page.goto("/orders/")
    page.locator("#list tbody a.number").last.click()
    place = page.locator("#order-neighbors output")
    for key, at, of in (("", 50, "50+"), ("n", 51, "52"), ("p", 50, "50+"), ("n", 51, "52"), ("n", 52, "52")):
        if key:
            page.keyboard.press(key)
        expect(page).to_have_url(re.compile(f"/orders/{orders[at - 1].number}$"))
        expect(place).to_have_text(f"{at} / {of}")
    expect(page.get_by_text("This is the last order of the list.")).to_be_visible()
    expect(page.locator("#order-neighbors [rel=next]")).to_have_count(0)


def test_back_from_an_act_on_many_finds_them_ticked(page: Any, take: Callable[..., list[Order]]) -> None:  # noqa: F811
    take(*[incoming_order(created_at=now() - timedelta(hours=n)) for n in range(1, 7)])
    page.goto("/orders/")
    for row in (2, 4):
        page.click(f"#list-rows tr:nth-child({row}) td.tick input")
    ticked = "#list-rows input:checked"
    chosen = page.locator(ticked).evaluate_all("boxes => boxes.map(box => box.value)")

    def found(number: int) -> list[str]:
        expect(page.locator(ticked)).to_have_count(number)
        return page.locator(ticked).evaluate_all("boxes => boxes.map(box => box.value)")  # type: ignore[no-any-return]

    with page.expect_navigation():
        choose_act(page, "Hold")
    with page.expect_navigation():
        page.click("main .actions a")
    assert found(2) == chosen
    page.click("#list-rows tr:nth-child(2) td.tick input")
    renew(page, "#list-rows")
    assert found(1) == chosen[1:]  # rows that are drawn again keep what was ticked since

    choose_act(page, "Hold")
    page.fill("main [name=reason]", "Stock count")
    with page.expect_navigation():
        page.click("main form button.main")
    expect(page.locator("#run-strip")).to_be_visible()
    expect(page.locator(ticked)).to_have_count(0)
    page.go_back()
    expect(page.locator("main [name=reason]")).to_be_visible()
    page.go_back()
    expect(page.locator("#list-rows tr")).to_have_count(6)


def test_a_phone_has_the_heads_that_sort_and_the_box_that_chooses_all(
    page: Any,  # noqa: F811
    take: Callable[..., list[Order]],
) -> None:
    small, large = take(incoming_order(), incoming_order([incoming_line(price=90_000)]))
    page.set_viewport_size({"width": 390, "height": 844})
    page.goto("/orders/?sort=total")
    assert "Sort by" in page.evaluate("getComputedStyle(document.querySelector('#list thead tr'), '::before').content")
    offered = page.locator("#list thead a:visible").all_inner_texts()
    assert offered == ["Total", "Ship by", "Placed"]
    rows = page.locator("#list-rows tr")
    assert rows.evaluate_all("rows => rows.map(row => row.id)") == [f"order-{small.id}", f"order-{large.id}"]
    page.click("[data-all]")
    expect(page.locator("#list-rows input:checked")).to_have_count(2)
    page.click("#list thead a:text('Total')")
    page.wait_for_url("**sort=-total*")
    expect(rows.first).to_have_id(f"order-{large.id}")
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    assert _flaws(page) == []


@pytest.mark.parametrize("width", [390, 768, 1440])
def test_the_bar_fits_the_choice_hides_no_row_and_leaves_states_to_be_seen(
    page: Any,  # noqa: F811
    take: Callable[..., list[Order]],
    width: int,
) -> None:
    take(
        *[incoming_order(created_at=now() - timedelta(hours=n)) for n in range(1, 30)],
        incoming_order(stage=ChannelStage.CANCELED, status="CANCELED", created_at=now() - timedelta(hours=99)),
    )
    page.set_viewport_size({"width": width, "height": 800})
    page.goto("/orders/")
    page.click("#list-rows tr:nth-child(1) td.tick input")
    bar, first = page.locator(".bulk-bar"), page.locator("#list-rows tr").first
    shown = bar.locator("button:visible, summary:visible")
    expect(shown).to_have_text(["Ship", "Packing slips", *(["Hold"] if width > 390 else []), "More"])
    bar.locator("summary").click()
    expect(bar.get_by_role("button", name="Hold", exact=True)).to_be_in_viewport()
    expect(bar.get_by_role("button", name="Release", exact=True)).to_have_count(0)
    page.keyboard.press("Escape")
    tinted, pill = (
        page.locator(one).first.evaluate("one => getComputedStyle(one).backgroundColor")
        for one in ("#list-rows td.c-state", "#list-rows .pill")
    )
    assert pill != tinted
    assert _flaws(page) == []

    first.locator("td.tick input").uncheck()
    last = page.locator("#list-rows tr").last
    last.locator("td.tick input").check()
    expect(bar.get_by_role("button", name="Ship", exact=True)).to_have_count(0)
    page.evaluate("scrollTo(0, document.documentElement.scrollHeight)")
    row, at = last.bounding_box(), bar.bounding_box()
    assert row["y"] + row["height"] <= at["y"]


def test_on_a_phone_filters_and_columns_are_pages(page: Any, take: Callable[..., list[Order]]) -> None:  # noqa: F811
    take(incoming_order())
    page.set_viewport_size({"width": 390, "height": 844})
    for opener, part in (("#filters-open", "#list-filters"), ("#columns-open", "#list-columns")):
        page.goto("/orders/")
        with page.expect_navigation():
            page.click(opener)
        panel = page.locator(part)
        assert panel.evaluate("panel => panel.scrollHeight <= panel.clientHeight + 1")
        assert _flaws(page) == []


@pytest.mark.parametrize("width", [360, 768, 1024, 1280, 1366])
@pytest.mark.parametrize("path", ["/orders/", "/shipments/"])
def test_nothing_is_scrolled_sideways(
    page: Any,  # noqa: F811
    take: Callable[..., list[Order]],
    olga: Actor,
    path: str,
    width: int,
) -> None:
    left = incoming_line("SKU-" + "LONG-" * 8, 2, fulfilled=2)
    parcel = IncomingPackage("1", {left.number: 2}, "DHL", tracking_number="JD0009", shipped_at=now())
    take(
        incoming_order([left], stage=ChannelStage.SHIPPED, status="SHIPPED", packages=(parcel,)),
        incoming_order([incoming_line(price=1_396_026), incoming_line("CUP")], flags=("prime", "gift", "business")),
    )
    with unit_of_work():
        db.session.get_one(User, olga.id).language = "fr"
    page.set_viewport_size({"width": width, "height": 900})
    page.goto(path)
    expect(page.locator("#list-rows tr").first).to_be_visible()
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    if path == "/orders/" or width < 1280:
        box = page.locator(".scroll:has(#list)")
        assert box.evaluate("box => box.scrollWidth <= box.clientWidth")


@pytest.mark.parametrize("width", [1366, 390])
def test_no_amount_no_deadline_and_no_badge_is_cut(
    page: Any,  # noqa: F811
    take: Callable[..., list[Order]],
    olga: Actor,
    width: int,
) -> None:
    line = incoming_line(price=1_396_026, cancel_requested=True)
    late = now() - timedelta(hours=6, minutes=46)
    take(incoming_order([line], currency="USD", flags=("prime", "gift", "business"), ship_by=late))
    with unit_of_work():
        db.session.get_one(User, olga.id).language = "fr"
    page.set_viewport_size({"width": width, "height": 900})
    page.goto("/orders/")
    assert page.inner_text("#list-rows td.c-total").split() == ["16", "752,31", "$US"]
    for narrow in (False, True):
        cut = page.locator("#list-rows :is(td.num, td.c-ship_by, .chips, .chip)").evaluate_all(
            "all => all.filter(one => one.scrollWidth > one.clientWidth + 1 || one.scrollHeight > one.clientHeight + 1)"
            ".map(one => one.outerHTML)"
        )
        assert cut == []
        if not narrow:
            page.evaluate("document.querySelector('#col-total').width = 60")


def test_rows_are_renewed_when_the_run_on_their_page_has_ended(
    page: Any,  # noqa: F811
    take: Callable[..., list[Order]],
    work: Callable[[], int],
) -> None:
    take(incoming_order())
    page.route("**/live*", lambda route: route.fulfill(status=404, body=""))  # whatever was said before one could hear
    page.add_init_script(NO_LOOK_BY_THE_CLOCK)
    page.goto("/orders/")
    page.click("[data-all]")
    choose_act(page, "Hold")
    page.fill("main [name=reason]", "Stock count")
    page.click("main form button.main")
    page.wait_for_selector("#messages #run-strip[hx-get] :text('1 order is being put on hold.')")
    expect(page.locator("#run-strip progress")).to_have_count(1)
    work()
    page.wait_for_selector("#run-strip :text('1 put on hold')")
    page.wait_for_selector("#list-rows :text('On hold')")

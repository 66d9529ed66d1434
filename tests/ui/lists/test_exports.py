"""Exports in the browser: chosen, streamed or written by a run, by right and on the record."""

import re
from collections.abc import Callable
from html import unescape

import pytest
from sqlalchemy import select

from tests.ui.conftest import Browser
from webapp.audit.actor import Actor
from webapp.db import db
from webapp.jobs.models import Run
from webapp.lists.models import SavedView
from webapp.orders.models import Order
from webapp.testing import incoming_line, incoming_order


@pytest.fixture
def orders(take: Callable[..., list[Order]]) -> list[Order]:
    return take(*(incoming_order([incoming_line(sku)]) for sku in ("MUG", "TEA")))


def test_a_view_is_exported_as_its_query_says(browser: Browser, orders: list[Order]) -> None:
    form = browser.get("/orders/export?all=1&q=sku:MUG").text
    assert 'name="column" value="total" ' in form
    assert "1 order" in form
    data = {"all": "1", "q": "sku:MUG", "format": "csv", "rows": "lines", "column": ["total", "buyer"]}
    sent = browser.post("/orders/export/start", data)
    assert sent.status_code == 303
    assert "Quixelworth" not in sent.location
    answer = browser.get(sent.location)
    assert answer.headers["Content-Disposition"].startswith('attachment; filename="orders-')
    head, *rows = answer.text.splitlines()
    assert head.startswith("Order,Channel order number,Status,Channel status,Store,Practice,Total")
    assert [("MUG" in row, "Jane Quixelworth" in row) for row in rows] == [(True, True)]


def test_the_form_proposes_the_columns_of_the_view_it_is_reached_from(browser: Browser, orders: list[Order]) -> None:
    browser.post("/orders/columns", {"column": ["number", "country", "units"]})
    browser.post("/orders/views/", {"name": "Units", "q": "sku:MUG", "columns": "1"})
    browser.post("/orders/columns", {"column": ["number", "tags"]})
    view = str(db.session.scalar(select(SavedView.id)))
    page = browser.get(f"/orders/?view={view}").text
    [url] = re.findall(r'href="(/orders/export\?[^"]+)"', page)

    form = browser.get(unescape(url)).text
    assert set(ticked(form)) == {"country", "units"}
    assert f'name="view" value="{view}"' in form
    [back] = re.findall(r'class="crumb" href="([^"]+)"', form)
    assert rows(browser.get(unescape(back)).text) == [orders[0].id]
    assert f'name="view" value="{view}"' in page
    assert set(ticked(browser.get("/orders/export", {"order": str(orders[1].id), "view": view}).text)) == {
        "country",
        "units",
    }
    assert ticked(browser.get("/orders/export?all=1").text) == ["tags"]


def test_a_remembered_sorting_unticks_no_columns(browser: Browser, orders: list[Order]) -> None:
    before = ticked(browser.get("/orders/export?all=1").text)
    browser.post("/orders/columns", {"sort_by": "-total", "quiet": "1"})
    assert "total" in before
    assert ticked(browser.get("/orders/export?all=1").text) == before


def ticked(form: str) -> list[str]:
    return re.findall(r'name="column" value="(\w+)" checked', form)


def rows(page: str) -> list[int]:
    return [int(id_) for id_ in re.findall(r'<tr id="order-(\d+)"', page)]


def test_a_selection_is_exported(browser: Browser, orders: list[Order]) -> None:
    chosen = str(orders[1].id)
    assert f'name="order" value="{chosen}"' in browser.get("/orders/export", {"order": chosen}).text
    data = {"order": chosen, "format": "csv_for_excel", "rows": "orders", "column": "units"}
    text = browser.get(browser.post("/orders/export/start", data).location).get_data(as_text=True)
    assert text.startswith("\ufeff")
    assert len(text.splitlines()) == 2
    assert str(orders[1].number) in text


def test_a_workbook_is_written_by_a_run_and_fetched_by_its_starter(
    browser: Browser,
    orders: list[Order],
    make_browser: Callable[..., Browser],
    make_user: Callable[..., Actor],
    work: Callable[[], int],
) -> None:
    data = {"all": "1", "format": "xlsx", "rows": "orders", "column": "total"}
    sent = browser.post("/orders/export/start", data)
    run = db.session.query(Run).filter_by(kind="export").one()
    assert sent.location == f"/runs/{run.id}"
    assert browser.get(f"/runs/{run.id}/file").status_code == 404
    comes = "You can download it here as soon as it is ready."
    assert comes in browser.get(f"/runs/{run.id}").text
    work()
    page = browser.get(f"/runs/{run.id}").text
    assert f"/runs/{run.id}/file" in page
    assert comes not in page
    answer = browser.get(f"/runs/{run.id}/file")
    assert answer.data[:2] == b"PK"
    assert answer.headers["Cache-Control"] == "no-store"
    answer.close()
    other = make_browser(make_user("manager", "Max"))
    assert other.get(f"/runs/{run.id}/file").status_code == 404


def test_words_about_buyers_stay_out_of_addresses(browser: Browser, orders: list[Order]) -> None:
    found = browser.post("/orders/search", {"query": "Quixelworth", "q": "Quixelworth"})
    assert "Quixelworth" not in (found.location or "")


@pytest.mark.parametrize(
    "data",
    [
        {"all": "1", "format": "pdf", "rows": "orders"},
        {"all": "1", "format": "csv", "rows": "boxes"},
        {"all": "1", "q": "due:<", "format": "csv", "rows": "orders"},
    ],
)
def test_what_cannot_be_is_refused_with_a_sentence(browser: Browser, orders: list[Order], data: dict[str, str]) -> None:
    assert browser.post("/orders/export/start", data).status_code == 422


def test_who_may_not_export_is_not_offered_it(
    orders: list[Order], make_browser: Callable[..., Browser], mia: Actor
) -> None:
    clerk = make_browser(mia)
    assert "/orders/export" not in clerk.get("/orders/").text
    for path in ("/orders/export", "/orders/export.csv"):
        assert clerk.get(path).status_code == 403

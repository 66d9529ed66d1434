"""The list of credit memos in the browser, a memo as a page and as PDF, and memos of chosen orders to print."""

import io
import re
from collections.abc import Callable

import pytest
from pypdf import PdfReader

from tests.refunds import only_recorded, refund, reverse, shipped_line, shipped_order
from tests.ui.conftest import Browser
from webapp.audit.actor import Actor
from webapp.billing.memos import undo_refund
from webapp.billing.models import CreditMemo
from webapp.billing.refundable import LineWish, Wish
from webapp.billing.services import issue_invoice
from webapp.channels.incoming import Component, IncomingAmount
from webapp.db import db, unit_of_work
from webapp.jobs.models import Run
from webapp.orders.models import Order
from webapp.orders.queries import locked
from webapp.testing import JANE, incoming_order

Take = Callable[..., list[Order]]
Work = Callable[[], int]


@pytest.fixture
def memos(take: Take, mia: Actor, monkeypatch: pytest.MonkeyPatch) -> Callable[[int], list[CreditMemo]]:
    """Take in so many orders; each is refunded by a memo that waits for its channel, and by one with a number."""

    def make(count: int) -> list[CreditMemo]:
        buyers = [JANE | {"address": JANE["address"] | {"name": f"Buyer Number{place}"}} for place in range(count)]
        orders = take(*[shipped_order([shipped_line(f"SKU{place}", 2)], buyer=buyers[place]) for place in range(count)])
        found = [refund(order, Wish({order.lines[0].id: LineWish(1)}), actor=mia) for order in orders]
        only_recorded(monkeypatch)
        return [*found, *(refund(order, actor=mia) for order in orders)]

    return make


def numbers_of(page: str) -> list[str]:
    return re.findall(r'class="number" href="/credit-memos/\d+">(CM-\d+)<', page)


def sheets(answer: bytes) -> list[str]:
    return [page.extract_text() for page in PdfReader(io.BytesIO(answer)).pages]


def test_the_page_of_memos_costs_few_queries_and_has_those_without_a_number(
    memos: Callable[[int], list[CreditMemo]], browser: Browser
) -> None:
    memos(30)
    browser.get("/credit-memos/")
    columns = [
        "document",
        "refund",
        "recorded",
        "issued",
        "number",
        "total",
        "tax",
        "by",
        "units",
        "reason",
        "corrects",
    ]
    browser.post("/credit-memos/columns", {"column": columns})
    for url in (
        "/credit-memos/",
        "/credit-memos/?q=store:1+currency:EUR&sort=total",
        "/credit-memos/?q=refund:pending",
    ):
        page = browser.get(url)
        assert len(browser.queries) <= 8, "\n".join(browser.queries)
        assert "No number yet" in page.text or url == "/credit-memos/"
    assert page.text.count('data-tone="waits">Pending</span>') == 30
    assert "60 credit memos" in browser.get("/credit-memos/count").text
    tabs = re.findall(r'<a href="(/[a-z-]+/)"( aria-current="page")?>', browser.get("/credit-memos/").text)
    assert ("/invoices/", "") in tabs
    assert ("/credit-memos/", ' aria-current="page"') in tabs
    assert '<a href="/credit-memos/">' in browser.get("/invoices/").text
    palette = browser.get("/palette/").text
    assert all(f'href="{url}"' in palette for url in ("/credit-memos/", "/reports/refunds"))


def test_one_that_was_undone_never_gets_a_number(take: Take, mia: Actor, browser: Browser) -> None:
    orders = take(shipped_order(), shipped_order())
    for order in orders:
        refund(order, actor=mia)
    with unit_of_work():
        undo_refund(locked(orders[0]), actor=mia)
    page = browser.get("/credit-memos/").text
    assert (page.count(">No number yet<"), page.count(">No number<")) == (1, 1)


def test_a_number_opens_its_memo_which_is_a_page_and_a_pdf(
    memos: Callable[[int], list[CreditMemo]], browser: Browser
) -> None:
    [pending, memo] = memos(1)
    opened = browser.post("/credit-memos/search", {"text": "CM-000001"})
    assert opened.location == f"/credit-memos/{memo.id}"
    page = browser.get(opened.location)
    assert len(browser.queries) <= 12, "\n".join(browser.queries)
    assert "Credit memo CM-000001" in page.text
    assert "Buyer Number0" in page.text
    answer = browser.get(f"/credit-memos/{memo.id}.pdf")
    assert answer.headers["Content-Disposition"].startswith('attachment; filename="CM-000001.pdf"')
    assert "CM-000001" in "".join(sheets(answer.data))
    assert browser.get(f"/credit-memos/{pending.id}").status_code == 404
    tab = browser.get(f"/orders/{memo.order.number}?tab=refunds").text
    assert f'href="/credit-memos/{memo.id}"' in tab
    assert f'href="/credit-memos/{memo.id}.pdf"' in tab
    assert f'href="/credit-memos/{pending.id}"' not in tab
    assert "Print all credit memos" not in tab


def test_chosen_memos_are_printed_and_those_without_a_number_left_out(
    memos: Callable[[int], list[CreditMemo]], browser: Browser, work: Work
) -> None:
    memos(2)
    page = browser.get("/credit-memos/print?all=1&sort=recorded")
    assert re.findall(r">(CM-\d+)</dd>", page.text) == ["CM-000001", "CM-000002"]
    assert len(browser.queries) <= 12, "\n".join(browser.queries)
    assert "2 orders are left out:" in page.text
    started = browser.post("/credit-memos/print", {"all": "1", "paper": "4x6"})
    work()
    answer = browser.get(f"{started.location}/document")
    assert answer.headers["Content-Disposition"].startswith('attachment; filename="credit-memos-')
    text = "".join(sheets(answer.data))
    assert "CM-000001" in text
    assert "CM-000002" in text
    assert "it is not printed" in browser.get(started.location).text


def test_memos_of_chosen_orders_are_printed_and_orders_without_are_named(
    memos: Callable[[int], list[CreditMemo]], take: Take, mia: Actor, browser: Browser, work: Work
) -> None:
    *_pending, first, second = memos(2)
    reverse(first, actor=mia)
    [bare] = take(shipped_order())
    ids = [second.order_id, bare.id, first.order_id]
    page = browser.get("/orders/credit-memos?" + "&".join(f"order={id_}" for id_ in ids))
    assert re.findall(r">(CM-\d+)</dd>", page.text) == ["CM-000002", "CM-000001", "CM-000003", "CM-000001"]
    assert len(browser.queries) <= 14, "\n".join(browser.queries)
    assert "1 order is left out:" in page.text
    assert "This order has no issued credit memo yet." in page.text
    started = browser.post("/orders/credit-memos/pdf", {"order": [str(id_) for id_ in ids]})
    work()
    text = "".join(sheets(browser.get(f"{started.location}/document").data))
    assert text.index("CM-000002") < text.index("CM-000003")
    assert "Print credit memos" in browser.get("/orders/").text
    assert "Print all credit memos" in browser.get(f"/orders/{first.order.number}?tab=refunds").text


def test_views_and_files_are_its_own(memos: Callable[[int], list[CreditMemo]], browser: Browser) -> None:
    memos(1)
    assert 'name="f-refund' in browser.get("/credit-memos/filters").text
    saved = browser.post("/credit-memos/views/", {"name": "Mine", "q": "refund:pending"})
    assert "Mine" in browser.get(saved.location).text
    assert "Mine" not in browser.get("/invoices/views/").text
    given = {"all": "1", "format": "csv", "rows": "lines", "column": "total"}
    started = browser.post("/credit-memos/export/start", given)
    assert len(browser.get(started.location).text.splitlines()) == 3


def test_an_invoice_leads_to_the_refund_of_its_order(take: Take, mia: Actor, browser: Browser) -> None:
    shipped, unshipped = take(shipped_order(), incoming_order())
    with unit_of_work():
        invoices = [issue_invoice(locked(order), actor=mia) for order in (shipped, unshipped)]
    page = browser.get(f"/invoices/{invoices[0].id}").text
    assert f'href="/orders/{shipped.number}/actions/refund"' in page
    assert "Refund" in browser.get(f"/orders/{shipped.number}/actions/refund").text
    assert "actions/refund" not in browser.get(f"/invoices/{invoices[1].id}").text


def test_forty_late_orders_get_their_shipping_back_after_a_look_at_the_sum(
    take: Take, browser: Browser, work: Work, monkeypatch: pytest.MonkeyPatch
) -> None:
    amounts = (IncomingAmount(Component.ITEM, 1000, 200), IncomingAmount(Component.SHIPPING, 400, 80))
    late = take(*[shipped_order([shipped_line(amounts=amounts, total=1680)]) for _ in range(40)])
    without = take(*[shipped_order() for _ in range(2)])
    unshipped = take(incoming_order())
    only_recorded(monkeypatch)
    chosen = {"order": [str(order.id) for order in (*late, *without, *unshipped)]}
    form = browser.get("/orders/bulk", {**chosen, "action": "refund"}).text
    assert "This is not possible for 1 of the 43" in form
    assert "All shipping that is left" in form
    typed = chosen | {"reason": "CustomerReturn", "all_shipping": "1"}

    look = browser.post("/orders/bulk/refund/preview", typed, htmx=True)
    text = " ".join(re.sub(r"<[^>]+>", " ", look.text).replace("\xa0", " ").split())
    assert "Possible for 40 orders. Shipping €160.00 Tax €32.00 The buyer gets €192.00" in text
    assert "The refund would be empty. Choose units or amounts to refund. (2)" in text
    assert len(browser.queries) <= 20, "\n".join(browser.queries)
    assert "Possible for 40 orders." in browser.post("/orders/bulk/refund/preview", typed).text  # without scripts
    assert "Possible for 0 orders." in browser.post("/orders/bulk/refund/preview", chosen, htmx=True).text
    assert db.session.query(CreditMemo).count() == 0

    browser.post("/orders/bulk/refund", typed)
    work()
    memos = db.session.query(CreditMemo).all()
    assert sorted(memo.order_id for memo in memos) == sorted(order.id for order in late)
    assert {memo.total_minor for memo in memos} == {480}
    [run] = db.session.query(Run).filter_by(kind="bulk")
    assert (run.done, run.failed) == (43, 3)

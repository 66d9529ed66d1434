"""Returns in the browser: requested on the order's page, worked in its tab, refunded, and its slip."""

import io
import re
from collections.abc import Callable

import pytest
from pypdf import PdfReader

from tests.refunds import only_recorded, shipped_line, shipped_order
from tests.ui.conftest import Browser
from tests.ui.orders.test_invoices import words
from webapp.audit.actor import Actor
from webapp.channels.returns import ReturnReason
from webapp.db import unit_of_work
from webapp.orders.models import Order
from webapp.orders.queries import locked
from webapp.returns import services
from webapp.returns.contract import ReturnItem

Take = Callable[..., list[Order]]


@pytest.fixture
def order(take: Take) -> Order:
    """Three mugs and a cup, all of which have left."""
    [order] = take(shipped_order([shipped_line("MUG", 3), shipped_line("CUP")]))
    return order


def opened(order: Order, actor: Actor, units: int = 1) -> int:
    with unit_of_work():
        items = [ReturnItem(order.lines[0].id, units, ReturnReason.WRONG_PRODUCT)]
        return services.request_return(locked(order), items, actor=actor).id


def hidden(page: str) -> dict[str, str]:
    """The hidden fields of the only form, or of the one with an act on the order."""
    form = page.split('class="chosen"')[-1] if 'class="chosen"' in page else page
    found = dict(re.findall(r'<input[^>]*type="hidden"[^>]*name="([^"]+)"[^>]*value="([^"]*)"', form))
    found |= dict(re.findall(r'<input[^>]*name="([^"]+)"[^>]*type="hidden"[^>]*value="([^"]*)"', form))
    return {name: value for name, value in found.items() if name != "csrf_token"}


def formed(page: str) -> str:
    """The open form about a return."""
    return next(part.split("</form>")[0] for part in page.split("<form")[1:] if "data-keep" in part.split(">")[0])


def test_a_return_from_its_request_to_the_credit_memo(
    order: Order, browser: Browser, monkeypatch: pytest.MonkeyPatch
) -> None:
    only_recorded(monkeypatch)
    mug, url, tab = order.lines[0].id, f"/orders/{order.number}/actions", f"/orders/{order.number}?tab=returns"
    assert "There is no return yet." in browser.get(tab).text
    form = browser.get(f"{url}/return", htmx=True).text
    typed = {
        "lines": "some",
        "lines-line": str(mug),
        f"lines-{mug}": "2",
        "condition": "opened",
        "resolution": "refund",
    }
    assert browser.post(f"{url}/return", typed | hidden(form), htmx=True).status_code == 422  # without a reason
    done = browser.post(f"{url}/return", typed | {"reason": "defective"} | hidden(form), htmx=True)
    assert "Return R-000001 requested (units: 2)" in words(done.text)

    page = browser.get(tab).text
    assert len(browser.queries) <= 8, "\n".join(browser.queries)
    assert "A mug MUG Damaged or defective Opened Refund the buyer 2 0 0 0 0" in words(page)
    for act, state in (("authorize", "Authorized"), ("receive", "Received"), ("accept", "Accepted")):
        link = re.search(rf'href="({url}/{act}_return\?return_id=\d+)"', page)
        assert link, act
        choosing = browser.get(link[1], htmx=True).text
        assert 'max="2"' in choosing
        typed = {"lines": "all"} | ({"condition": "damaged"} if act == "accept" else {})
        page = browser.post(f"{url}/{act}_return", typed | hidden(formed(choosing)), htmx=True).text
        assert f"R-000001 {state}" in words(page)

    assert "A mug MUG Damaged or defective Damaged Refund the buyer 2 2 2 2 0" in words(page)
    timeline = words(browser.get(f"/orders/{order.number}?tab=timeline").text)
    assert "Return R-000001 inspected: Damaged (units accepted: 2, rejected: 0)" in timeline
    [refund] = re.findall(rf'href="({url}/refund\?return_id=\d+)#', page)
    composer = browser.get(refund, htmx=True).text
    assert re.search(rf'name="lines-{mug}-units" value="2"', composer)
    assert re.search(rf'name="lines-{mug}-restock" value="2"', composer)
    assert re.search(r'<option selected value="CustomerReturn">', composer)
    sent = {f"lines-{mug}-units": "2", "reason": "CustomerReturn"} | hidden(composer)
    assert browser.post(f"{url}/refund", sent, htmx=True).status_code == 200
    page = browser.get(tab).text
    assert len(browser.queries) <= 8, "\n".join(browser.queries)
    assert "R-000001 Closed" in words(page)
    assert "Refund CM-000001: Issued" in words(page)
    assert "_return" not in page


def test_one_unit_needs_no_form_and_another_clerks_decision_stops_the_act(
    order: Order, browser: Browser, operator: Actor
) -> None:
    row = opened(order, operator)
    page = browser.get(f"/orders/{order.number}?tab=returns").text
    with unit_of_work():
        services.deny_return(locked(order), row, actor=operator)
    form = hidden(next(part for part in page.split("<form") if "authorize_return" in part))
    form.pop("order_version")
    refused = browser.post(f"/orders/{order.number}/actions/authorize_return", form, htmx=True)
    assert (refused.status_code, "A decision on this return was already made" in refused.text) == (409, True)
    page = browser.get(f"/orders/{order.number}?tab=returns").text
    assert ("Denied" in page, "authorize_return" in page) == (True, False)


def test_the_slip_of_a_return_says_what_comes_back_and_why(order: Order, browser: Browser, operator: Actor) -> None:
    row, url = opened(order, operator, 2), f"/orders/{order.number}/return-slip"
    for answer in (browser.get(f"{url}?return_id={row}"), browser.get(f"{url}.pdf?return_id={row}")):
        pdf = answer.mimetype == "application/pdf"
        pages = PdfReader(io.BytesIO(answer.data)).pages if pdf else []
        text = " ".join(page.extract_text() for page in pages) if pdf else words(answer.text)
        assert all(part in text for part in ("R-000001", "MUG", "☒ 6" if not pdf else "☒")), text
        assert "CUP" not in text
    assert browser.get(f"{url}?return_id=99").status_code == 404


def test_without_the_right_nothing_is_offered(
    order: Order, make_browser: Callable[..., Browser], make_user: Callable[..., Actor], operator: Actor
) -> None:
    reader, _row = make_browser(make_user("read_only")), opened(order, operator)
    page = reader.get(f"/orders/{order.number}?tab=returns").text
    assert ("R-000001" in page, "_return" in page) == (True, False)

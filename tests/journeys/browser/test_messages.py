"""Writing to buyers and reading their answers in a real browser, in as few steps as promised; the practice Amazon is on
the other side, with its pages and mail servers.
"""

import re
from collections.abc import Callable
from typing import Any

import httpx
import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page, expect

from tests.journeys.browser.conftest import LONG, Desk
from tests.journeys.browser.test_desk_work import Steps

QUIET_ORDERS = """
    SELECT number, channel_order_number FROM orders
     WHERE state = 'processing' AND fulfilled_by = 'merchant' AND channel_status = 'UNSHIPPED' AND total_minor > 0
       AND NOT (on_hold OR canceling OR buyer_wants_cancel) AND attention = '[]'
       AND NOT EXISTS (SELECT 1 FROM messages WHERE order_id = orders.id)
     ORDER BY id DESC LIMIT 1
"""


@pytest.fixture(scope="module")
def full_desk(desk: Desk) -> Desk:
    """A desk whose stores let messages go at once."""
    desk.wait_for_orders(200)
    for [store] in desk.read("SELECT id FROM stores"):
        desk.command("store", "set", str(store), "--set", "message_hold=0")
    return desk


def quiet_order(desk: Desk) -> tuple[str, str]:
    """The numbers of an order without messages: ours and Amazon's."""
    [found] = desk.until(lambda: desk.read(QUIET_ORDERS), "an order")
    return found["number"], found["channel_order_number"]


def caught(desk: Desk, channel_order_number: str) -> list[dict[str, Any]]:
    """What the practice Amazon's mail server took about an order, newest first."""
    mails = httpx.get(f"{desk.practice_url}/practice/mails").json()["mails"]
    return [mail for mail in mails if channel_order_number in mail["subject"]]


def open_form(page: Page, steps: Steps) -> Any:
    """Open the form of a message, and wait until it offers what Amazon allows."""
    steps.click(page.locator("#order-writing").get_by_role("link", name="Write to buyer", exact=True))
    form = page.locator("#order-actions form.chosen")
    expect(form.locator("optgroup[label='Through Amazon'] option").first).to_be_attached(timeout=LONG)
    return form


def test_a_message_from_a_template_is_at_amazon_in_three(full_desk: Desk, open_page: Callable[..., Page]) -> None:
    number, at_amazon = quiet_order(full_desk)
    page = open_page()
    page.goto(f"{full_desk.url}/orders/{number}")
    steps = Steps(page)
    form = open_form(page, steps)
    steps.click(form.get_by_role("button", name="Delay", exact=True).first)
    expect(form.get_by_label("Kind of message")).to_have_value("unexpectedProblem")
    expect(form.get_by_label("Subject")).to_be_hidden()  # Amazon's messages have none
    steps.click(form.locator("button.main"))
    expect(page.locator("#messages")).to_contain_text("Message to the buyer written")
    assert steps.taken <= 3
    page.goto(f"{full_desk.url}/orders/{number}?tab=messages")
    expect(page.locator(".thread > li")).to_contain_text("Confirmed", timeout=LONG)
    practice = open_page()
    practice.goto(f"{full_desk.practice_url}/practice/mail/orders/{at_amazon}")
    expect(practice.locator("textarea[name=text]")).to_have_value(re.compile(at_amazon))  # quotes what was written


def test_an_invoice_is_mailed_in_three_and_the_answer_replied_to_in_three(
    full_desk: Desk, open_page: Callable[..., Page]
) -> None:
    number, at_amazon = quiet_order(full_desk)
    of_order = f"SELECT 1 FROM invoices WHERE order_id = (SELECT id FROM orders WHERE number = '{number}')"
    if not full_desk.read(of_order):  # else another test has invoiced it
        full_desk.command("orders", "act", number, "invoice")
    page = open_page()
    page.goto(f"{full_desk.url}/orders/{number}")
    steps = Steps(page)
    form = open_form(page, steps)
    steps.click(form.get_by_role("button", name="Invoice attached", exact=True).first)
    expect(form.get_by_label("Kind of message")).to_have_value("mail")
    expect(form.get_by_label(re.compile("^Invoice "))).to_be_checked()
    expect(form.locator(".previewed")).to_contain_text("Attached files: Invoice", timeout=LONG)
    assert Axe().run(page).violations_count == 0
    steps.click(form.locator("button.main"))
    expect(page.locator("#messages")).to_contain_text("Message to the buyer written")
    assert steps.taken <= 3

    [mail] = full_desk.until(lambda: caught(full_desk, at_amazon), "the mail")
    sent = httpx.get(f"{full_desk.practice_url}/practice/mails/{mail['id']}").json()
    assert "application/pdf" in sent["raw"]
    practice = open_page()
    practice.goto(f"{full_desk.practice_url}/practice/mail/{mail['id']}")
    practice.locator("textarea[name=text]").fill("Thank you! When does it leave?")
    practice.locator("form[action$='/answer'] button").click()
    full_desk.command("mail", "read")  # as its schedule does within a minute

    messages = page.locator("#order-tab").get_by_role("link", name=re.compile("^Messages"))
    expect(messages).to_contain_text("1", timeout=LONG)  # by itself
    steps = Steps(page)
    steps.click(messages)
    answer = page.locator(".thread > li", has_text="When does it leave?")
    expect(answer).to_contain_text("Unread")
    assert Axe().run(page).violations_count == 0
    steps.click(answer.get_by_role("link", name="Reply", exact=True))
    expect(form.get_by_label("Kind of message")).to_have_value("mail")
    form.get_by_label("Message to the buyer").fill("Tomorrow.")
    steps.click(form.locator("button.main"))
    expect(page.locator("#messages")).to_contain_text("Message to the buyer written")
    assert steps.taken <= 3

    page.goto(f"{full_desk.url}/orders/{number}?tab=messages")
    expect(answer).to_contain_text("Done by Olive Owner")
    full_desk.until(lambda: len(caught(full_desk, at_amazon)) == 2, "the reply")
    reply = httpx.get(f"{full_desk.practice_url}/practice/mails/{caught(full_desk, at_amazon)[0]['id']}").json()
    assert "In-Reply-To:" in reply["raw"]
    assert "Tomorrow." in reply["text"]


def test_a_mail_without_an_order_is_put_to_one_by_keyboard(full_desk: Desk, open_page: Callable[..., Page]) -> None:
    number, at_amazon = quiet_order(full_desk)
    stray = {"order_id": at_amazon, "how": "stray", "text": "Do you sell red mugs?", "subject": "Red mugs"}
    httpx.post(f"{full_desk.practice_url}/practice/answers", json=stray).raise_for_status()
    full_desk.command("mail", "read")
    full_desk.until(
        lambda: full_desk.read("SELECT 1 FROM received_mails WHERE message_id IS NULL"), "the mail in the inbox"
    )
    page = open_page()
    page.goto(f"{full_desk.url}/dashboard/")
    card = page.get_by_role("link", name=re.compile("Mails without an order"))
    expect(card).to_contain_text("1", timeout=LONG)
    card.press("Enter")
    page.get_by_role("link", name="Red mugs").press("Enter")
    page.get_by_label("Order number").press_sequentially(number)
    page.keyboard.press("Enter")
    expect(page).to_have_url(re.compile(f"/orders/{number}"))
    page.goto(f"{full_desk.url}/orders/{number}?tab=messages")
    expect(page.locator(".thread > li")).to_contain_text("Do you sell red mugs?")
    done = page.locator(".thread > li").get_by_role("button", name="Mark as done")
    done.press("Enter")
    expect(page.locator(".thread > li")).to_contain_text("Done by Olive Owner", timeout=LONG)

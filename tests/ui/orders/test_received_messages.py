"""Answers of buyers on the order's page, in the list and on the dashboard."""

import re
from collections.abc import Callable

import pytest

from tests.ui.conftest import Browser
from webapp.audit.actor import Actor
from webapp.clock import now
from webapp.db import db, unit_of_work
from webapp.mail.imap import Listed
from webapp.mail.reading import read_mail
from webapp.messaging.models import Message, ReceivedMail
from webapp.messaging.receiving import take_in
from webapp.orders.models import Order
from webapp.orders.queries import find_order
from webapp.orders.services import act, find_action, read_input
from webapp.sync.allowed_messages import ask_allowed

RELAY = "buyer-1@relay.example"
BODY = """--f
Content-Type: text/plain; charset=utf-8

<b>Where</b> is it?

On Mon, 30 Nov 2026 the shop <shop@example.com> wrote:
> It has left us.
--f
Content-Type: text/html; name="page.html"

<script>alert(1)</script>
--f--
"""


@pytest.fixture
def order(make_order: Callable[..., Order]) -> Order:
    return make_order(buyer={"email": RELAY, "name": "Berta"})


def arrives(text: str = BODY, *, sender: str = RELAY, subject: str = "Hello", more: str = "") -> None:
    head = f'From: Berta <{sender}>\nSubject: {subject}\nContent-Type: multipart/mixed; boundary="f"\n{more}\n'
    take_in(None, read_mail((head + text).encode()), Listed(1, 1, now()))  # type: ignore[arg-type]
    db.session.expire_all()


def tab(browser: Browser, order: Order) -> str:
    return browser.get(f"/orders/{order.number}?tab=messages").text


def test_an_answer_is_shown_as_text_and_done(browser: Browser, order: Order) -> None:
    arrives()
    page = tab(browser, order)
    assert "&lt;b&gt;Where&lt;/b&gt; is it?" in page
    assert re.search(r"<summary>Quoted text</summary><blockquote[^>]*>On Mon, 30 Nov", page)
    assert 'Messages<span class="tally">1</span>' in page
    assert "Unread" in page
    assert "Answer" in browser.get("/orders/").text
    assert order.number in browser.get("/orders/?q=unread:yes").text
    assert "Unread answers" in browser.get("/dashboard/cards/work").text
    browser.post(f"/orders/{order.number}/actions/message_done", {"message": str(db.session.query(Message).one().id)})
    db.session.expire_all()
    assert order.unread == 0
    assert '<span class="tally">' not in tab(browser, order)
    assert order.number not in browser.get("/orders/?q=unread:yes").text


def test_its_files_are_saved_and_never_opened(browser: Browser, order: Order) -> None:
    arrives()
    [address] = re.findall(r'href="(/orders/[^"]+/files/0)"', tab(browser, order))
    answer = browser.get(address)
    assert answer.data == b"<script>alert(1)</script>"
    assert answer.headers["Content-Type"] == "application/octet-stream"
    assert answer.headers["Content-Disposition"] == 'attachment; filename="page.html"'
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert browser.get(address.replace("files/0", "files/1")).status_code == 404


def test_a_file_that_is_not_kept_is_named_and_says_why(
    browser: Browser, order: Order, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("webapp.mail.reading.LARGEST_FILE", 4)
    monkeypatch.setattr("webapp.ui.orders.received_messages.LARGEST_FILE", 4)
    part = "--f\nContent-Type: image/png; name={}\n\n{}\n"
    arrives("--f\n\nSee\n" + part.format("large.png", "12345") + part.format("empty.png", "") + "--f--\n")
    page = tab(browser, order)
    assert re.search(r"large\.png\s*<span[^>]*>1 KB, too large to be stored: see your mailbox<", page)
    assert re.search(r"empty\.png\s*<span[^>]*>Not stored: the file is only in the mailbox<", page)


def test_an_answer_is_assigned_and_found_by_who_has_it(
    browser: Browser, order: Order, make_user: Callable[..., Actor]
) -> None:
    arrives()
    message_id = str(db.session.query(Message).one().id)
    browser.post(f"/orders/{order.number}/actions/assign_message", {"message": message_id, "assignee": "me"})
    db.session.expire_all()
    assert db.session.query(ReceivedMail).one().assigned_to is not None
    assert "Assigned to" in tab(browser, order)
    assert order.number in browser.get("/orders/?q=unread:me").text


def test_a_draft_goes_to_the_answer_that_was_pressed(browser: Browser, order: Order) -> None:
    arrives()
    arrives("--f\n\nHello again\n--f--\n", subject="Again")
    ask_allowed(order.id)
    newest, oldest = (message.id for message in db.session.query(Message).order_by(Message.id.desc()))
    url = f"/orders/{order.number}/actions/message"
    assert "Your draft" not in browser.post(f"{url}/draft", {"answers": str(oldest)}, htmx=True).text
    browser.post(f"{url}/draft", {"answers": str(oldest), "kind": "problem", "text": "Tomorrow."}, htmx=True)
    form = browser.get(f"{url}?answers={newest}").text
    assert "Tomorrow." in form
    assert re.findall(r'<input[^>]*name="answers"[^>]*value="(\d+)"', form) == [str(newest)]
    assert f'value="{oldest}"' in browser.get(url).text


def test_a_reply_makes_the_answer_done(browser: Browser, order: Order, mia: Actor) -> None:
    arrives()
    ask_allowed(order.id)
    [reply] = re.findall(r'href="([^"]+answers=\d+)"', tab(browser, order))
    assert re.search(r'type="hidden" value="\d+"|name="answers"[^>]*value="[1-9]', browser.get(reply).text)
    action = find_action("message")
    given = {"kind": "problem", "text": "Tomorrow.", "answers": db.session.query(Message).one().id}
    with unit_of_work():
        act(action, find_order(f"@{order.id}", mia, lock=True), read_input(action, given), mia)
    db.session.expire_all()
    assert order.unread == 0
    assert db.session.query(ReceivedMail).one().done_by == mia.id


def test_who_may_not_see_buyers_sees_no_message(
    make_browser: Callable[..., Browser], make_user: Callable[..., Actor], order: Order
) -> None:
    arrives()
    reader = make_browser(make_user("read_only", "Rita"))
    page = tab(reader, order)
    assert "Where" not in page
    message_id = db.session.query(Message).one().id
    assert reader.get(f"/orders/{order.number}/messages/{message_id}/files/0").status_code == 403


def test_what_names_only_a_number_says_so(browser: Browser, order: Order) -> None:
    arrives(sender="other@example.com", subject=f"Order {order.number}")
    assert "Not from the buyer" in tab(browser, order)

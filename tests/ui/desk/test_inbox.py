"""The inbox: mails that fit no order."""

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta

import pytest

from tests.ui.conftest import Browser
from webapp.audit.actor import Actor
from webapp.clock import now
from webapp.db import db, unit_of_work
from webapp.mail.imap import Listed
from webapp.mail.reading import read_mail
from webapp.messaging import inbox
from webapp.messaging.models import Message, ReceivedMail
from webapp.messaging.receiving import take_in
from webapp.orders.models import Order
from webapp.vault import files

FILED = """--f
Content-Type: text/plain

<b>Who</b> am I?
--f
Content-Type: image/png; name="cup.png"

PNG
--f--
"""


def arrives(number: int = 1, text: str = FILED) -> int:
    head = f'From: Otto <otto@example.com>\nSubject: Mail {number}\nContent-Type: multipart/mixed; boundary="f"\n\n'
    at = now() - timedelta(minutes=number)
    take_in(None, read_mail((head + text).encode()), Listed(number, 1, at))  # type: ignore[arg-type]
    db.session.expire_all()
    return max(row.id for row in db.session.query(ReceivedMail))


def test_a_mail_is_read_and_put_to_an_order(browser: Browser, make_order: Callable[..., Order]) -> None:
    order = make_order()
    assert "The inbox is empty" in browser.get("/inbox/").text
    mail_id = arrives()
    page = browser.get("/inbox/").text
    assert "Otto &lt;otto@example.com&gt;" in page
    assert "&lt;b&gt;Who&lt;/b&gt; am I?" in page
    assert "Mails without an order" in browser.get("/dashboard/cards/work").text
    page = browser.get(f"/inbox/{mail_id}").text
    assert "cup.png" in page
    assert browser.get(f"/inbox/{mail_id}/files/0").data == b"PNG"
    wrong = browser.post(f"/inbox/{mail_id}/order", {"number": "99-99"})
    assert (wrong.status_code, "There is no order" in wrong.text) == (422, True)
    answer = browser.post(f"/inbox/{mail_id}/order", {"number": order.number})
    assert answer.headers["Location"].endswith(f"/orders/{order.number}?tab=messages")
    db.session.expire_all()
    [row] = db.session.query(ReceivedMail)
    [message] = db.session.query(Message)
    assert (row.message_id, row.matched, row.sealed, row.expires_at) == (message.id, "person", None, None)
    assert order.unread == 1
    assert "&lt;b&gt;Who&lt;/b&gt; am I?" in browser.get(f"/orders/{order.number}?tab=messages").text
    [file] = files.files_of("mail", row.id)
    assert list(db.session.scalars(files.orders_of(file))) == [order.id]
    assert browser.get(f"/inbox/{mail_id}").status_code == 404


def test_a_mail_is_dismissed(browser: Browser) -> None:
    mail_id = arrives()
    browser.post(f"/inbox/{mail_id}/dismiss")
    assert "The inbox is empty" in browser.get("/inbox/").text
    assert browser.post(f"/inbox/{mail_id}/dismiss").status_code == 404


def test_the_inbox_is_shown_a_page_at_a_time(browser: Browser, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(inbox, "PAGE", 2)
    for number in (1, 2, 3):
        arrives(number)
    first = browser.get("/inbox/").text
    assert ["Mail 1" in first, "Mail 2" in first, "Mail 3" in first] == [True, True, False]
    older = first.partition('href="/inbox/?before=')[2].partition('"')[0]
    second = browser.get(f"/inbox/?before={older}".replace("&amp;", "&")).text
    assert ["Mail 2" in second, "Mail 3" in second, "Older" in second] == [False, True, False]
    assert browser.get("/inbox/?before=x").status_code == 200


def test_the_inbox_is_for_people_who_work_for_all_shops(
    make_browser: Callable[..., Browser], make_user: Callable[..., Actor], mia: Actor, make_order: Callable[..., Order]
) -> None:
    mail_id = arrives()
    assert make_browser(make_user("read_only", "Rita")).get("/inbox/").status_code == 403
    order = make_order()
    limited = replace(mia, shops=frozenset({order.shop_id}))
    for tried in (
        lambda: inbox.list_inbox(limited),
        lambda: inbox.find_mail(mail_id, limited),
        lambda: inbox.put_to_order(mail_id, str(order.number), actor=limited),
    ):
        with pytest.raises(Exception, match="all shops"), unit_of_work():
            tried()

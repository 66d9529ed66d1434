"""Mailboxes under Settings › Mail."""

import re
from collections.abc import Callable, Iterator

import pytest
from flask import Flask
from sqlalchemy import update

from tests.imap_server import ImapServer, imap_server
from tests.ui.conftest import Browser
from webapp.accounts.models import User
from webapp.audit.actor import Actor
from webapp.db import db, unit_of_work
from webapp.mail import mailboxes
from webapp.mail.models import Mailbox
from webapp.messaging.jobs import read_mailboxes


@pytest.fixture(scope="module")
def server() -> Iterator[ImapServer]:
    with imap_server() as running:
        yield running


def test_mailboxes_are_for_people_who_work_for_all_shops(
    make_browser: Callable[..., Browser], make_user: Callable[..., Actor], server: ImapServer, operator: Actor
) -> None:
    box = server.folder()
    address = f"/settings/mail/mailboxes/{box.connect(operator).id}"
    limited = make_user("manager", "Lea")
    with unit_of_work():
        db.session.get_one(User, limited.id).shops = [1]
        db.session.execute(update(Mailbox).values(problem={"code": "mail_failed", "values": {}}))
    lea = make_browser(limited)
    assert [lea.get(one).status_code for one in (address, "/settings/mail/mailboxes/add")] == [403, 403]
    assert [lea.post(one, box.values()).status_code for one in (address, f"{address}/test")] == [403, 403]
    assert "127.0.0.1" not in lea.get("/settings/mail/").text
    assert address not in lea.get("/dashboard/cards/work").text


def test_a_mailbox_is_connected_tested_changed_and_removed(browser: Browser, server: ImapServer, app: Flask) -> None:
    box = server.folder()
    assert "No mailbox yet" in browser.get("/settings/mail/").text
    wrong = browser.post("/settings/mail/mailboxes/add", box.values() | {"port": "0x"})
    assert (wrong.status_code, "Enter a port from 1 to 65535" in wrong.text) == (422, True)
    assert browser.post("/settings/mail/mailboxes/add", box.values() | {"password": "wrong"}).status_code == 302
    assert "Being read" in browser.get("/settings/mail/").text
    read_mailboxes()
    page = browser.get("/settings/mail/").text
    assert "refused the user name or the password" in page
    [address] = re.findall(r'href="(/settings/mail/mailboxes/\d+)"', page)
    assert "right" not in browser.get(address).text
    assert "refused the user name" in browser.get(address).text
    browser.post(address, box.values())
    read_mailboxes()
    assert "Works" in browser.get("/settings/mail/").text
    assert browser.post(address, box.values() | {"password": "", "host": "other.example"}).status_code == 422
    browser.post(f"{address}/test")
    db.session.expire_all()
    assert mailboxes.any_due()
    browser.post(f"{address}/remove")
    assert "No mailbox yet" in browser.get("/settings/mail/").text

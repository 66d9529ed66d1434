"""Outgoing mail under Settings: the server, its test, and invitations by mail."""

import re
from collections.abc import Iterator

import pytest
from flask import Flask

from tests.mail_server import Postbox, mail_server
from tests.ui.conftest import Browser
from webapp.config import configuration
from webapp.mail.jobs import send_mail
from webapp.mail.server import MAIL

TYPED = {"host": "mail.example.com", "port": "465", "security": "tls", "sender": "desk@example.com"}


@pytest.fixture
def postbox(app: Flask) -> Iterator[Postbox]:
    with mail_server() as box:
        yield box


def test_the_server_is_set_up_and_its_password_never_shown(browser: Browser) -> None:
    assert "No mail yet" in browser.get("/settings/mail/").text
    assert "Outgoing mail" not in browser.get("/settings/").text  # it has a page of its own
    wrong = browser.post("/settings/mail/", TYPED | {"sender": "nobody"})
    assert (wrong.status_code, "This is not an e-mail address" in wrong.text) == (422, True)
    assert browser.post("/settings/mail/", TYPED | {"password": "Sesame-77"}).status_code == 302
    assert MAIL.read()["password"] == "Sesame-77"
    page = browser.get("/settings/mail/").text
    assert 'value="mail.example.com"' in page
    assert "Sesame" not in page


def test_a_test_without_a_server_says_so(browser: Browser) -> None:
    browser.post("/settings/mail/test")
    assert "No mail server is set up" in browser.get("/settings/mail/").text


def test_a_test_mail_arrives_and_a_refused_one_is_sent_again(browser: Browser, postbox: Postbox) -> None:
    postbox.refused["RCPT"] = "550 5.7.1 Not from you"
    browser.post("/settings/mail/test")
    send_mail()
    page = browser.get("/settings/mail/").text
    assert "The mail server refused the e-mail: 550 5.7.1 Not from you" in page
    postbox.refused.clear()
    [again] = re.findall(r'action="(/settings/mail/\d+/again)"', page)
    browser.post(again)
    send_mail()
    assert [one["Subject"] for one in postbox.mails] == ["E-mail from Waybill works"]
    assert "/again" not in browser.get("/settings/mail/").text


def test_an_invitation_goes_by_mail_and_its_link_lets_in(browser: Browser, postbox: Postbox) -> None:
    made = browser.post("/settings/people/add", {"email": "ada@desk.test", "name": "Ada", "role": "clerk"})
    assert "A mail with this link is on its way to ada@desk.test" in made.text
    send_mail()
    [mail] = postbox.mails
    [link] = re.findall(r"http://localhost(/sign-in/link/[\w-]+)", mail.get_content())
    assert mail["To"] == "ada@desk.test"
    assert link in made.text


def test_the_page_says_that_mail_is_caught(browser: Browser, monkeypatch: pytest.MonkeyPatch) -> None:
    assert "No mail is delivered" not in browser.get("/settings/mail/").text
    monkeypatch.setenv("WAYBILL_PRACTICE_URL", "http://127.0.0.1:9")
    monkeypatch.setenv("WAYBILL_PRACTICE_SMTP", "smtp://desk@127.0.0.1:9")
    configuration.cache_clear()
    page = browser.get("/settings/mail/").text
    assert "No mail is delivered: until a mail server is entered here" in page
    assert 'href="http://127.0.0.1:9"' in page
    browser.post("/settings/mail/", TYPED)
    assert "No mail is delivered" not in browser.get("/settings/mail/").text

"""Mail that a practice marketplace catches: where `up` runs one, and only until a person enters a mail server."""

from collections.abc import Iterator

import pytest
from flask import Flask

from tests.mail_server import Postbox, mail_server, set_up
from webapp.config import configuration
from webapp.db import unit_of_work
from webapp.mail import caught, queue, server
from webapp.mail.composing import Letter
from webapp.mail.jobs import send_mail
from webapp.settings.services import store_all


def beside_practice(monkeypatch: pytest.MonkeyPatch, port: int) -> None:
    monkeypatch.setenv("WAYBILL_PRACTICE_URL", "http://127.0.0.1:9")
    monkeypatch.setenv("WAYBILL_PRACTICE_SMTP", f"smtp://desk%40practice.example@127.0.0.1:{port}")
    monkeypatch.setenv("WAYBILL_PRACTICE_IMAP", "imap://desk%40practice.example:se%3Acret@127.0.0.1:9644")
    configuration.cache_clear()


def sent(box: Postbox) -> str:
    """Who the one mail in this box is from, after a mail has left."""
    with unit_of_work():
        queue.put(queue.TEST, Letter("mia@example.com", "Hello", "Hello"))
    send_mail()
    [mail] = box.mails
    return str(mail["From"])


@pytest.fixture
def catching(app: Flask, monkeypatch: pytest.MonkeyPatch) -> Iterator[Postbox]:
    with mail_server() as box:
        port = server.PORT.of()
        with unit_of_work():
            store_all(server.MAIL, {"host": "", "sender": "", "sender_name": "Mug Shop", "security": server.STARTTLS})
        beside_practice(monkeypatch, port)
        yield box


def test_mail_is_caught_where_nobody_entered_a_server(catching: Postbox) -> None:
    assert server.is_set_up()
    assert sent(catching) == "Mug Shop <desk@practice.example>"


def test_a_sender_that_a_person_entered_is_kept(catching: Postbox) -> None:
    with unit_of_work():
        store_all(server.MAIL, {"sender": "info@mugs.example"})
    assert sent(catching) == "Mug Shop <info@mugs.example>"


def test_a_server_that_a_person_entered_comes_first(catching: Postbox) -> None:
    with mail_server() as real:
        assert server.caught_by() is None
        assert sent(real) == "Mäuse & Co <desk@example.com>"
    assert catching.mails == []
    set_up(host="mail.example.com", sender="")
    assert not server.is_set_up()  # half a server is none, and nothing is caught instead


def test_nothing_is_caught_where_there_is_no_practice_marketplace(app: Flask) -> None:
    assert (caught.server(), caught.mailbox(), server.is_set_up()) == (None, None, False)


def test_the_mailbox_of_practice_buyers(catching: Postbox) -> None:
    box = caught.mailbox()
    assert box == caught.PracticeServer("127.0.0.1", 9644, "desk@practice.example", "se:cret")
    assert "cret" not in repr(box)

"""Outgoing mail from the command line: the queue, another try, and a test."""

from collections.abc import Iterator

import pytest
from flask import Flask

from tests.cli.conftest import Command
from tests.imap_server import imap_server
from tests.mail_server import Postbox, mail_server, set_up
from tests.ports import unused_port
from webapp.accounts.models import User
from webapp.audit.actor import Actor
from webapp.db import db, unit_of_work
from webapp.mail import queue
from webapp.mail.composing import Letter
from webapp.mail.jobs import send_mail


@pytest.fixture
def postbox(app: Flask) -> Iterator[Postbox]:
    with mail_server() as box:
        yield box


def test_mails_are_listed_and_tried_again(cli: Command, postbox: Postbox) -> None:
    assert cli("mail", "queue", "--json").document == []
    postbox.refused["DATA"] = "554 5.7.1 Looks like spam"
    with unit_of_work():
        queue.put("sign_in_link", Letter("mia@example.com", "Hello", "https://desk.test/secret"))
    send_mail()
    [row] = cli("mail", "queue", "--json").document
    assert (row["kind"], row["state"], row["next_at"]) == ("sign_in_link", "refused", None)
    assert row["problem"] == "The mail server refused the e-mail: 554 5.7.1 Looks like spam"
    assert "secret" not in cli("mail", "queue").out

    postbox.refused.clear()
    assert cli("mail", "retry", "1", "--json").document["state"] == "queued"
    send_mail()
    assert len(postbox.mails) == 1
    again = cli("mail", "retry", "1")
    assert (again.code, again.err.strip()) == (1, str(queue.NothingToSendAgain()))
    assert cli("mail", "retry", "9").code == 3


def test_a_test_says_what_the_server_says(cli: Command, postbox: Postbox) -> None:
    assert cli("mail", "test", "mia@example.com").out.strip() == (
        "The server took a mail from desk@example.com to mia@example.com."
    )
    assert postbox.mails[0]["To"] == "mia@example.com"
    set_up(port=unused_port())
    failed = cli("mail", "test", "mia@example.com")
    assert (failed.code, "can't be reached" in failed.err) == (1, True)


def test_a_link_goes_to_its_person_by_mail_in_their_language(cli: Command, postbox: Postbox) -> None:
    made = cli("user", "create", "--email", "ada@desk.test", "--role", "clerk", "--json").document
    with unit_of_work():
        db.session.get_one(User, made["id"]).language = "fr"
    again = cli("user", "link", "--email", "ada@desk.test", "--json").document
    send_mail()
    assert [one["To"] for one in postbox.mails] == ["ada@desk.test"] * 2
    first, second = (one.get_content() for one in postbox.mails)
    assert made["url"] in first
    assert again["url"] in second
    assert ("Hello" in first, "Bonjour" in second) == (True, True)


def test_mailboxes_are_listed_and_read(cli: Command, operator: Actor) -> None:
    assert cli("mail", "mailboxes", "--json").document == []
    with imap_server() as server:
        box = server.folder()
        box.connect(operator)
        box.put(b"From: otto@example.com\r\nSubject: Hello\r\n\r\nWho am I?\r\n")
        [read] = cli("mail", "read", "--json").document
        assert (read["name"], read["inbox"], read["known"], read["problem"]) == ("Answers", 1, 0, None)
        assert "right" not in cli("mail", "mailboxes").out
    [broken] = cli("mail", "read", "1", "--json").document
    assert "can't be reached" in broken["problem"]
    assert cli("mail", "mailboxes", "--json").document[0]["problem"] == broken["problem"]
    assert cli("mail", "read", "9").code == 3

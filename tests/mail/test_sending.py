"""The queue of outgoing mail, against a real server."""

import smtplib
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
import time_machine
from flask import Flask
from sqlalchemy import select

from tests.mail_server import Postbox, mail_server, set_up
from tests.ports import unused_port
from webapp.audit.actor import Actor
from webapp.clock import now
from webapp.db import db, unit_of_work
from webapp.errors import sentence_of
from webapp.mail import queue, server
from webapp.mail.composing import Letter
from webapp.mail.jobs import send_mail
from webapp.mail.models import Mail, MailState

LETTER = Letter("mia@example.com", "Für Mia: 納品書", "Zeile eins\n.\nZeile drei\n")


@pytest.fixture
def postbox(app: Flask) -> Iterator[Postbox]:
    with mail_server() as box:
        yield box


def put(life: timedelta = queue.LIFE) -> Mail:
    with unit_of_work():
        return queue.put("test", LETTER, life=life)


def found(mail: Mail) -> tuple[str, str | None]:
    """The state of a mail, and the sentence of its problem."""
    db.session.expire_all()
    return mail.state, sentence_of(mail.problem)


def test_a_mail_leaves_once_and_what_it_says_is_forgotten(postbox: Postbox) -> None:
    mail = put()
    send_mail()
    send_mail()
    [sent] = postbox.mails
    assert (sent["To"], sent["From"], sent["Subject"]) == (LETTER.to, "Mäuse & Co <desk@example.com>", LETTER.subject)
    assert sent.get_content().replace("\r\n", "\n") == LETTER.text
    assert sent["Message-ID"].endswith("@example.com>")
    assert found(mail) == (MailState.SENT, None)
    assert mail.sealed is None


def test_what_a_mail_says_is_sealed(postbox: Postbox) -> None:
    row = put()
    assert "mia" not in (row.sealed or "")
    assert Letter.opened(row.sealed or "") == LETTER


@pytest.mark.parametrize(
    ("command", "answer", "state"),
    [
        ("MAIL", "451 4.3.0 Come back later", MailState.QUEUED),
        ("MAIL", "530 5.7.0 Sign in first", MailState.QUEUED),  # it is about the desk, not about this mail
        ("RCPT", "450 4.2.2 Mailbox full", MailState.QUEUED),
        ("RCPT", "550 5.1.1 <mia@example.com>: unknown", MailState.REFUSED),
        ("DATA", "452 4.3.1 No room", MailState.QUEUED),
        ("DATA", "554 5.7.1 Looks like spam", MailState.REFUSED),
    ],
)
def test_what_the_server_does_not_take(postbox: Postbox, command: str, answer: str, state: MailState) -> None:
    postbox.refused[command] = answer
    mail = put()
    send_mail()
    got, problem = found(mail)
    assert got == state
    assert answer.split()[0] in (problem or "")
    assert "mia@" not in (problem or "")
    postbox.refused.clear()
    with time_machine.travel(now() + timedelta(minutes=2)):
        send_mail()
    assert len(postbox.mails) == (state == MailState.QUEUED)


def test_one_that_the_server_refuses_keeps_no_other(postbox: Postbox) -> None:
    first, second = put(), put()
    postbox.refused["RCPT"] = "550 5.1.1 Unknown"
    with unit_of_work():
        second_at = db.session.get_one(Mail, second.id)
        second_at.next_at = now() + timedelta(minutes=1)
    send_mail()
    postbox.refused.clear()
    with time_machine.travel(now() + timedelta(minutes=2)):
        send_mail()
    assert (found(first)[0], found(second)[0]) == (MailState.REFUSED, MailState.SENT)


def test_a_server_that_dies_with_the_mail_leaves_it_unknown_until_a_person_decides(
    postbox: Postbox, operator: Actor
) -> None:
    postbox.dies = True
    mail = put()
    send_mail()
    assert found(mail)[0] == MailState.UNKNOWN
    postbox.dies = False
    with time_machine.travel(now() + timedelta(days=1)):
        send_mail()
    assert len(postbox.mails) == 1  # nobody knows whether it arrived, so it is not sent again by itself
    with unit_of_work():
        queue.send_again(mail.id, actor=operator)
    send_mail()
    assert found(mail) == (MailState.SENT, None)
    assert [one["Message-ID"] for one in postbox.mails] == [postbox.mails[0]["Message-ID"]] * 2
    with pytest.raises(queue.NothingToSendAgain), unit_of_work():
        queue.send_again(mail.id, actor=operator)


def test_a_mail_left_unanswered_costs_the_next_one_nothing(postbox: Postbox, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "_PATIENCE", 1)
    first, second, third = put(), put(), put()
    postbox.stalls = True
    send_mail()
    assert [found(one)[0] for one in (first, second, third)] == [MailState.UNKNOWN, MailState.SENT, MailState.SENT]
    assert [one.tries for one in (second, third)] == [1, 1]
    assert len(postbox.mails) == 3


@pytest.mark.parametrize("moment", ["before", "after"])
def test_a_worker_that_dies_loses_no_mail_and_sends_none_twice(
    postbox: Postbox, monkeypatch: pytest.MonkeyPatch, moment: str
) -> None:
    class Killed(BaseException):
        pass

    real = server.Conversation.send

    def send(self: server.Conversation, message: Any, to: str, leaving: Any) -> None:
        if moment == "before":
            raise Killed
        real(self, message, to, leaving)
        raise Killed

    mail = put()
    with monkeypatch.context() as patched:
        patched.setattr(server.Conversation, "send", send)
        with pytest.raises(Killed):
            send_mail()
    with time_machine.travel(now() + timedelta(minutes=11)):
        send_mail()
    assert len(postbox.mails) == 1
    assert found(mail)[0] == (MailState.SENT if moment == "before" else MailState.UNKNOWN)


def test_a_worker_that_lost_its_claim_sends_nothing(postbox: Postbox, monkeypatch: pytest.MonkeyPatch) -> None:
    real = server.Conversation.send

    def slowly(self: server.Conversation, message: Any, to: str, leaving: Any) -> None:
        with monkeypatch.context() as patched:
            patched.setattr(server.Conversation, "send", real)
            with time_machine.travel(now() + timedelta(minutes=11)):
                send_mail()  # another worker takes it for dead
        real(self, message, to, leaving)

    mail = put()
    monkeypatch.setattr(server.Conversation, "send", slowly)
    send_mail()
    assert len(postbox.mails) == 1
    assert found(mail)[0] == MailState.SENT


def test_an_address_with_other_letters_leaves_as_servers_take_it_or_is_refused(postbox: Postbox) -> None:
    with unit_of_work():
        domain = queue.put(queue.TEST, Letter("info@müller.example", "a", "b"))
        person = queue.put(queue.TEST, Letter("jürgen@example.com", "a", "b"))
    send_mail()
    assert [one["To"] for one in postbox.mails] == ["info@xn--mller-kva.example"]
    assert found(domain)[0] == MailState.SENT
    assert found(person) == (MailState.REFUSED, str(server.NoSuchAddress()))


def test_a_server_that_hangs_up_costs_one_mail_a_try(postbox: Postbox, monkeypatch: pytest.MonkeyPatch) -> None:
    first, second, third = put(), put(), put()

    def hangs_up(self: smtplib.SMTP, *given: Any) -> Any:
        if postbox.mails:
            raise smtplib.SMTPServerDisconnected("enough for today")
        return mail(self, *given)

    mail = smtplib.SMTP.mail
    monkeypatch.setattr(smtplib.SMTP, "mail", hangs_up)
    assert queue.send_due(5) == 1
    assert [found(one)[0] for one in (first, second, third)] == [MailState.SENT, MailState.QUEUED, MailState.QUEUED]
    assert [one.tries for one in (second, third)] == [1, 0]


def test_a_bug_with_one_mail_is_no_endless_loop(postbox: Postbox, monkeypatch: pytest.MonkeyPatch) -> None:
    row = put()
    with monkeypatch.context() as patched:
        patched.setattr(queue, "compose", lambda *given: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            send_mail()
    assert found(row) == (MailState.QUEUED, str(queue.MailFailed()))
    with time_machine.travel(now() + timedelta(minutes=2)):
        send_mail()
    assert found(row)[0] == MailState.SENT


def test_what_nobody_tried_in_time_is_never_sent(postbox: Postbox, operator: Actor) -> None:
    with unit_of_work():
        link = queue.put(queue.SIGN_IN_LINK, LETTER, life=timedelta(hours=24))
    with time_machine.travel(now() + timedelta(hours=25)):
        send_mail()
        assert found(link) == (MailState.REFUSED, str(queue.MailExpired()))
        with pytest.raises(queue.LinkEnded), unit_of_work():
            queue.send_again(link.id, actor=operator)
    assert postbox.mails == []


def test_without_a_server_mails_wait_and_are_given_up_in_the_end(postbox: Postbox) -> None:
    set_up(port=unused_port())
    mail = put(timedelta(minutes=3))
    send_mail()
    state, problem = found(mail)
    assert (state, "127.0.0.1" in (problem or "")) == (MailState.QUEUED, True)
    with time_machine.travel(now() + timedelta(minutes=2)):
        send_mail()
    state, problem = found(mail)
    assert state == MailState.REFUSED
    assert (problem or "").startswith(
        "This e-mail was not sent in time. The last problem was: The mail server 127.0.0.1"
    )


def test_a_wrong_password_says_so_and_the_right_one_sends(postbox: Postbox) -> None:
    set_up(port=server.PORT.of(), user="desk", password="wrong")
    mail = put()
    send_mail()
    assert "refused the user name or the password" in (found(mail)[1] or "")
    set_up(port=server.PORT.of(), user="desk", password="right")
    with time_machine.travel(now() + timedelta(minutes=2)):
        send_mail()
    assert found(mail) == (MailState.SENT, None)


def test_mails_are_forgotten_but_not_those_that_wait(postbox: Postbox) -> None:
    put()
    waiting = put(timedelta(days=90))
    with unit_of_work():
        db.session.get_one(Mail, waiting.id).next_at = now() + timedelta(days=80)
    send_mail()
    with time_machine.travel(now() + timedelta(days=31)), unit_of_work():
        assert queue.any_old()
        queue.forget_old()
    assert list(db.session.scalars(select(Mail.id))) == [waiting.id]

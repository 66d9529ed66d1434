"""Reading mailboxes of a real server, and what becomes of the mails."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import timedelta

import pytest
import time_machine
from imapclient import SocketTimeout
from sqlalchemy import select, update
from sqlalchemy.exc import OperationalError

from tests.imap_server import ImapServer, Postbox, imap_server
from tests.odd_imap_server import (
    Fault,
    OddServer,
    claims_much,
    hangs_up,
    odd_server,
    refuses,
    stalls,
    talks_nonsense,
    trickles,
)
from tests.ports import unused_port
from webapp.audit.actor import Actor
from webapp.channels.legal_face import SENDER
from webapp.channels.models import Shop
from webapp.clock import now
from webapp.db import db, unit_of_work
from webapp.errors import sentence_of
from webapp.mail import imap, mailboxes
from webapp.mail.composing import Letter, message_id
from webapp.mail.models import Mail, Mailbox
from webapp.mail.queue import put as queue_mail
from webapp.mail.server import MAIL
from webapp.messaging import receiving, sealing
from webapp.messaging.answers import finish_answer
from webapp.messaging.jobs import forget_received_mails, read_mailboxes
from webapp.messaging.models import Message, ReceivedMail
from webapp.messaging.receiving import Taken
from webapp.orders.archiving import AnswerUnread, archive_refusal
from webapp.orders.models import Order, OrderEvent
from webapp.orders.queries import locked
from webapp.settings.services import store_all
from webapp.vault import files, services as vault

RELAY = "buyer-1@relay.example"
BUYER = {"email": RELAY, "name": "Berta"}


@pytest.fixture(scope="module")
def server() -> Iterator[ImapServer]:
    with imap_server() as running:
        yield running


@pytest.fixture
def box(server: ImapServer) -> Postbox:
    return server.folder()


def mail(text: str = "Where is it?", *, sender: str = RELAY, subject: str = "Hello", **headers: str) -> bytes:
    given = {"Message_ID": f"<{abs(hash((text, sender, subject)))}@relay.example>", **headers}
    head = "".join(f"{name.replace('_', '-')}: {value}\r\n" for name, value in given.items() if value)
    return f"From: {sender}\r\nSubject: {subject}\r\n{head}\r\n{text}\r\n".encode()


def read(mailbox: Mailbox | None = None) -> dict[Taken, int]:
    found = receiving.read_next(mailbox.id if mailbox else None)
    assert found is not None
    assert found.problem is None
    db.session.expire_all()
    return {taken: count for taken, count in found.taken.items() if count}


def received() -> list[ReceivedMail]:
    return list(db.session.scalars(select(ReceivedMail).order_by(ReceivedMail.id)))


def said(message: Message) -> dict[str, object]:
    [opened] = vault.open_sealed([(message.order_id, sealing.SEALED, message.sealed)])
    assert isinstance(opened, dict)
    return opened


def the_message() -> Message:
    return db.session.scalars(select(Message).order_by(Message.id.desc())).first() or pytest.fail("no message")


@pytest.fixture
def order(make_order: Callable[..., Order]) -> Order:
    return make_order(buyer=BUYER)


def test_an_answer_from_the_buyers_address_comes_to_the_newest_order_once(
    order: Order, make_order: Callable[..., Order], box: Postbox, operator: Actor
) -> None:
    newest = make_order(buyer=BUYER, created_at=now())
    mailbox = box.connect(operator)
    box.put(mail())
    assert read(mailbox) == {Taken.ORDER: 1}
    assert read(mailbox) == {}
    message = the_message()
    assert (message.order_id, message.direction, message.route, message.kind) == (newest.id, "in", "mail", "answer")
    assert b"Where" not in message.sealed
    assert (said(message)["text"], said(message)["sender"]) == ("Where is it?", RELAY)
    [row] = received()
    assert (row.matched, row.from_buyer, row.sealed, row.done_at) == ("address", True, None, None)
    assert newest.unread == 1
    assert "message_received" in db.session.scalars(select(OrderEvent.code)).all()
    box.put(mail(f"About {order.channel_order_number}."))
    assert read(mailbox) == {Taken.ORDER: 1}
    assert the_message().order_id == order.id
    assert box.flags() == [(), ()]  # nothing is marked as seen


def test_a_mail_is_read_again_after_trouble_of_the_database(
    order: Order, box: Postbox, operator: Actor, monkeypatch: pytest.MonkeyPatch
) -> None:
    mailbox = box.connect(operator)
    box.put(mail())
    with monkeypatch.context() as patched:
        patched.setattr(receiving, "locked_all", _deadlock)
        for _ in range(4):
            with pytest.raises(OperationalError):
                receiving.read_next(mailbox.id)
    assert received() == []
    assert read(mailbox) == {Taken.ORDER: 1}
    assert the_message().order_id == order.id


def _deadlock(*_given: object) -> None:
    raise OperationalError("SELECT", {}, Exception("deadlock detected"))


def test_a_number_alone_is_not_from_the_buyers_address(order: Order, box: Postbox, operator: Actor) -> None:
    mailbox = box.connect(operator)
    box.put(
        mail(sender="x@example.com", subject=f"Order {order.number}"),
        mail(f"See {order.channel_order_number}", sender="y@example.com"),
        mail(f"See {order.number}", sender="z@example.com"),
    )
    assert read(mailbox) == {Taken.ORDER: 2, Taken.INBOX: 1}
    assert [(row.matched, row.from_buyer) for row in received()] == [
        ("number", False),
        ("number", False),
        (None, False),
    ]


def test_an_answer_to_a_received_mail_or_to_one_of_ours_comes_to_its_order(
    order: Order, box: Postbox, operator: Actor
) -> None:
    mailbox = box.connect(operator)
    box.put(mail(Message_ID="<first@relay.example>"), mail("More", sender="o@x.de", References="<first@relay.example>"))
    assert read(mailbox) == {Taken.ORDER: 2}
    assert [(row.matched, row.from_buyer) for row in received()] == [("address", True), ("reference", False)]
    carried, ours = _ours(order)
    box.put(mail("Third", sender="o@x.de", In_Reply_To=ours))
    number, at = db.session.execute(select(Mail.id, Mail.created_at)).one()
    for guess in (f"{at:%Y%m%d%H%M%S}", "0" * 32, message_id(number, at + timedelta(seconds=1), "")[-34:-2]):
        box.put(mail(f"Guess {guess}", sender="o@x.de", In_Reply_To=f"<waybill-{number}-{guess}@example.com>"))
    assert read(mailbox) == {Taken.ORDER: 1, Taken.INBOX: 3}
    assert carried.order_id == order.id


def _ours(order: Order) -> tuple[Message, str]:
    """A message of ours that a mail carries, and its Message-ID."""
    carried = the_message()
    with unit_of_work():
        row = queue_mail("test", Letter(RELAY, "Hello", "Text"))
        db.session.get_one(Message, carried.id).mail_id = row.id
    return carried, message_id(row.id, db.session.get_one(Mail, row.id).created_at, "example.com")


def test_a_mail_that_came_back_marks_its_order(order: Order, box: Postbox, operator: Actor) -> None:
    mailbox = box.connect(operator)
    box.put(mail())
    read(mailbox)
    carried, ours = _ours(order)
    box.put(
        mail(
            f"550 5.1.1 {RELAY}: unknown\n\nMessage-ID: {ours}",
            sender="mailer-daemon@relay.example",
            subject="Undelivered Mail Returned to Sender",
        )
    )
    assert read(mailbox) == {Taken.ORDER: 1}
    bounce = received()[-1]
    assert (bounce.sort, bounce.bounced_id) == ("bounce", carried.id)
    assert order.unread == 1
    [trouble] = [one for one in order.attention if one["kind"] == "message_bounced"]
    assert trouble["of"] == carried.id
    assert RELAY not in str(trouble)
    assert "550 5.1.1" in (sentence_of(bounce.problem) or "")


def test_an_answer_brings_its_order_back_from_the_archive_until_it_is_done(
    order: Order, box: Postbox, operator: Actor
) -> None:
    with unit_of_work():
        db.session.execute(update(Order).values(state="complete", archived_at=now()))
    mailbox = box.connect(operator)
    box.put(mail("I am away.", Auto_Submitted="auto-replied"))
    read(mailbox)
    assert order.archived_at is not None
    box.put(mail())
    read(mailbox)
    assert order.archived_at is None
    assert isinstance(archive_refusal(order, operator), AnswerUnread)
    with unit_of_work():
        finish_answer(locked(order), actor=operator)
    assert archive_refusal(order, operator) is None


def test_automatic_answers_are_not_unread_and_loops_are_left_out(order: Order, box: Postbox, operator: Actor) -> None:
    mailbox = box.connect(operator)
    with unit_of_work():
        row = queue_mail("test", Letter(RELAY, "Hello", "Text"))
    box.put(
        mail("I am away.", Auto_Submitted="auto-replied"),
        mail(Message_ID=message_id(row.id, row.created_at, "example.com")),
        mail("I buy from you.", sender="o@x.de", Message_ID=f"<waybill-7-{'0' * 32}@other.example>"),
    )
    assert read(mailbox) == {Taken.ORDER: 1, Taken.LOOP: 1, Taken.INBOX: 1}
    assert order.unread == 0
    assert db.session.get_one(Mailbox, mailbox.id).loops == 1


def test_what_buyers_write_by_the_form_of_a_site_is_no_mail_of_the_desk(
    order: Order, box: Postbox, operator: Actor
) -> None:
    ours = "desk@shop.example"
    with unit_of_work():
        store_all(MAIL, MAIL.read() | {"sender": ours})
        store_all(SENDER, {"reply_to": "help@shop.example"}, db.session.get_one(Shop, 1))
    mailbox = box.connect(operator)
    box.put(
        mail("One", sender=ours),
        mail("Two", sender=ours, Reply_To="Help@shop.example"),
        mail("Three", sender=ours, Reply_To=RELAY),
    )
    assert read(mailbox) == {Taken.LOOP: 2, Taken.ORDER: 1}
    assert (said(the_message())["text"], said(the_message())["sender"]) == ("Three", RELAY)


def test_a_folder_whose_numbers_begin_again_and_a_second_mailbox_double_nothing(
    order: Order, box: Postbox, server: ImapServer, operator: Actor
) -> None:
    mailbox = box.connect(operator)
    box.put(mail(), mail("No id", Message_ID=""))
    assert read(mailbox) == {Taken.ORDER: 2}
    box.begin_again()
    box.put(mail(), mail("No id", Message_ID=""), mail("New"))
    assert read(mailbox) == {Taken.KNOWN: 2, Taken.ORDER: 1}
    second = server.folder()
    second.put(mail())
    assert read(second.connect(operator)) == {Taken.KNOWN: 1}
    assert order.unread == 3


def test_one_mail_that_can_not_be_read_holds_up_no_other(
    order: Order, box: Postbox, operator: Actor, monkeypatch: pytest.MonkeyPatch
) -> None:
    mailbox = box.connect(operator)
    box.put(mail("Poison"), mail("Fine"))
    real = receiving.read_mail

    def reads(raw: bytes, *, is_cut: bool = False) -> object:
        assert b"Poison" not in raw
        return real(raw, is_cut=is_cut)

    monkeypatch.setattr(receiving, "read_mail", reads)
    assert read(mailbox) == {Taken.UNREADABLE: 1, Taken.ORDER: 1}
    row = received()[0]
    assert row.sort == "unreadable"
    assert "Poison" in vault.open_apart(sealing.SEALED, row.period, row.sealed or b"")["text"]


@pytest.fixture
def odd(monkeypatch: pytest.MonkeyPatch) -> Iterator[OddServer]:
    monkeypatch.setattr(imap, "_PATIENCE", SocketTimeout(connect=1, read=1))
    monkeypatch.setattr(imap, "_LONGEST_CONVERSATION", 2.0)
    with odd_server() as running:
        yield running


@pytest.mark.parametrize("fault", [stalls, hangs_up, trickles, claims_much, talks_nonsense, refuses])
def test_a_mail_that_the_server_does_not_give_stops_no_mailbox(
    order: Order, odd: OddServer, operator: Actor, fault: Fault
) -> None:
    odd.mails = {1: mail("One"), 2: mail("Two"), 3: mail("Three")}
    odd.faults[2] = fault
    mailbox = odd.connect(operator)
    for _ in range(3):
        found = receiving.read_next(mailbox.id)
        assert found is not None
        assert found.problem is not None
        assert str(found.problem).startswith("One e-mail could not be read: ")
    assert read(mailbox) == {Taken.UNREADABLE: 1, Taken.ORDER: 1}
    assert [row.sort for row in received()] == ["answer", "unreadable", "answer"]
    assert "in 3 attempts" in (sentence_of(received()[1].problem) or "")
    assert (mailbox.problem, read(mailbox)) == (None, {})


def test_a_network_that_drops_counts_against_no_mail(order: Order, odd: OddServer, operator: Actor) -> None:
    odd.mails = {1: mail("One"), 2: mail("Two")}
    odd.faults = {1: hangs_up, 2: hangs_up}
    mailbox = odd.connect(operator)
    for _ in range(5):
        found = receiving.read_next(mailbox.id)
        assert found is not None
        assert str(found.problem).startswith("The mail server 127.0.0.1 ")
    odd.mails[3] = mail("Three")  # a server that gives it is not to blame for the first
    for _ in range(3):
        receiving.read_next(mailbox.id)
    del odd.faults[2]
    assert read(mailbox) == {Taken.UNREADABLE: 1, Taken.ORDER: 2}


def test_a_server_that_is_gone_after_a_lost_connection_counts_against_no_mail(
    order: Order, odd: OddServer, operator: Actor, monkeypatch: pytest.MonkeyPatch
) -> None:
    odd.mails, odd.faults = {1: mail("One")}, {1: hangs_up}
    mailbox = odd.connect(operator)
    real = receiving.opened
    for _ in range(5):
        calls = iter([odd.port, unused_port()])
        monkeypatch.setattr(receiving, "opened", lambda account, at=calls: real(replace(account, port=next(at))))
        receiving.read_next(mailbox.id)
    monkeypatch.setattr(receiving, "opened", real)
    del odd.faults[1]
    assert read(mailbox) == {Taken.ORDER: 1}


def test_of_a_mail_that_never_comes_whole_the_beginning_is_read(
    order: Order, odd: OddServer, operator: Actor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(imap, "_PIECE", 200)
    odd.mails = {1: mail("Where is it? " + "x" * 1_000)}
    odd.faults, odd.fails_after, odd.sizes = {1: hangs_up}, 400, {1: 10}
    mailbox = odd.connect(operator)
    for _ in range(2):
        receiving.read_next(mailbox.id)
    assert received() == []
    assert read(mailbox) == {Taken.ORDER: 1}
    assert str(said(the_message())["text"]).startswith("Where is it?")
    assert said(the_message())["whole"] is False


def test_a_slow_mail_has_its_time_and_ends_where_its_text_ends(
    order: Order, odd: OddServer, operator: Actor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(imap, "_PIECE", 200)
    odd.mails = {1: mail("x" * 1_000), 2: mail("y" * 1_000, Message_ID="")}
    odd.sizes = {1: 900_000_000, 2: 1}
    monkeypatch.setattr(imap, "BEGINNING", 5_000)
    mailbox = odd.connect(operator)
    assert read(mailbox) == {Taken.ORDER: 2}
    assert said(the_message())["text"] == "y" * 1_000
    monkeypatch.setattr(imap, "_LONGEST_MAIL", 0.0)
    odd.mails[3] = mail("z" * 1_000)
    assert read(mailbox) == {Taken.ORDER: 1}
    assert (len(str(said(the_message())["text"])) < 200, said(the_message())["whole"]) == (True, False)


def test_a_mail_of_which_workers_die_is_left_after_some(
    order: Order, odd: OddServer, operator: Actor, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Killed(BaseException):
        pass

    odd.mails = {1: mail("One"), 2: mail("Two")}
    mailbox = odd.connect(operator)
    with monkeypatch.context() as patched:
        patched.setattr(receiving, "read_mail", lambda *_given, **_named: (_ for _ in ()).throw(Killed))
        for _ in range(3):
            with pytest.raises(Killed):
                receiving.read_next(mailbox.id)
    assert read(mailbox) == {Taken.UNREADABLE: 1, Taken.ORDER: 1}


def test_mails_are_read_in_chunks_and_older_ones_are_left(
    order: Order, box: Postbox, operator: Actor, work: Callable[[], int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(receiving, "CHUNK", 2)
    mailbox = box.connect(operator)
    box.put(mail("Old"), at=now() - timedelta(days=31))
    box.put(*(mail(f"Number {number}") for number in range(5)), at=now() - timedelta(days=29))
    found = receiving.read_next(mailbox.id, most=2)
    assert found is not None
    assert found.more
    read_mailboxes()
    work()
    assert len(received()) == 5
    assert not mailboxes.any_due()
    with time_machine.travel(now() + timedelta(minutes=2)):
        box.put(mail("Later"))
        read_mailboxes()
        assert len(received()) == 6


def test_removing_a_mailbox_touches_none_of_its_mails(box: Postbox, operator: Actor, app: object) -> None:
    mailbox = box.connect(operator)
    box.put(mail("Nowhere", sender="o@x.de"))
    read(mailbox)
    before = mailbox.id
    with unit_of_work():
        mailboxes.remove(mailboxes.get(before), actor=operator)
    [row] = received()
    assert (row.mailbox_id, row.mailbox) == (before, None)
    assert box.connect(operator).id > before


def test_a_copy_that_arrives_at_the_same_moment_leaves_no_file_behind(
    order: Order, box: Postbox, server: ImapServer, operator: Actor, monkeypatch: pytest.MonkeyPatch
) -> None:
    body = "--f\r\n\r\nSee.\r\n--f\r\nContent-Type: image/png\r\n\r\nPNG\r\n--f--"
    with_file, second = mail(body, Content_Type="multipart/mixed; boundary=f"), server.folder()
    box.put(with_file)
    second.put(with_file)
    assert read(box.connect(operator)) == {Taken.ORDER: 1}
    before = list(files.folder().iterdir())
    monkeypatch.setattr(receiving, "any_row", lambda *_given: False)  # the other reader has not committed yet
    assert read(second.connect(operator)) == {Taken.KNOWN: 1}
    assert list(files.folder().iterdir()) == before


def test_what_is_too_large_is_named_and_files_are_sealed(
    order: Order, box: Postbox, operator: Actor, monkeypatch: pytest.MonkeyPatch
) -> None:
    body = (
        "--f\r\nContent-Type: text/plain\r\n\r\nSee\r\n--f\r\nContent-Type: image/png; name=cup.png\r\n\r\nPNG\r\n--f--"
    )
    with_file = mail(body, Content_Type="multipart/mixed; boundary=f")
    mailbox = box.connect(operator)
    box.put(with_file)
    assert read(mailbox) == {Taken.ORDER: 1}
    assert said(the_message())["files"] == [{"name": "cup.png", "type": "image/png", "size": 3, "kept": True}]
    [row] = received()
    [file] = files.files_of(receiving.FILES, row.id)
    assert files.read(file).readall() == b"PNG"
    assert file.expires_at > now() + timedelta(days=300)
    assert list(db.session.scalars(files.orders_of(file))) == [order.id]
    monkeypatch.setattr("webapp.mail.imap.LARGEST_MAIL", len(with_file) - 5)
    monkeypatch.setattr("webapp.mail.imap.BEGINNING", len(with_file) - 5)
    box.put(with_file.replace(b"See", b"Too").replace(b"Message-ID: <", b"Message-ID: <2"))
    assert read(mailbox) == {Taken.ORDER: 1}
    assert (said(the_message())["text"], said(the_message())["whole"]) == ("Too", False)
    assert said(the_message())["files"] == [{"name": "cup.png", "type": "image/png", "size": 0, "kept": False}]
    with unit_of_work():
        vault.erase([order.id])
    assert files.files_of(receiving.FILES, row.id) == []


def test_files_that_fit_no_order_have_a_bound_in_all_and_none_fill_the_disk(
    order: Order, box: Postbox, operator: Actor, monkeypatch: pytest.MonkeyPatch
) -> None:
    body = "--f\r\n\r\nSee\r\n--f\r\nContent-Type: image/png; name=cup.png\r\n\r\nPNG\r\n--f--"
    kind = "multipart/mixed; boundary=f"
    mailbox = box.connect(operator)
    monkeypatch.setattr(receiving, "MOST_OF_INBOX", 5)
    box.put(
        *(mail(body, sender=f"{name}@example.com", Content_Type=kind) for name in "ab"), mail(body, Content_Type=kind)
    )
    assert read(mailbox) == {Taken.INBOX: 2, Taken.ORDER: 1}
    assert [len(files.files_of(receiving.FILES, row.id)) for row in received()] == [1, 0, 1]
    assert len(list(files.folder().iterdir())) == 2
    monkeypatch.setattr(receiving, "LEAST_FREE", 2**80)
    box.put(mail(body, subject="Again", Content_Type=kind))
    assert read(mailbox) == {Taken.ORDER: 1}
    assert said(the_message())["files"] == [{"name": "cup.png", "type": "image/png", "size": 3, "kept": False}]
    assert len(list(files.folder().iterdir())) == 2


def test_mail_to_an_erased_buyer_and_of_the_inbox_goes_after_thirty_days(
    order: Order, box: Postbox, operator: Actor
) -> None:
    with unit_of_work():
        vault.erase([order.id])
    mailbox = box.connect(operator)
    box.put(mail(subject=order.channel_order_number), mail("Nowhere"))
    assert read(mailbox) == {Taken.ORDER: 1, Taken.INBOX: 1}
    for row in received():
        assert vault.open_apart(sealing.SEALED, row.period, row.sealed or b"")["sender"] == RELAY
    assert the_message().sealed == b""
    with time_machine.travel(now() + timedelta(days=31)):
        forget_received_mails()
    db.session.expire_all()
    [row] = received()
    assert (row.message_id, row.sealed, row.period) == (the_message().id, None, "")


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"password": "wrong"}, "mail_sign_in_refused"),
        ({"folder": "Elsewhere"}, "mail_folder_unknown"),
        ({"port": 1}, "mail_server_unreachable"),
        ({"security": "tls"}, "mail_server_unreachable"),
        ({"security": "starttls"}, "mail_server_odd"),
    ],
)
def test_a_mailbox_that_can_not_be_read_says_why_and_is_tried_later_and_later(
    box: Postbox, operator: Actor, change: dict[str, object], code: str, app: object
) -> None:
    change = {"port": unused_port()} if change.get("port") == 1 else change
    mailbox = box.connect(operator, **change)
    waits = []
    for _ in range(5):
        found = receiving.read_next(mailbox.id)
        assert found is not None
        assert found.problem is not None
        assert found.problem.code == code
        db.session.expire_all()
        waits.append(round((mailbox.next_at - now()).total_seconds() / 60))
    assert waits == [1, 5, 15, 60, 60]
    assert (mailbox.problem or {})["code"] == code
    with unit_of_work():
        mailboxes.change(mailbox, box.values(), actor=operator)
    read(mailbox)
    assert (mailbox.problem, mailbox.failures) == (None, 0)


def test_a_stored_password_goes_to_no_other_server(box: Postbox, operator: Actor, app: object) -> None:
    mailbox = box.connect(operator)
    assert "right" not in mailbox.password
    assert mailboxes.account_of(mailbox).password == "right"
    with pytest.raises(Exception, match="Enter a value"), unit_of_work():
        mailboxes.change(mailbox, box.values() | {"host": "evil.example", "password": ""}, actor=operator)
    with unit_of_work():
        mailboxes.change(mailbox, box.values() | {"name": "Other", "password": ""}, actor=operator)
    assert mailboxes.account_of(mailbox).password == "right"

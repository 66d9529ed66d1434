"""The mail of the practice Amazon, on real sockets: it catches what the desk sends, and holds what buyers answer."""

import smtplib
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from email.message import EmailMessage
from email.parser import BytesParser
from email.policy import SMTP, default
from pathlib import Path
from typing import Any

import httpx
import imapclient
import pytest
from imapclient.exceptions import IMAPClientError, LoginError

from plugins.amazon.practice import PracticeClient, PracticeServer
from plugins.amazon.practice.buyer_mails import HOWS
from plugins.amazon.practice.marketplaces import MAILBOX, MAILBOX_PASSWORD

BROKEN = (IMAPClientError, OSError, EOFError, ValueError)


@pytest.fixture
def server(tmp_path: Path) -> Iterator[PracticeServer]:
    with PracticeServer(tmp_path, orders=10, settings={"rates": 1000, "edge": 0}) as running:
        yield running


@pytest.fixture
def amazon(server: PracticeServer) -> PracticeClient:
    return server.client


def send(server: PracticeServer, to: str = "ada@mail.example", **headers: str) -> None:
    mail = EmailMessage(policy=SMTP)
    given = {"From": "Mäuse & Co <desk@shop.example>", "To": to, "Subject": "Ihre Bestellung", "Message-ID": "<1@shop>"}
    for name, value in (given | {name.replace("_", "-"): value for name, value in headers.items()}).items():
        mail[name] = value
    mail.set_content("Guten Tag,\n\nIhr Paket ist unterwegs.\n")
    with smtplib.SMTP("127.0.0.1", server.smtp_port, timeout=20) as smtp:
        smtp.send_message(mail, "desk@shop.example", [to])


def opened(server: PracticeServer, *, readonly: bool = False, **changes: Any) -> imapclient.IMAPClient:
    client = imapclient.IMAPClient("127.0.0.1", port=server.imap_port, ssl=False, timeout=20)
    try:
        client.login(changes.get("user", MAILBOX), changes.get("password", MAILBOX_PASSWORD))
    except LoginError:
        client.shutdown()
        raise
    client.selected = client.select_folder("INBOX", readonly=readonly)
    return client


def answers(server: PracticeServer) -> list[EmailMessage]:
    with opened(server, readonly=True) as client:
        found = client.fetch(client.search("ALL"), ["BODY.PEEK[]"])
    return [BytesParser(policy=default).parsebytes(found[uid][b"BODY[]"]) for uid in sorted(found)]


def text_of(mail: EmailMessage) -> str:
    body = mail.get_body(("plain", "html"))
    assert body is not None
    return str(body.get_content()).replace("\r\n", "\n")


def test_what_is_sent_is_caught_and_survives_a_kill(tmp_path: Path) -> None:
    server = PracticeServer(tmp_path, process=True, orders=0).start()
    try:
        ports = server.smtp_port, server.imap_port
        send(server)
        server.client.answer(mail_id=1)
        server.kill()
        server.start()
        assert (server.smtp_port, server.imap_port) == ports
        [mail] = server.client.mails()
        assert (mail["subject"], mail["recipients"]) == ("Ihre Bestellung", ["ada@mail.example"])
        assert "Mäuse & Co" in mail["author"]
        assert "Ihr Paket ist unterwegs." in server.client.mail(mail["id"])["text"]
        assert [one["uid"] for one in server.client.mailbox()] == [1]
    finally:
        server.stop()


def test_of_many_and_of_large_mails_the_newest_are_kept(server: PracticeServer, amazon: PracticeClient) -> None:
    assert server.practice is not None
    for number in range(510):
        server.practice.mail.catch(number, "", ["a@b.example"], "", str(number), b"x")
    assert [mail["subject"] for mail in amazon.mails()][::499] == ["509", "10"]
    for number in range(6):
        server.practice.mail.put(number, b"x" * 9_000_000)
    assert [mail["uid"] for mail in amazon.mailbox()] == [2, 3, 4, 5, 6]
    with smtplib.SMTP("127.0.0.1", server.smtp_port, timeout=20) as smtp, pytest.raises(smtplib.SMTPException):
        smtp.sendmail("a@b.example", ["c@d.example"], "x" * 78 + "\r\n" + "y\r\n" * 4_000_000)


@pytest.mark.parametrize(
    ("kind", "error", "taken"),
    [
        ("sender_later", smtplib.SMTPSenderRefused, False),
        ("sender_never", smtplib.SMTPSenderRefused, False),
        ("recipient_later", smtplib.SMTPRecipientsRefused, False),
        ("recipient_never", smtplib.SMTPRecipientsRefused, False),
        ("data_later", smtplib.SMTPDataError, False),
        ("data_never", smtplib.SMTPDataError, False),
        ("data_drop", smtplib.SMTPServerDisconnected, True),
    ],
)
def test_a_fault_meets_one_mail(
    server: PracticeServer, amazon: PracticeClient, kind: str, error: type[Exception], taken: bool
) -> None:
    amazon.mail_fault(kind)
    with pytest.raises(error):
        send(server)
    assert len(amazon.mails()) == taken
    assert amazon.mail_faults() == []
    send(server)
    assert len(amazon.mails()) == taken + 1


def test_faults_may_be_slow_are_mended_and_must_exist(server: PracticeServer, amazon: PracticeClient) -> None:
    amazon.mail_fault("data_slow", seconds=0.3)
    began = time.monotonic()
    send(server)
    assert time.monotonic() - began >= 0.3
    amazon.mail_fault("data_never", times=3)
    amazon.mend_mail()
    send(server)
    assert len(amazon.mails()) == 2
    with pytest.raises(httpx.HTTPStatusError):
        amazon.mail_fault("nothing")


def test_the_mailbox_is_read_as_clients_read(server: PracticeServer, amazon: PracticeClient) -> None:
    send(server)
    for text in ("One.", "Two.", "Three."):
        amazon.answer(mail_id=1, text=text)
    with opened(server) as client:
        assert (client.selected[b"EXISTS"], client.selected[b"UIDVALIDITY"], client.selected[b"UIDNEXT"]) == (3, 1, 4)
        assert [name for _, _, name in client.list_folders()] == ["INBOX"]
        assert client.folder_status("INBOX", ["MESSAGES", "UIDNEXT", "UNSEEN"])[b"UNSEEN"] == 3
        assert client.search(["UID", "2:*"]) == [2, 3]
        assert client.search(["UID", "9:*"]) == [3]  # * is the last one, as the standard says
        today = datetime.now(UTC).date()
        assert client.search(["SINCE", today - timedelta(days=2)]) == [1, 2, 3]
        assert client.search(["SINCE", today + timedelta(days=2)]) == []
        items = ["FLAGS", "RFC822.SIZE", "INTERNALDATE", "BODY.PEEK[]", "BODY.PEEK[]<0.10>"]
        found = client.fetch([2], items)[2]
        assert found[b"RFC822.SIZE"] == len(found[b"BODY[]"])
        assert found[b"BODY[]<0>"] == found[b"BODY[]"][:10]
        assert abs(time.time() - found[b"INTERNALDATE"].timestamp()) < 60
        head = client.fetch([2], ["RFC822.HEADER", "BODY.PEEK[HEADER.FIELDS (SUBJECT IN-REPLY-TO)]"])[2]
        assert b"Two." not in head[b"RFC822.HEADER"]
        fields = head[b"BODY[HEADER.FIELDS (SUBJECT IN-REPLY-TO)]"]
        assert (fields.count(b"\r\n"), b"In-Reply-To: <1@shop>" in fields) == (3, True)
        assert client.search("UNSEEN") == [1, 2, 3]
        client.fetch([1], ["BODY[]"])
        client.add_flags([2], [imapclient.SEEN])
        assert client.search("UNSEEN") == [3]
        client.remove_flags([2], [imapclient.SEEN])
        assert client.get_flags([1, 2]) == {1: (b"\\Seen",), 2: ()}
        client.delete_messages([1])
        client.expunge()
        assert client.search(["ALL"]) == [2, 3]
        assert amazon.answer(mail_id=1) == 4
        client.noop()
        assert client.search(["ALL"]) == [2, 3, 4]
        client.close_folder()
    with opened(server, readonly=True) as client:
        with pytest.raises(IMAPClientError, match="reading only"):
            client.add_flags([2], [imapclient.SEEN])
        client.fetch([2], ["BODY[]"])
        assert client.search(["UNSEEN"]) == [2, 3, 4]
        with pytest.raises(IMAPClientError):
            client.fetch([2], ["BODYSTRUCTURE"])
        with pytest.raises(IMAPClientError):
            client.select_folder("Other")


def test_the_mailbox_breaks_where_it_should(server: PracticeServer, amazon: PracticeClient) -> None:
    send(server)
    for _ in range(3):
        amazon.answer(mail_id=1, text="Hello " * 100)
    with opened(server) as client:
        client.delete_messages([1])
        client.expunge()
    with pytest.raises(LoginError):
        opened(server, password="wrong")
    amazon.mail_fault("login_refused")
    with pytest.raises(LoginError):
        opened(server)
    for kind in ("fetch_drop", "fetch_garbage"):
        amazon.mail_fault(kind)
        client = opened(server)
        with pytest.raises(BROKEN):
            client.fetch([2, 3], ["BODY.PEEK[]"])
        client.shutdown()
    amazon.mail_fault("fetch_slow", seconds=0.3)
    amazon.mail_fault("select_renumbered")
    with opened(server) as client:
        assert (client.selected[b"UIDVALIDITY"], client.search("ALL")) == (2, [1, 2])
        began = time.monotonic()
        client.fetch([1], ["FLAGS"])
        assert time.monotonic() - began >= 0.3
    with opened(server) as client:
        assert client.selected[b"UIDVALIDITY"] == 2


@pytest.mark.parametrize("how", HOWS)
def test_each_way_to_answer_is_what_it_says(server: PracticeServer, amazon: PracticeClient, how: str) -> None:
    order = amazon.place(marketplace="DE", buyer_name="Jürgen Groß")
    number, relay = order["order_id"], order["order"]["buyer"]["buyerEmail"]
    send(server, relay, Subject=f"Ihre Bestellung {number}", References="<0@shop>")
    amazon.answer(mail_id=1, how=how, text="Danke <b>schön</b>!")
    [mail] = answers(server)
    is_answer = how not in ("bounce", "loop", "new", "stray")
    assert mail["Message-ID"]
    assert bool(mail["Message-ID"] == "<1@shop>") == (how == "loop")
    assert (mail["In-Reply-To"], mail["References"]) == (
        ("<1@shop>", "<0@shop> <1@shop>") if is_answer else (None, "<0@shop>" if how == "loop" else None)
    )
    if is_answer:
        [author] = mail["From"].addresses
        assert author.addr_spec == relay
        assert author.display_name == ("J?rgen Gro?" if how == "japanese" else "Jürgen Groß")
        assert mail["To"] == "desk@shop.example"
        assert "unterwegs" in text_of(mail)
        assert number in mail["Subject"]
    match how:
        case "plain":
            assert mail["Subject"] == f"Re: Ihre Bestellung {number}"
            assert text_of(mail).startswith("Danke <b>schön</b>!\n\nAm 20")
            assert "\n> Ihr Paket ist unterwegs." in text_of(mail)
        case "html":
            assert mail.get_content_type() == "text/html"
            assert "Danke &lt;b&gt;schön&lt;/b&gt;!" in text_of(mail)
            assert "<b>Von:</b> desk@shop.example" in text_of(mail)
            assert "&gt; Ihr" not in text_of(mail)
        case "japanese":
            assert (mail.get_content_charset(), mail["Content-Transfer-Encoding"]) == ("iso-2022-jp", "7bit")
        case "auto_reply":
            assert mail["Auto-Submitted"] == "auto-replied"
        case "bounce":
            assert (mail.get_content_type(), mail.get_param("report-type")) == ("multipart/report", "delivery-status")
            _, status, headers = mail.iter_parts()
            assert isinstance(status, EmailMessage)
            [_, of_recipient] = status.iter_parts()
            assert (of_recipient["Action"], of_recipient["Status"]) == ("failed", "5.1.1")
            assert of_recipient["Final-Recipient"] == f"rfc822; {relay}"
            assert headers.get_content_type() == "text/rfc822-headers"
            assert "Message-ID: <1@shop>" in str(headers.get_payload())
            assert mail["Return-Path"] == "<>"
        case "attachment":
            [photo] = mail.iter_attachments()
            assert (photo.get_filename(), photo.get_content_type()) == ("Photo dégât.png", "image/png")
            assert photo.get_content()[:4] == b"\x89PNG"
        case "loop":
            assert (mail["From"].addresses[0].addr_spec, mail["Delivered-To"]) == (
                "desk@shop.example", "desk@shop.example",
            )  # fmt: skip
        case "new":
            assert number in mail["Subject"]
            assert number not in text_of(mail)
            assert relay not in str(mail)
        case "stray":
            assert number not in str(mail)
            assert relay not in str(mail)


def test_japanese_letters_arrive(server: PracticeServer, amazon: PracticeClient) -> None:
    send(server, Subject="ご注文について")
    amazon.answer(mail_id=1, how="japanese", text="いつ届きますか。")
    [mail] = answers(server)
    assert mail["Subject"] == "Re: ご注文について"
    assert text_of(mail).startswith("いつ届きますか。")
    with opened(server, readonly=True) as client:
        raw = client.fetch([1], ["BODY.PEEK[]"])[1][b"BODY[]"]
    assert raw.isascii()
    assert b"=?iso-2022-jp?b?" in raw


def test_messages_are_answered_by_mail_as_amazon_passes_them_on(server: PracticeServer, amazon: PracticeClient) -> None:
    order = amazon.place(marketplace="DE")
    assert server.practice is not None
    said = {"kind": "unexpectedProblem", "text": "Der Becher kommt später."}
    server.practice.store.tell(1, order["order_id"], "sendMessage", 201, "messaged", "", said)
    amazon.answer(order_id=order["order_id"], text="Kein Problem.")
    [mail] = answers(server)
    assert mail["From"].addresses[0].addr_spec == order["order"]["buyer"]["buyerEmail"]
    assert mail["To"] == MAILBOX
    assert f"(Bestellung: {order['order_id']})" in mail["Subject"]
    assert "> Der Becher kommt später." in text_of(mail)
    assert mail["In-Reply-To"] is None
    for how in ("bounce", "loop", "nothing"):
        with pytest.raises(httpx.HTTPStatusError):
            amazon.answer(order_id=order["order_id"], how=how)
    send(server)
    with pytest.raises(httpx.HTTPStatusError):  # it names no order
        amazon.answer(mail_id=1, how="new")
    amazon.answer(mail_id=1, how="new", order_id=order["order_id"])
    assert order["order_id"] in answers(server)[-1]["Subject"]


def test_buyers_answer_by_themselves_where_they_should(server: PracticeServer, amazon: PracticeClient) -> None:
    order = amazon.place(marketplace="FR")
    relay = order["order"]["buyer"]["buyerEmail"]
    send(server, relay)
    amazon.settings(answers_after=30)
    send(server, relay)
    send(server, "ada@mail.example")  # no buyer's
    assert answers(server) == []
    amazon.advance(31)
    [mail] = answers(server)
    assert mail["From"].addresses[0].addr_spec == relay
    assert "a écrit :" in text_of(mail)
    assert len(answers(server)) == 1


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"\xff\xfe\x00 nothing of a mail",
        b"Subject: =?utf-8?b?////?=\r\nContent-Type: text/plain; charset=none\r\n\r\n\xe4",
        b"From: @@@ <<>>\r\nTo: ;;;\r\nContent-Type: multipart/mixed\r\n\r\n--x",
        b"Content-Type: message/rfc822\r\n\r\n\r\n",
    ],
)
def test_whatever_is_sent_is_caught_and_shown(server: PracticeServer, amazon: PracticeClient, raw: bytes) -> None:
    with smtplib.SMTP("127.0.0.1", server.smtp_port, timeout=20) as smtp:
        smtp.sendmail("", ["ada@mail.example"], raw)
    [mail] = amazon.mails()
    assert httpx.get(f"{server.url}/practice/mail/{mail['id']}").status_code == 200
    amazon.answer(mail_id=mail["id"])
    assert len(answers(server)) == 1


def test_the_pages_show_mails_as_text_and_send_answers(server: PracticeServer, amazon: PracticeClient) -> None:
    order = amazon.place(marketplace="DE")
    with httpx.Client(base_url=server.url, follow_redirects=True) as http:
        page = http.get("/practice/mail").text
        assert "No e-mails yet." in page
        assert f"port {server.imap_port}" in page
        mail = EmailMessage(policy=SMTP)
        mail["From"], mail["To"], mail["Subject"] = "desk@shop.example", "ada@mail.example", "<script>1</script>"
        mail.set_content("<script>alert(1)</script><p>Hello</p>", subtype="html")
        mail.add_attachment(b"%PDF", "application", "pdf", filename="Rechnung <1>.pdf")
        with smtplib.SMTP("127.0.0.1", server.smtp_port, timeout=20) as smtp:
            smtp.send_message(mail)
        shown = http.get("/practice/mail/1")
        assert "<script" not in shown.text + http.get("/practice/mail").text
        assert "&lt;script&gt;alert(1)" in shown.text
        assert "Rechnung &lt;1&gt;.pdf" in shown.text
        assert shown.headers["Content-Security-Policy"].startswith("default-src 'none'")
        form = {"how": "auto_reply", "subject": "Re: this", "text": "Back on Monday.", "order_id": ""}
        assert "The answer is in the mailbox" in http.post("/practice/form/mail/1/answer", data=form).text
        assert "names no order" in http.post("/practice/form/mail/1/answer", data=form | {"how": "new"}).text
        path = f"orders/{order['order_id']}"
        assert order["order_id"] in http.get(f"/practice/mail/{path}").text
        http.post(f"/practice/form/mail/{path}/answer", data=form | {"how": "html"})
        assert [mail["Subject"] for mail in answers(server)] == ["Automatic reply: this", "Re: this"]
        assert "E-mail refused (554) × 2" in http.post(
            "/practice/form/mail/faults", data={"kind": "data_never", "times": 2, "seconds": 0}
        ).text  # fmt: skip
        assert "No failures are active." in http.post("/practice/form/mail/mend").text
        assert 'value="30"' in http.post("/practice/form/mail/answers", data={"seconds": 30}).text
        assert http.get("/practice/mail/99").status_code == 404
        assert http.post("/practice/form/mail/mend", headers={"Origin": "http://evil.example"}).status_code == 403
        amazon.reset()
        assert (amazon.mails(), amazon.mailbox()) == ([], [])

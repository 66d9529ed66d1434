"""What is read of the mails of many programs; the files are in `received/`."""

from pathlib import Path
from time import perf_counter

import pytest
from hypothesis import given, settings, strategies as st

from webapp.mail.reading import MOST_FILES, Bounced, MailSort, ReadMail, read_mail

FOLDER = Path(__file__).parent / "received"
OURS = "<waybill-12-3c9909afec25354d551dae21590bb26e@example.com>"


def mail(name: str) -> ReadMail:
    return read_mail((FOLDER / f"{name}.eml").read_bytes())


@pytest.mark.parametrize(
    ("name", "subject", "text", "quoted"),
    [
        (
            "gmail",
            "Re: Your order 028-1234567-1234567",
            "Thank you, it arrived. One cup is broken 😕",
            "On Mon, Nov 30, 2026 at 9:00\u202fAM Mäuse & Co <desk@example.com>\nwrote:\n\n> Dear Mia,\n>\n"
            "> your order has left us.",
        ),
        (
            "apple_mail_french",
            "Re : Votre commande",
            "Bonjour,\n\nla couleur n’est pas la bonne.\n\nEnvoyé de mon iPhone",
            "> Le 30 nov. 2026 à 09:00, Mäuse & Co <desk@example.com> a écrit :\n>\n> Bonjour Mia,\n"
            "> votre colis est parti.",
        ),
        (
            "outlook_german",
            "AW: Ihre Bestellung",
            "Guten Tag,\n\ndie Größe paßt nicht; sie kostet 20 €. Hier klicken",
            "Von: Mäuse & Co <desk@example.com>\nGesendet: Montag, 30. November 2026 09:00\nAn: Mia Maus\n"
            "Betreff: Ihre Bestellung\n\nIhre Bestellung ist unterwegs.",
        ),
        (
            "outlook_plain",
            "RE: Your order",
            "Where is it?",
            "-----Original Message-----\nFrom: Mice & Co <desk@example.com>\nSent: Monday, November 30, 2026 9:00 AM\n"
            "To: Mia Maus\nSubject: Your order\n\nIt has left us.",
        ),
        (
            "japanese",
            "Re: ご注文の件",
            "届きました。ありがとうございます。",
            "2026年11月30日(月) 9:00 Mice <desk@example.com>:\n> 発送しました。",
        ),
        ("windows_labelled_ascii", "Grüße", "Das macht €20 – „zu viel“.", ""),
        ("unknown_charset", "Grüä", "Größe", ""),
        ("broken_boundary", "Broken", "The parts are not closed.", ""),
        ("no_headers", "", "Only words.", ""),
        ("turned_letters", "Invoice fdp.exe", "Pay 021 now", ""),
    ],
)
def test_what_a_mail_says(name: str, subject: str, text: str, quoted: str) -> None:
    read = mail(name)
    assert (read.subject, read.text, read.quoted) == (subject, text, quoted)
    assert read.is_whole


@pytest.mark.parametrize("name", ["between_the_lines", "nested_forwards", "amazon_buyer"])
def test_nothing_is_folded_where_it_is_not_sure_what_is_quoted(name: str) -> None:
    assert mail(name).quoted == ""


def test_who_wrote_it_and_what_it_answers() -> None:
    read = mail("gmail")
    assert (read.sender, read.sender_name, read.to) == ("mia@example.com", "Mia Maus", ("desk@example.com",))
    assert read.references == ("<waybill-7-3c9909afec25354d551dae21590bb26e@example.com>", "<other-1@example.com>")
    assert read.sent_at is not None
    assert read.sent_at.isoformat() == "2026-11-30T09:12:13+00:00"
    assert mail("japanese").sender_name == "鼠 美亜"
    assert mail("amazon_buyer").sender == "q1w2e3r4t5y6u7i8@marketplace.amazon.de"
    assert "028-1234567-1234567" in mail("amazon_buyer").subject
    assert "Wann kommt die Tasse?" in mail("amazon_buyer").text


@pytest.mark.parametrize(
    ("name", "sort"),
    [
        ("gmail", MailSort.ANSWER),
        ("amazon_buyer", MailSort.ANSWER),
        ("away", MailSort.AUTOMATIC),
        ("delayed", MailSort.AUTOMATIC),
        ("read_receipt", MailSort.AUTOMATIC),
        ("bounce_postfix", MailSort.BOUNCE),
        ("no_headers", MailSort.ANSWER),
    ],
)
def test_what_sort_of_mail_it_is(name: str, sort: MailSort) -> None:
    assert mail(name).sort == sort


@pytest.mark.parametrize(
    ("name", "status", "sentence"),
    [
        ("bounce_postfix", "5.1.1", "550 5.1.1 <…>: Recipient address rejected: User unknown"),
        ("bounce_exchange", "5.2.2", "550 5.2.2 STOREDRV.Deliver; mailbox full"),
        ("bounce_gmail", "5.1.1", "550 5.1.1 The email account that you tried to reach does not exist."),
    ],
)
def test_a_bounce_names_the_mail_and_what_the_server_says(name: str, status: str, sentence: str) -> None:
    bounced = mail(name).bounced
    assert isinstance(bounced, Bounced)
    assert (bounced.message_id, bounced.status) == (OURS, status)
    assert "mia@example.com" not in bounced.sentence
    assert bounced.sentence == sentence


def test_a_bounce_tells_nothing_of_what_it_repeats() -> None:
    text = "Dear Berta Maus, your mug is at 500 Harbour Street.\n\nIt came back.\n> 12.5.2026"
    returned = f"From: mailer-daemon@example.com\nSubject: Undelivered Mail\n\n{text}"
    bounced = read_mail(returned.encode()).bounced
    assert isinstance(bounced, Bounced)
    assert (bounced.status, bounced.sentence) == ("", "")


def test_a_mail_of_ours_that_comes_back_is_a_loop() -> None:
    assert read_mail(f"From: a@example.com\nMessage-ID: {OURS}\n\nHello".encode()).sort == MailSort.LOOP


def test_files_have_safe_names_and_no_text_of_their_own() -> None:
    read = mail("files")
    assert [(one.name, one.media_type, one.content) for one in read.files] == [
        ("Grüße_bild.jpg", "image/jpeg", b"\xff\xd8\xff\xe0\x00\x10"),
        ("rechnung.pdf", "application/pdf", b"%PDF-"),
        ("page.html", "text/html", b"<script>alert(1)</script>"),
    ]
    assert read.text == "See the pictures."
    assert [one.name for one in mail("turned_letters").files] == ["photo gpj.exe"]
    [inner] = mail("nested_forwards").files
    assert (inner.name, inner.media_type) == ("1.eml", "message/rfc822")
    assert b"Deep" in (inner.content or b"")
    assert "Secret" not in mail("nested_forwards").text


def test_large_and_many_files_are_named_and_not_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("webapp.mail.reading.LARGEST_FILE", 4)
    assert [(one.name, one.content is None) for one in mail("files").files][:2] == [
        ("Grüße_bild.jpg", True),
        ("rechnung.pdf", True),
    ]
    part = "--f\nContent-Type: image/png\n\nx\n"
    many = "From: a@example.com\nContent-Type: multipart/mixed; boundary=f\n\n" + part * 50 + "--f--"
    files = read_mail(many.encode()).files
    assert len(files) == 50
    assert [one.content is not None for one in files] == [True] * MOST_FILES + [False] * (50 - MOST_FILES)
    monkeypatch.setattr("webapp.mail.reading.LARGEST_FILES", 3)
    assert sum(one.content is not None for one in read_mail(many.encode()).files) == 3


@pytest.mark.parametrize(
    "body",
    [
        "x" * 1_000_000,
        "> " * 500_000,
        "<div>" * 200_000,
        "\n".join(["On Mon wrote:"] * 70_000),
        "From: a\nSent: b\n" * 60_000,
        "<" * 1_000_000,
    ],
)
@pytest.mark.parametrize("kind", ["plain", "html"])
def test_a_mail_made_to_take_long_takes_a_moment(kind: str, body: str) -> None:
    raw = f"From: a@example.com\nSubject: {'=?utf-8?B?' * 20_000}\nContent-Type: text/{kind}\n\n{body}".encode()
    before = perf_counter()
    read = read_mail(raw)
    assert perf_counter() - before < 5
    assert len(read.text) <= 200_000


def _nested(depth: int) -> str:
    head = "".join(f"Content-Type: multipart/mixed; boundary=b{at}\n\n--b{at}\n" for at in range(depth))
    return f"From: a@example.com\nSubject: Parts\n{head}Content-Type: text/plain\n\n" + "a\n" * 2_000_000


@pytest.mark.parametrize(
    "raw", ["From: mailer-daemon@example.com\nSubject: Undeliverable\n\n" + "a" * 200_000, _nested(100)]
)
def test_a_bounce_and_parts_made_to_take_long_take_a_moment(raw: str) -> None:
    before = perf_counter()
    read = read_mail(raw.encode())
    assert perf_counter() - before < 5
    assert (read.subject, read.is_whole) in [("Undeliverable", True), ("Parts", False)]


def test_copies_of_a_mail_are_the_same_in_whichever_mailbox() -> None:
    raw = (FOLDER / "gmail.eml").read_bytes()
    copy = b"Received: from elsewhere\nDelivered-To: b@example.com\n" + raw
    assert read_mail(copy).fingerprint == read_mail(raw).fingerprint
    assert read_mail(raw.replace(b"Mia Maus", b"Otto")).fingerprint != read_mail(raw).fingerprint
    assert read_mail(b"\nA").fingerprint != read_mail(b"\nB").fingerprint


def test_a_null_byte_in_the_name_of_a_character_set_loses_no_text() -> None:
    raw = b'From: mia@example.com\nContent-Type: text/plain; charset="utf\0-8"\n\nGr\xc3\xbc\xc3\x9fe'
    assert [read_mail(raw).text, read_mail(raw, is_cut=True).text] == ["Grüße", "Grüße"]


_FILES = [path.read_bytes() for path in sorted(FOLDER.glob("*.eml"))]


@settings(max_examples=300, deadline=None)
@given(st.one_of(st.binary(max_size=4000), st.tuples(st.sampled_from(_FILES), st.integers(0, 3000), st.binary())))
def test_any_bytes_can_be_read(given_: bytes | tuple[bytes, int, bytes]) -> None:
    raw = given_ if isinstance(given_, bytes) else given_[0][: given_[1]] + given_[2] + given_[0][given_[1] + 7 :]
    read = read_mail(raw)
    read_mail(raw, is_cut=True)
    shown = [read.text, read.quoted, read.subject, read.sender, read.sender_name, read.message_id, *read.references]
    for text in [*shown, *(one.name for one in read.files), *(read.to)]:
        text.encode()  # no halves of letters
        assert "\0" not in text

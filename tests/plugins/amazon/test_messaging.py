"""Messages to buyers at Amazon: which are allowed, each sent at most once, and never their text anywhere else."""

import logging
from collections.abc import Callable
from dataclasses import fields, replace
from time import sleep
from typing import Any

import httpx
import pytest
import structlog

from plugins.amazon import client
from plugins.amazon.channel import AmazonChannel
from plugins.amazon.errors import AccessDenied, NotThere, Unintelligible
from plugins.amazon.messaging import KIND, MESSAGES
from plugins.amazon.practice import PracticeClient
from plugins.amazon.practice.messaging import LONGEST
from webapp.api import (
    AttachedFile,
    Call,
    ChannelError,
    Effective,
    NotYet,
    Outcome,
    Refused,
    StoreAccess,
    Throttled,
    Unknown,
    Update,
)
from webapp.testing import HandedUpdates

Message = Callable[..., Update]
Json = dict[str, Any]
SECRET = "The key is 7QX2-90LM-PLUM"


@pytest.fixture
def reported() -> list[Call]:
    return []


@pytest.fixture
def store(make_store: Callable[..., StoreAccess], reported: list[Call]) -> StoreAccess:
    return replace(make_store(), report=reported.append)


@pytest.fixture
def placed(amazon: PracticeClient) -> Json:
    return amazon.place(marketplace="US", status="UNSHIPPED")


def delivered(channel: AmazonChannel, store: StoreAccess, update: Update) -> Outcome:
    return channel.deliver(store, HandedUpdates([update]))[update.id]


def received(amazon: PracticeClient, placed: Json) -> list[str]:
    return [one["body"]["text"] for one in amazon.told(placed["order_id"]) if one["effect"] == "messaged"]


def asked(channel: AmazonChannel, store: StoreAccess, placed: Json) -> list[str]:
    return list(channel.messages_allowed(store, placed["order_id"], placed["marketplace_id"]).kinds)


# --- Which are allowed ------------------------------------------------------------------------------------------------


def test_the_kinds_are_those_that_are_a_text_and_invoices() -> None:
    assert {kind.code: kind.longest for kind in MESSAGES} == LONGEST | {"invoice": 0}
    assert all(str(kind.label) and str(kind.help) for kind in MESSAGES)


def test_amazon_says_what_an_order_allows(channel: AmazonChannel, store: StoreAccess, amazon: PracticeClient) -> None:
    for wish, kinds in (
        ({"status": "PENDING"}, []),
        (
            {"status": "UNSHIPPED"},
            [
                "confirmOrderDetails",
                "confirmDeliveryDetails",
                "confirmCustomizationDetails",
                "unexpectedProblem",
                "digitalAccessKey",
            ],
        ),
        ({"status": "SHIPPED"}, ["confirmDeliveryDetails", "unexpectedProblem", "digitalAccessKey", "invoice"]),
        ({"status": "CANCELLED"}, []),
    ):
        assert asked(channel, store, amazon.place(marketplace="US", **wish)) == kinds


def test_what_amazon_refuses_to_say(
    channel: AmazonChannel, store: StoreAccess, amazon: PracticeClient, placed: Json, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(client, "sleep", lambda seconds: None)
    elsewhere = amazon.place(marketplace="DE")
    for kind, raised in (("429", Throttled), ("500", ChannelError), ("garbage", Unintelligible)):
        amazon.fault("getMessagingActionsForOrder", kind, times=2 if kind == "500" else 1)
        with pytest.raises(raised):
            asked(channel, store, placed)
        amazon.mend()
    with pytest.raises(NotThere):
        asked(channel, store, elsewhere)
    amazon.settings(lacks_communication=True)
    with pytest.raises(AccessDenied) as denied:
        asked(channel, store, placed)
    assert str(channel.denied_label(denied.value.denial)) == "Checking which messages are allowed"


def test_amazon_says_how_the_buyer_reads(
    channel: AmazonChannel, store: StoreAccess, amazon: PracticeClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(client, "sleep", lambda seconds: None)
    placed = amazon.place(marketplace="CA", status="UNSHIPPED")
    about = store, placed["order_id"], placed["marketplace_id"]
    assert channel.messages_allowed(*about).language == "en_CA"
    for kind in ("429", "500", "garbage"):  # the kinds count
        amazon.fault("GetAttributes", kind, times=2)
        answer = channel.messages_allowed(*about)
        assert ("unexpectedProblem" in answer.kinds, answer.language) == (True, "")
        amazon.mend()


# --- Sending ----------------------------------------------------------------------------------------------------------


def test_a_message_is_sent_by_an_attempt(
    channel: AmazonChannel, store: StoreAccess, amazon: PracticeClient, placed: Json, message: Message
) -> None:
    for kind in asked(channel, store, placed):
        update = message(placed, kind, f"About {kind}")
        batch = HandedUpdates([update])
        assert channel.deliver(store, batch) == {update.id: Effective()}
        assert batch.called == {update.id}
    assert received(amazon, placed) == [f"About {kind}" for kind in asked(channel, store, placed)]
    assert (KIND.repeatable, KIND.batch, channel.lane("message", {}), channel.when(store, "message")) == (
        False, 1, "message", 0.0,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("kind", "text", "sentence"),
    [
        ("digitalAccessKey", "x" * 401, "text: It is longer than 400 characters."),
        ("confirmOrderDetails", "me@shop.example", "text: The text must not contain e-mail addresses."),
        ("confirmServiceDetails", "Hello", "Invalid amazonOrderId and template combination."),
    ],
)
def test_amazons_own_sentence_is_the_refusal(
    kind: str, text: str, sentence: str,
    channel: AmazonChannel, store: StoreAccess, amazon: PracticeClient, placed: Json, message: Message,
) -> None:  # fmt: skip
    assert delivered(channel, store, message(placed, kind, text)) == Refused(sentence)
    assert received(amazon, placed) == []


def test_an_unknown_order_and_a_missing_role_are_refusals(
    channel: AmazonChannel, store: StoreAccess, amazon: PracticeClient, placed: Json, message: Message
) -> None:
    elsewhere = delivered(channel, store, message(amazon.place(marketplace="DE")))
    assert elsewhere == Refused("The requested resource does not exist.")
    amazon.settings(lacks_communication=True)
    denied = delivered(channel, store, message(placed))
    assert denied == Refused("Access to requested resource is denied.")


@pytest.mark.parametrize(
    "change",
    [
        {"payload": {"message": "warranty"}},
        {"payload": {}},
        {"private": {}},
        {"payload": {"message": "invoice"}},
        {"private": {"text": "Hello", "files": [AttachedFile("1.pdf", "application/pdf", bytes)]}},
    ],
)
def test_what_is_no_message_never_leaves(
    change: Json, channel: AmazonChannel, store: StoreAccess, amazon: PracticeClient, placed: Json, message: Message
) -> None:
    refused = delivered(channel, store, replace(message(placed), **change))
    assert isinstance(refused, Refused)
    assert (refused.cause or {})["code"] == "amazon_foreign_update"
    assert amazon.calls("sendMessage") == []


def test_what_was_certainly_not_sent_waits(
    channel: AmazonChannel, make_store: Callable[..., StoreAccess], store: StoreAccess, amazon: PracticeClient,
    placed: Json, message: Message,
) -> None:  # fmt: skip
    update = message(placed)
    amazon.fault("sendMessage", "429")
    throttled = delivered(channel, store, update)
    assert isinstance(throttled, NotYet)
    assert (throttled.cause or {})["code"] == "channel_throttled"
    away = delivered(channel, replace(store, settings={**store.settings, "endpoint": "http://127.0.0.1:9"}), update)
    assert isinstance(away, NotYet)
    disconnected = delivered(channel, make_store("na", client_secret="wrong"), update)
    assert isinstance(disconnected, NotYet)
    assert received(amazon, placed) == []


@pytest.mark.parametrize(
    ("fault", "when", "sent"),
    [("500", "before", 0), ("500", "after", 1), ("503", "after", 1), ("drop", "before", 0), ("drop", "after", 1)],
)
def test_a_lost_answer_stays_unknown_and_nothing_goes_twice(
    fault: str, when: str, sent: int,
    channel: AmazonChannel, store: StoreAccess, amazon: PracticeClient, placed: Json, message: Message,
) -> None:  # fmt: skip
    update = message(placed)
    amazon.fault("sendMessage", fault, when=when)
    batch = HandedUpdates([update])
    assert isinstance(channel.deliver(store, batch)[update.id], Unknown)
    lost = replace(update, private={}, begun=batch.attempts[0])
    assert channel.look_up(store, [lost]) == {update.id: Unknown()}
    assert len(amazon.calls("sendMessage")) == 1
    assert len(received(amazon, placed)) == sent


def test_an_answer_that_comes_too_late_is_lost(
    channel: AmazonChannel, store: StoreAccess, amazon: PracticeClient, placed: Json, message: Message,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.setattr(client, "TIMEOUT", httpx.Timeout(0.3))
    amazon.fault("sendMessage", "slow", seconds=1)
    assert isinstance(delivered(channel, store, message(placed)), Unknown)
    assert len(amazon.calls("sendMessage")) == 1
    for _ in range(200):  # it arrives all the same, and within this test: not in the next one's order of that number
        if received(amazon, placed):
            break
        sleep(0.05)
    assert len(received(amazon, placed)) == 1


def test_an_expired_token_is_renewed_and_one_message_is_sent(
    channel: AmazonChannel, store: StoreAccess, amazon: PracticeClient, placed: Json, message: Message
) -> None:
    amazon.fault("sendMessage", "expired")
    assert delivered(channel, store, message(placed)) == Effective()
    assert received(amazon, placed) == ["Which color?"]


def test_half_an_answer_of_success_is_success(
    channel: AmazonChannel, store: StoreAccess, amazon: PracticeClient, placed: Json, message: Message
) -> None:
    amazon.fault("sendMessage", "garbage")
    assert delivered(channel, store, message(placed)) == Effective()
    assert received(amazon, placed) == ["Which color?"]


# --- Invoices ---------------------------------------------------------------------------------------------------------


PDF = b"%PDF-1.7 SECRET 7QX2"


@pytest.fixture
def shipped(amazon: PracticeClient) -> Json:
    return amazon.place(marketplace="US", status="SHIPPED")


def test_invoices_are_uploaded_and_sent_by_one_attempt(
    channel: AmazonChannel, store: StoreAccess, amazon: PracticeClient, shipped: Json, message: Message,
    reported: list[Call],
) -> None:  # fmt: skip
    update = message(shipped, "invoice", "", [PDF, PDF + b" 2"])
    batch = HandedUpdates([update])
    assert channel.deliver(store, batch) == {update.id: Effective()}
    assert (len(batch.attempts), batch.called) == (1, {update.id})
    [told] = amazon.told(shipped["order_id"])
    files = [(file["name"], file["size"]) for file in told["body"]["files"]]
    assert (told["effect"], files) == ("messaged", [("1.pdf", len(PDF)), ("2.pdf", len(PDF) + 2)])
    made = [(one.operation, one.updates) for one in reported if one.operation != "token"]
    upload = [("createUploadDestination", (update.id,)), ("uploadAttachment", (update.id,))]
    assert [one for one in made if one[1]] == [*upload, *upload, ("sendMessage", (update.id,))]


@pytest.mark.parametrize("operation", ["createUploadDestination", "uploadAttachment"])
@pytest.mark.parametrize("fault", ["429", "500", "503", "drop"])
@pytest.mark.parametrize("when", ["before", "after"])
def test_what_fails_before_an_invoice_is_sent_waits(
    operation: str, fault: str, when: str,
    channel: AmazonChannel, store: StoreAccess, amazon: PracticeClient, shipped: Json, message: Message,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.setattr(client, "sleep", lambda seconds: None)
    update = message(shipped, "invoice", "", [PDF])
    amazon.fault(operation, fault, when=when, times=2)
    batch = HandedUpdates([update])
    outcome = channel.deliver(store, batch)[update.id]
    assert isinstance(outcome, NotYet), outcome
    assert (batch.attempts, amazon.calls("sendMessage")) == ([], [])
    amazon.mend()
    assert delivered(channel, store, update) == Effective()


def test_a_garbled_destination_waits_and_a_refused_one_is_refused(
    channel: AmazonChannel, store: StoreAccess, amazon: PracticeClient, shipped: Json, message: Message
) -> None:
    update = message(shipped, "invoice", "", [PDF])
    amazon.fault("createUploadDestination", "garbage")
    assert isinstance(delivered(channel, store, update), NotYet)
    amazon.fault("createUploadDestination", "400")
    assert isinstance(delivered(channel, store, update), Refused)
    early = message(amazon.place(marketplace="US", status="UNSHIPPED"), "invoice", "", [PDF])
    assert delivered(channel, store, early) == Refused("Invalid amazonOrderId and template combination.")
    assert isinstance(delivered(channel, store, message(shipped, "invoice", "", [b"no PDF"])), Refused)


def test_a_lost_answer_about_an_invoice_stays_unknown(
    channel: AmazonChannel, store: StoreAccess, amazon: PracticeClient, shipped: Json, message: Message
) -> None:
    amazon.fault("sendMessage", "drop", when="after")
    assert isinstance(delivered(channel, store, message(shipped, "invoice", "", [PDF])), Unknown)
    assert [one["effect"] for one in amazon.told(shipped["order_id"])] == ["messaged"]


@pytest.mark.parametrize("operation", ["createUploadDestination", "uploadAttachment", "sendMessage"])
@pytest.mark.parametrize("fault", [None, "400", "403", "500", "drop", "garbage"])
def test_nothing_of_a_file_is_in_a_log_a_report_or_an_outcome(
    operation: str, fault: str | None, channel: AmazonChannel, store: StoreAccess, amazon: PracticeClient,
    shipped: Json, message: Message, reported: list[Call], caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.setattr(client, "sleep", lambda seconds: None)
    update = message(shipped, "invoice", "", [PDF])
    if fault:
        amazon.fault(operation, fault, times=2)
    with caplog.at_level(logging.DEBUG), structlog.testing.capture_logs() as logged:
        outcome = delivered(channel, store, update)
    everything = [repr(outcome), repr(update), repr(logged), caplog.text]
    everything += [str(getattr(call, field.name)) for call in reported for field in fields(call)]
    everything.append(str([call["params"] for call in amazon.calls("sendMessage")]))
    assert not any("7QX2" in one or "signature=" in one for one in everything)


# --- The text ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("fault", [None, "400", "403", "429", "500", "drop"])
def test_the_text_is_in_no_log_no_report_and_no_outcome(
    fault: str | None, channel: AmazonChannel, store: StoreAccess, amazon: PracticeClient, placed: Json,
    message: Message, reported: list[Call], caplog: pytest.LogCaptureFixture,
) -> None:  # fmt: skip
    update = message(placed, "digitalAccessKey", SECRET)
    if fault:
        amazon.fault("sendMessage", fault, times=2)
    with caplog.at_level(logging.DEBUG), structlog.testing.capture_logs() as logged:
        outcome = delivered(channel, store, update)
    [call] = [one for one in reported if one.operation == "sendMessage"]
    assert call.updates == (update.id,)
    everything = [repr(outcome), repr(update), repr(logged), caplog.text]
    everything += [str(getattr(call, field.name)) for field in fields(call)]
    assert not any("7QX2" in one for one in everything)


def test_what_amazon_repeats_of_the_text_is_left_out(
    channel: AmazonChannel, store: StoreAccess, placed: Json, message: Message, monkeypatch: pytest.MonkeyPatch
) -> None:
    long = SECRET + ".\n" + "Enter it on the first page and keep it well. " * 20

    def answered(said: str) -> Callable[..., httpx.Response]:
        body = {"errors": [{"code": "InvalidInput", "message": said, "details": ""}]}
        return lambda *args, **kwargs: httpx.Response(400, json=body)

    for text, said, sentence in (
        (SECRET, f"The text '{SECRET}' is not allowed.", "The text '…' is not allowed."),
        (long, f"Not allowed: {long}", "Not allowed: …"),
        (SECRET, "The text is not allowed.", "The text is not allowed."),
        (
            "Write to jo@shop.example or call +33 1 23 45 67 89 before 6 pm, thank you.",
            "Not allowed: jo@shop.example; 0033123456789: +33 1 23-45-67-89 (limit 2000).",
            "Not allowed: … …: … (limit 2000).",
        ),
    ):
        monkeypatch.setattr(client.Client, "_send", answered(said))
        assert delivered(channel, store, message(placed, "digitalAccessKey", text)) == Refused(sentence)

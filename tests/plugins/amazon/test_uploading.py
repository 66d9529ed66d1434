"""Uploading invoices and credit memos to Amazon: what goes, what Amazon says of it, and how a lost answer is found."""

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta

import pytest

from plugins.amazon import uploading
from plugins.amazon.channel import AmazonChannel
from plugins.amazon.feeds.messages import BadMessage
from plugins.amazon.feeds.reports import Unclear, read_record
from plugins.amazon.marketplaces import chosen
from plugins.amazon.practice import MARKETPLACES, PracticeClient
from tests.plugins.amazon.conftest import feeds_done
from webapp.api import (
    Effective,
    NotCarriedOut,
    NotYet,
    Outcome,
    Refused,
    Sent,
    StoreAccess,
    Unknown,
    Update,
    UploadedDocument,
    now,
)
from webapp.testing import HandedUpdates

Upload = Callable[..., Update]


@pytest.fixture
def eu(make_store: Callable[..., StoreAccess]) -> StoreAccess:
    return make_store("eu")


def sent(channel: AmazonChannel, store: StoreAccess, update: Update) -> tuple[Outcome, Update]:
    """What delivering says, and the update as it is looked up then."""
    batch = HandedUpdates([update])
    [outcome] = channel.deliver(store, batch).values()
    handle = outcome.handle if isinstance(outcome, Sent) else None
    begun = batch.attempts[-1] if batch.attempts else None
    return outcome, replace(update, handle=handle, begun=begun, private={}, attempts=1)


def settled(channel: AmazonChannel, store: StoreAccess, amazon: PracticeClient, update: Update) -> Outcome:
    _, asked = sent(channel, store, update)
    feeds_done(amazon)
    return channel.look_up(store, [asked])[update.id]


def test_an_invoice_and_a_credit_note_arrive_with_what_they_are(
    channel: AmazonChannel, eu: StoreAccess, amazon: PracticeClient, upload: Upload
) -> None:
    placed = amazon.place(marketplace="DE", status="SHIPPED")
    invoice, memo = upload(placed), upload(placed, is_credit_memo=True, total=500, tax=80)

    assert settled(channel, eu, amazon, invoice) == Effective()
    assert settled(channel, eu, amazon, memo) == Effective()

    first, second = [one["body"] for one in amazon.told(placed["order_id"]) if one["effect"] == "invoiced"]
    assert first["invoicenumber"] == invoice.reference
    assert (first["documenttype"], first["totalamount"], first["totalvatamount"]) == ("Invoice", "11.90", "1.90")
    assert (second["documenttype"], second["totalamount"], second["totalvatamount"]) == ("CreditNote", "5.00", "0.80")


def test_one_that_comes_too_early_waits_for_the_next_sync_and_others_are_refused(
    channel: AmazonChannel, eu: StoreAccess, amazon: PracticeClient, upload: Upload
) -> None:
    open_one = amazon.place(marketplace="DE", status="UNSHIPPED")
    early = settled(channel, eu, amazon, upload(open_one))
    assert isinstance(early, NotCarriedOut)
    assert "has not been shipped completely" in early.problem
    assert early.seconds == channel.poll_interval(eu)

    placed = amazon.place(marketplace="DE", status="SHIPPED")
    assert settled(channel, eu, amazon, upload(placed, draw=lambda: b"<html>")) == Refused("The document is not a PDF.")


def test_one_that_stays_too_early_is_refused_after_three_days(
    channel: AmazonChannel, eu: StoreAccess, amazon: PracticeClient, upload: Upload, monkeypatch: pytest.MonkeyPatch
) -> None:
    early = upload(amazon.place(marketplace="DE", status="UNSHIPPED"))
    assert isinstance(settled(channel, eu, amazon, early), NotCarriedOut)
    monkeypatch.setattr(uploading, "now", lambda: now() + timedelta(days=3))
    refused = settled(channel, eu, amazon, early)
    assert isinstance(refused, Refused)
    assert "has not been shipped completely" in refused.sentence


def test_one_whose_answer_was_lost_goes_again_and_no_other_feed_is_taken_for_it(
    channel: AmazonChannel, eu: StoreAccess, amazon: PracticeClient, upload: Upload
) -> None:
    placed = amazon.place(marketplace="DE", status="SHIPPED")
    amazon.fault("createFeed", "drop", when="after")
    update = upload(placed)
    outcome, lost = sent(channel, eu, update)
    assert isinstance(outcome, Unknown)
    amazon.foreign_feed(uploading.LANE, region="eu", marketplace_ids=[placed["marketplace_id"]])
    feeds_done(amazon)
    assert channel.look_up(eu, [lost])[lost.id] == NotYet(0)
    assert settled(channel, eu, amazon, update) == Effective()
    assert amazon.effects(placed["order_id"]) == 1


def test_a_number_that_amazon_has_is_taken_for_ours_only_after_a_lost_answer(
    channel: AmazonChannel, eu: StoreAccess, amazon: PracticeClient, upload: Upload
) -> None:
    placed = amazon.place(marketplace="DE", status="SHIPPED")
    first = upload(placed)
    assert settled(channel, eu, amazon, first) == Effective()
    _, asked = sent(channel, eu, upload(placed, number=first.reference, total=1200))
    feeds_done(amazon)
    assert isinstance(channel.look_up(eu, [asked])[asked.id], Refused)
    assert channel.look_up(eu, [replace(asked, handle=None)])[asked.id] == NotYet(0)
    assert channel.look_up(eu, [asked])[asked.id] == Effective()


def test_what_amazon_would_refuse_never_leaves(channel: AmazonChannel, eu: StoreAccess, upload: Upload) -> None:
    placed = {"order_id": "302-0000001-0000001", "marketplace_id": MARKETPLACES["DE"].id}
    for wrong in (
        upload(placed, number="RÉ-1"),
        upload(placed | {"order_id": "A-1"}),
        replace(upload(placed), private={}),
    ):
        outcome, _ = sent(channel, eu, wrong)
        assert isinstance(outcome, Refused)
        assert (outcome.cause or {})["code"] == BadMessage.code
    yen = uploading.options_of(upload(placed), UploadedDocument(
        number="1", is_credit_memo=False, currency="JPY", total=900, tax=82, draw=bytes,
    ))  # fmt: skip
    assert (yen["metadata:totalamount"], yen["metadata:totalvatamount"]) == ("900", "82")
    assert "an invoice" not in repr(upload(placed))


@pytest.mark.parametrize("text", ["", "records processed\t\t1", "records processed\t2\nrecords successful\t2"])
def test_a_report_that_is_cut_says_nothing(text: str) -> None:
    with pytest.raises(Unclear):
        read_record(text.encode())


def test_european_marketplaces_take_documents_and_no_others(channel: AmazonChannel) -> None:
    taking = [channel.takes_documents(one.id) for country in ("DE", "GB", "PL") for one in chosen(country)]
    assert taking == [True] * 3
    assert not any(channel.takes_documents(one.id) for one in chosen("US, TR, AE, JP"))

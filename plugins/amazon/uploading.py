"""Uploading invoices and credit memos to Amazon's European marketplaces: each is a feed of its own. Its document is the
PDF, and its options say what it is.

Amazon takes a number of an order once, so an upload that may have been lost is sent again. It is not looked for in the
list of feeds: reports of documents are texts that don't say which document they are about, so a feed that somebody else
submitted could be taken for it.
"""

import re
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any, Final

from redis.exceptions import RedisError

from plugins.amazon.accounts import Account
from plugins.amazon.client import CREATE_INVOICE_FEED, Client
from plugins.amazon.errors import FeedRefused, ReportUnclear, SellerIdMissing
from plugins.amazon.feeds.finding import Finder
from plugins.amazon.feeds.messages import BadMessage
from plugins.amazon.feeds.reports import RecordReport, Unclear, read_record
from plugins.amazon.feeds.submitting import FeedDocument, refused, submit
from plugins.amazon.shared import Shared
from webapp.api import (
    Batch,
    Effective,
    Money,
    NotCarriedOut,
    NothingLearned,
    NotYet,
    Outcome,
    Refused,
    StoreAccess,
    Unknown,
    Update,
    UpdateKind,
    UploadedDocument,
    lazy_gettext as _l,
    now,
    parse_instant,
)


def _kind(code: str, label: Any) -> UpdateKind:
    return UpdateKind(
        code,
        label,
        repeatable=True,
        look_after=60.0,
        look_steps=(60.0, 120.0, 300.0, 900.0),
        unseen_after=2 * 86_400.0,
    )


KINDS: Final = (
    _kind("invoice_upload", _l("Upload of an invoice")),
    _kind("credit_memo_upload", _l("Upload of a credit memo")),
)
CODES: Final = frozenset(kind.code for kind in KINDS)
LANE: Final = "UPLOAD_VAT_INVOICE"
PDF: Final = "application/pdf"
TOO_EARLY: Final = ("79513", "79517")  # the order is not shipped completely; not dispatched
TAKEN_BEFORE: Final = "79520"  # our guess, as is the practice Amazon's: Amazon publishes no code for it
EARLY_AT_MOST: Final = timedelta(days=3)  # until then Amazon has learned of a shipment that its orders show
NOTED: Final = 30 * 86_400  # seconds for which it is remembered what became of earlier attempts
RESERVE: Final = 1  # calls that uploads leave to cancellations and refunds, whose feeds are asked about in the same way
LONGEST_WAIT: Final = 6 * 3600.0
PATIENCE: Final = 300.0  # seconds until the next look-up after one that learned nothing
_NUMBER = re.compile(r"[0-9A-Za-z/ ._-]{1,50}")
_ORDER = re.compile(r"[0-9A-Z]{3}-[0-9]{7}-[0-9]{7}")


def deliver(client: Client, store: StoreAccess, updates: Batch) -> dict[int, Outcome]:
    """Upload the documents, each as a feed; an outcome for each."""
    account = Account.of(store)
    return {update.id: _uploaded(client, account, updates, update) for update in updates}


def _uploaded(client: Client, account: Account, updates: Batch, update: Update) -> Outcome:
    if not account.seller_id:
        return refused(SellerIdMissing())
    try:
        document = _document(update)
        options = options_of(update, document)
    except BadMessage as error:
        return refused(error)
    feed = FeedDocument(LANE, document.pdf, PDF, options, CREATE_INVOICE_FEED, RESERVE)
    return submit(client, account, updates, [update], feed)


def _document(update: Update) -> UploadedDocument:
    document = update.private.get("document")
    if not isinstance(document, UploadedDocument):
        raise BadMessage(field="document")
    return document


def options_of(update: Update, document: UploadedDocument) -> Mapping[str, str]:
    """What Amazon is told of a document beside its PDF; raises `BadMessage`."""
    if not _ORDER.fullmatch(update.order_number):
        raise BadMessage(field="orderid")
    if not _NUMBER.fullmatch(document.number):
        raise BadMessage(field="invoicenumber")
    return {
        "metadata:orderid": update.order_number,
        "metadata:invoicenumber": document.number,
        "metadata:totalamount": str(Money(document.total, document.currency)),
        "metadata:totalvatamount": str(Money(document.tax, document.currency)),
        "metadata:documenttype": "CreditNote" if document.is_credit_memo else "Invoice",
    }


def look_up(
    client: Client, shared: Shared, store: StoreAccess, updates: Sequence[Update], sync_seconds: float
) -> dict[int, Outcome]:
    """An outcome for each update. `sync_seconds`: between two readings of the store's orders."""
    finder = _Uploads(client, shared, Account.of(store), LANE, most=1, reserve=RESERVE)
    finder.sync_seconds = sync_seconds
    found = finder.look_up([one for one in updates if one.handle is not None])
    outcomes = {id_: _patient(outcome) for id_, outcome in found.items()}
    return outcomes | {one.id: finder.lost(one) for one in updates if one.handle is None}


def _patient(outcome: Outcome) -> Outcome:
    """Amazon gives 80 reports in an hour: thousands of documents must not ask for theirs all the time."""
    if isinstance(outcome, NothingLearned):
        return replace(outcome, seconds=max(outcome.seconds, PATIENCE))
    return outcome


class _Uploads(Finder):
    """Looks up feeds of one document each, by the texts that report about them."""

    sync_seconds = 0.0

    def outcomes_of(self, feed: Mapping[str, Any], group: Sequence[Update]) -> dict[int, Outcome]:
        match feed.get("processingStatus"):
            case "DONE":
                content, compressed = self.report_content(feed)
                try:
                    report = read_record(content, compressed=compressed)
                except Unclear:
                    return {one.id: Unknown(str(ReportUnclear())) for one in group}
                return {one.id: self._outcome(report, one) for one in group}
            case "FATAL":
                error = FeedRefused(problem="FATAL")
                return {one.id: Refused(str(error), error.stored()) for one in group}
        return super().outcomes_of(feed, group)

    def lost(self, update: Update) -> Outcome:
        """It is sent again; that Amazon may have it is remembered."""
        if update.begun or update.look_from:
            self._note("lost", update)
        return NotYet(0)

    def _outcome(self, report: RecordReport, update: Update) -> Outcome:
        if report.taken or (report.code == TAKEN_BEFORE and self._noted_at("lost", update)):
            return Effective()
        if report.code in TOO_EARLY:  # it goes only once the desk knows of the shipment
            self._note("early", update)
            since = self._noted_at("early", update)
            if since is None or now() - since < EARLY_AT_MOST:
                seconds = min(self.sync_seconds * 2 ** min(max(update.attempts - 1, 0), 20), LONGEST_WAIT)
                return NotCarriedOut(seconds=seconds, problem=report.sentence)
        return Refused(report.sentence)

    def _note(self, what: str, update: Update) -> None:
        """Remember since when this is so of an update. Without Redis, it is not remembered."""
        key, at = self._key(what, update), now().isoformat()
        with suppress(RedisError):
            self.shared.ask(lambda redis: redis.set(key, at, ex=NOTED, nx=True))

    def _noted_at(self, what: str, update: Update) -> datetime | None:
        key = self._key(what, update)
        try:
            kept: Any = self.shared.ask(lambda redis: redis.get(key))
        except RedisError:
            return None
        return parse_instant(kept.decode()) if kept else None

    def _key(self, what: str, update: Update) -> str:
        return self.shared.key("amazon", "upload", what, self.account.key, str(update.id))

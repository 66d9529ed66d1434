"""Processing the feeds that are due: reading, carrying out, reporting.

There is no thread for it: `Practice` calls this before anything else happens, and each feed is processed as of the
moment when it was due.
"""

import gzip
from typing import TYPE_CHECKING

from plugins.amazon.practice import vat_invoices
from plugins.amazon.practice.feed_effects import carry_out
from plugins.amazon.practice.feed_life import Document, Feed
from plugins.amazon.practice.feed_messages import BROKEN, BROKEN_MESSAGE, UNREADABLE, BadFeed, Message, read_feed
from plugins.amazon.practice.feed_reports import WARNING, Report, Result, rejection, report_of, spoiled, written

if TYPE_CHECKING:
    from plugins.amazon.practice.practice import Practice

REPORT_TYPE = "text/xml; charset=UTF-8"


def process_due(practice: "Practice", now_ms: int) -> None:
    """Process what is due by now, in order; the caller excludes other changes."""
    while (feed := practice.store.due_feed(now_ms)) is not None:
        _process(practice, feed)


def _process(practice: "Practice", feed: Feed) -> None:
    if feed.mark == "canceled":
        practice.store.finish_feed(feed, "CANCELLED", None, messages=feed.messages)
        return
    if feed.type == vat_invoices.TYPE:
        text, failed = vat_invoices.take_in(practice, feed)
        document = _kept(practice, feed, text, vat_invoices.CONTENT_TYPE)
        practice.store.finish_feed(feed, "DONE", document, messages=1, errors=int(failed))
        return
    outcome, count, report = _result(practice, feed)
    if report is None:
        practice.store.finish_feed(feed, outcome, None, messages=count)
        return
    document = _kept(practice, feed, written(feed, report), REPORT_TYPE)
    counted = {"errors": report.errors, "warnings": report.warnings}
    practice.store.finish_feed(feed, outcome, document, messages=count, **counted)


def _result(practice: "Practice", feed: Feed) -> tuple[str, int, Report | None]:
    """The outcome of a feed, the number of its messages, and its report."""
    if feed.document is None:  # another application's: its messages are none of the desk's orders
        return "DONE", feed.messages, Report(feed.messages, feed.messages, 0, 0)
    document = practice.store.document(feed.document)
    try:
        reading = read_feed((document and document.body) or b"", feed.type, feed.seller)
    except BadFeed as bad:
        return "FATAL", 0, rejection(Result(0, bad.code, str(bad)))
    messages, broken = reading.messages, reading.broken
    ids = [message.id for message in messages]
    count = len(messages) + len(broken)
    if broken or feed.mark == "fatal_25_wrong":
        named = ids[-1] if feed.mark == "fatal_25_wrong" and ids else broken[0]
        return "FATAL", count, rejection(Result(named, BROKEN_MESSAGE, BROKEN))
    if feed.mark == "fatal_other":
        return "FATAL", count, rejection(Result(0, UNREADABLE, "An internal error prevented the feed's processing."))
    if feed.mark == "fatal_silent":
        return "FATAL", count, None
    if feed.mark == "fatal_25_processed":
        half = _carried_out(practice, feed, messages[: (count + 1) // 2])
        return "FATAL", count, rejection(Result(ids[-1], BROKEN_MESSAGE, BROKEN), report_of(half))
    results = _carried_out(practice, feed, messages)
    if feed.mark == "fatal_silent_processed":
        return "FATAL", count, None
    if feed.mark == "warning":
        first = next((place for place, result in enumerate(results) if not result.code), None)
        if first is not None:
            results[first] = Result(results[first].message_id, *WARNING, warning=True)
    return "DONE", count, spoiled(report_of(results), feed.mark, max(ids))


def _carried_out(practice: "Practice", feed: Feed, messages: list[Message]) -> list[Result]:
    return [carry_out(practice, feed, message) for message in messages]


def _kept(practice: "Practice", feed: Feed, text: str, content_type: str) -> str:
    """Store a report; returns its document id."""
    data = text.encode()
    if feed.mark == "report_cut":
        data = data[: len(data) // 2]
    packed = practice.settings.gzip_reports
    document = Document(
        id=f"{feed.document or 'amzn1.tortuga.4.other'}.{feed.id}",
        seller=feed.seller,
        content_type=content_type,
        created_ms=feed.end_ms,
        body=gzip.compress(data) if packed else data,
        compression="GZIP" if packed else None,
        is_report=True,
    )
    practice.store.keep_document(document)
    return document.id

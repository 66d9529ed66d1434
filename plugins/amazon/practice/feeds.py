"""Documents and feeds as their seller creates, reads and cancels them.

All times of a feed are decided when it is created: its time in the queue, and how long it is processed. Feeds of one
seller and type are processed one after another, in order. What they do is `feed_processing.py`; HTTP is `feeds_api.py`.
"""

from collections.abc import Collection
from dataclasses import dataclass
from secrets import token_hex
from typing import Final

from plugins.amazon.practice.feed_life import Document, Feed, number_of
from plugins.amazon.practice.marketplaces import REGION_OF
from plugins.amazon.practice.practice import Practice

KEPT_MS: Final = 90 * 24 * 3600 * 1000
Key = tuple[int, int]


class NotTaken(Exception):
    """Amazon does not take a feed; its text is the message."""


@dataclass(frozen=True)
class FeedQuery:
    """The filters of getFeeds; times in milliseconds, both ends included."""

    types: Collection[str]
    since_ms: int
    until_ms: int
    marketplaces: Collection[str] = ()
    statuses: Collection[str] = ()
    limit: int = 10


def create_document(practice: Practice, seller: str, content_type: str) -> Document:
    """A place for a document that is still to be uploaded."""
    with practice.alone() as now:
        id = f"amzn1.tortuga.4.{REGION_OF[seller]}.{token_hex(16)}"
        document = Document(id, seller, content_type, now)
        practice.store.keep_document(document)
        return document


def create_feed(
    practice: Practice,
    seller: str,
    feed_type: str,
    marketplaces: Collection[str],
    document: str,
    options: dict[str, str],
) -> Feed:
    """Take a feed; raises NotTaken."""
    with practice.alone() as now:
        known = practice.store.document(document)
        if known is None or known.seller != seller or known.is_report:
            raise NotTaken(f"inputFeedDocumentId {document[:80]} is not valid.")
        if known.body is None:
            raise NotTaken(f"Nothing was uploaded to the document {document[:80]}.")
        if practice.settings.document_twice == "refused" and practice.store.document_was_submitted(document):
            raise NotTaken(f"The document {document[:80]} was submitted before.")
        mark, seconds = practice.store.take_mark(feed_type) or (None, 0.0)
        start, end = _times(practice, seller, feed_type, now, mark, seconds)
        markets = tuple(marketplaces)
        feed = Feed(
            0, seller, feed_type, markets, document, now, start, end, mark=mark, seconds=seconds, options=options
        )
        return practice.store.add_feed(feed)


def create_foreign_feed(
    practice: Practice, seller: str, feed_type: str, marketplaces: Collection[str], messages: int
) -> Feed:
    """A feed of another application of this seller, with so many messages, none of which changes an order."""
    with practice.alone() as now:
        start, end = _times(practice, seller, feed_type, now, None, 0)
        markets = tuple(marketplaces)
        feed = Feed(0, seller, feed_type, markets, None, now, start, end, foreign=True, messages=messages)
        return practice.store.add_feed(feed)


def _times(
    practice: Practice, seller: str, feed_type: str, now: int, mark: str | None, seconds: float
) -> tuple[int, int]:
    """When a feed that is created now starts and ends."""
    settings = practice.settings
    start = now + int(settings.feed_queue / settings.rates * 1000)
    if mark == "slow_queue":
        start += int(seconds * 1000)
    start = max(start, practice.store.last_end(seller, feed_type))
    end = start + int(settings.feed_processing / settings.rates * 1000)
    return start, start if mark == "canceled" else end


def find_feed(practice: Practice, seller: str, feed_id: str, at_ms: int) -> Feed | None:
    """A feed of this seller that its application sees at a moment."""
    number = number_of(feed_id)
    feed = None if number is None else practice.store.feed(number)
    if feed is None or feed.seller != seller or feed.created_ms > at_ms or not _seen(practice, feed):
        return None
    return feed


def _seen(practice: Practice, feed: Feed) -> bool:
    return not feed.foreign or practice.settings.foreign_feeds == "listed"


def list_feeds(
    practice: Practice, seller: str, query: FeedQuery, at_ms: int, after: Key | None = None
) -> tuple[list[Feed], Key | None]:
    """A page of feeds, newest first, and the key after which the next page begins; None: it is the last."""
    found = [
        feed
        for feed in practice.store.feeds(seller)
        if (after is None or (feed.created_ms, feed.number) < after)
        and query.since_ms <= feed.created_ms <= query.until_ms
        and feed.listed_from() <= at_ms
        and feed.created_ms > at_ms - KEPT_MS
        and _seen(practice, feed)
        and feed.type in query.types
        and (not query.marketplaces or set(query.marketplaces) & set(feed.marketplaces))
        and (not query.statuses or feed.status(at_ms) in query.statuses)
    ]
    page = found[: query.limit]
    return page, (page[-1].created_ms, page[-1].number) if len(found) > query.limit else None


def cancel_feed(practice: Practice, seller: str, feed_id: str) -> bool:
    """Cancel a feed that is in the queue; False: there is no such feed. Raises NotTaken where it has begun."""
    with practice.alone() as now:
        feed = find_feed(practice, seller, feed_id, now)
        if feed is None:
            return False
        if feed.status(now) != "IN_QUEUE":
            raise NotTaken(f"Feed {feed_id} is not in the queue and cannot be cancelled.")
        practice.store.cancel_feed(feed, now)
        return True


def find_report(practice: Practice, seller: str, document_id: str, at_ms: int) -> Document | None:
    """The report with this id, if its feed is done and its seller sees it at a moment."""
    document = practice.store.document(document_id)
    if document is None or not document.is_report or document.seller != seller:
        return None
    feed = practice.store.feed_of_report(document_id)
    return document if feed and _seen(practice, feed) and feed.report_from() <= at_ms else None

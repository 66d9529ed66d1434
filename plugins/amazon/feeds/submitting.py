"""Handing a batch over as a feed: the document is stored at Amazon, then the attempt at the desk, then it is submitted.

Only submitting has an effect. It is called through the attempt, so that a lost answer can be looked for later
(`finding`), and so that nothing is submitted twice.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from xml.etree import ElementTree as Xml

from plugins.amazon.accounts import Account
from plugins.amazon.client import CREATE_DOCUMENT, CREATE_FEED, Client, Operation
from plugins.amazon.errors import AnswerLost, DocumentFailed, FeedRefused, RequestRefused, SellerIdMissing
from plugins.amazon.feeds.messages import CONTENT_TYPE, LARGEST, BadMessage, envelope
from webapp.api import (
    Batch,
    ChannelError,
    Denial,
    Denied,
    DeniedThing,
    NotYet,
    Outcome,
    Refused,
    Sent,
    StoreAccess,
    Unknown,
    Update,
)

LATER = 300.0  # seconds until the next try while the store has to be connected again
MOST_MARKETPLACES = 25  # of one feed
Compose = Callable[[Update], Xml.Element]


@dataclass(frozen=True, slots=True)
class FeedDocument:
    """A document to be submitted as a feed. `reserve`: the calls that it leaves to more important feeds."""

    feed_type: str
    content: bytes = field(repr=False)
    content_type: str = CONTENT_TYPE
    options: Mapping[str, str] = field(default_factory=dict)
    operation: Operation = CREATE_FEED
    reserve: float = 0


def deliver(client: Client, store: StoreAccess, updates: Batch, feed_type: str, compose: Compose) -> dict[int, Outcome]:
    """Submit the updates as one feed; an outcome for each. `compose` writes the message of an update and raises
    `BadMessage`.
    """
    account = Account.of(store)
    if not account.seller_id:
        return dict.fromkeys((one.id for one in updates[:]), refused(SellerIdMissing()))
    outcomes: dict[int, Outcome] = {}
    messages: list[tuple[Update, Xml.Element]] = []
    for update in updates:
        try:
            messages.append((update, compose(update)))
        except BadMessage as error:
            outcomes[update.id] = refused(error)
    mine = _one_feed([update for update, _ in messages])
    sent = {update.id for update in mine}
    document = envelope(account.seller_id, feed_type, ((one.id, body) for one, body in messages if one.id in sent))
    if len(document) > LARGEST and len(mine) > 1:
        mine = mine[: len(mine) // 2]
        sent = {update.id for update in mine}
        document = envelope(account.seller_id, feed_type, ((one.id, body) for one, body in messages if one.id in sent))
    outcomes |= {update.id: NotYet(1) for update, _ in messages if update.id not in sent}
    if mine:
        outcomes |= dict.fromkeys(sent, submit(client, account, updates, mine, FeedDocument(feed_type, document)))
    return outcomes


def _one_feed(updates: Sequence[Update]) -> list[Update]:
    """Those that fit into one feed: of at most so many marketplaces."""
    marketplaces: set[str] = set()
    fitting = []
    for update in updates:
        if update.marketplace in marketplaces or len(marketplaces) < MOST_MARKETPLACES:
            marketplaces.add(update.marketplace)
            fitting.append(update)
    return fitting


def submit(client: Client, account: Account, updates: Batch, mine: Sequence[Update], document: FeedDocument) -> Outcome:
    """Submit a document as the feed of these updates of the batch; returns their outcome."""
    try:
        order = {"contentType": document.content_type}
        stored = client.request(account, CREATE_DOCUMENT, json=order, reserve=document.reserve)
        key, url = str(stored.body.get("feedDocumentId") or ""), str(stored.body.get("url") or "")
        if not key or not url:
            raise DocumentFailed(problem="no address")
        client.upload(account, url, document.content, {"content-type": document.content_type})
        attempt = updates.attempt(mine, key=key, channel_at=stored.at)
        feed: dict[str, Any] = {
            "feedType": document.feed_type,
            "marketplaceIds": marketplaces_of(mine),
            "inputFeedDocumentId": key,
        }
        feed |= {"feedOptions": dict(document.options)} if document.options else {}
        ids = [one.id for one in mine]
        feed_id = attempt.call(client.request, account, document.operation, json=feed, updates=ids).body.get("feedId")
    except RequestRefused as error:
        return refused(FeedRefused(problem=str(error.values["problem"])))
    except AnswerLost as error:
        return Unknown(str(error))
    except ChannelError as error:  # nothing was submitted
        seconds = LATER if error.retry_after is None else error.retry_after
        return NotYet(seconds, cause=error.stored(), denial=_denial(error, document.operation))
    return Sent(feed_id) if isinstance(feed_id, str) and feed_id else Unknown()


def marketplaces_of(updates: Sequence[Update]) -> list[str]:
    """The marketplaces of the updates, for which their feed is submitted."""
    return sorted({update.marketplace for update in updates})


def refused(error: ChannelError | BadMessage) -> Refused:
    """The outcome of what can't be submitted, or was not taken."""
    return Refused(str(error), error.stored())


def _denial(error: ChannelError, operation: Operation) -> Denial | None:
    return Denial(DeniedThing.OPERATION, operation.name, error.stored()) if isinstance(error, Denied) else None

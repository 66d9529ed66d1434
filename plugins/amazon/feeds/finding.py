"""Finding out what became of a feed: by its id, or, if the answer to submitting it was lost, among the seller's feeds.

Everything is decided once for a whole attempt. Without an answer of Amazon nothing is learned. A lost feed is ours if
it is the only one of its type that the desk does not know, was created within minutes of the attempt, for the same
marketplaces. It was never submitted if two complete lists do not show one, the later list at least half an hour after
the attempt, since Amazon does not say how late it lists feeds.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from redis.exceptions import RedisError

from plugins.amazon.accounts import Account
from plugins.amazon.client import GET_DOCUMENT, GET_FEED, GET_FEEDS, Client
from plugins.amazon.errors import FeedRefused, ReportUnclear, Unintelligible
from plugins.amazon.feeds.reports import Report, Unclear, read
from plugins.amazon.feeds.submitting import marketplaces_of
from plugins.amazon.shared import Shared
from webapp.api import (
    Accepted,
    Begun,
    ChannelError,
    Denial,
    Denied,
    DeniedThing,
    NotCarriedOut,
    NothingLearned,
    NotYet,
    Outcome,
    Refused,
    Sent,
    Unknown,
    Update,
    parse_instant,
)

NEAR: Final = timedelta(minutes=10)  # by Amazon's clock, between an attempt and the creation of its feed
LISTED_BY: Final = timedelta(minutes=30)  # after an attempt; a complete list that is younger proves nothing
BETWEEN_LISTS: Final = timedelta(minutes=5)
LIST_KEPT: Final = 86_400  # seconds for which a first list is remembered
MOST_PAGES: Final = 20
LATER: Final = 300.0


@dataclass(slots=True)
class Finder:
    """Looks up the feeds of one account."""

    client: Client
    shared: Shared
    account: Account
    feed_type: str
    most: int  # the number of updates of one feed at most
    reserve: float = 0  # the calls that it leaves to the feeds of others

    def look_up(self, updates: Sequence[Update]) -> dict[int, Outcome]:
        """An outcome for each update; those of one attempt share what is learned of it."""
        outcomes: dict[int, Outcome] = {one.id: Accepted() for one in updates if one.accepted}
        open_ones = [one for one in updates if not one.accepted]
        groups: dict[tuple[str | None, int | None], list[Update]] = {}
        for one in open_ones:
            groups.setdefault((one.handle, one.begun.id if one.begun else None), []).append(one)
        for (handle, _), group in groups.items():
            try:
                outcomes |= self._of_feed(handle, group) if handle else self._of_lost(group)
            except ChannelError as error:
                outcomes |= _nothing(error, group)
        return outcomes

    def learn(self, feed_id: str, group: Sequence[Update]) -> dict[int, Outcome]:
        """What became of a feed, for the updates in it."""
        try:
            return self._of_feed(feed_id, group)
        except ChannelError as error:
            return _nothing(error, group)

    # --- By the feed's id -----------------------------------------------------------------------------------------

    def _of_feed(self, feed_id: str, group: Sequence[Update]) -> dict[int, Outcome]:
        feed = self.client.request(self.account, GET_FEED, path={"feed": feed_id}, reserve=self.reserve).body
        return self.outcomes_of(feed, group)

    def outcomes_of(self, feed: Mapping[str, Any], group: Sequence[Update]) -> dict[int, Outcome]:
        """The outcomes of the updates in a feed, as getFeed answers it."""
        feed_id = str(feed.get("feedId") or "")
        match feed.get("processingStatus"):
            case "IN_QUEUE" | "IN_PROGRESS":
                return {one.id: Sent(feed_id) for one in group}
            case "CANCELLED":  # before it was processed
                return {one.id: NotCarriedOut(self.most) for one in group}
            case "DONE":
                return _by_report(self._report(feed), group)
            case "FATAL":
                return self._of_fatal(feed, group)
            case _:
                raise Unintelligible(problem="no state of a feed")

    def _of_fatal(self, feed: Mapping[str, Any], group: Sequence[Update]) -> dict[int, Outcome]:
        """Only a broken schema proves that nothing happened: then halves are sent, until the bad message is alone."""
        report = self._report(feed) if feed.get("resultFeedDocumentId") else None
        if report is None or not report.broke_the_schema:
            return {one.id: Unknown(str(ReportUnclear())) for one in group}
        messages = _messages(group)
        if messages > 1:
            return {one.id: NotCarriedOut(messages // 2) for one in group}
        words = next((result.sentence for result in report.results.values()), "")
        error = FeedRefused(problem=words or f"code {', '.join(sorted(report.codes))}")
        return {one.id: Refused(str(error), error.stored()) for one in group}

    def _report(self, feed: Mapping[str, Any]) -> Report | None:
        """The feed's processing report; None if it can't be read. Raises ChannelError while it can't be fetched."""
        content, compressed = self.report_content(feed)
        try:
            return read(content, compressed=compressed)
        except Unclear:
            return None

    def report_content(self, feed: Mapping[str, Any]) -> tuple[bytes, bool]:
        """The content of the feed's processing report, and whether it is compressed. Raises ChannelError while it can't
        be fetched.
        """
        document = feed.get("resultFeedDocumentId")
        if not isinstance(document, str) or not document:
            raise Unintelligible(problem="no report yet")
        path = {"document": document}
        found = self.client.request(self.account, GET_DOCUMENT, path=path, reserve=self.reserve).body
        content = self.client.download(self.account, str(found.get("url") or ""))
        return content, found.get("compressionAlgorithm") == "GZIP"

    # --- By the list of feeds -------------------------------------------------------------------------------------

    def _of_lost(self, group: Sequence[Update]) -> dict[int, Outcome]:
        begun = group[0].begun
        at = (begun.channel_at or begun.at) if begun else group[0].look_from
        if at is None:  # it was claimed, and no attempt began
            return {one.id: NotYet(0) for one in group}
        feeds, listed_at = self._feeds(at - NEAR)
        strange = [one for one in feeds if str(one.get("feedId")) not in group[0].known]
        candidates = [one for one in strange if _may_be(one, begun, at, group)]
        fitting = [feed for feed in candidates if self._may_hold(feed, group)]
        if len(fitting) == 1 and begun is not None:
            return {one.id: Sent(str(fitting[0]["feedId"])) for one in group}
        if fitting:  # several, or it is not known when it left: only the effect tells, or a person
            return {one.id: Unknown(str(ReportUnclear())) for one in group}
        return self._unlisted(group, begun, at, listed_at)

    def _may_hold(self, feed: Mapping[str, Any], group: Sequence[Update]) -> bool:
        """Whether a feed's report, once it is there, does not speak against its being the group's."""
        if feed.get("processingStatus") != "DONE":
            return True
        report = self._report(feed)
        return report is None or report.fits(_messages(group), _ours(group))

    def _feeds(self, since: datetime) -> tuple[list[Mapping[str, Any]], datetime | None]:
        """All feeds of the type created since then, and when the last page was given, by Amazon's clock."""
        params = {"feedTypes": self.feed_type, "pageSize": "100", "createdSince": _utc(since)}
        found: list[Mapping[str, Any]] = []
        for _ in range(MOST_PAGES):
            answer = self.client.request(self.account, GET_FEEDS, params=params, reserve=self.reserve)
            listed = answer.body.get("feeds")
            if not isinstance(listed, list) or not all(isinstance(one, dict) for one in listed):
                raise Unintelligible(problem="no feeds")
            found += listed
            token = answer.body.get("nextToken")
            if not token:
                return found, answer.at
            params = {"nextToken": str(token)}
        raise Unintelligible(problem="too many feeds")

    def _unlisted(
        self, group: Sequence[Update], begun: Begun | None, at: datetime, listed_at: datetime | None
    ) -> dict[int, Outcome]:
        """No list shows the feed: it was not submitted, once two lists say so and the later one is late enough."""
        if listed_at is None:
            return {one.id: NothingLearned(LATER) for one in group}
        key = self.shared.key("amazon", "unlisted", self.account.key, str(begun.id if begun else _utc(at)))
        before = self._first_list(key, listed_at)
        late = listed_at - at
        if before is not None and late >= LISTED_BY and listed_at - before >= BETWEEN_LISTS:
            return {one.id: NotCarriedOut(self.most) for one in group}
        wait = max(BETWEEN_LISTS, LISTED_BY - late if before is not None else timedelta(0))
        return {one.id: NothingLearned(wait.total_seconds()) for one in group}

    def _first_list(self, key: str, listed_at: datetime) -> datetime | None:
        """When an earlier list did not show the feed; the first one is remembered. Without Redis there is none, and the
        next list is the first.
        """
        try:
            kept: Any = self.shared.ask(lambda redis: redis.get(key))
            if kept is None:
                self.shared.ask(lambda redis: redis.set(key, _utc(listed_at), ex=LIST_KEPT, nx=True))
        except RedisError:
            return None
        return parse_instant(kept.decode()) if kept else None


def _utc(at: datetime) -> str:
    return at.astimezone(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")


def _may_be(feed: Mapping[str, Any], begun: Begun | None, at: datetime, group: Sequence[Update]) -> bool:
    """Whether a feed may be that of the group, by its time and its marketplaces."""
    try:
        created = parse_instant(str(feed["createdTime"]))
    except (KeyError, ValueError):
        return True
    if begun is not None and abs(created - at) > NEAR:
        return False
    theirs, ours = set(feed.get("marketplaceIds") or ()), set(marketplaces_of(group))
    return ours <= theirs if begun is None or _partly(group) else ours == theirs


def _by_report(report: Report | None, group: Sequence[Update]) -> dict[int, Outcome]:
    if report is None or not report.fits(_messages(group), _ours(group)):
        return {one.id: Unknown(str(ReportUnclear())) for one in group}
    outcomes: dict[int, Outcome] = {}
    for one in group:
        result = report.results.get(one.id)
        if result is None:
            outcomes[one.id] = Accepted()
        elif result.is_error:
            outcomes[one.id] = Refused(result.sentence)
        else:
            outcomes[one.id] = Accepted(result.sentence)
    return outcomes


def _messages(group: Sequence[Update]) -> int:
    """The number of messages of the attempt."""
    begun = group[0].begun
    return begun.messages if begun else len(group)


def _ours(group: Sequence[Update]) -> frozenset[int]:
    """The ids of the attempt's messages."""
    begun = group[0].begun
    return begun.updates if begun else frozenset(one.id for one in group)


def _partly(group: Sequence[Update]) -> bool:
    """Whether some updates of the attempt are not looked up any more."""
    return _messages(group) > len(group)


def _nothing(error: ChannelError, group: Sequence[Update]) -> dict[int, Outcome]:
    learned = NothingLearned(error.retry_after or LATER, cause=error.stored(), denial=_denial(error))
    return {one.id: learned for one in group}


def _denial(error: ChannelError) -> Denial | None:
    return Denial(DeniedThing.OPERATION, error.name, error.stored()) if isinstance(error, Denied) else None

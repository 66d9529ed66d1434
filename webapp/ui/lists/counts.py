"""The numbers of rows of views and lists: counted after the page is drawn, up to a cap.

Counts are kept for some seconds, up to a minute if counting is slow. A kept count has the time until which it is shown,
so that the page can ask again then. Counts are kept in Redis for each person, under a hash of the query, since its
words may name a buyer.
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from hashlib import blake2b
from math import inf
from time import monotonic

from redis import RedisError
from sqlalchemy import select

from webapp.audit.actor import Actor
from webapp.clock import iso, now, parse_instant
from webapp.db import db, time_limit
from webapp.errors import DeskError, TooSlow
from webapp.lists.contract import Subject
from webapp.lists.listing import CAP, count_expression
from webapp.live import connection, key
from webapp.search.compiling import compile_query
from webapp.search.query import parse
from webapp.vault.key_file import key_file

_KEPT_LEAST, _KEPT_MOST = 3, 60  # the shortest and the longest time to keep a count, in seconds
_TIMES_AS_LONG = 30  # between these, a count is kept so many times as long as the counting took
_ALL_LIMIT, _EACH_LIMIT = 1.5, 0.4  # time limits in seconds: for all counts together, and then for each of them
_SHORTEST = 0.02  # with less time than this, in seconds, nothing is counted


@dataclass(frozen=True, slots=True)
class Count:
    """A count, exact up to the cap, with the time of the counting and the time until which it is shown."""

    number: int
    at: datetime
    until: datetime

    @property
    def capped(self) -> bool:
        return self.number > CAP

    @property
    def shown(self) -> int:
        return min(self.number, CAP)


def known_counts(subject: Subject, texts: Mapping[str, str], actor: Actor) -> dict[str, Count]:
    """The kept counts of these queries, by the names of the queries."""
    if not texts:
        return {}
    try:
        stored = connection().mget(_keys(subject, texts.values(), actor))
    except RedisError:
        return {}
    found = {name: json.loads(kept) for name, kept in zip(texts, stored, strict=True) if kept}
    return {name: Count(number, parse_instant(at), parse_instant(until)) for name, (number, at, until) in found.items()}


def counts(subject: Subject, texts: Mapping[str, str], actor: Actor, until: float = inf) -> dict[str, Count]:
    """The number of rows of the subject that each query finds, by name, without queries that are too slow or invalid.

    At the time `until`, by the clock of `monotonic`, a waiting page is drawn without the missing counts.
    """
    found = known_counts(subject, texts, actor)
    questions = {}
    for name, text in texts.items():
        if name not in found:
            try:
                questions[name] = count_expression(subject, actor, compile_query(parse(text, subject.code), actor))
            except DeskError:
                continue
    at, began = now(), monotonic()
    answers = _count_all(questions, until)
    kept = timedelta(seconds=min(max((monotonic() - began) * _TIMES_AS_LONG, _KEPT_LEAST), _KEPT_MOST))
    for name, number in answers.items():
        found[name] = Count(number, at, at + kept)
        _keep(subject, texts[name], actor, found[name])
    return found


def counted_again_in(known: Iterable[Count], asked_at: datetime) -> float | None:
    """Seconds until counts that were taken before `asked_at` can be taken again; None if there are none."""
    earlier = [count.until for count in known if count.at < asked_at]
    return max((max(earlier) - now()).total_seconds(), 0) if earlier else None


def _count_all(questions: Mapping[str, object], until: float) -> dict[str, int]:
    left = until - monotonic()
    if not questions or left < _SHORTEST:
        return {}
    try:
        with time_limit(min(_ALL_LIMIT, left / 2)):  # the other half is for counting one by one
            row = db.session.execute(select(*questions.values())).one()  # type: ignore[call-overload]
        return dict(zip(questions, row, strict=True))
    except TooSlow:
        found: dict[str, int] = {}
    for name, question in questions.items():
        left = until - monotonic()
        if left < _SHORTEST:
            break
        try:
            with time_limit(min(_EACH_LIMIT, left)):
                found[name] = db.session.scalar(select(question)) or 0  # type: ignore[call-overload]
        except TooSlow:
            continue
    return found


def _keep(subject: Subject, text: str, actor: Actor, count: Count) -> None:
    [kept_at] = _keys(subject, [text], actor)
    packed = json.dumps([count.number, iso(count.at), iso(count.until)])
    try:
        connection().set(kept_at, packed, px=count.until - now())
    except RedisError:
        return


def _keys(subject: Subject, texts: Iterable[str], actor: Actor) -> list[str]:
    """The Redis keys of the counts of these queries."""
    shops = ",".join(map(str, sorted(actor.shops))) if actor.shops is not None else "all"
    blind = key_file().blind()[:64]
    said = (f"{subject.code}\0{actor.kind}\0{actor.id}\0{shops}\0{text}".encode() for text in texts)
    return [key("count", blake2b(one, key=blind, digest_size=16).hexdigest()) for one in said]

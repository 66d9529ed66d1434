"""How many orders views, cards and lists hold: asked after the page, capped; what is slow to count may be a minute old.

They are kept in Redis for each person, under a hash of what was asked, since words in it may name a buyer.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from hashlib import blake2b
from time import monotonic

from redis import RedisError
from sqlalchemy import select

from webapp.audit.actor import Actor
from webapp.clock import iso, now, parse_instant
from webapp.db import db, time_limit
from webapp.errors import DeskError, TooSlow
from webapp.live import connection, key
from webapp.orders.listing import CAP, counting
from webapp.search.compiling import compile_query
from webapp.search.query import parse
from webapp.vault.keys import key_file

_KEPT, _KEPT_QUICK = 60, 3  # seconds; a desk that counts quickly need not show what was
_QUICK = 0.1  # seconds for all together
_ALL, _ONE = 1.5, 0.4  # seconds for all together, and for each where that was too long


@dataclass(frozen=True, slots=True)
class Count:
    """A count, exact up to the cap, and when it was taken."""

    number: int
    at: datetime

    @property
    def capped(self) -> bool:
        return self.number > CAP

    @property
    def shown(self) -> int:
        return min(self.number, CAP)


def known_counts(texts: Mapping[str, str], actor: Actor) -> dict[str, Count]:
    """Those that were counted within the last minute, by the names given."""
    if not texts:
        return {}
    try:
        told = connection().mget([_key(text, actor) for text in texts.values()])
    except RedisError:
        return {}
    found = {name: json.loads(kept) for name, kept in zip(texts, told, strict=True) if kept}
    return {name: Count(number, parse_instant(at)) for name, (number, at) in found.items()}


def counts(texts: Mapping[str, str], actor: Actor) -> dict[str, Count]:
    """How many orders each query finds; those that take too long or can't be asked are left out."""
    found = known_counts(texts, actor)
    questions = {}
    for name, text in texts.items():
        if name not in found:
            try:
                questions[name] = counting(actor, compile_query(parse(text), actor))
            except DeskError:
                continue
    at, began = now(), monotonic()
    told = _asked(questions)
    kept = _KEPT_QUICK if monotonic() - began < _QUICK else _KEPT
    for name, number in told.items():
        found[name] = Count(number, at)
        _keep(texts[name], actor, found[name], kept)
    return found


def _asked(questions: Mapping[str, object]) -> dict[str, int]:
    if not questions:
        return {}
    try:
        with time_limit(_ALL):
            row = db.session.execute(select(*questions.values())).one()  # type: ignore[call-overload]
        return dict(zip(questions, row, strict=True))
    except TooSlow:
        found: dict[str, int] = {}
    for name, question in questions.items():
        try:
            with time_limit(_ONE):
                found[name] = db.session.scalar(select(question)) or 0  # type: ignore[call-overload]
        except TooSlow:
            continue
    return found


def _keep(text: str, actor: Actor, count: Count, seconds: int) -> None:
    try:
        connection().set(_key(text, actor), json.dumps([count.number, iso(count.at)]), ex=seconds)
    except RedisError:
        return


def _key(text: str, actor: Actor) -> str:
    shops = ",".join(map(str, sorted(actor.shops))) if actor.shops is not None else "all"
    said = f"{actor.kind}\0{actor.id}\0{shops}\0{text}".encode()
    return key("count", blake2b(said, key=key_file().blind()[:64], digest_size=16).hexdigest())

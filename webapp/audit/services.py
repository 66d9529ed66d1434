"""Writing the record. Entries of requests that only read are buffered in Redis and written by a job, never inside a
GET.
"""

import json
from datetime import datetime
from typing import Any

import structlog
from redis import RedisError

from webapp.audit.actor import Actor
from webapp.audit.models import AuditEntry
from webapp.clock import iso, now, parse_instant
from webapp.db import db, unit_of_work
from webapp.jobs import a_moment, job
from webapp.live import connection, key

log = structlog.get_logger(__name__)
_BUFFER, _MOVED = "audit", 500


def audit(code: str, *, actor: Actor, at: datetime | None = None, **data: Any) -> None:
    """Record an act in the open unit of work."""
    entry = AuditEntry(at=at or now(), actor_kind=actor.kind, actor_id=actor.id, code=code, data=data)
    db.session.add(entry)


def audit_reading(code: str, *, actor: Actor, **data: Any) -> None:
    """Record that something was read, where nothing may be written to the database; in the log while Redis can't be
    reached.
    """
    entry = {"at": iso(now()), "actor_kind": actor.kind, "actor_id": actor.id, "code": code, "data": data}
    try:
        connection().rpush(key(_BUFFER), json.dumps(entry))
    except RedisError:
        log.warning("audit_entry", **entry)


@job("clock")
def write_readings() -> None:
    """Write the buffered entries; an entry is removed from the buffer only after the commit. Only one job writes at
    a time, for a limited time, and leaves the rest to the next.
    """
    writing = connection().lock(key(_BUFFER, "writing"), timeout=120, blocking=False)
    if not writing.acquire():
        return
    try:
        for _ in a_moment():
            if not _write_some():
                break
    finally:
        writing.release()
    if anything_to_write():
        write_readings.enqueue()


def anything_to_write() -> bool:
    """Whether entries wait in the buffer."""
    return connection().llen(key(_BUFFER)) > 0


def _write_some() -> bool:
    entries = connection().lrange(key(_BUFFER), 0, _MOVED - 1)
    if entries:
        with unit_of_work():
            for entry in map(json.loads, entries):
                db.session.add(AuditEntry(**entry | {"at": parse_instant(entry["at"])}))
        connection().ltrim(key(_BUFFER), len(entries), -1)
    return bool(entries)

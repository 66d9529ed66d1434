"""Leases: a worker that has a row writes its name and a time into two columns, and renews the time while it works.

A lease ends 20 s after its holder last renewed it. Another worker may then take the row, and the former holder can no
longer settle it, since every lease has a name of its own: a job that is retried is not mistaken for the worker that
lost the row. Several rows of one lease are held independently: a row that another worker has taken is left alone.
"""

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime, timedelta
from secrets import token_hex
from time import monotonic
from typing import ParamSpec, TypeVar

import structlog
from sqlalchemy import ColumnElement, Engine, select, update
from sqlalchemy.exc import SQLAlchemyError

from webapp.channels.outgoing import Attempt, Batch, LeaseLost, TooLate, Update
from webapp.clock import now
from webapp.db import db, unit_of_work
from webapp.jobs import current_id
from webapp.sync.models import StoreSync
from webapp.updates import marks
from webapp.updates.models import ChannelUpdate, UpdateAttempt

P = ParamSpec("P")
T = TypeVar("T")
log = structlog.get_logger(__name__)
LEASE = timedelta(seconds=20)
IN_TIME = timedelta(seconds=30)  # from storing an attempt to its call
_SIGNS = 4  # renewals within the time of a lease: a late one does not end it


class Lease:
    """One lease of a row, or of several rows that are settled together."""

    def __init__(self, model: type[StoreSync] | type[ChannelUpdate]) -> None:
        self.owner = f"{current_id()}/{token_hex(4)}"
        self._model = model
        self._gone = False
        self._held: frozenset[int] | None = None  # the rows that were renewed last; None before the first time
        self._signed = monotonic(), now()

    @property
    def lost(self) -> bool:
        """Whether the last renewal is too old, by the monotonic clock or the wall clock: a sleeping machine stops
        the first one.
        """
        running, wall = self._signed
        return self._gone or monotonic() - running > LEASE.total_seconds() or now() - wall > LEASE

    def holds(self, row: int) -> bool:
        """Whether this row was still held at the last renewal."""
        return not self.lost and (self._held is None or row in self._held)

    @contextmanager
    def kept(self, rows: ColumnElement[bool]) -> Iterator[None]:
        """Renew the lease on these rows until the block ends; never leave the block within a unit of work."""
        done = threading.Event()
        thread = threading.Thread(target=self._keep, args=(db.engine, rows, done), name="lease", daemon=True)
        thread.start()
        try:
            yield
        finally:
            done.set()
            thread.join()

    def _keep(self, engine: Engine, rows: ColumnElement[bool], done: threading.Event) -> None:
        while not self._gone and not done.wait(LEASE.total_seconds() / _SIGNS):
            try:
                self._renew(engine, rows)
            except SQLAlchemyError as error:  # busy or unreachable just now: there is time for another try
                log.warning("lease_not_renewed", kind=type(error).__name__)

    def _renew(self, engine: Engine, rows: ColumnElement[bool]) -> None:
        signed = monotonic(), now()
        mine = (rows, self._model.lease_owner == self.owner)
        key = list(self._model.__table__.primary_key)
        with engine.connect().execution_options(writes=True) as connection, connection.begin():
            locked = select(*key).where(*mine).order_by(*key).with_for_update()  # the order in which all lock them
            held = frozenset(connection.scalars(locked))
            connection.execute(update(self._model).where(*mine).values(lease_until=now() + LEASE))
        self._held = held  # before the times are set: a row that another worker took is not counted as held
        self._gone, self._signed = not held, signed


class HeldUpdates(Batch):
    """Updates given to a channel; while the channel iterates, those whose lease was lost are left out: another
    worker has looked them up, and may have sent them.
    """

    def __init__(
        self, updates: Sequence[Update], lease: Lease, store_id: int = 0, lane: str = "", *, once: bool = False
    ) -> None:
        self.left_out: set[int] = set()
        self.called: set[int] = set()  # those for which something irreversible was called, whatever the result
        super().__init__(updates)
        self._lease = lease
        self._store_id, self._lane, self._once = store_id, lane, once

    def surely_here(self, row: int) -> bool:
        """Whether no part of an update can have been sent: an update that must be sent only once leaves only in an
        attempt's call.
        """
        return self._once and row not in self.called

    def attempt(self, updates: Sequence[Update], *, key: str = "", channel_at: datetime | None = None) -> Attempt:
        """Store an attempt, and its id on these updates, in a transaction that finds their leases still held."""
        ids = sorted(one.id for one in updates)
        begun = monotonic(), now()
        with unit_of_work():
            mine = (ChannelUpdate.id.in_(ids), ChannelUpdate.lease_owner == self._lease.owner)
            locked = select(ChannelUpdate.id).where(*mine).order_by(ChannelUpdate.id).with_for_update()
            if list(db.session.scalars(locked)) != ids:
                raise LeaseLost
            row = UpdateAttempt(
                store_id=self._store_id, lane=self._lane, key=key, messages=len(ids), at=begun[1], channel_at=channel_at
            )
            db.session.add(row)
            db.session.flush()
            held_until = now() + LEASE
            db.session.execute(update(ChannelUpdate).where(*mine).values(attempt_id=row.id, lease_until=held_until))
            number = row.id
        marks.note(update=ids[-1], attempt=number)
        return _HeldAttempt(self, number, ids, begun)

    def __iter__(self) -> Iterator[Update]:
        for one in self._updates:
            if self._lease.holds(one.id):
                yield one
            else:
                log.warning("lease_lost", update=one.id)
                self.left_out.add(one.id)


class _HeldAttempt(Attempt):
    def __init__(self, batch: HeldUpdates, number: int, ids: Sequence[int], begun: tuple[float, datetime]) -> None:
        self.id = number
        self._batch, self._ids, self._begun = batch, ids, begun

    def call(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        running, wall = self._begun
        if monotonic() - running > IN_TIME.total_seconds() or abs(now() - wall) > IN_TIME:
            log.warning("attempt_too_late", attempt=self.id)
            raise TooLate
        self._batch.called.update(self._ids)
        return function(*args, **kwargs)

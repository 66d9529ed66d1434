"""Orders that are about to leave are read from their channel first, if what is known of them is too old: the buyer may
have asked to cancel meanwhile, or the order may be canceled there.

The reading belongs to a floor above, which registers it here. No act waits for a channel longer than `PATIENCE`.
"""

from collections.abc import Collection, Sequence
from datetime import datetime, timedelta
from typing import NamedTuple, Protocol

from webapp.clock import iso, now, parse_instant
from webapp.db import unit_of_work
from webapp.jobs import runs
from webapp.jobs.models import Run

PATIENCE = timedelta(seconds=3)  # that a page or a run waits for the answers
LOOK_AGAIN = 1.0  # seconds until a run that waits looks again
_ASKED = "asked_at"


class OldOrder(NamedTuple):
    """An order that has to be read again."""

    store_id: int
    number: str  # the channel's


class Reader(Protocol):
    """What reads orders again."""

    def too_old(self, order_ids: Collection[int], at: datetime) -> Sequence[OldOrder]:
        """Those of the orders whose facts were too old at that time."""

    def read(self, old: Sequence[OldOrder]) -> None:
        """Have these orders read by workers."""


_readers: list[Reader] = []


def read_by(reader: Reader) -> None:
    """Register what reads orders."""
    _readers.append(reader)


def run_waits(run: Run, order_ids: Collection[int]) -> bool:
    """Whether a run that has not begun waits until its orders were read again; they are asked for once. The caller,
    a job outside any transaction, looks again after `LOOK_AGAIN`.
    """
    asked_at = parse_instant(run.numbers[_ASKED]) if _ASKED in run.numbers else None
    if not run.is_open or (asked_at is not None and now() - asked_at > PATIENCE):
        return False
    old = [one for reader in _readers for one in reader.too_old(order_ids, asked_at or now())]
    if old and asked_at is None:
        with unit_of_work():
            row = runs.find_run(run.id, lock=True)
            row.numbers = row.numbers | {_ASKED: iso(now())}
        for reader in _readers:
            reader.read(old)
    return bool(old)

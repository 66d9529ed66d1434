"""The jobs of the figures."""

import structlog

from webapp.db import db, unit_of_work
from webapp.jobs import a_moment, job
from webapp.reporting.changes import Sums
from webapp.reporting.folding import Lease, anything_to_fold, correct, fold, missing, only_one, shops_to_count

log = structlog.get_logger(__name__)


@job("clock")
def fold_figures() -> None:
    """Fold changes into the daily figures for a limited time, and start counting for shops whose days must be
    counted again.
    """
    if shops_to_count():
        count_shops.enqueue()
    with only_one() as lease:
        if lease is None:
            return
        for _ in a_moment():
            if not anything_to_fold():
                return
            db.session.rollback()
            lease.keep()
            with unit_of_work():
                fold()
    fold_figures.enqueue()


def anything_to_do() -> bool:
    """Whether there are changes to fold, or shops to count."""
    return anything_to_fold() or bool(shops_to_count())


def fold_all(lease: Lease) -> None:
    """Fold all changes, some in each unit of work."""
    while anything_to_fold():
        db.session.rollback()
        lease.keep()
        with unit_of_work():
            fold()


def put_right(lease: Lease, sums: Sums, zones: dict[int, str]) -> None:
    """Append the differences that were found to the figures."""
    lease.keep()
    with unit_of_work():
        correct(sums, zones)


@job("importing", timeout=3600)
def count_shops() -> None:
    """Count the orders of shops that were never counted, or whose zone has changed.

    All of it is one reading, since the figures must be compared with the orders at one moment: about a second for each
    100,000 orders. So it runs in a queue that nobody waits for, like the pages of an import.
    """
    with only_one() as lease:
        if lease is not None:
            _count_shops(lease)


def _count_shops(lease: Lease) -> None:
    """Count twice if a zone changed: others appended changes in the old zone meanwhile, which the second count
    finds.
    """
    shops = shops_to_count()
    for _ in range(2 if any(shops.values()) else 1):
        if not shops:
            return
        db.session.rollback()
        sums, zones = missing(lease, list(shops))
        put_right(lease, sums, zones)
        if sums:
            log.info("figures_counted", shops=len(shops), cells=len(sums))

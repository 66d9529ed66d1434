"""Background work of the figures."""

import structlog

from webapp.db import db, unit_of_work
from webapp.jobs import job
from webapp.reporting.changes import Sums
from webapp.reporting.folding import Turn, anything_to_fold, correct, fold, missing, only_one, shops_to_count

log = structlog.get_logger(__name__)


@job("clock", timeout=3600)
def fold_figures() -> None:
    """Fold the changes into the daily figures; before that, count shops whose days are not counted as they should be.

    Orders from before there were figures are counted here, the first time that it runs.
    """
    with only_one() as turn:
        if turn is None:
            return
        _count_shops(turn)
        fold_all(turn)


def fold_all(turn: Turn) -> None:
    """Fold what there is, some changes in each unit of work."""
    while anything_to_fold():
        db.session.rollback()
        turn.keep()
        with unit_of_work():
            fold()


def put_right(turn: Turn, sums: Sums, zones: dict[int, str]) -> None:
    """Add to the figures what was found missing."""
    turn.keep()
    with unit_of_work():
        correct(sums, zones)


def _count_shops(turn: Turn) -> None:
    """Twice where a zone changed: what others appended meanwhile was counted in the old zone, the second time finds
    it.
    """
    shops = shops_to_count()
    for _ in range(2 if any(shops.values()) else 1):
        if not shops:
            return
        db.session.rollback()
        sums, zones = missing(turn, list(shops))
        put_right(turn, sums, zones)
        if sums:
            log.info("figures_counted", shops=len(shops), cells=len(sums))

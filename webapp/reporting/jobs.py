"""Background work of the figures."""

import structlog

from webapp.db import db, unit_of_work
from webapp.jobs import job
from webapp.reporting.folding import anything_to_fold, correct, fold, missing, only_one, shops_to_count

log = structlog.get_logger(__name__)


@job("desk")
def fold_figures() -> None:
    """Fold the changes into the daily figures; before that, count shops whose days are not counted as they should be.

    Orders from before there were figures are counted here, the first time that it runs.
    """
    with only_one() as alone:
        if not alone:
            return
        _count_shops()
        while anything_to_fold():
            with unit_of_work():
                fold()


def _count_shops() -> None:
    """Twice where a zone changed: what others appended meanwhile was counted in the old zone, the second time finds
    it.
    """
    shops = shops_to_count()
    for _ in range(2 if any(shops.values()) else 1):
        if not shops:
            return
        db.session.rollback()
        sums, zones = missing(list(shops))
        with unit_of_work():
            correct(sums, zones)
        if sums:
            log.info("figures_counted", shops=len(shops), cells=len(sums))

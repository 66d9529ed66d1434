"""Background work of searching."""

from webapp.clock import now
from webapp.db import any_row, delete_some, unit_of_work
from webapp.jobs import a_moment, job
from webapp.search.models import SealedQuery
from webapp.search.query import KEPT


@job("clock")
def forget_sealed_queries() -> None:
    """Delete the searched words a day after the search; saved views keep their own."""
    for _ in a_moment():
        with unit_of_work():
            if not delete_some(SealedQuery, SealedQuery.at < now() - KEPT):
                break
    else:
        forget_sealed_queries.enqueue()


def any_to_forget() -> bool:
    """Whether there are words to delete."""
    return any_row(SealedQuery, SealedQuery.at < now() - KEPT)

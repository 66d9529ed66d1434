"""Background work of searching."""

from webapp.clock import now
from webapp.db import any_row, delete_some, unit_of_work
from webapp.jobs import a_moment, job
from webapp.search import saved_views
from webapp.search.models import SavedView, SealedQuery
from webapp.search.query import KEPT
from webapp.vault.key_file import period_of


def any_of_a_past_week() -> bool:
    """Whether a saved view's words are sealed under the key of an earlier week."""
    return any_row(SavedView, SavedView.period != period_of(now()))


@job("clock")
def renew_views() -> None:
    """Seal the words of saved views again, under this week's key, so that none of them needs a past one."""
    with unit_of_work():
        saved_views.seal_again()


@job("clock")
def forget_sealed_queries() -> None:
    """Delete the words that were searched, a day after; those of saved views stand in the views."""
    for _ in a_moment():
        with unit_of_work():
            if not delete_some(SealedQuery, SealedQuery.at < now() - KEPT):
                break
    else:
        forget_sealed_queries.enqueue()


def any_to_forget() -> bool:
    """Whether there are words to delete."""
    return any_row(SealedQuery, SealedQuery.at < now() - KEPT)

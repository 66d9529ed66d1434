"""Background work of lists."""

from webapp.clock import now
from webapp.db import any_row, unit_of_work
from webapp.jobs import job
from webapp.lists import saved_views
from webapp.lists.models import SavedView
from webapp.vault.key_file import period_of


def any_of_a_past_week() -> bool:
    """Whether the words of a saved view are sealed with the key of an earlier week."""
    return any_row(SavedView, SavedView.period != period_of(now()))


@job("clock", formerly="webapp.search.renew_views")
def renew_views() -> None:
    """Seal the words of saved views again with this week's key, so that no view needs the key of an earlier week."""
    with unit_of_work():
        saved_views.seal_again()

"""Background work of searching."""

from sqlalchemy import delete

from webapp.clock import now
from webapp.db import db, unit_of_work
from webapp.jobs import job
from webapp.search import views
from webapp.search.models import SealedQuery
from webapp.search.query import KEPT


@job("clock")
def renew_views() -> None:
    """Seal the words of saved views anew under this week's key, so that none of them needs a past one."""
    with unit_of_work():
        views.seal_anew()


@job("clock")
def forget_sealed_queries() -> None:
    """Delete the words that were searched, a day after; those of saved views stand in the views."""
    with unit_of_work():
        db.session.execute(delete(SealedQuery).where(SealedQuery.at < now() - KEPT))

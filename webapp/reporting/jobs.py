"""Background work of the figures."""

from webapp.db import db, unit_of_work
from webapp.jobs import job
from webapp.reporting.models import DailyFigure, FigureChange


@job("desk")
def fold_figures() -> None:
    """Fold the changes into the daily figures."""
    with unit_of_work():
        db.session.query(FigureChange, DailyFigure).first()

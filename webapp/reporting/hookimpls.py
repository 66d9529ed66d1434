"""What the figures listen to, and what folds them by the clock."""

from webapp.hooks import hookimpl
from webapp.jobs.schedule import Schedule
from webapp.reporting.jobs import fold_figures


@hookimpl
def register_schedules() -> list[Schedule]:
    return [Schedule(fold_figures, every=10)]

"""The scheduled jobs of accounts."""

from webapp.accounts.jobs import clear_ended
from webapp.accounts.services import any_ended
from webapp.hooks import hookimpl
from webapp.jobs.schedule import Schedule


@hookimpl
def register_schedules() -> list[Schedule]:
    return [Schedule(clear_ended, every=3600, due=any_ended)]

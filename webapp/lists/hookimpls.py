"""What lists keep by the clock."""

from webapp.hooks import hookimpl
from webapp.jobs.schedule import Schedule
from webapp.lists.jobs import any_of_a_past_week, renew_views


@hookimpl
def register_schedules() -> list[Schedule]:
    return [Schedule(renew_views, every=3600, due=any_of_a_past_week)]

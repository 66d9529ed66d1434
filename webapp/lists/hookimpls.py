"""The scheduled jobs of lists."""

from webapp.hooks import hookimpl
from webapp.jobs.schedule import Schedule
from webapp.lists.export_runs import any_to_forget, forget_exports
from webapp.lists.jobs import any_of_a_past_week, renew_views


@hookimpl
def register_schedules() -> list[Schedule]:
    return [
        Schedule(renew_views, every=3600, due=any_of_a_past_week),
        Schedule(forget_exports, every=3600, due=any_to_forget),
    ]

"""The scheduled jobs of searching."""

from webapp.hooks import hookimpl
from webapp.jobs.schedule import Schedule
from webapp.search.jobs import any_to_forget, forget_sealed_queries


@hookimpl
def register_schedules() -> list[Schedule]:
    return [Schedule(forget_sealed_queries, every=3600, due=any_to_forget)]

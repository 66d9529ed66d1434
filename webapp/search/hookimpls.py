"""What searching keeps by the clock."""

from webapp.hooks import hookimpl
from webapp.jobs.schedule import Schedule
from webapp.search.jobs import forget_sealed_queries, renew_views


@hookimpl
def register_schedules() -> list[Schedule]:
    return [Schedule(forget_sealed_queries, every=3600), Schedule(renew_views, every=86_400)]

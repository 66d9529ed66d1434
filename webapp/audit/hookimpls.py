"""The scheduled job of the record, and the desk's own rights."""

from webapp.audit.rights import OURS, Right
from webapp.audit.services import anything_to_write, write_readings
from webapp.hooks import hookimpl
from webapp.jobs.schedule import Schedule


@hookimpl
def register_rights() -> list[Right]:
    return list(OURS)


@hookimpl
def register_schedules() -> list[Schedule]:
    return [Schedule(write_readings, every=10, due=anything_to_write)]

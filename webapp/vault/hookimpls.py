"""The vault's scheduled jobs."""

from webapp.hooks import hookimpl
from webapp.jobs.schedule import Schedule
from webapp.vault.files import any_to_forget
from webapp.vault.jobs import destroy_unused_keys, forget_files


@hookimpl
def register_schedules() -> list[Schedule]:
    return [Schedule(forget_files, every=900, due=any_to_forget), Schedule(destroy_unused_keys, every=3600)]

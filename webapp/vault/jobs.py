"""The vault's jobs by the clock: deleting files past their date, and keys that nothing needs any more."""

from webapp.db import empty_log, unit_of_work
from webapp.jobs import a_moment, job
from webapp.vault import files, periods


@job("clock")
def forget_files() -> None:
    """Delete sealed files past their date, and unfinished files of killed workers."""
    with unit_of_work():
        files.forget_expired()
        files.sweep()
    for _ in a_moment():
        with unit_of_work():
            if not files.delete_forgotten():
                break
    else:
        forget_files.enqueue()


@job("clock")
def destroy_unused_keys() -> None:
    """Destroy the keys of past weeks under which nothing is sealed any more, and of past months of which no document is
    kept, and overwrite what SQLite's log still holds of erased data.
    """
    needed = periods.in_use()  # before the transaction, since on SQLite it excludes other writers
    months = periods.months_in_use()
    with unit_of_work():
        periods.destroy_unused(needed)
        periods.destroy_unused_months(months)
    empty_log()

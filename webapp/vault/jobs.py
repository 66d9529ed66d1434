"""What the vault does by the clock: files past their date."""

from webapp.db import unit_of_work
from webapp.jobs import job
from webapp.vault import files


@job("desk")
def forget_files() -> None:
    """Delete sealed files past their date, and what killed workers left of theirs."""
    with unit_of_work():
        files.forget_expired()

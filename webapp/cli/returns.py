"""Commands for returns. Requesting one is an act, and so is each of its steps: `orders act NUMBER return`,
`… authorize_return`, `… receive_return`, `… accept_return`.
"""

import click

from webapp.cli import presenting
from webapp.cli.door import Door, desk_command
from webapp.cli.text import pairs, section, table
from webapp.returns.queries import find_return, list_returns

_HEAD = ("number", "order", "state", "requested_at")
_LINES = (
    "line_id", "sku", "title", "asked", "authorized", "received", "accepted", "rejected", "reason", "condition",
    "resolution",
)  # fmt: skip
_MEMOS = ("id", "number", "state", "taken_back")


@click.group()
def returns() -> None:
    """Returns; “orders act NUMBER return” requests one."""


@returns.command(name="list")
@click.option("--limit", type=click.IntRange(min=1), default=200, show_default=True)
@desk_command
def list_(door: Door, limit: int) -> None:
    """All returns, newest first."""
    rows = [presenting.return_document(row) for row in list_returns(door.actor, limit=limit)]
    door.show(rows, table(rows, ("id", *_HEAD), empty="No return."))


@returns.command()
@click.argument("number")
@desk_command
def show(door: Door, number: str) -> None:
    """One return with its lines, by its NUMBER, such as R-000012."""
    document = presenting.return_document(find_return(number, door.actor))
    by = document["by"]
    drawn = pairs(document | {"by": by["name"] or by["kind"]}, (*_HEAD, "by"))
    drawn += section("Lines", table(document["lines"], _LINES, empty=""))
    if document["credit_memos"]:
        drawn += section("Credit memos", table(document["credit_memos"], _MEMOS, empty=""))
    door.show(document, drawn)

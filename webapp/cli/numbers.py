"""The numbers of issued documents, checked."""

import click

from webapp.billing.number_check import Problem, check_numbers
from webapp.cli.door import Door, desk_command
from webapp.cli.main import Failed
from webapp.cli.text import table

_WORDS = {
    Problem.GAP: "a number is missing before it",
    Problem.AGAIN: "it does not follow the number before it",
    Problem.OLDER: "it was issued before the number before it",
    Problem.AHEAD: "it would come next, and does not follow the last one",
}
_SHOWN = 20  # flaws of one sequence


@click.group()
def numbers() -> None:
    """The numbers of issued documents."""


@numbers.command()
@desk_command
def check(door: Door) -> None:
    """Check that the numbers of each shop have no gaps and follow the order of issue."""
    found = check_numbers(door.actor)
    rows = [
        {
            "shop": one.shop,
            "kind": one.kind.value,
            "documents": one.documents,
            "first": one.first or None,
            "last": one.last or None,
            "flaws": [
                {"problem": flaw.problem.value, "number": flaw.number, "before": flaw.before or None}
                for flaw in one.flaws
            ],
        }
        for one in found
    ]
    flaws = sum(len(one.flaws) for one in found)
    text = table(rows, ("shop", "kind", "documents", "first", "last"), empty="No document was issued yet.")
    for one in found:
        text += [f"{flaw.number}: {_WORDS[flaw.problem]}, {flaw.before or '—'}." for flaw in one.flaws[:_SHOWN]]
    door.show({"flaws": flaws, "sequences": rows}, text)
    if flaws:
        raise Failed(f"The numbers of documents have {flaws} {'flaw' if flaws == 1 else 'flaws'}.")

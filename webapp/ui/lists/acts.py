"""What can be done to rows of a list that are chosen: the buttons below the list, the most likely first.

The bar offers what at least one of the chosen rows allows, by the predicate that guards the act.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from webapp.i18n import LazyString


def _always(rows: Sequence[Any]) -> bool:
    return True


@dataclass(frozen=True, slots=True)
class Act:
    """A button that sends the choice to the page of an act, which asks first."""

    label: LazyString | str
    icon: str
    url: str
    name: str = ""  # of the value that the button sends along
    value: str = ""
    possible: Callable[[Sequence[Any]], bool] = _always  # whether any of these rows allows it
    of_rows: bool = True  # whether it is offered for chosen rows
    of_all: bool = False  # whether it is offered for everything found, without a row being chosen


def any_without(refusal: Callable[[Any], object]) -> Callable[[Sequence[Any]], bool]:
    """Whether any row is not refused."""
    return lambda rows: any(refusal(row) is None for row in rows)

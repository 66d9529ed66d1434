"""The conditions of query keys by the kind of their column, for the keys of every subject."""

from collections.abc import Callable, Sequence
from typing import Any

from sqlalchemy import ColumnElement, and_, not_, or_

from webapp.audit.actor import Actor
from webapp.search.contract import Bound

Condition = ColumnElement[bool]


def between(column: Any) -> Callable[[Sequence[Bound], Actor], Condition]:
    """The condition of a key for numbers or times: the column is within one of the bounds."""
    return lambda values, actor: or_(*(within(column, value.low, value.high) for value in values))


def within(column: Any, low: Any, high: Any) -> Condition:
    """The column is from `low` to `high`, both included; None leaves an end open."""
    ends = [column >= low] if low is not None else []
    ends += [column <= high] if high is not None else []
    return and_(*ends)


def by_id(column: Any) -> Callable[[Sequence[str], Actor], Condition]:
    """The condition of a key whose choices are ids of other rows, such as stores."""

    def condition(values: Sequence[str], actor: Actor) -> Condition:
        ids = [int(value) for value in values]
        one: Condition = column == ids[0]  # an index can then give rows in its order
        return one if len(ids) == 1 else column.in_(ids)

    return condition


def spelled(column: Any, spell: Callable[[str], str]) -> Callable[[Sequence[str], Actor], Condition]:
    """The condition of a key for text: the value is compared in the spelling of the column; `*` at its end matches a
    beginning.
    """

    def condition(values: Sequence[str], actor: Actor) -> Condition:
        whole = [spell(value) for value in values if not value.endswith("*")]
        beginnings = [spell(value.rstrip("*")) for value in values if value.endswith("*")]
        return or_(column.in_(whole), *(column.startswith(start, autoescape=True) for start in beginnings))

    return condition


def yes_no(yes: Condition) -> Callable[[Sequence[bool], Actor], Condition]:
    """The condition of a key that is answered by yes or no."""

    def condition(values: Sequence[bool], actor: Actor) -> Condition:
        return or_(*(yes if value else not_(yes) for value in values))

    return condition

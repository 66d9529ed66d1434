"""Finding a store or a shop as people name it on the command line: by its id, or by its name."""

from collections.abc import Sequence
from typing import Protocol, TypeVar

from webapp.errors import NotFound, SeveralFit


class Named(Protocol):
    """A row with a name."""

    id: int
    name: str


AnyNamed = TypeVar("AnyNamed", bound=Named)


def named(rows: Sequence[AnyNamed], key: int | str, unknown: type[NotFound], several: type[SeveralFit]) -> AnyNamed:
    """The row with this id or this name; for a text of digits, an id comes before a name. Raises `unknown`, or
    `several` naming the ids.
    """
    name = str(key).strip()
    found = [row for row in rows if str(row.id) == name]
    found = found or [row for row in rows if row.name.casefold() == name.casefold()]
    if len(found) > 1:
        raise several(name=key, choices=", ".join(str(row.id) for row in found))
    if not found:
        raise unknown(name=key)
    return found[0]

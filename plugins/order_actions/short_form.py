"""Inputs with a list, of which scripts may leave out the list where it would have one entry."""

from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel


def as_list(given: Any, name: str, entry: type[BaseModel]) -> Any:
    """The input with its list of this name: without one, the entry's own fields beside the others are its one entry."""
    if not isinstance(given, Mapping) or name in given:
        return given
    own = {field: value for field, value in given.items() if field in entry.model_fields}
    rest = {field: value for field, value in given.items() if field not in own}
    return rest | {name: [own]}

"""What is wrong with the input of an act, in the desk's words: where pydantic found it, and why it can't be read."""

import re
from collections.abc import Mapping
from typing import Any

from webapp.errors import Invalid
from webapp.i18n import LazyString, lazy_gettext as _l

_PROBLEMS = {  # by pydantic's kinds of errors
    "missing": _l("Enter a value."),
    "too_short": _l("Choose at least one."),
    "too_long": _l("There are too many entries. Remove some."),
    "extra_forbidden": _l("This field does not exist. Remove it."),
    "int_parsing": _l("Enter a whole number."),
    "int_from_float": _l("Enter a whole number."),
    "int_type": _l("Enter a whole number."),
    "string_type": _l("This value must be text."),
    "string_too_short": _l("Enter a value."),
    "string_too_long": _l("This text is too long. Shorten it."),
    "datetime_parsing": _l("Enter a date and time, such as 2026-11-20T10:00:00Z."),
    "odd_time": _l("Enter a date between 1970 and 2199."),
    "datetime_from_date_parsing": _l("Enter a date and time, such as 2026-11-20T10:00:00Z."),
    "datetime_type": _l("Enter a date and time, such as 2026-11-20T10:00:00Z."),
    "date_type": _l("Enter a date and time, such as 2026-11-20T10:00:00Z."),
    "date_from_datetime_parsing": _l("Enter a date and time, such as 2026-11-20T10:00:00Z."),
    "bool_parsing": _l("Enter yes or no."),
    "bool_type": _l("Enter yes or no."),
    "model_type": _l("This value must be a set of fields."),
    "model_attributes_type": _l("This value must be a set of fields."),
    "list_type": _l("This value must be a list."),
    "tuple_type": _l("This value must be a list."),
    "dict_type": _l("This value must be a set of order lines with quantities."),
}
_ODD = _l("This value is not valid.")
_KEY = "[key]"  # what pydantic puts behind a key that is wrong itself
_CHOICE = re.compile(r"'([^']*)'")  # as pydantic names them: 'one', 'two' or 'three'


def invalid_of(error: Mapping[str, Any], given: Mapping[str, Any], action: str) -> Invalid:
    """One of pydantic's errors in the input of an action, as `ValidationError.errors` gives it.

    The field is a path (`packages.0.carrier`). For whoever typed it, entries are counted from 1, and a list is not
    named that was left out since it has one entry.
    """
    place, kind = error["loc"], error["type"]
    short = len(place) > 2 and place[0] not in given and place[1] == 0
    value: Any = {place[0]: [given]} if short else given
    way: list[str] = []
    typed: list[str] = []
    for part in place:
        if isinstance(value, Mapping) and (part in value or kind == "missing"):
            way.append(str(part))
            typed.append(str(part))
            value = value.get(part)
        elif isinstance(value, list | tuple) and isinstance(part, int):
            way.append(str(part))
            typed[-1] += f" {part + 1}"
            value = value[part]
        else:  # the name of a type that the value could have, or `_KEY`
            break
    problem = _problem(kind, error.get("ctx") or {})
    if place and place[-1] == _KEY:
        problem = _l("“%(key)s”: %(problem)s", key=way.pop(), problem=problem)
        typed.pop()
    field, words = ".".join(way) or action, " › ".join(typed[1:] if short else typed)
    return Invalid(field=field, problem=problem, **({"typed": words} if words and words != field else {}))


def _problem(kind: str, context: Mapping[str, Any]) -> LazyString:
    if choices := _CHOICE.findall(str(context.get("expected", ""))):
        return _l("Choose one of these values: %(choices)s.", choices=", ".join(choices))
    return _PROBLEMS.get(kind, _ODD)

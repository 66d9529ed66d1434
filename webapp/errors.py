"""Errors that are part of the work: each is a class of its domain with one sentence for the person who meets it.

A `DeskError` is shown; its code and values may be stored, and are translated again into the reader's language. Whatever
else is raised is a bug: it is logged and never swallowed.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from webapp.i18n import LazyString, lazy_gettext as _l

_classes: dict[str, type["DeskError"]] = {}


class DeskError(Exception):
    """A refusal or failure that has a sentence; `status` is the HTTP status of the answer."""

    code: ClassVar[str] = "failed"
    status: ClassVar[int] = 409
    sentence: ClassVar[LazyString | str] = _l("That did not work.")
    of_many: ClassVar[LazyString | str] = ""  # which counts many with this reason, if `sentence` has values of one
    field: ClassVar[str] = ""  # the input that it is about, if there is one

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if "code" in cls.__dict__:
            _classes[cls.code] = cls

    def __init__(self, **values: Any) -> None:
        super().__init__(self.code)
        self.values = values

    def __str__(self) -> str:
        return str(self.sentence) % self.values if self.values else str(self.sentence)

    def counted(self) -> str:
        """The sentence under which many with this reason are counted."""
        return str(self.of_many) or str(self)

    def stored(self) -> dict[str, Any]:
        """The form in which it is stored in a JSON column."""
        return {"code": self.code, "values": {name: str(value) for name, value in self.values.items()}}


def sentence_of(stored: dict[str, Any] | None) -> str | None:
    """The sentence of a stored error in the reader's language; the code itself if it is no longer known."""
    if not stored:
        return None
    known = _classes.get(stored["code"])
    try:
        return str(known(**stored["values"])) if known else str(stored["code"])
    except Exception:  # stored by another version, whose sentence had other values, or by a plugin whose sentence fails
        return str(stored["code"])


def sentence_without_values(code: str, known: Mapping[str, object]) -> str:
    """The sentence of an error of which only the code was kept, with the values that are known, and “…” for the
    others; the code itself if it is no longer known.
    """
    error = _classes.get(code)
    if error is None:
        return code
    try:
        return str(error.sentence) % defaultdict(lambda: "…", known)
    except Exception:  # a plugin's sentence may fail
        return code


def class_of(stored: Mapping[str, Any] | None) -> type[DeskError] | None:
    """The class of a stored error; None if its code is no longer known."""
    return _classes.get(stored["code"]) if stored else None


def codes_of(kind: type[DeskError]) -> list[str]:
    """The codes under which errors of this class, and of those derived from it, are stored."""
    return sorted(code for code, one in _classes.items() if issubclass(one, kind))


class Refusal(DeskError):
    """An act that is not possible now; the same object explains a disabled button and guards the act."""

    code = "refused"


class Invalid(DeskError):
    """Input that can't be accepted; the form is shown again with what was typed. `field` is the path of the value, such
    as `packages.0.carrier`; `typed` is its name for whoever typed it, where that is another.
    """

    code, status = "invalid", 422
    sentence = _l("%(field)s: %(problem)s")

    def __str__(self) -> str:
        return str(self.sentence) % {**self.values, "field": self.values.get("typed", self.values["field"])}


class InvalidInput(Invalid):
    """Input with several values that can't be accepted; its sentence is that of the first."""

    def __init__(self, problems: Sequence[Invalid]) -> None:
        super().__init__(**problems[0].values)
        self.problems = tuple(problems)

    def __str__(self) -> str:
        return " ".join(map(str, self.problems))


class NotFound(DeskError):
    """Nothing has this name, or nothing that this person may see."""

    code, status = "not_found", 404
    sentence = _l("“%(name)s” was not found.")


class SeveralFit(DeskError):
    """A number that several orders have; `values["choices"]` names them."""

    code, status = "several_fit", 409
    sentence = _l("“%(name)s” matches several orders: %(choices)s.")


class TooSlow(DeskError):
    """A query that would take too long for its page."""

    code, status = "too_slow", 422
    sentence = _l("That would take too long over so many orders. Narrow the search by date, store or state.")


class Forbidden(DeskError):
    """The right is missing."""

    code, status = "forbidden", 403
    sentence = _l("You don't have the right to do this (%(right)s).")


class Stale(DeskError):
    """Another person or job changed it meanwhile."""

    code = "stale"
    sentence = _l("This order changed while you were looking at it. Check it and try again: what you typed is kept.")


class Unavailable(DeskError):
    """The database or the queue can't be reached, or is busy for too long."""

    code, status = "unavailable", 503
    sentence = _l("Waybill can't reach %(what)s at the moment. Nothing was changed. Try again in a moment.")
    of_part: ClassVar[dict[str, LazyString]] = {
        "database": _l("Waybill can't reach its database at the moment. Nothing was changed. Try again in a moment."),
        "queue": _l("Waybill can't reach its queue at the moment. Nothing was changed. Try again in a moment."),
    }

    def __str__(self) -> str:
        sentence = self.of_part.get(str(self.values["what"]))
        return str(sentence) if sentence else super().__str__()


class DatabaseBusy(DeskError):
    """Another writer held the database longer than we wait."""

    code, status = "database_busy", 503
    sentence = _l("The desk is busy just now and nothing was changed. Try again in a moment: what you typed is kept.")


class DiskFull(DeskError):
    """There is no room left to write."""

    code, status = "disk_full", 503
    sentence = _l(
        "The desk's disk is full, so nothing was changed. Ask the operator of the desk to free disk space, "
        "then try again. What you typed is kept."
    )

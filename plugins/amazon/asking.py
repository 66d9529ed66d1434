"""The marketplaces in which a window is read, and the ones that Amazon denies meanwhile.

A page token is bound to the marketplaces for which it was issued, so both are in the page of a window. If Amazon denies
a search and its answer names a marketplace, the window begins again without that marketplace. If the answer names none,
and is not about a data set either (`reading`), the marketplaces are read one after another, which shows the denied ones
and wastes no search. Each decision ends a page, so that a worker that is throttled or dies afterwards does not pay for
it again.
"""

import json
import re
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, replace

from plugins.amazon.marketplaces import DOMAINS, MARKETPLACES


@dataclass(frozen=True, slots=True)
class Place:
    """The place in a window at which the next page begins."""

    ids: tuple[str, ...] = ()  # the marketplaces to ask for; empty: all of the account
    token: str | None = None  # Amazon's, for the next page
    left: tuple[str, ...] = ()  # to be read one after another after this one
    denied: tuple[str, ...] = ()
    alone: bool = False  # whether they are read one after another
    read: bool = False  # whether one of those was read without a denial

    @classmethod
    def of(cls, page: str | None, ids: Sequence[str]) -> "Place":
        """The place from a window's page; a new window, or a token for all marketplaces, asks for `ids`."""
        if page is None or not page.startswith("{"):
            return cls(tuple(ids), page)
        fields = json.loads(page)
        for name in ("ids", "left", "denied"):
            fields[name] = tuple(fields[name])
        return cls(**fields)

    @property
    def page(self) -> str | None:
        """The place in the form in which the desk stores it; None if nothing is left to read."""
        if self.ids:
            return json.dumps(asdict(self))
        return None if self.alone else self.token

    def after(self, token: str | None) -> "Place":
        """The place after a page was read: the next page, or the next of the marketplaces that are read one after
        another.
        """
        done = replace(self, token=token, read=True)
        return done if token else done._next()

    def without(self, words: str, candidates: Sequence[str]) -> "Place | None":
        """The place after a denial with these words; None if everything is denied."""
        if self.alone:
            denied = replace(self, denied=(*self.denied, *self.ids))._next()
            return denied if denied.ids or denied.read else None
        if named := named_in(words, candidates):
            rest = tuple(id_ for id_ in candidates if id_ not in named)
            return Place(rest, denied=named) if rest else None
        if len(candidates) > 1:
            return Place((candidates[0],), left=tuple(candidates[1:]), alone=True)
        return None

    def _next(self) -> "Place":
        return replace(self, ids=self.left[:1], left=self.left[1:], token=None)

    @property
    def found(self) -> tuple[str, ...]:
        """The marketplaces that are certainly denied: Amazon named them, or another marketplace was read."""
        return self.denied if self.read or not self.alone else ()


def site_of(marketplace: str) -> str:
    """The name of a marketplace for people."""
    known = MARKETPLACES.get(marketplace)
    return known.name if known else marketplace


def named_in(words: str, candidates: Iterable[str]) -> tuple[str, ...]:
    """The marketplaces that the words of a denial name."""
    return tuple(id_ for id_ in candidates if _names(words, id_))


def _names(words: str, marketplace: str) -> bool:
    names = [marketplace, *([DOMAINS[marketplace]] if marketplace in DOMAINS else [])]
    words_of = "|".join(rf"(?<![\w-])(?:www\.)?{re.escape(name)}(?![\w-]|\.\w)" for name in names)
    return re.search(words_of, words, re.IGNORECASE) is not None

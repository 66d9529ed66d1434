"""In which marketplaces a window is read, and what Amazon denied on the way.

A page token holds on to the marketplaces that it was given for, so both travel together as the page of a window. Where
Amazon denies a search and its answer names the marketplace, the window begins again without that one. Where the answer
names none, and it is about no data set either (`reading`), the marketplaces are read one after another, which shows the
denied ones and costs no search that finds nothing out. Each decision ends a page: a worker that is throttled or dies
afterwards does not pay for it again.
"""

import json
import re
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, replace

from plugins.amazon.marketplaces import DOMAINS, MARKETPLACES


@dataclass(frozen=True, slots=True)
class Place:
    """Where in a window the next page begins."""

    ids: tuple[str, ...] = ()  # the marketplaces that are asked for; none: all of the account
    token: str | None = None  # Amazon's, for the next page
    left: tuple[str, ...] = ()  # to be read one after another once this one is done
    denied: tuple[str, ...] = ()
    alone: bool = False  # whether they are read one after another
    read: bool = False  # whether one of those was not denied

    @classmethod
    def of(cls, page: str | None, ids: Sequence[str]) -> "Place":
        """What a window's page says; its beginning, or a token for all marketplaces, is asked for in `ids`."""
        if page is None or not page.startswith("{"):
            return cls(tuple(ids), page)
        fields = json.loads(page)
        for name in ("ids", "left", "denied"):
            fields[name] = tuple(fields[name])
        return cls(**fields)

    @property
    def page(self) -> str | None:
        """As the desk keeps it; None where nothing is left to read."""
        if self.ids:
            return json.dumps(asdict(self))
        return None if self.alone else self.token

    def after(self, token: str | None) -> "Place":
        """Once a page was read: the next page, or the next of those that are read one after another."""
        done = replace(self, token=token, read=True)
        return done if token else done._next()

    def without(self, words: str, candidates: Sequence[str]) -> "Place | None":
        """After a denial in these words: what to ask instead; None where it is denied everywhere."""
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
        """The marketplaces that are known to be denied: once another was read, or Amazon named them."""
        return self.denied if self.read or not self.alone else ()


def site_of(marketplace: str) -> str:
    """How people call a marketplace."""
    known = MARKETPLACES.get(marketplace)
    return known.name if known else marketplace


def named_in(words: str, candidates: Iterable[str]) -> tuple[str, ...]:
    """The marketplaces that a denial in these words names."""
    return tuple(id_ for id_ in candidates if _names(words, id_))


def _names(words: str, marketplace: str) -> bool:
    names = [marketplace, *([DOMAINS[marketplace]] if marketplace in DOMAINS else [])]
    words_of = "|".join(rf"(?<![\w-])(?:www\.)?{re.escape(name)}(?![\w-]|\.\w)" for name in names)
    return re.search(words_of, words, re.IGNORECASE) is not None

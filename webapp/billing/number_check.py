"""Whether the numbers of issued documents are without gaps and in the order in which the documents were issued."""

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import func, select

from webapp.audit.actor import Actor
from webapp.billing.contract import DocumentKind
from webapp.billing.models import CreditMemo, Invoice
from webapp.billing.number_settings import Form, every_sequence, kind_of
from webapp.channels.models import NumberSequence, Shop
from webapp.db import db

# The documents of each kind, in the order of their issue: a credit memo has its id before it has its number.
_ISSUED: dict[DocumentKind, tuple[type[Any], Sequence[Any]]] = {
    DocumentKind.INVOICE: (Invoice, [Invoice.id]),
    DocumentKind.CREDIT_MEMO: (
        CreditMemo,
        [CreditMemo.issued_at, func.length(CreditMemo.number), CreditMemo.number],
    ),
}
_NUMBER = re.compile(r"(.*?)([0-9]+)", re.DOTALL | re.ASCII)
_AT_ONCE = 5_000


class Problem(StrEnum):
    """What is wrong with the numbers of a sequence."""

    GAP = "gap"  # numbers are missing before this one
    AGAIN = "again"  # the number does not follow the one before it
    OLDER = "older"  # the document was issued before the one with the number before it
    AHEAD = "ahead"  # the sequence goes on with a number that does not follow the last document


@dataclass(frozen=True, slots=True)
class Flaw:
    """A problem at a document's number; at the number that the sequence would give next for `AHEAD`."""

    problem: Problem
    number: str
    before: str  # the number before it; empty if it is the first


@dataclass(frozen=True, slots=True)
class Checked:
    """The numbers of one kind of document of one shop."""

    shop: str
    kind: DocumentKind
    documents: int
    first: str
    last: str
    flaws: list[Flaw]


def check_numbers(actor: Actor) -> list[Checked]:
    """Every sequence of documents, by shop and kind; those without a document too, once a number was drawn."""
    actor.needs("orders.view")
    sequences = (
        select(NumberSequence, Shop.name)
        .join(Shop, Shop.id == NumberSequence.shop_id)
        .where(NumberSequence.kind.in_([kind.value for kind in DocumentKind]))
        .order_by(Shop.name, NumberSequence.kind)
    )
    found = db.session.execute(sequences).all()
    return [_checked(sequence, shop) for sequence, shop in found if actor.serves([sequence.shop_id])]


def _checked(sequence: NumberSequence, shop: str) -> Checked:
    kind = DocumentKind(sequence.kind)
    model, in_order = _ISSUED[kind]
    query = select(model.number, model.issued_at).where(model.shop_id == sequence.shop_id, model.number.is_not(None))
    ever = [row for row in every_sequence([sequence.shop_id]) if kind_of(row) == kind]
    reading = _Reading([Form(row.prefix, row.yearly) for row in ever])
    for number, issued_at in db.session.execute(query.order_by(*in_order).execution_options(yield_per=_AT_ONCE)):
        reading.take(number, issued_at)
    year = f"{sequence.year}-" if sequence.year is not None else ""
    coming = f"{sequence.prefix}{year}{sequence.next:0{sequence.padding}d}"
    flaws = [*reading.flaws, *reading.ahead(coming)]
    return Checked(shop, kind, reading.count, reading.first, reading.last, flaws)


class _Reading:
    """The documents of a shop in the order of their issue. Each prefix it ever had, and each year of these, counts from
    1 by itself: a shop may return to an earlier prefix, whose sequence goes on.
    """

    def __init__(self, forms: Iterable[Form]) -> None:
        self._patterns = [
            re.compile(rf"({re.escape(form.prefix)}{'[0-9]{4}-' if form.yearly else ''})([0-9]+)") for form in forms
        ]
        self._lasts: dict[str, tuple[int, str]] = {}  # the last count by prefix, with its number
        self.count, self.first, self.last = 0, "", ""
        self.flaws: list[Flaw] = []
        self._at: datetime | None = None

    def take(self, number: str, issued_at: datetime) -> None:
        self.flaws += self._between(number)
        if self._at is not None and issued_at < self._at:
            self.flaws.append(Flaw(Problem.OLDER, number, self.last))
        prefix, count = self._parts(number)
        self._lasts[prefix] = count, number
        self.count, self.first = self.count + 1, self.first or number
        self.last, self._at = number, issued_at

    def ahead(self, coming: str) -> Iterator[Flaw]:
        """The flaw if the sequence goes on with another number than the next one."""
        for flaw in self._between(coming):
            yield Flaw(Problem.AHEAD, coming, flaw.before)

    def _between(self, number: str) -> Iterator[Flaw]:
        prefix, count = self._parts(number)
        last, before = self._lasts.get(prefix, (0, ""))
        if count != last + 1:
            yield Flaw(Problem.GAP if count > last + 1 else Problem.AGAIN, number, before)

    def _parts(self, number: str) -> tuple[str, int]:
        """The prefix of a number, which may itself end in a digit, with its year if it has one, and the count behind
        it.
        """
        matches = (pattern.fullmatch(number) for pattern in (*self._patterns, _NUMBER))
        found = next(filter(None, matches), None)
        return (found[1], int(found[2])) if found else (number, 0)

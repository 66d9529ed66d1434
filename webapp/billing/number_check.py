"""Whether the numbers of issued documents are without gaps and in the order in which the documents were issued."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import func, select

from webapp.audit.actor import Actor
from webapp.billing.contract import DocumentKind
from webapp.billing.models import CreditMemo, Invoice
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
    reading = _Reading(sequence.prefix)
    for number, issued_at in db.session.execute(query.order_by(*in_order).execution_options(yield_per=_AT_ONCE)):
        reading.take(number, issued_at)
    coming = f"{sequence.prefix}{sequence.next:0{sequence.padding}d}"
    flaws = [*reading.flaws, *reading.ahead(coming)]
    return Checked(shop, kind, reading.count, reading.first, reading.last, flaws)


class _Reading:
    """The documents of a sequence in the order of their issue. A new prefix may begin again at 1, as each year does."""

    def __init__(self, prefix: str) -> None:
        self._prefix = prefix
        self.count, self.first, self.last = 0, "", ""
        self.flaws: list[Flaw] = []
        self._at: datetime | None = None

    def take(self, number: str, issued_at: datetime) -> None:
        self.flaws += self._between(number)
        if self._at is not None and issued_at < self._at:
            self.flaws.append(Flaw(Problem.OLDER, number, self.last))
        self.count, self.first = self.count + 1, self.first or number
        self.last, self._at = number, issued_at

    def ahead(self, coming: str) -> Iterator[Flaw]:
        """The flaw if the sequence goes on with another number than the next one."""
        if list(self._between(coming)):
            yield Flaw(Problem.AHEAD, coming, self.last)

    def _between(self, number: str) -> Iterator[Flaw]:
        prefix, count = self._parts(number)
        before, last = self._parts(self.last) if self.last else (prefix, 0)
        if count == last + 1 or (prefix != before and count == 1):
            return
        yield Flaw(Problem.GAP if count > last + 1 else Problem.AGAIN, number, self.last)

    def _parts(self, number: str) -> tuple[str, int]:
        """The prefix of a number, which may itself end in a digit, and the count behind it."""
        rest = number.removeprefix(self._prefix)
        if rest != number and rest.isascii() and rest.isdigit():
            return self._prefix, int(rest)
        found = _NUMBER.fullmatch(number)
        return (found[1], int(found[2])) if found else (number, 0)

"""Comparing what a channel refunded with what a credit memo refunds, by SKU and component, without fees.

An amount is the one that was asked for if it is within one minor unit for each unit, or differs in its tax alone:
channels compute taxes themselves, and tell a tax within prices in either way. Where the memo knows no tax, its price is
taken apart as the channel's accounts took the buyer's payment apart. Nothing here writes anything.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from webapp.billing.models import CreditMemo, Transaction
from webapp.billing.refundable import goods
from webapp.billing.remaining import share
from webapp.orders.amounts import NOTHING
from webapp.orders.contract import Amount
from webapp.orders.models import Order

Key = tuple[str, str]  # a SKU, empty for the order itself, and a component


@dataclass(frozen=True, slots=True)
class Piece:
    """What the buyer got back of one SKU and component. `line` is the channel's number of the line, if it told one."""

    line: str
    sku: str
    component: str
    units: int
    amount: Amount

    @property
    def key(self) -> Key:
        return self.sku, self.component


class Sum(NamedTuple):
    """The amount of a key, and the units that it is of."""

    amount: Amount = NOTHING
    units: int = 0


Sums = Mapping[Key, Sum]


@dataclass(frozen=True, slots=True)
class Verdict:
    """What transactions have to do with a credit memo: nothing unless they `touch` it. It is `proven` if the buyer got
    at least what it refunds; `rest` is what they got beyond that.
    """

    touch: bool
    proven: bool
    rest: list[Piece] = field(default_factory=list)


def pieces_of(transaction: Transaction, order: Order) -> list[Piece]:
    """What the buyer got by a transaction: its parts with their signs turned, or its total without fees if it has no
    parts.
    """
    skus = {line.channel_line_number: line.sku for line in order.lines}
    found = [
        Piece(number, skus.get(number, sku), component, abs(units), Amount(-charged, -tax, -discount))
        for number, sku, component, units, charged, tax, discount in transaction.parts
    ]
    if not found and transaction.total_minor != transaction.fees_minor:
        found = [Piece("", "", "item", 0, Amount(transaction.fees_minor - transaction.total_minor))]
    return found


def pieces_of_memo(memo: CreditMemo, paid: Mapping[Key, Amount]) -> list[Piece]:
    """What the buyer is to get by a credit memo of an order that was `paid` so."""
    return [
        Piece(
            "",
            line.sku,
            line.component,
            line.units,
            _apart(line.figures, paid.get((line.sku, line.component), NOTHING)),
        )
        for line in memo.lines
    ]


def paid_by(payments: Iterable[Transaction]) -> dict[Key, Amount]:
    """What these transactions say that the buyer paid."""
    found: dict[Key, Amount] = {}
    for payment in payments:
        for _number, sku, component, _units, *figures in payment.parts:
            found[sku, component] = found.get((sku, component), NOTHING).plus(Amount(*figures))
    return found


def _apart(amount: Amount, paid: Amount) -> Amount:
    """The amount with the tax within it, in proportion to what was paid, if it tells none and the payment does."""
    known = not amount.tax and paid.tax > 0 and 0 < amount.net <= paid.net
    return exactly(paid, amount.net) if known else amount


def weigh(wanted: Iterable[Piece], before: Iterable[Piece], got: Iterable[Piece]) -> Verdict:
    """Compare what a memo refunds, less what was refunded `before`, with what the buyer got now."""
    wanted, before, got = list(wanted), list(before), list(got)
    spread = {piece.component for piece in (*wanted, *before, *got) if not piece.sku}
    want, had, now = (_summed(pieces, spread) for pieces in (wanted, before, got))
    left = {key: _less(want[key], had.get(key, Sum())) for key in want}
    touch = any(now[key].amount.net > 0 and left.get(key, Sum()).amount.net > 0 for key in now)
    rest: list[Piece] = []
    short = False
    for key in {**left, **now}:
        asked, given = left.get(key, Sum()), now.get(key, Sum())
        if is_same(asked, given):
            continue
        beyond = given.amount.net - asked.amount.net
        if beyond > 0:
            rest += _beyond(key, [piece for piece in got if _key(piece, spread) == key], given, beyond, asked.units)
        else:
            short = True
    return Verdict(touch, not short, rest)


def is_same(asked: Sum, given: Sum) -> bool:
    """Whether an amount is the one that was asked for, or differs in its tax alone."""
    near = max(1, asked.units)
    if not any(asked.amount) and not any(given.amount):
        return True
    in_all = abs(asked.amount.net - given.amount.net) <= near
    return in_all or (goods(asked.amount) > 0 and abs(goods(asked.amount) - goods(given.amount)) <= near)


def _key(piece: Piece, spread: set[str]) -> Key:
    return ("" if piece.component in spread else piece.sku), piece.component


def _summed(pieces: Iterable[Piece], spread: set[str]) -> dict[Key, Sum]:
    """The sums by key; a component of which anything has no SKU is summed over all of them."""
    found: dict[Key, Sum] = {}
    for piece in pieces:
        key = _key(piece, spread)
        amount, units = found.get(key, Sum())
        found[key] = Sum(amount.plus(piece.amount), units + piece.units)
    return found


def _less(want: Sum, had: Sum) -> Sum:
    """What is left of a sum; nothing if it was refunded already, in whole or but for its tax."""
    if is_same(want, had) or (had.amount.net > want.amount.net > 0):
        return Sum()
    return Sum(want.amount.minus(had.amount), max(0, want.units - had.units))


def _beyond(key: Key, pieces: list[Piece], given: Sum, beyond: int, units: int) -> list[Piece]:
    """What goes beyond what was asked for, of the pieces of one key: a share of each."""
    if given.amount.net <= 0 or any(piece.amount.net <= 0 for piece in pieces):
        line = pieces[0].line if len(pieces) == 1 else ""
        return [Piece(line, key[0], key[1], 0, Amount(beyond))]
    found, open_units = [], max(0, given.units - units)
    for piece in pieces:
        part = exactly(piece.amount, min(beyond, piece.amount.net))
        count = min(open_units, piece.units)
        beyond, open_units = beyond - part.net, open_units - count
        if part.net:
            found.append(Piece(piece.line, piece.sku, piece.component, count, part))
    return found


def exactly(amount: Amount, net: int) -> Amount:
    """So much of an amount, with its tax and discount in proportion; `net` is at most the whole."""
    part = share(amount, net, amount.net) if amount.net else NOTHING
    return part._replace(charged=part.charged + net - part.net)

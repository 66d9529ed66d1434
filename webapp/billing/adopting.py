"""Credit memos for refunds that were made elsewhere: on the channel's own page, or by the channel itself.

Such a refund has happened, so nothing limits it: what fits no line, or exceeds what a component has left, becomes a
line of no order line, which is in the order's own counter alone. The memo is issued at once and is only recorded here.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from webapp.audit.actor import Actor
from webapp.billing.memos import issue_memos
from webapp.billing.models import CreditMemo, CreditMemoLine, Purpose, Transaction
from webapp.billing.proofs import Piece, exactly, pieces_of
from webapp.billing.refund_words import BEYOND, words_of
from webapp.billing.remaining import read_amounts, share
from webapp.billing.transactions import NotAdoptable, UnknownTransaction, adopt_refusal
from webapp.channels.incoming import Component
from webapp.channels.refunds import Adjustment
from webapp.clock import now
from webapp.db import db
from webapp.orders.amounts import OWN, Place
from webapp.orders.contract import Amount, Origin
from webapp.orders.events import record
from webapp.orders.models import Order, OrderAmount, OrderLine
from webapp.orders.services import raise_attention


def adopt(order: Order, pieces: Sequence[Piece], *, actor: Actor) -> CreditMemo | None:
    """Issue a credit memo of what the buyer got elsewhere; None if that is nothing. The caller holds the order's lock
    and notes that the transaction is used.
    """
    total = sum(piece.amount.net for piece in pieces)
    if total <= 0:
        return None
    read_amounts([order])
    lines = [_line(position, one) for position, one in enumerate(_Room(order).placed(pieces), start=1)]
    memo = CreditMemo(
        order=order,
        shop_id=order.shop_id,
        purpose=Purpose.REFUND,
        origin=Origin.ELSEWHERE,
        record_only=True,
        terms={},
        reason="",
        recorded_at=now(),
        effective_at=now(),
        currency=order.currency or "",
        total_minor=total,
        actor_kind=actor.kind,
        actor_id=actor.id,
        lines=lines,
    )
    # The order's counter has all of it, so its ceiling rises: nothing is left to refund then.
    ceiling = sum(row.ceiling for row in order.amounts)
    reached = order.refunded_minor + order.refunding_minor + total
    order.refund_ceiling_minor = max(order.refund_ceiling_minor, ceiling, reached)
    db.session.add(memo)
    db.session.flush()
    issue_memos([memo], actor=actor)
    if any(not line.counted and line.component not in tuple(Adjustment) for line in lines):
        raise_attention(order, BEYOND.code, of=memo.id, number=memo.number)
    record(order, "refund_adopted", actor=actor, values=words_of(memo))
    return memo


def adopt_transaction(order: Order, transaction_id: int, *, actor: Actor) -> CreditMemo:
    """Record a transaction that is not adopted by itself, such as a claim, as a credit memo; a person says so. The
    caller holds the order's lock.
    """
    row = db.session.get(Transaction, transaction_id, populate_existing=True)
    if row is None or row.order_id != order.id:
        raise UnknownTransaction(name=transaction_id)
    if refusal := adopt_refusal(row, order):
        raise refusal
    memo = adopt(order, pieces_of(row, order), actor=actor)
    if memo is None:
        raise NotAdoptable
    row.memo_id, row.next_at = memo.id, None
    return memo


@dataclass(frozen=True, slots=True)
class _Placed:
    """A line of a credit memo: of an order line, or of the order itself, or of neither."""

    piece: Piece
    line: OrderLine | None
    units: int
    amount: Amount
    counted: bool


class _Room:
    """What an order's lines and amounts can still count as refunded."""

    def __init__(self, order: Order) -> None:
        self._order = order
        self._rows: dict[Place, OrderAmount] = {(row.line_id or OWN, row.component): row for row in order.amounts}
        self._left = {
            place: max(0, row.ceiling - row.refunded.net - row.pending.net) for place, row in self._rows.items()
        }
        self._units = {line.id: max(0, line.ordered - line.refunded - line.refunding) for line in order.lines}

    def placed(self, pieces: Sequence[Piece]) -> Iterator[_Placed]:
        """The lines of a credit memo."""
        for piece in pieces:
            amount, units = piece.amount, piece.units
            if amount.net <= 0 or piece.component in tuple(Adjustment):
                yield _Placed(piece, None, 0, amount, counted=False)
                continue
            for line in self._candidates(piece):
                place = (line.id if line else OWN), piece.component
                part = exactly(amount, min(amount.net, self._left.get(place, 0)))
                count = min(units, self._units[line.id]) if line and piece.component == Component.ITEM else 0
                if not part.net and not count:
                    continue
                yield _Placed(piece, line, count, self._as_told(place, part), counted=True)
                self._left[place] = self._left.get(place, 0) - part.net
                if line:
                    self._units[line.id] -= count
                amount, units = amount.minus(part), units - count
                if not amount.net:
                    break
            if amount.net:
                yield _Placed(piece, None, 0, amount, counted=False)

    def _candidates(self, piece: Piece) -> list[OrderLine | None]:
        """Where an amount can be: the line of the channel's number, else the lines of the SKU, of which one that has
        just this amount left comes first; else the order itself.
        """
        lines = self._order.lines
        found = [line for line in lines if piece.line and line.channel_line_number == piece.line]
        found = found or [line for line in lines if piece.sku and line.sku == piece.sku]
        if not piece.line and not piece.sku and len(lines) == 1:
            found = list(lines)
        if len(found) > 1:
            left = {line.id: self._left.get((line.id, piece.component), 0) for line in found}
            net = piece.amount.net
            found.sort(key=lambda line: (left[line.id] != net, left[line.id] < net, line.position))
        return [*found, *([None] if (OWN, piece.component) in self._rows else [])]

    def _as_told(self, place: Place, amount: Amount) -> Amount:
        """The amount as the channel tells those of the order: with its tax apart, or within the price."""
        row = self._rows.get(place)
        if row is None or bool(row.tax) == bool(amount.tax):
            return amount
        if not row.tax:
            return Amount(amount.charged + amount.tax, 0, amount.discount)
        told = share(row.figures, amount.net, row.net) if 0 < amount.net <= row.net else amount
        return told._replace(charged=told.charged + amount.net - told.net)


def _line(position: int, one: _Placed) -> CreditMemoLine:
    return CreditMemoLine(
        position=position,
        line_id=one.line.id if one.line else None,
        component=one.piece.component,
        sku=one.line.sku if one.line else one.piece.sku,
        title=one.line.title if one.line else "",
        units=one.units,
        restock=0,
        **one.amount._asdict(),
        tax_rate=None,
        counted=one.counted,
    )

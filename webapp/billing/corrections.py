"""Credit memos that correct invoices: what was invoiced and is not charged is taken back, and nothing is paid back.

By itself (`dues`), an order is corrected once more of its units is invoiced than is left of them, or more of an amount
than is paid: the excess follows from the order as it stands, never from what was told about it. By hand, an invoice
that was issued by mistake is taken back as a whole. A correction names one invoice and never takes more than is left of
it, the newest invoices first; so invoices less corrections are what `invoiced` counts.
"""

from collections.abc import Iterator, Mapping, Sequence

from webapp.audit.actor import Actor
from webapp.billing.attention import settle_if_paid
from webapp.billing.memos import issue_memos
from webapp.billing.models import CreditMemo, CreditMemoLine, Invoice, Purpose
from webapp.billing.queries import UnknownInvoice, invoices_of
from webapp.billing.remaining import amounts_of, is_overdrawn, read_amounts, share
from webapp.billing.standing import Left, Standing, standing_of, standing_of_orders
from webapp.clock import now
from webapp.db import db
from webapp.errors import Refusal
from webapp.i18n import lazy_gettext as _l
from webapp.orders.amounts import NOTHING, OWN, Place
from webapp.orders.contract import Amount, Origin
from webapp.orders.models import Order, OrderAmount, OrderLine
from webapp.orders.states import OrderState

Excess = Mapping[Place, tuple[int, Amount]]  # units, and the amount as the channel tells amounts


class NoInvoice(Refusal):
    """The order has no invoice."""

    code = "no_invoice"
    sentence = _l("This order has no invoice.")


class NothingToCorrect(Refusal):
    code = "nothing_to_correct"
    sentence = _l("A credit memo already corrects everything on this invoice.")


class RefundedNotCorrected(Refusal):
    """The buyer got back what the invoice charges: a correction would take it back twice."""

    code = "refunded_not_corrected"
    sentence = _l(
        "Part of this invoice is refunded or being refunded. The credit memo of that refund corrects the invoice."
    )


def excess_of(order: Order) -> Excess:
    """What is invoiced of an order, and neither ordered nor paid any more, by place.

    Where the channel lowered an amount, the excess is what is invoiced beyond it; where units were canceled and no
    amount of their line was lowered, it is their share, or all of a line that is wholly canceled. An amount of which
    something is refunded is left to people, unless units were canceled: the refund may be why it fell. What is
    refunded, or about to be, is never taken back once more.
    """
    rows = {(row.line_id or OWN, row.component): row for row in amounts_of(order)}
    lines = {line.id: line for line in order.lines}
    over = {line.id: units for line in order.lines if 0 < (units := line.invoiced - _kept(line)) <= _free_units(line)}
    gone = not any(map(_kept, order.lines))
    told = order.total_minor is not None or order.state == OrderState.CANCELED  # a withheld amount did not fall
    fallen = {place for place, row in rows.items() if told and is_overdrawn(row)}
    lowered = {line_id for line_id, _component in fallen}
    found: dict[Place, tuple[int, Amount]] = {}
    for place, row in rows.items():
        line = lines.get(place[0])
        units = over.get(place[0], 0)
        amount = NOTHING
        if gone or (line is not None and not _kept(line) and units == line.invoiced == _free_units(line)):
            amount = row.invoiced
        elif place in fallen:
            amount = _beyond(row) if units or not (any(row.refunded) or any(row.pending)) else NOTHING
        elif line is not None and units and line.id not in lowered:
            amount = share(row.invoiced, units, line.invoiced)
        if any(amount) and amount.net <= row.invoiced.net - row.refunded.net - row.pending.net:
            found[place] = (0, amount)
    for line_id, units in over.items():
        place = (line_id, "item")
        found[place] = (units, found.get(place, (0, NOTHING))[1])
    return found


def _kept(line: OrderLine) -> int:
    """The units of a line that are still sold."""
    return line.ordered - line.canceled - line.withdrawn


def _free_units(line: OrderLine) -> int:
    """The invoiced units that no refund has taken."""
    return line.invoiced - line.refunded - line.refunding


def _beyond(row: OrderAmount) -> Amount:
    """What is invoiced of an amount beyond what is paid."""
    return row.invoiced.minus(row.figures) if row.net >= 0 else row.invoiced


def correct(plans: Sequence[tuple[Order, Excess]], *, actor: Actor) -> list[CreditMemo]:
    """Take these excesses back; the caller holds the orders' locks. Issues one memo for each invoice concerned."""
    invoices = standing_of_orders([order.id for order, _excess in plans])
    memos = [memo for order, excess in plans for memo in _memos(order, excess, invoices.get(order.id, []), actor)]
    return _issue(memos, actor)


def correction_refusals(order: Order) -> dict[int, Refusal | None]:
    """By invoice, why it can't be taken back now; asked by the button and by `correct_invoice`."""
    return {standing.invoice.id: _refusal(order, standing) for standing in _standing_of(order)}


def _refusal(order: Order, standing: Standing) -> Refusal | None:
    if not standing.lines:
        return NothingToCorrect()
    rows = {(row.line_id or OWN, row.component): row for row in amounts_of(order)}
    lines = {line.id: line for line in order.lines}
    for place, left in standing.lines.items():
        row, line = rows.get(place), lines.get(place[0]) if left.units else None
        if (row and (any(row.refunded) or any(row.pending))) or (line and line.refunded + line.refunding):
            return RefundedNotCorrected()
    return None


def correct_invoice(order: Order, invoice_id: int, *, actor: Actor) -> CreditMemo:
    """Take back what is left of an invoice; its amounts can be invoiced again. The caller holds the order's lock."""
    standing = next((one for one in _standing_of(order) if one.invoice.id == invoice_id), None)
    if standing is None:
        raise UnknownInvoice(name=invoice_id)
    read_amounts([order])
    if refusal := _refusal(order, standing):
        raise refusal
    taken = [(left, left.units, left.figures) for left in standing.lines.values()]
    [memo] = _issue([_memo(order, standing.invoice, taken, actor)], actor)
    return memo


def _standing_of(order: Order) -> Sequence[Standing]:
    return standing_of(invoices_of(order)).get(order.id, [])


# --- The memos --------------------------------------------------------------------------------------------------------


def _memos(order: Order, excess: Excess, invoices: Sequence[Standing], actor: Actor) -> Iterator[CreditMemo]:
    """The memos that take an excess back, one for each invoice."""
    taken: dict[int, list[tuple[Left, int, Amount]]] = {}
    for place, (units, amount) in excess.items():
        with_it = [one for one in invoices if place in one.lines]
        for standing in with_it:
            left, last = standing.lines[place], standing is with_it[-1]
            some = units if last else min(units, left.units)
            told = amount if last or _is_within(left.as_told.net, amount.net) else left.as_told
            if some or any(told):
                taken.setdefault(standing.invoice.id, []).append((left, some, left.of(told)))
            units, amount = units - some, amount.minus(told)
    for standing in reversed(invoices):
        if standing.invoice.id in taken:
            yield _memo(order, standing.invoice, taken[standing.invoice.id], actor)


def _memo(order: Order, invoice: Invoice, taken: Sequence[tuple[Left, int, Amount]], actor: Actor) -> CreditMemo:
    ordered = sorted(taken, key=lambda one: one[0].line.position)
    return CreditMemo(
        order=order,
        shop_id=invoice.shop_id,
        purpose=Purpose.CORRECTION,
        origin=Origin.DESK,
        record_only=True,
        invoice=invoice,
        reason="",
        recorded_at=now(),
        currency=invoice.currency,
        total_minor=sum(figures.net for _left, _units, figures in ordered),
        actor_kind=actor.kind,
        actor_id=actor.id,
        terms={
            "prices_include_tax": bool(invoice.terms.get("prices_include_tax")),
            "notes": list(invoice.terms.get("notes", ())),
            "tax": dict(invoice.terms.get("tax", {})),
            "documents": [invoice.number],
        },
        lines=[
            CreditMemoLine(
                position=position,
                line_id=left.line.line_id,
                component=left.line.component,
                sku=left.line.sku,
                title=left.line.title,
                units=units,
                restock=0,
                **figures._asdict(),
                tax_rate=left.line.tax_rate,
                counted=True,
            )
            for position, (left, units, figures) in enumerate(ordered, start=1)
        ],
    )


def _issue(memos: Sequence[CreditMemo], actor: Actor) -> list[CreditMemo]:
    db.session.add_all(memos)
    db.session.flush()
    issue_memos(memos, actor=actor)
    settle_if_paid([memo.order for memo in memos])
    return list(memos)


def _is_within(whole: int, part: int) -> bool:
    return min(0, whole) <= part <= max(0, whole)

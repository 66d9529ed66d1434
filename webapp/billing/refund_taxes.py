"""Taxes of refunds. A credit memo takes the taxes of the invoices whose amounts it gives back, with their rates and
notes, whatever the shop's settings have become since. What is not invoiced takes them by the settings, as an invoice
would; only what nobody ever paid takes the rate of the order's invoices.

Where invoices took a tax out of a price, the refunds of that price credit it in the order of the invoices: never more
than was invoiced, and all of it once everything is refunded.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from sqlalchemy import func, select

from webapp.billing.models import CreditMemo, CreditMemoLine, MemoState, Purpose
from webapp.billing.remaining import Part, amounts_of
from webapp.billing.standing import Left, Standing, standing_of_orders
from webapp.billing.taxes import (
    TaxedPart,
    fitting_rate,
    share_of,
    taken_out,
    tax_within,
    taxed,
    taxed_country,
    taxes_of,
)
from webapp.db import among, db
from webapp.orders.amounts import OWN
from webapp.orders.models import OrderAmount


@dataclass(frozen=True, slots=True)
class RefundTaxes:
    """The lines of a credit memo with their taxes, and what it says of them. `included`: the taxes were taken out of
    prices that include them. `documents` are the numbers of the invoices that have one of its amounts.
    """

    lines: Sequence[TaxedPart]
    included: bool
    notes: Sequence[str]
    documents: Sequence[str] = ()


def refund_taxes(memos: Sequence[CreditMemo]) -> Iterator[RefundTaxes]:
    """The taxes of these refunds, one after the other: the caller counts each as refunded before it asks for the next.
    The amounts of their orders are read.
    """
    invoices = standing_of_orders([memo.order_id for memo in memos])
    credited = _credited([order_id for order_id, found in invoices.items() if any(map(_includes, found))])
    for memo in memos:
        standing = [one for one in reversed(invoices.get(memo.order_id, ())) if one.lines]
        yield _by_invoices(memo, standing, credited) if standing else _by_settings(memo)


def _by_settings(memo: CreditMemo) -> RefundTaxes:
    found = taxed(memo.order, parts_of(memo), counted="refunded")
    return RefundTaxes(found.lines, found.included, [found.note] if found.note else [])


def _by_invoices(
    memo: CreditMemo, standing: Sequence[Standing], credited: Counter[tuple[int, int, str]]
) -> RefundTaxes:
    parts, rows = parts_of(memo), {(row.line_id or OWN, row.component): row for row in amounts_of(memo.order)}
    places = {part.place for part in parts}
    concerned = [one for one in standing if places & one.lines.keys()]
    within = any(map(_includes, concerned or standing)) and not any(row.tax for row in rows.values())
    usual = next(filter(None, (rate for one in standing if _includes(one) for rate in _rates(one.lines.values()))), 0)
    declared = taxes_of(memo.order.shop, taxed_country(memo.order)).rates
    settled = taxed(memo.order, parts, counted="refunded")
    beyond = declared[0] if settled.included else 0
    lines, included, notes = [], False, [note for one in concerned for note in one.invoice.terms.get("notes", ())]
    for line, part, alone in zip(memo.lines, parts, settled.lines, strict=True):
        row, lefts = rows.get(part.place), [one.lines[part.place] for one in concerned if part.place in one.lines]
        if row is None or not any(part.amount):
            lines.append(TaxedPart(part, part.amount, None))
            continue
        by_settings = line.counted and not lefts
        included |= settled.included if by_settings else within
        if by_settings:
            lines.append(alone)
            notes += [settled.note] if settled.note else []
        elif not within:
            lines.append(TaxedPart(part, part.amount, fitting_rate(part, _rates(lefts) if lefts else declared)))
        elif not line.counted:  # beyond what was ever paid
            lines.append(taken_out(part, tax_within(part.amount.net, usual, 0), usual))
        else:
            place = (memo.order_id, *part.place)
            lines.append(_credited_of(part, row, lefts, credited[place], beyond))
            credited[place] += lines[-1].figures.tax
    return RefundTaxes(lines, included, list(dict.fromkeys(notes)), [one.invoice.number for one in concerned])


def _credited_of(part: Part, row: OrderAmount, lefts: Sequence[Left], credited: int, beyond: int) -> TaxedPart:
    """A part with the tax of the invoices over its amount, of which this much is credited already: what is missing to
    the tax of all that is refunded then. Where much is missing, since refunds were taken back or made before the
    invoices, the part takes no more than the highest rate of its amount.
    """
    since, paid = row.refunded.net, part.amount.net
    spans = list(_spans(lefts, beyond, since, since + paid))
    missing = sum(tax for _rate, tax in _spans(lefts, beyond, 0, since + paid)) - credited
    highest = max([beyond, *_rates(lefts)])
    tax = max(0, min(missing, tax_within(paid, highest, 0) + 1, paid))
    rates = {rate for rate, _tax in spans}
    rate = rates.pop() if len(rates) == 1 else None
    fits = rate is not None and abs(tax - tax_within(paid, rate, 0)) <= max(1, part.units)
    return taken_out(part, tax, rate if fits else None)


def _spans(lefts: Sequence[Left], beyond: int, since: int, upto: int) -> Iterator[tuple[int | None, int]]:
    """The rates and taxes of an amount from here to there of all that these lines of invoices charge, in their order;
    beyond them, at another rate.
    """
    for left in lefts:
        charged = max(0, left.as_told.net)
        first, last = (max(0, min(end, charged)) for end in (since, upto))
        if last > first:
            tax = left.figures.tax
            yield left.line.tax_rate, share_of(tax, last, charged) - share_of(tax, first, charged)
        since, upto = since - charged, upto - charged
    if upto > 0:
        since = max(0, since)
        yield beyond, tax_within(upto - since, beyond, since)


def _rates(lefts: Iterable[Left]) -> list[int]:
    """The rates of these lines of invoices, each once."""
    return list(dict.fromkeys(left.line.tax_rate for left in lefts if left.line.tax_rate is not None))


def _includes(standing: Standing) -> bool:
    return bool(standing.invoice.terms.get("prices_include_tax"))


def parts_of(memo: CreditMemo) -> list[Part]:
    """The lines of a memo, by the lines of its order."""
    by_id = {line.id: line for line in memo.order.lines}
    return [Part(by_id.get(line.line_id or 0), line.component, line.units, line.figures) for line in memo.lines]


def _credited(order_ids: Sequence[int]) -> Counter[tuple[int, int, str]]:
    """The tax that refunds, less those that were taken back, have credited, by order and place."""
    found: Counter[tuple[int, int, str]] = Counter()
    columns = CreditMemo.order_id, CreditMemoLine.line_id, CreditMemoLine.component
    query = select(*columns, func.sum(CreditMemoLine.tax)).join(CreditMemoLine.memo).group_by(*columns)
    query = query.where(among(CreditMemo.order_id, order_ids), CreditMemo.state == MemoState.ISSUED)
    query = query.where(CreditMemo.purpose.in_((Purpose.REFUND, Purpose.REVERSAL)), CreditMemoLine.counted)
    for order_id, line_id, component, tax in db.session.execute(query) if order_ids else ():
        found[order_id, line_id or OWN, component] = int(tax)
    return found

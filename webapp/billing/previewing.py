"""What a refund would do, in plain words, before it is recorded."""

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from webapp.accounts.services import refund_limit
from webapp.audit.actor import Actor
from webapp.billing.holding import REFUND_HOLD
from webapp.billing.memos import plan_of, refund_refusal
from webapp.billing.refundable import MemoPart, Refundable, Wish
from webapp.billing.transactions import are_told, late_by, without_memo
from webapp.channels.incoming import COMPONENT_LABELS, Component
from webapp.channels.refunds import ADJUSTMENT_LABELS, Adjustment, RefundPlan
from webapp.channels.services import channel_name
from webapp.clock import now
from webapp.i18n import LazyString, lazy_gettext as _l
from webapp.money import Money
from webapp.orders.contract import Preview
from webapp.orders.models import Order
from webapp.updates.queries import why_nothing_goes

Sentence = tuple[LazyString | str, Mapping[str, Any]]
_LABELS: Mapping[str, LazyString] = {
    str(code): label for code, label in (*COMPONENT_LABELS.items(), *ADJUSTMENT_LABELS.items())
}


def preview_refund(order: Order, wish: Wish, reason: str, *, actor: Actor) -> Preview:
    """What the buyer would get, of what, and when the channel is told. Raises what recording it would
    raise, but asks for no reason yet."""
    if refusal := refund_refusal(order, actor):
        raise refusal
    parts = Refundable(order).parts(wish)
    plan = plan_of(order, parts, reason)
    currency, channel = order.currency or "", channel_name(order.store.channel)
    total = Money(sum(part.amount.net for part in parts), currency)
    rows = [(label, Money(minor, currency)) for label, minor in _rows(parts)]
    sentences: list[Sentence] = [(_l("The buyer gets %(total)s."), {"total": total})]
    if plan is not None and plan.added:
        words = _l("This includes tax that %(channel)s adds: %(added)s.")
        sentences.append((words, {"channel": channel, "added": Money(plan.added, currency)}))
    sentences.append(_what_follows(order, total, plan, actor))
    sentences += _what_else(order)
    return Preview(amounts=(*rows, (_l("The buyer gets"), total)), sentences=sentences)


def _what_follows(order: Order, total: Money, plan: RefundPlan | None, actor: Actor) -> Sentence:
    """What becomes of the refund once it is recorded."""
    channel, limit = channel_name(order.store.channel), refund_limit(actor, total.currency)
    if limit is not None and total.minor > limit:
        words = _l("This refund is above your limit of %(limit)s. Another user must approve it.")
        return words, {"limit": Money(limit, total.currency)}
    if plan is None:
        words = _l(
            "The refund is only recorded in Waybill, because %(channel)s does not accept refunds from Waybill. "
            "Refund the buyer on %(channel)s."
        )
        return words, {"channel": channel}
    if (stopped := why_nothing_goes(order.store)) is not None:
        return stopped, {}
    if held := REFUND_HOLD.of(order.store):
        words = _l("The refund is sent to %(channel)s at %(goes)s at the earliest. You can undo it until then.")
        return words, {"channel": channel, "goes": now() + timedelta(seconds=held)}
    return _l("The refund is sent to %(channel)s immediately and can't be undone."), {"channel": channel}


def _what_else(order: Order) -> list[Sentence]:
    """What the channel's accounts show of other refunds of the order, and what they may not show yet."""
    if not are_told(order):
        return []
    channel, currency = channel_name(order.store.channel), order.currency or ""
    found: list[Sentence] = []
    if loose := sum(without_memo(order)):
        words = _l("The accounts on %(channel)s show refunds of %(amount)s without a credit memo. See the Refunds tab.")
        found.append((words, {"channel": channel, "amount": Money(loose, currency)}))
    if hours := round(late_by(order).total_seconds() / 3600):
        words = _l("Refunds made elsewhere in the last %(hours)s hours may not be shown here yet.")
        found.append((words, {"hours": hours}))
    return found


def _rows(parts: list[MemoPart]) -> list[tuple[LazyString, int]]:
    """What is refunded by component, then the tax."""
    sums = {str(code): 0 for code in (*Component, *Adjustment)}
    for part in parts:
        sums[part.component] += part.amount.charged - part.amount.discount
    rows: list[tuple[LazyString, int]] = [(label, sums[code]) for code, label in _LABELS.items() if sums[code]]
    tax = sum(part.amount.tax for part in parts)
    return [*rows, (_l("Tax"), tax)] if tax else rows

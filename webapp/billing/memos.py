"""Credit memos: recording what a buyer gets back, deciding about proposals, issuing, and taking back.

A recorded memo has no number, and its amounts are pending; nothing else can refund them meanwhile. It is issued, with
the next number of its shop, once the channel accepted it, or at once if it is only recorded here. How it goes out is in
`refund_updates`; what is left to refund is in `refundable`.
"""

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any

from sqlalchemy import select

from webapp.accounts.services import REFUNDING, refund_limit
from webapp.audit.actor import Actor
from webapp.audit.rights import right_label
from webapp.billing.contract import DocumentIssued, DocumentKind
from webapp.billing.holding import REFUND_HOLD
from webapp.billing.kept_buyers import keep, keep_of_invoices
from webapp.billing.models import CreditMemo, CreditMemoLine, MemoState, Purpose
from webapp.billing.numbering import draw_numbers, hold_sequences
from webapp.billing.queries import UnknownMemo, memos_of
from webapp.billing.refund_taxes import RefundTaxes, parts_of, refund_taxes
from webapp.billing.refund_words import BEYOND, PARTLY, PROPOSED, REFUND, words_of
from webapp.billing.refundable import MemoPart, Refundable, Wish, refundable_units
from webapp.billing.remaining import read_amounts
from webapp.billing.services import NotPaid, TotalWithheld, seller_of, snapshots_of
from webapp.billing.tax_schemes import TaxTold, told_of
from webapp.billing.terms import memo_terms
from webapp.channels.contract import Channel
from webapp.channels.described import refund_reasons
from webapp.channels.incoming import ChannelStage, Component, FulfilledBy
from webapp.channels.refunds import RefundAmount, RefundPlan, RefundRequest
from webapp.channels.registered import channels
from webapp.channels.services import ChannelLeftOut, channel_name, get_channel
from webapp.clock import iso, now
from webapp.db import db
from webapp.errors import Forbidden, Invalid, Refusal
from webapp.hooks.failures import NotTaken
from webapp.hooks.fence import ask
from webapp.i18n import lazy_gettext as _l
from webapp.jobs.telling import tell
from webapp.money import Money
from webapp.orders.amounts import OWN, Place
from webapp.orders.contract import Amount, Origin
from webapp.orders.events import record, record_all
from webapp.orders.models import Order, OrderLine
from webapp.orders.services import (
    ManagedAtChannel,
    comment as add_comment,
    raise_attention,
    settle_attention,
    settle_state,
)
from webapp.orders.states import OrderState
from webapp.updates import deciding
from webapp.updates.contract import Owing
from webapp.updates.kinds import carried
from webapp.updates.models import ChannelUpdate
from webapp.updates.owing import owe
from webapp.updates.queries import any_waiting, why_nothing_goes


class NotOursToRefund(Refusal):
    """The channel ships the order from its own warehouse, and refunds it."""

    code = "not_ours_to_refund"
    sentence = _l("%(channel)s itself ships and refunds this order. Contact the seller support on %(channel)s.")


class CanceledNotRefunded(Refusal):
    code = "canceled_not_refunded"
    sentence = _l("This order is canceled: the buyer was not charged.")


class CancelInstead(Refusal):
    """Nothing has shipped."""

    code = "cancel_instead"
    sentence = _l("This order has not shipped. Cancel it instead: the buyer is not charged.")


class NothingToRefund(Refusal):
    code = "nothing_to_refund"
    sentence = _l("This order is completely refunded, or its refunds are in progress.")


class CancelRest(Refusal):
    """Of what has shipped, nothing is left to refund, or it was free; the rest has not shipped."""

    code = "cancel_rest"
    sentence = _l(
        "The shipped units have nothing left to refund. Cancel the remaining units: the buyer is not charged for them."
    )


class NoSuchProposal(Refusal):
    code = "no_such_proposal"
    sentence = _l("A decision on this refund was already made.")


class OwnProposal(Refusal):
    """Whoever proposed a refund can't approve it."""

    code = "own_proposal"
    sentence = _l("You proposed this refund. Another user must approve or decline it.")


class AboveOwnLimit(Refusal):
    code = "above_own_limit"
    sentence = _l("This refund is above your limit of %(limit)s. A user with a higher limit must approve it.")


class NothingProposed(Refusal):
    """The order has no refund that somebody has to decide about."""

    code = "nothing_proposed"
    sentence = _l("This order has no refund that waits for approval.")


class NoCreditMemo(Refusal):
    """The order has no issued credit memo."""

    code = "no_credit_memo"
    sentence = _l("This order has no issued credit memo.")


class NotUndoableRefund(Refusal):
    code = "no_refund_to_undo"
    sentence = _l("This order has no refund that can be undone.")


class NotReversible(Refusal):
    """Only a refund that no channel was told of can be taken back."""

    code = "not_reversible"
    sentence = _l("This refund was already sent to the channel, so its credit memo can't be reversed here.")


class CorrectionStays(Refusal):
    code = "correction_stays"
    sentence = _l("This credit memo corrects an invoice. Invoice the order again instead.")


class ShownInAccounts(Refusal):
    """The buyer has the money."""

    code = "memo_in_accounts"
    sentence = _l("The channel's accounts show this refund, so its credit memo can't be reversed.")


class PlanOutdated(Refusal):
    """The channel can be told of refunds now, or not any more."""

    code = "plan_outdated"
    sentence = _l("The channel no longer accepts this refund as it was proposed. Decline it and create a new refund.")


class Reversed(Refusal):
    code = "memo_reversed"
    sentence = _l("This credit memo is already reversed.")


def refund_refusal(order: Order, actor: Actor) -> Refusal | None:
    """Why nothing of the order can be refunded now; asked by the button and by `record_refunds`."""
    if order.store.channel not in channels():
        return ChannelLeftOut(channel=order.store.channel)
    channel, stage = channel_name(order.store.channel), order.channel_order.stage
    if order.managed_at_channel:
        return ManagedAtChannel()
    if order.fulfilled_by == FulfilledBy.CHANNEL:
        return NotOursToRefund(channel=channel)
    shipped = any(line.shipped for line in order.lines)
    if not shipped and (order.state == OrderState.CANCELED or stage == ChannelStage.CANCELED):
        return CanceledNotRefunded()
    if order.state == OrderState.PENDING or stage == ChannelStage.AWAITING_PAYMENT:
        return NotPaid()
    if order.total_minor is None or order.currency is None:
        return TotalWithheld(channel=channel)
    if not shipped:
        return CancelInstead()
    opened, taken = any(line.open for line in order.lines), order.refunded_minor + order.refunding_minor
    with_units = [line for line in order.lines if refundable_units(line)]
    if with_units and ((taken < order.total_minor and not opened) or (not taken and any(map(_costs, with_units)))):
        return None  # most often: no amount has to be read
    if Refundable(order):
        return None
    return CancelRest() if opened else NothingToRefund()


def _costs(line: OrderLine) -> bool:
    return (line.total_minor or 0) > 0


def is_record_only(order: Order) -> bool:
    """Whether the order's channel can't be told of refunds: its credit memos are only recorded here."""
    return REFUND not in carried(order.store)


def record_refund(order: Order, wish: Wish, reason: str, *, comment: str = "", actor: Actor) -> CreditMemo:
    """Record one refund: see `record_refunds`."""
    return record_refunds([order], wish, reason, comment=comment, actor=actor)[0]


def record_refunds(
    orders: Sequence[Order], wish: Wish, reason: str, *, comment: str = "", actor: Actor
) -> list[CreditMemo]:
    """Record a refund of each of these orders; the caller holds the orders' locks. What is above the actor's limit is
    a proposal; the channel is owed the others, or they are issued at once where it can't be told.

    Raises the refusal of `refund_refusal`, or an error of the reason, the lines or the amounts; then nothing is
    recorded.
    """
    read_amounts(orders)
    limits = {currency: refund_limit(actor, currency) for currency in {order.currency or "" for order in orders}}
    made = [_planned(order, wish, reason, limits[order.currency or ""], actor) for order in orders]
    db.session.add_all(made)
    for order, memo in zip(orders, made, strict=True):
        _reserve(order, memo)
    db.session.flush()
    for order, memo in zip(orders, made, strict=True):
        if memo.state == MemoState.PROPOSED:
            raise_attention(order, PROPOSED.code, of=memo.id)
            record(order, "refund_proposed", actor=actor, values=words_of(memo))
    _send([(order, memo) for order, memo in zip(orders, made, strict=True) if memo.state != MemoState.PROPOSED], actor)
    if comment.strip():
        for order in orders:  # after the refund, whose event says what the act did
            add_comment(order, comment, actor=actor)
    return made


def plan_of(order: Order, parts: Sequence[MemoPart], reason: str) -> RefundPlan | None:
    """How the order's channel would carry a memo; None if it can't be told. Raises its `Refusal`, or `PluginFailed`."""
    if is_record_only(order):
        return None
    channel = get_channel(order.store.channel)
    numbers = {line.id: line.channel_line_number for line in order.lines}
    paid = {line.channel_line_number: 0 for line in order.lines if line.shipped}
    for row in order.amounts:
        if numbers.get(row.line_id or OWN) in paid and row.component == Component.ITEM:
            paid[numbers[row.line_id or OWN]] = max(0, row.net)
    request = RefundRequest(
        order_number=order.channel_order_number,
        marketplace=order.marketplace,
        currency=order.currency or "",
        reason=reason,
        amounts=tuple(
            RefundAmount(numbers[part.line.id] if part.line else "", part.component, *part.amount)
            for part in parts
            if any(part.amount)
        ),
        lines=paid,
    )
    return ask(channel, "refund", _checked_plan, channel, request, gives=RefundPlan, raises=Refusal)


def _checked_plan(channel: Channel, request: RefundRequest) -> RefundPlan:
    plan, total = channel.refund_plan(request), sum(amount.net for amount in request.amounts)
    if plan.total != total:
        raise NotTaken(f"its plan comes to {plan.total}, and the refund to {total}")
    return plan


def decide_refusal(memo: CreditMemo, actor: Actor, *, approve: bool) -> Refusal | None:
    """Why the actor can't decide about a proposal now. Whoever made it may withdraw it, and not approve it."""
    if memo.state != MemoState.PROPOSED:
        return NoSuchProposal()
    if not approve:
        return None
    if actor.kind == memo.actor_kind and actor.id == memo.actor_id:
        return OwnProposal()
    limit = refund_limit(actor, memo.currency)
    if limit is not None and memo.total_minor > limit:
        return AboveOwnLimit(limit=f"{Money(limit, memo.currency)} {memo.currency}")
    return None


def decisions(memo: CreditMemo, actor: Actor) -> dict[str, Refusal | Forbidden | None]:
    """By the code of each act that decides about a proposal, why the actor can't do it now."""
    if not actor.may(REFUNDING):
        return dict.fromkeys(("approve_refund", "decline_refund"), Forbidden(right=right_label(REFUNDING)))
    return {
        "approve_refund": decide_refusal(memo, actor, approve=True),
        "decline_refund": decide_refusal(memo, actor, approve=False),
    }


def decision_refusals(order: Order, actor: Actor, *, approve: bool) -> dict[int, Refusal | None]:
    """By the id of each proposal of the order, why the actor can't decide about it now, or None."""
    proposed = [memo for memo in memos_of(order) if memo.state == MemoState.PROPOSED]
    return {memo.id: decide_refusal(memo, actor, approve=approve) for memo in proposed}


def approve_refund(order: Order, memo_id: int, *, actor: Actor) -> None:
    """Approve a proposal: it goes out, or is issued at once where the channel can't be told. The caller holds the
    order's lock.
    """
    memo = _proposal(order, memo_id, actor, approve=True)
    if is_record_only(order) != memo.record_only:
        raise PlanOutdated
    memo.state, memo.decided_by_id = MemoState.RECORDED, actor.id
    settle_attention(order, PROPOSED.code, of=memo.id)
    record(order, "refund_approved", actor=actor, values=words_of(memo))
    _send([(order, memo)], actor)


def decline_refund(order: Order, memo_id: int, *, actor: Actor) -> None:
    """Decline a proposal: its amounts are free again. The caller holds the order's lock."""
    memo = _proposal(order, memo_id, actor, approve=False)
    memo.decided_by_id = actor.id
    release(memo, MemoState.WITHDRAWN)
    settle_attention(order, PROPOSED.code, of=memo.id)
    record(order, "refund_declined", actor=actor, values=words_of(memo))


def undo_refund_refusal(order: Order, actor: Actor) -> Refusal | None:
    """Why no refund of the order can be undone now; asked by the button and by `undo_refund`."""
    found = under_way(order)
    return deciding.undo_refusal(found[-1][1]) if found else NotUndoableRefund()


def undo_refund(order: Order, *, since: int = 0, until: int | None = None, actor: Actor) -> None:
    """Undo the order's latest refund before it leaves, or that of an act which raised the order's version from `since`
    to `until`. The caller holds the order's lock.
    """
    found = [update for _memo, update in under_way(order) if until is None or since < update.order_version <= until]
    if not found:
        raise NotUndoableRefund
    deciding.undo(found[-1], actor=actor)


def any_refund_undoable(order_ids: Sequence[int]) -> bool:
    """Whether a refund of one of these orders certainly has not left."""
    return any_waiting(REFUND, order_ids)


def under_way(order: Order) -> list[tuple[CreditMemo, ChannelUpdate]]:
    """The order's refunds that are not issued yet, with the updates that carry them, oldest first."""
    if not order.refunding_minor:
        return []
    query = (
        select(CreditMemo, ChannelUpdate)
        .join(ChannelUpdate, ChannelUpdate.source_id == CreditMemo.id)
        .where(ChannelUpdate.kind == REFUND, ChannelUpdate.order_id == order.id)
        .where(CreditMemo.order_id == order.id, CreditMemo.state == MemoState.RECORDED)
        .order_by(CreditMemo.id)
    )
    return [(memo, update) for memo, update in db.session.execute(query)]


def issue_memos(memos: Sequence[CreditMemo], *, actor: Actor) -> None:
    """Issue recorded memos with the next numbers of their shops: what was pending is refunded. The caller holds the
    locks of their orders.
    """
    read_amounts([memo.order for memo in memos])
    refunds = [memo for memo in memos if memo.purpose == Purpose.REFUND]  # the others take their terms from a document
    taxes, told = refund_taxes(refunds), iter(told_of([parts_of(memo) for memo in refunds]))
    for memo in memos:
        if memo.purpose == Purpose.REFUND:
            if memo.origin == Origin.DESK:
                _move_pending(memo, -1)
            _tax(memo, next(taxes), next(told))
        _count(memo)
        settle_state(memo.order)
    db.session.flush()
    sealed = snapshots_of([memo.order for memo in memos])
    shop_ids = [memo.shop_id for memo in memos]
    at = hold_sequences(DocumentKind.CREDIT_MEMO, shop_ids)  # under their locks: later numbers are not older
    for memo, number in zip(memos, draw_numbers(DocumentKind.CREDIT_MEMO, shop_ids, at), strict=True):
        memo.seller, memo.sealed = seller_of(memo.order), sealed.get(memo.order_id)
        memo.terms = dict(memo_terms(memo.order, at, memo.terms))
        memo.number, memo.issued_at, memo.state = number, at, MemoState.ISSUED
    db.session.flush()
    keep(memos)
    keep_of_invoices(memos)
    for code, is_correction in (("memo_issued", False), ("invoice_corrected", True)):
        some = [memo for memo in memos if (memo.purpose == Purpose.CORRECTION) is is_correction]
        if some:
            record_all([memo.order for memo in some], code, actor=actor, each=[words_of(memo) for memo in some])
    tell(
        "documents_issued",
        [DocumentIssued(memo.id, memo.order_id, DocumentKind.CREDIT_MEMO, memo.number or "") for memo in memos],
    )


def release(memo: CreditMemo, state: MemoState, *, problem: Mapping[str, Any] | None = None) -> None:
    """End a memo that was never issued: its amounts are free again. The caller holds the order's lock."""
    read_amounts([memo.order])
    _move_pending(memo, -1)
    memo.state, memo.ended_at = state, now()
    memo.problem = dict(problem) if problem else None
    db.session.flush()


def reverse_refusal(memo: CreditMemo) -> Refusal | None:
    """Why an issued memo can't be taken back by an opposite one."""
    if memo.purpose == Purpose.CORRECTION:
        return CorrectionStays()
    if memo.state != MemoState.ISSUED or memo.purpose == Purpose.REVERSAL or not memo.record_only:
        return NotReversible()
    if memo.effective_at is not None and memo.origin == Origin.DESK:
        return ShownInAccounts()
    return Reversed() if any(one.corrects_id == memo.id for one in memos_of(memo.order)) else None


def reversal_refusals(order: Order) -> dict[int, Refusal | None]:
    """By the id of each issued memo of the order, why it can't be taken back, or None."""
    issued = [memo for memo in memos_of(order) if memo.state == MemoState.ISSUED and memo.purpose != Purpose.REVERSAL]
    return {memo.id: reverse_refusal(memo) for memo in issued}


def reverse_memo(order: Order, memo_id: int, *, actor: Actor) -> CreditMemo:
    """Take back a memo that was only recorded here, by an opposite one: what it refunded can be refunded again. The
    caller holds the order's lock.
    """
    memo = memo_of(order, memo_id)
    if refusal := reverse_refusal(memo):
        raise refusal
    return issue_opposite(memo, actor=actor)


def issue_opposite(memo: CreditMemo, *, actor: Actor) -> CreditMemo:
    """Issue the opposite of an issued memo, of whatever kind. The caller holds the order's lock."""
    opposite = CreditMemo(
        order=memo.order,
        shop_id=memo.shop_id,
        purpose=Purpose.REVERSAL,
        origin=Origin.DESK,
        record_only=True,
        invoice_id=memo.invoice_id,
        corrects_id=memo.id,
        reason=memo.reason,
        recorded_at=now(),
        currency=memo.currency,
        total_minor=-memo.total_minor,
        actor_kind=actor.kind,
        actor_id=actor.id,
        terms={**memo.terms, "documents": [memo.number]},
        lines=[_opposite(line) for line in memo.lines],
    )
    db.session.add(opposite)
    db.session.flush()
    for trouble in (BEYOND, PARTLY):
        settle_attention(memo.order, trouble.code, of=memo.id)
    issue_memos([opposite], actor=actor)
    return opposite


def memo_of(order: Order, memo_id: int) -> CreditMemo:
    """The order's memo with this id; raises `UnknownMemo`."""
    memo = db.session.get(CreditMemo, memo_id, populate_existing=True)
    if memo is None or memo.order_id != order.id:
        raise UnknownMemo(name=memo_id)
    return memo


def _planned(order: Order, wish: Wish, reason: str, limit: int | None, actor: Actor) -> CreditMemo:
    if refusal := refund_refusal(order, actor):
        raise refusal
    known = [one.code for one in refund_reasons(order.store.channel, order.marketplace)]
    if reason not in known and (known or reason):
        channel, choices = channel_name(order.store.channel), ", ".join(known) or "—"
        problem = _l("Choose a reason that %(channel)s accepts: %(choices)s.", channel=channel, choices=choices)
        raise Invalid(field="reason", problem=problem)
    parts = Refundable(order).parts(wish)
    plan = plan_of(order, parts, reason)
    total, currency = sum(part.amount.net for part in parts), order.currency or ""
    return CreditMemo(
        order=order,
        shop_id=order.shop_id,
        purpose=Purpose.REFUND,
        state=MemoState.PROPOSED if limit is not None and total > limit else MemoState.RECORDED,
        origin=Origin.DESK,
        record_only=plan is None,
        terms={},
        reason=reason,
        plan={} if plan is None else {"parts": [list(_part) for _part in _plain(plan)], "added": plan.added},
        recorded_at=now(),
        currency=currency,
        total_minor=total,
        actor_kind=actor.kind,
        actor_id=actor.id,
        lines=[_line(position, part) for position, part in enumerate(parts, start=1)],
    )


def _plain(plan: RefundPlan) -> list[tuple[str, str, int]]:
    return [(part.line, part.code, part.amount) for part in plan.parts]


def _line(position: int, part: MemoPart) -> CreditMemoLine:
    return CreditMemoLine(
        position=position,
        line_id=part.line.id if part.line else None,
        component=part.component,
        sku=part.line.sku if part.line else "",
        title=part.line.title if part.line else "",
        units=part.units,
        restock=part.restock,
        **part.amount._asdict(),
        tax_rate=None,
        counted=part.counted,
    )


def _opposite(line: CreditMemoLine) -> CreditMemoLine:
    return CreditMemoLine(
        position=line.position,
        line_id=line.line_id,
        component=line.component,
        sku=line.sku,
        title=line.title,
        units=-line.units,
        restock=line.restock,
        charged=-line.charged,
        tax=-line.tax,
        discount=-line.discount,
        tax_rate=line.tax_rate,
        counted=line.counted,
    )


def _send(memos: Sequence[tuple[Order, CreditMemo]], actor: Actor) -> None:
    """Owe recorded memos to their channels, or issue those of which no channel is told."""
    owed = [(order, memo) for order, memo in memos if not memo.record_only]
    for order, memo in owed:
        held = REFUND_HOLD.of(order.store) if why_nothing_goes(order.store) is None else 0  # else it names no time
        goes = {"goes": iso(now() + timedelta(seconds=held))} if held else {}
        record(order, "refund_held" if held else "refund_asked", actor=actor, values=words_of(memo) | goes)
    if owed:
        owe(REFUND, [Owing(order, memo) for order, memo in owed])
    if only := [memo for _order, memo in memos if memo.record_only]:
        issue_memos(only, actor=actor)


def _proposal(order: Order, memo_id: int, actor: Actor, *, approve: bool) -> CreditMemo:
    memo = memo_of(order, memo_id)
    if refusal := decide_refusal(memo, actor, approve=approve):
        raise refusal
    return memo


# --- Counting, on rows that `read_amounts` has read ---------------------------------------------------------------


def _reserve(order: Order, memo: CreditMemo) -> None:
    """Count a memo as pending; the database refuses more than was ever paid."""
    order.refund_ceiling_minor = max(order.refund_ceiling_minor, sum(row.ceiling for row in order.amounts))
    _move_pending(memo, 1)


def _move_pending(memo: CreditMemo, sign: int) -> None:
    order = memo.order
    order.refunding_minor += sign * memo.total_minor
    for line, row, by_id in _counted(memo):
        if line.units:
            by_id[line.line_id].refunding += sign * line.units
        if row is not None:
            moved = _of_mirror(memo, line)
            row.pending = row.pending.plus(moved) if sign > 0 else row.pending.minus(moved)


def _count(memo: CreditMemo) -> None:
    """Count a memo as refunded. What is taken back counts below zero; a correction takes back what was invoiced."""
    if memo.purpose == Purpose.CORRECTION:
        _count_correction(memo)
        return
    memo.order.refunded_minor += memo.total_minor
    for line, row, by_id in _counted(memo):
        if line.units:
            by_id[line.line_id].refunded += line.units
        if row is not None:
            row.refunded = row.refunded.plus(_of_mirror(memo, line))


def _count_correction(memo: CreditMemo) -> None:
    """Count what a correction takes back as not invoiced."""
    for line, row, by_id in _counted(memo):
        if line.units:
            by_id[line.line_id].invoiced -= line.units
        if row is not None:
            row.invoiced = row.invoiced.minus(_of_mirror(memo, line))


def _counted(memo: CreditMemo) -> list[tuple[CreditMemoLine, Any, dict[Any, Any]]]:
    """The lines of a memo that count, each with its amount's row, if it has an amount; and the order's lines by id."""
    rows: dict[Place, Any] = {(row.line_id or OWN, row.component): row for row in memo.order.amounts}
    by_id = {line.id: line for line in memo.order.lines}
    return [
        (line, rows.get((line.line_id or OWN, line.component)) if any(line.figures) else None, by_id)
        for line in memo.lines
        if line.counted
    ]


def _tax(memo: CreditMemo, taxes: RefundTaxes, told: TaxTold) -> None:
    """Set the taxes of a memo's lines with their rates, and what it says of them."""
    for line, one in zip(memo.lines, taxes.lines, strict=True):
        line.charged, line.tax, line.discount = one.figures
        line.tax_rate = one.rate
    memo.terms = {
        "prices_include_tax": taxes.included,
        "notes": list(taxes.notes),
        "tax": told,
        "documents": list(taxes.documents),
    }


def _of_mirror(memo: CreditMemo, line: CreditMemoLine) -> Amount:
    """A line's figures as the channel tells amounts: without a tax that was taken out of its price."""
    if memo.terms.get("prices_include_tax"):
        return Amount(line.charged + line.tax, 0, line.discount)
    return line.figures

"""What an order's page shows of refunds: its credit memos, and what the channel's accounts say."""

from typing import Any, cast

from webapp.audit.actor import Actor
from webapp.billing.memos import decisions, reverse_refusal
from webapp.billing.models import CreditMemo, MemoState, Purpose, Transaction
from webapp.billing.refund_words import STATE_LABELS, STATE_TONES
from webapp.billing.transactions import adopt_refusal
from webapp.channels import described
from webapp.channels.transactions import TRANSACTION_LABELS, TransactionKind
from webapp.errors import sentence_of
from webapp.orders.contract import Origin
from webapp.orders.models import Order
from webapp.ui.forms.actions import document_acts
from webapp.ui.orders import shown

REFUND_ACT = "refund"


def shown_memo(order: Order, row: CreditMemo, actor: Actor, upload: dict[str, Any] | None) -> dict[str, Any]:
    """A credit memo with its lines, how far its upload is, and what can be done about it."""
    label = described.refund_reason_label
    offers = {**decisions(row, actor), "reverse_memo": reverse_refusal(row)}
    possible = [code for code, refusal in offers.items() if refusal is None]
    undecided = row.state == MemoState.PROPOSED and offers["approve_refund"]
    return {
        "id": row.id,
        "number": row.number,
        "state": STATE_LABELS[row.state],
        "tone": STATE_TONES[row.state],
        "reason": label(order.store.channel, order.marketplace, row.reason) if row.reason else "",
        "recorded_at": row.recorded_at,
        "issued_at": row.issued_at,
        "effective_at": row.effective_at,
        "by": shown.author_of(row, order.store),
        "record_only": row.record_only,
        "elsewhere": row.origin == Origin.ELSEWHERE,
        "corrects": row.invoice.number if row.purpose == Purpose.CORRECTION and row.invoice else "",
        "reversal": row.purpose == Purpose.REVERSAL,
        "problem": sentence_of(row.problem),
        "total": row.total,
        "upload": upload,
        "channel_total": row.channel_total,
        "lines": [shown.document_line(line, row.currency) for line in row.lines],
        "acts": document_acts(order, possible, {"memo": row.id}, actor, version=order.version),
        "why_not": str(undecided or ""),
    }


def shown_transaction(order: Order, row: Transaction, actor: Actor) -> dict[str, Any]:
    """What the channel's accounts say of the order, and what can be done about it."""
    codes = ["adopt_transaction"] if adopt_refusal(row, order) is None else []
    return {
        "kind": TRANSACTION_LABELS.get(cast(TransactionKind, row.kind), row.kind),
        "word": row.word,
        "status": row.status,
        "number": row.number,
        "posted_at": row.posted_at,
        "total": row.total,
        "fees": row.fees,
        "memos": [memo.number or "" for memo in (row.memo, row.rest) if memo is not None],
        "waits": row.next_at is not None,
        "acts": document_acts(order, codes, {"transaction": row.id}, actor, version=order.version),
    }

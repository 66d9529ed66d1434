"""What the timeline says of refunds, and the attention that they raise."""

from collections.abc import Mapping
from typing import Any

from webapp.billing.contract import DocumentKind
from webapp.billing.models import CreditMemo, MemoState
from webapp.i18n import LazyString, lazy_gettext as _l, lazy_pgettext
from webapp.money import Money
from webapp.orders.attention import AttentionKind
from webapp.orders.events import EventGroup, EventWords

REFUND = "refund"  # the kind of update
MEMO = DocumentKind.CREDIT_MEMO
STATE_LABELS: Mapping[str, LazyString] = {
    MemoState.PROPOSED: _l("Waiting for approval"),
    MemoState.RECORDED: _l("Pending"),
    MemoState.ISSUED: _l("Issued"),
    MemoState.WITHDRAWN: lazy_pgettext("refund", "Withdrawn"),
    MemoState.REFUSED: lazy_pgettext("refund", "Refused"),
}
STATE_TONES: Mapping[str, str] = {
    MemoState.PROPOSED: "warn",
    MemoState.RECORDED: "waits",
    MemoState.ISSUED: "good",
    MemoState.WITHDRAWN: "gone",
    MemoState.REFUSED: "bad",
}

REFUNDS = EventGroup("refunds", _l("Refunds"), 36)
WORDS = (
    EventWords("refund_asked", _l("Refund of %(total)s requested: %(refund_reason)s"), REFUNDS, MEMO),
    EventWords(
        "refund_held",
        _l("Refund of %(total)s requested: %(refund_reason)s. The refund is sent at %(goes)s."),
        REFUNDS,
        MEMO,
    ),
    EventWords(
        "refund_proposed",
        _l("Refund of %(total)s proposed: another user must approve it"),
        REFUNDS,
        MEMO,
    ),
    EventWords("refund_approved", _l("Refund of %(total)s approved"), REFUNDS),
    EventWords("refund_declined", _l("Refund of %(total)s declined"), REFUNDS),
    EventWords("refund_withdrawn", _l("Refund of %(total)s withdrawn"), REFUNDS),
    EventWords("refund_refused", _l("The channel did not refund %(total)s: the amount can be refunded again"), REFUNDS),
    EventWords("refund_not_sent", _l("Refund of %(total)s not sent: the amount can be refunded again"), REFUNDS),
    EventWords("refund_effective", _l("The channel's accounts show the refund of credit memo %(number)s"), REFUNDS),
    EventWords(
        "refund_partly", _l("The channel's accounts show %(refunded)s of credit memo %(number)s (%(total)s)"), REFUNDS
    ),
    EventWords(
        "refund_adopted", _l("A refund of %(total)s was made elsewhere: recorded as credit memo %(number)s"), REFUNDS
    ),
    EventWords(
        "memo_issued",
        _l("Credit memo %(number)s issued: %(total)s (units: %(units)s)"),
        REFUNDS,
        MEMO,
    ),
    EventWords(
        "invoice_corrected",
        _l("Credit memo %(number)s corrects invoice %(invoice)s: %(total)s (units: %(units)s)"),
        REFUNDS,
        MEMO,
    ),
)
REFUSED = AttentionKind(
    "refund_refused",
    _l("Not refunded"),
    _l("The channel did not refund the amount: %(problem)s"),
    _l("The buyer received nothing, and the amount can be refunded again. Create a refund that the channel accepts."),
)
NOT_SENT = AttentionKind(
    "refund_not_sent",
    _l("Refund not sent"),
    _l("A refund was not sent to the channel: %(problem)s"),
    _l("The buyer received nothing, and the amount can be refunded again."),
)
PARTLY = AttentionKind(
    "refund_partly",
    _l("Partly refunded"),
    _l("The channel's accounts show %(refunded)s of credit memo %(number)s, which is of %(total)s."),
    _l(
        "The channel may still refund the rest. If it does not, refund the rest on the channel or contact the "
        "channel's support."
    ),
)
BEYOND = AttentionKind(
    "refunded_beyond",
    _l("Refund without a matching line"),
    _l(
        "Credit memo %(number)s records a refund made elsewhere. Part of it matches no line or exceeds the paid amount."
    ),
    _l(
        "Compare the credit memo with the order on the channel. If the credit memo is wrong, reverse it; this "
        "mark is then removed."
    ),
)

PROPOSED = AttentionKind(
    "refund_proposed",
    _l("Refund to approve"),
    _l("A refund of this order is above the limit of the user who proposed it."),
    _l("Another user with a higher limit must approve or decline it under Refunds."),
)


def words_of(memo: CreditMemo) -> dict[str, Any]:
    """The values that events name of a memo."""
    values: dict[str, Any] = {"id": memo.id, "total": f"{Money(memo.total_minor, memo.currency)} {memo.currency}"}
    values |= {"units": sum(line.units for line in memo.lines), "refund_reason": memo.reason}
    values |= {"invoice": memo.invoice.number} if memo.invoice is not None else {}
    return values | ({"number": memo.number} if memo.number else {})

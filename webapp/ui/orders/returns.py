"""What an order's page shows of its returns, and the acts that are possible with each."""

from collections.abc import Iterator
from typing import Any

from webapp.audit.actor import Actor
from webapp.billing.refund_words import STATE_LABELS as MEMO_STATES
from webapp.channels.returns import REASON_LABELS
from webapp.i18n import gettext as _
from webapp.orders.models import Order
from webapp.orders.services import actions, find_action, refusal_of
from webapp.returns.contract import CONDITION_LABELS, RESOLUTION_LABELS
from webapp.returns.models import Return
from webapp.returns.services import RefundedOutside, close_refusal, left_of, refund_refusal_of
from webapp.returns.states import DECIDE, ENDED, INSPECT, RECEIVE, STATE_LABELS, STATE_TONES
from webapp.ui.forms.actions import document_acts
from webapp.ui.orders import shown
from webapp.ui.orders.refunds import REFUND_ACT

_ACTS = (  # the acts on a return, by the step that they are; closing is none
    (("authorize_return", "deny_return"), DECIDE),
    (("receive_return",), RECEIVE),
    (("accept_return", "reject_return"), INSPECT),
    (("close_return",), ""),
)


def shown_return(order: Order, row: Return, actor: Actor) -> dict[str, Any]:
    """A return with its lines and credit memos, and what can be done about it."""
    lines = {line.id: line for line in order.lines}
    refusal = refund_refusal_of(row)
    return {
        "id": row.id,
        "number": row.number,
        "state": STATE_LABELS[row.state],
        "tone": STATE_TONES[row.state],
        "open": row.state not in ENDED,
        "requested_at": row.requested_at,
        "by": shown.author_of(row, order.store),
        "memos": [
            {
                "id": memo.id,
                "number": memo.number,
                "state": MEMO_STATES[memo.state] if memo.opposite is None else _("Reversed"),
            }
            for memo in row.memos
        ],
        "lines": [
            {
                "title": lines[line.line_id].title,
                "sku": lines[line.line_id].sku,
                "reason": REASON_LABELS[line.reason],
                "condition": CONDITION_LABELS[line.condition],
                "resolution": RESOLUTION_LABELS[line.resolution],
                "counts": (line.asked, line.authorized, line.received, line.accepted, line.rejected),
            }
            for line in row.lines
        ],
        "ways": list(_ways(order, row, actor)),
        "refund": REFUND_ACT if refusal is None and _may_refund(order, actor) else "",
        "refunded_outside": refusal if isinstance(refusal, RefundedOutside) else None,
    }


def _ways(order: Order, row: Return, actor: Actor) -> Iterator[dict[str, Any]]:
    """The acts that are possible with a return: a button each, or a link to its form if there is a choice."""
    for codes, step in _ACTS:
        left = sum(left_of(row, step).values()) if step else int(close_refusal(row) is None)
        acts = document_acts(order, codes, {"return_id": row.id}, actor, version=order.version) if left else []
        for act in acts:
            action = find_action(act["code"])
            fields = action.Input.model_fields
            chooses = "condition" in fields or (left > 1 and "lines" in fields)
            yield {**act, "icon": action.icon, "form": None if chooses else act["form"]}


def _may_refund(order: Order, actor: Actor) -> bool:
    """Whether the buyer of the order can be refunded by this person now."""
    action = actions().get(REFUND_ACT)
    if action is None or not actor.may(action.right):
        return False
    return refusal_of(action, order, actor) is None

"""Cancel an order, or units of its lines, for a reason of its channel; and undo it. The rules are the desk's own
(`cancel_refusal`).
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Annotated

from pydantic import Field

from webapp.api import (
    HIDDEN,
    ActionInput,
    Actor,
    CancelReason,
    FormField,
    Kind,
    Offered,
    Order,
    OrderAction,
    Refusal,
    UnitsOfLine,
    any_cancel_undoable,
    buyers_reason,
    cancel_orders,
    cancel_reasons,
    cancel_refusal,
    cancels_lines,
    lazy_gettext as _l,
    ngettext,
    stores,
    undo_cancel,
    undo_cancel_refusal,
)


class CancelInput(ActionInput):
    """Without `lines` the whole order is canceled."""

    reason: Annotated[str, Field(max_length=100), FormField(_l("Reason"), Kind.CHOICE, needed=True)] = ""
    lines: Annotated[dict[int, int], FormField(_l("What to cancel"), Kind.QUANTITIES)] = Field(default_factory=dict)


class CancelOrder(OrderAction):
    """Ask the channel to cancel; the order is being canceled until the channel shows it."""

    code, label, right, bulk, icon = "cancel", _l("Cancel order"), "orders.cancel", True, "x"
    counterpart = "undo_cancel"
    answers_cancel_request = _l("Cancel for the buyer")
    Input = CancelInput

    def doing(self, count: int) -> str:
        return str(ngettext("%(num)s order is being canceled.", "%(num)s orders are being canceled.", count))

    def done(self, count: int) -> str:
        return str(ngettext("%(num)s cancellation requested", "%(num)s cancellations requested", count))

    def run_undoable(self, order_ids: Sequence[int]) -> bool:
        return any_cancel_undoable(order_ids)

    def refusal(self, order: Order, actor: Actor) -> Refusal | None:
        return cancel_refusal(order, actor)

    def perform(self, order: Order, data: CancelInput, actor: Actor) -> None:
        self.perform_many([order], data, actor)

    def perform_many(self, orders: Sequence[Order], data: CancelInput, actor: Actor) -> None:
        cancel_orders(orders, data.reason, data.lines, actor=actor)

    def offered(self, order: Order | None, actor: Actor) -> Mapping[str, Offered]:
        if order is None:
            return {"reason": _reasons(_common(actor)), "lines": HIDDEN}
        reasons = cancel_reasons(order.store.channel, order.marketplace)
        left = [UnitsOfLine(line.id, line.title, line.sku, line.open) for line in order.lines if line.open]
        some = cancels_lines(order.store.channel) and sum(line.most for line in left) > 1
        return {
            "reason": _reasons(reasons, default=buyers_reason(order) if order.buyer_wants_cancel else None),
            "lines": Offered(lines=left) if some else HIDDEN,
        }


class UndoCancel(OrderAction):
    """Undo a cancellation that has not left yet."""

    code, label, right, bulk, icon = "undo_cancel", _l("Undo cancellation"), "orders.cancel", True, "player-play"
    counterpart = "cancel"

    def doing(self, count: int) -> str:
        return str(
            ngettext(
                "The cancellation of %(num)s order is being undone.",
                "The cancellations of %(num)s orders are being undone.",
                count,
            )
        )

    def done(self, count: int) -> str:
        return str(ngettext("%(num)s cancellation undone", "%(num)s cancellations undone", count))

    def refusal(self, order: Order, actor: Actor) -> Refusal | None:
        return undo_cancel_refusal(order, actor)

    def perform(self, order: Order, data: ActionInput, actor: Actor) -> None:
        undo_cancel(order, actor=actor)


def _reasons(reasons: Iterable[CancelReason], *, default: str | None = None) -> Offered:
    choices = [(one.code, one.label) for one in reasons]
    return Offered(choices=choices, default=default) if choices else HIDDEN


def _common(actor: Actor) -> list[CancelReason]:
    """The reasons that all marketplaces of the actor's stores accept; all of them if they have none in common."""
    sold_at = {(store.channel, row.marketplace) for store in stores(actor) for row in store.marketplaces}
    each = [reasons for place in sorted(sold_at) if (reasons := cancel_reasons(*place))]
    everything = {one.code: one for reasons in each for one in reversed(reasons)}
    shared = set.intersection(*({one.code for one in reasons} for reasons in each)) if each else set()
    first = list(each[0]) if each else []
    return [one for one in first if one.code in shared] or list(everything.values())

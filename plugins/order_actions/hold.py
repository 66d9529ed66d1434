"""Hold and release: an order is kept from leaving, with a reason, perhaps until a time."""

from collections.abc import Mapping
from typing import Any

from pydantic import Field

from plugins.order_actions.moments import Moment, in_shop
from webapp.api import (
    ActionInput,
    Actor,
    Order,
    OrderAction,
    Refusal,
    hold,
    hold_refusal,
    lazy_gettext as _l,
    ngettext,
    release,
    release_refusal,
)


class HoldInput(ActionInput):
    reason: str = Field(min_length=1, max_length=500)
    until: Moment = None


class HoldOrder(OrderAction):
    """Keep it back until somebody releases it, or until its end."""

    code, label, right, bulk, icon = "hold", _l("Hold"), "orders.hold", True, "player-pause"
    counterpart = "release"
    Input = HoldInput

    def doing(self, count: int) -> str:
        return str(ngettext("%(num)s order is being put on hold.", "%(num)s orders are being put on hold.", count))

    def done(self, count: int) -> str:
        return str(ngettext("%(num)s put on hold", "%(num)s put on hold", count))

    def refusal(self, order: Order, actor: Actor) -> Refusal | None:
        return hold_refusal(order, actor)

    def perform(self, order: Order, data: HoldInput, actor: Actor) -> None:
        hold(order, data.reason, actor=actor, until=in_shop(order, data.until))

    def form_fields(self, order: Order) -> Mapping[str, Mapping[str, Any]]:
        return {
            "reason": {
                "label": _l("Why"),
                "type": "textarea",
                "required": True,
                "longest": 500,
                "help": _l("Read by your team. It may name the buyer: it is kept as buyer data are."),
            },
            "until": {
                "label": _l("Until"),
                "type": "datetime",
                "help": _l(
                    "In %(zone)s. The hold then ends by itself; empty: somebody releases it.", zone=order.shop.zone
                ),
            },
        }


class ReleaseOrder(OrderAction):
    """End the hold."""

    code, label, right, bulk, icon = "release", _l("Release"), "orders.hold", True, "player-play"
    counterpart = "hold"

    def doing(self, count: int) -> str:
        return str(ngettext("%(num)s order is being released.", "%(num)s orders are being released.", count))

    def done(self, count: int) -> str:
        return str(ngettext("%(num)s released", "%(num)s released", count))

    def refusal(self, order: Order, actor: Actor) -> Refusal | None:
        return release_refusal(order, actor)

    def perform(self, order: Order, data: ActionInput, actor: Actor) -> None:
        release(order, actor=actor)

"""Hold and release: an order is kept from being shipped, with a reason, and perhaps until a time."""

from collections.abc import Mapping
from typing import Annotated

from pydantic import Field

from plugins.order_actions.moments import Moment, in_shop
from webapp.api import (
    ActionInput,
    Actor,
    FormField,
    Kind,
    Offered,
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
    reason: Annotated[
        str,
        Field(min_length=1, max_length=500),
        FormField(
            _l("Reason"),
            Kind.LONG_TEXT,
            help=_l("Your team reads this reason. It may name the buyer, so it is stored like buyer data."),
        ),
    ]
    until: Annotated[
        Moment,
        FormField(
            _l("Until"),
            Kind.TIME,
            help=_l(
                "The time is in the shop's time zone, and the hold ends automatically at that time. If this is "
                "empty, the hold stays until a user releases it."
            ),
        ),
    ] = None


class HoldOrder(OrderAction):
    """Hold the order until somebody releases it, or until its end."""

    code, label, right, bulk, icon = "hold", _l("Hold"), "orders.hold", True, "player-pause"
    counterpart, foremost = "release", True
    Input = HoldInput

    def doing(self, count: int) -> str:
        return str(ngettext("%(num)s order is being put on hold.", "%(num)s orders are being put on hold.", count))

    def done(self, count: int) -> str:
        return str(ngettext("%(num)s put on hold", "%(num)s put on hold", count))

    def refusal(self, order: Order, actor: Actor) -> Refusal | None:
        return hold_refusal(order, actor)

    def perform(self, order: Order, data: HoldInput, actor: Actor) -> None:
        hold(order, data.reason, actor=actor, until=in_shop(order, data.until))

    def offered(self, order: Order | None, actor: Actor) -> Mapping[str, Offered]:
        if order is None:
            return {}
        help = _l(
            "The time is in %(zone)s, and the hold ends automatically at that time. If this is empty, the hold "
            "stays until a user releases it.",
            zone=order.shop.zone,
        )
        return {"until": Offered(help=help)}


class ReleaseOrder(OrderAction):
    """End the hold."""

    code, label, right, bulk, icon = "release", _l("Release"), "orders.hold", True, "player-play"
    counterpart, foremost = "hold", True

    def doing(self, count: int) -> str:
        return str(ngettext("%(num)s order is being released.", "%(num)s orders are being released.", count))

    def done(self, count: int) -> str:
        return str(ngettext("%(num)s released", "%(num)s released", count))

    def refusal(self, order: Order, actor: Actor) -> Refusal | None:
        return release_refusal(order, actor)

    def perform(self, order: Order, data: ActionInput, actor: Actor) -> None:
        release(order, actor=actor)

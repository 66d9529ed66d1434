"""Take a package back before its confirmation is sent. The rules are the desk's own (`taking_back_refusals`)."""

from collections.abc import Mapping
from typing import Annotated

from webapp.api import (
    ActionInput,
    Actor,
    FormField,
    Kind,
    Order,
    PackageAction,
    Refusal,
    lazy_gettext as _l,
    ngettext,
    take_back,
    taking_back_refusals,
)


class TakeBackInput(ActionInput):
    """Without `package`, all packages of the latest shipment, or of the one by which the order's version rose from the
    first to the second of `shipped_by`.
    """

    package: Annotated[int | None, FormField(_l("Package"), Kind.FIXED)] = None
    shipped_by: tuple[int, int] | None = None


class TakeBack(PackageAction):
    """Undo a shipment: the units are to be shipped again, and no confirmation is sent."""

    code, label, right, icon = "take_back", _l("Undo shipment"), "orders.ship", "history"
    Input = TakeBackInput

    def doing(self, count: int) -> str:
        return str(
            ngettext(
                "The shipment of %(num)s order is being undone.",
                "The shipments of %(num)s orders are being undone.",
                count,
            )
        )

    def done(self, count: int) -> str:
        return str(ngettext("%(num)s shipment undone", "%(num)s shipments undone", count))

    def refusals(self, order: Order, actor: Actor) -> Mapping[int, Refusal | None]:
        return taking_back_refusals(order, actor)

    def perform(self, order: Order, data: TakeBackInput, actor: Actor) -> None:
        take_back(order, data.package, shipped_by=data.shipped_by, actor=actor)

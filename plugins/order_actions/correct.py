"""Correct one package of an order: its carrier, service, tracking number or ship date. The rules are the desk's own
(`correcting_refusals`).
"""

from collections.abc import Mapping
from typing import Annotated

from plugins.order_actions.moments import Moment, typed
from plugins.order_actions.ship import Short, carrier_fields, shipped_at
from webapp.api import (
    ActionInput,
    Actor,
    Correction,
    FormField,
    Kind,
    Offered,
    Order,
    PackageAction,
    Refusal,
    correct_shipment,
    correcting_refusals,
    find_package,
    lazy_gettext as _l,
)


class CorrectInput(ActionInput):
    """What is not given stays. Without `package` it is the order's only one."""

    package: Annotated[int | None, FormField(_l("Package"), Kind.FIXED)] = None
    carrier: Annotated[str | None, Short, FormField(_l("Carrier"), Kind.CHOICE, needed=True)] = None
    carrier_name: Annotated[str | None, Short, FormField(_l("Carrier's name"), expected=True)] = None
    service: Annotated[str | None, Short, FormField(_l("Service"))] = None
    tracking_number: Annotated[str | None, Short, FormField(_l("Tracking number"), needed=True)] = None
    ship_date: Annotated[Moment, FormField(_l("Shipped on"), Kind.TIME, help=_l("In the shop's time zone."))] = None


class CorrectShipment(PackageAction):
    """Correct what the confirmation of a package sends; a confirmation that has left is followed by another."""

    code, label, right, icon = "correct_shipment", _l("Correct"), "orders.ship", "pencil"
    Input = CorrectInput

    def refusals(self, order: Order, actor: Actor) -> Mapping[int, Refusal | None]:
        return correcting_refusals(order, actor)

    def perform(self, order: Order, data: CorrectInput, actor: Actor) -> None:
        given = data.model_dump(exclude={"package", "ship_date"})
        correction = Correction(**given, shipped_at=shipped_at(order, data.ship_date))
        correct_shipment(order, data.package, correction, actor=actor)

    def offered(self, order: Order | None, actor: Actor) -> Mapping[str, Offered]:
        return carrier_fields(order, "", "", "") if order is not None else {}

    def offered_for(self, order: Order, package: int, actor: Actor) -> Mapping[str, Offered]:
        row = find_package(order, package)
        return {
            **carrier_fields(order, row.carrier, row.carrier_name, row.service),
            "tracking_number": Offered(default=row.tracking_number),
            "ship_date": Offered(default=typed(order, row.shipped_at)),
        }

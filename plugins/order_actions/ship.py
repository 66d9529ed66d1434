"""Ship: the button, the form and the JSON of shipping. The rules are the desk's own (`shipping_refusal`)."""

from collections.abc import Mapping
from typing import Any
from zoneinfo import ZoneInfo

from pydantic import BaseModel, ConfigDict, Field, model_validator

from plugins.order_actions.moments import Moment, in_shop
from webapp.api import (
    ActionInput,
    Actor,
    DeskError,
    Order,
    OrderAction,
    PackageInput,
    Refusal,
    get_channel,
    lazy_gettext as _l,
    ngettext,
    now,
    ship_order,
    shipping_refusal,
)


class PackageFields(BaseModel):
    """One parcel; without `lines` it holds everything that is open."""

    model_config = ConfigDict(extra="forbid", str_strip_whitespace=True)

    carrier: str = Field("", max_length=100)
    carrier_name: str = Field("", max_length=100)
    service: str = Field("", max_length=100)
    tracking_number: str = Field("", max_length=100)
    ship_date: Moment = None
    lines: dict[int, int] = Field(default_factory=dict)

    def as_package(self, order: Order) -> PackageInput:
        """The parcel. A date alone is that day's end, of which today's is still to come: then it is now."""
        today = now().astimezone(ZoneInfo(order.shop.zone)).date()
        shipped_at = now() if self.ship_date == today else in_shop(order, self.ship_date)
        return PackageInput(self.carrier, self.tracking_number, self.carrier_name, self.service, shipped_at, self.lines)


class ShipInput(ActionInput):
    """Packages, or for a single one its fields directly."""

    packages: list[PackageFields] = Field(min_length=1)
    ship_anyway: bool = False

    @model_validator(mode="before")
    @classmethod
    def _one_package(cls, given: Any) -> Any:
        if not isinstance(given, Mapping) or "packages" in given:
            return given
        own = {name: value for name, value in given.items() if name in PackageFields.model_fields}
        rest = {name: value for name, value in given.items() if name not in own}
        return rest | {"packages": [own]}


class ShipOrder(OrderAction):
    """Record what left the house; the channel is told by itself."""

    code, label, right, bulk, icon = "ship", _l("Ship"), "orders.ship", True, "truck-delivery"
    Input = ShipInput

    def doing(self, count: int) -> str:
        return str(ngettext("%(num)s order is being shipped.", "%(num)s orders are being shipped.", count))

    def done(self, count: int) -> str:
        return str(ngettext("%(num)s shipped", "%(num)s shipped", count))

    def refusal(self, order: Order, actor: Actor) -> Refusal | None:
        return shipping_refusal(order, actor, anyway=True)  # the form asks about a buyer who wants to cancel

    def perform(self, order: Order, data: ShipInput, actor: Actor) -> None:
        packages = [package.as_package(order) for package in data.packages]
        ship_order(order, packages, actor=actor, anyway=data.ship_anyway)

    def form_fields(self, order: Order) -> Mapping[str, Mapping[str, Any]]:
        try:
            carriers = get_channel(order.store.channel).carriers(order.marketplace)
        except DeskError:  # its plugin was left out: `refusal` says so
            carriers = ()
        fields: dict[str, Mapping[str, Any]] = {
            "carrier": {"label": _l("Carrier"), "choices": [(carrier.code, carrier.label) for carrier in carriers]},
            "carrier_name": {"label": _l("Carrier's name"), "help": _l("Only for “Other”.")},
            "service": {"label": _l("Service")},
            "tracking_number": {"label": _l("Tracking number"), "required": True},
        }
        left = [(line.id, line.title, line.sku, line.open) for line in order.lines if line.open]
        if sum(line[-1] for line in left) > 1:
            fields["lines"] = {"label": _l("In the box"), "type": "quantities", "lines": left}
        if order.buyer_wants_cancel:
            fields["ship_anyway"] = {"label": _l("The buyer asked to cancel: ship anyway"), "type": "checkbox"}
        return fields

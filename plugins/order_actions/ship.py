"""Ship: the button, the form and the JSON of shipping. The rules are the desk's own (`shipping_refusal`)."""

from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import date, datetime
from typing import Annotated, Any
from zoneinfo import ZoneInfo

from pydantic import BaseModel, ConfigDict, Field, model_validator

from plugins.order_actions.moments import Moment, in_shop
from plugins.order_actions.short_form import as_list
from webapp.api import (
    HIDDEN,
    SHIP_HOLD,
    ActionInput,
    Actor,
    DeskError,
    FormField,
    Kind,
    Offered,
    Order,
    OrderAction,
    PackageInput,
    Refusal,
    Remaining,
    Shipment,
    UnitsOfLine,
    any_shipment_undoable,
    automatic_refusal,
    get_channel,
    invoice_refusal,
    issue_invoices,
    last_carrier,
    lazy_gettext as _l,
    ngettext,
    now,
    ship_order,
    shipping_refusal,
)

Short = Field(max_length=100)
INVOICING = "orders.invoice"  # the right


class PackageFields(BaseModel):
    """One parcel; without `lines` it contains everything that is open."""

    model_config = ConfigDict(extra="forbid", str_strip_whitespace=True)

    carrier: Annotated[str, Short, FormField(_l("Carrier"), Kind.CHOICE, needed=True)] = ""
    carrier_name: Annotated[str, Short, FormField(_l("Carrier's name"), expected=True)] = ""
    service: Annotated[str, Short, FormField(_l("Service"))] = ""
    tracking_number: Annotated[str, Short, FormField(_l("Tracking number"), needed=True)] = ""
    ship_date: Moment = None
    lines: Annotated[dict[int, int], FormField(_l("In the parcel"), Kind.QUANTITIES)] = Field(default_factory=dict)

    def as_package(self, order: Order) -> PackageInput:
        at = shipped_at(order, self.ship_date)
        return PackageInput(self.carrier, self.tracking_number, self.carrier_name, self.service, at, self.lines)


def shipped_at(order: Order, moment: datetime | date | None) -> datetime | None:
    """The instant. A date alone means the end of that day; if that is still to come today, it means now."""
    today = now().astimezone(ZoneInfo(order.shop.zone)).date()
    return now() if moment == today else in_shop(order, moment)


def carrier_fields(order: Order, carrier: str, name: str, service: str) -> dict[str, Offered]:
    """What the fields of a carrier offer, with these at first: the carriers of the order's marketplace, and a name for
    those that need one. There are none if the plugin of its channel was left out, which refusals say.
    """
    try:
        carriers = get_channel(order.store.channel).carriers(order.marketplace)
    except DeskError:
        carriers = ()
    unlisted = [one.code for one in carriers if one.needs_name]
    return {
        "carrier": Offered(choices=[(one.code, one.label) for one in carriers], default=carrier or None),
        "carrier_name": Offered(default=name or None, only_with=("carrier", *unlisted)) if unlisted else HIDDEN,
        "service": Offered(default=service or None),
    }


class ShipInput(ActionInput):
    """Packages, or for a single one its fields directly."""

    packages: Annotated[
        list[PackageFields],
        Field(min_length=1),
        FormField(
            _l("Parcels"),
            Kind.GROUPS,
            each=_l("Parcel %(number)s"),
            add=_l("Add a parcel"),
            remove=_l("Remove parcel %(number)s"),
        ),
    ]
    ship_anyway: Annotated[bool, FormField(_l("The buyer asked to cancel: ship anyway"), Kind.TICK)] = False
    invoice: Annotated[bool, FormField(_l("Invoice the shipped items"), Kind.TICK)] = False

    @model_validator(mode="before")
    @classmethod
    def _one_package(cls, given: Any) -> Any:
        return as_list(given, "packages", PackageFields)


class ShipOrder(OrderAction):
    """Record what was shipped; a confirmation is sent to the channel by itself."""

    code, label, right, bulk, icon = "ship", _l("Ship"), "orders.ship", True, "truck-delivery"
    listed = lets_leave = foremost = True
    answers_cancel_request = _l("Ship anyway")
    Input = ShipInput

    def doing(self, count: int) -> str:
        return str(ngettext("%(num)s order is being shipped.", "%(num)s orders are being shipped.", count))

    def done(self, count: int) -> str:
        return str(ngettext("%(num)s shipped", "%(num)s shipped", count))

    def refusal(self, order: Order, actor: Actor) -> Refusal | None:
        return shipping_refusal(order, actor, anyway=True)  # the form asks about a buyer who wants to cancel

    def perform(self, order: Order, data: ShipInput, actor: Actor) -> None:
        packages = [package.as_package(order) for package in data.packages]
        shipment = ship_order(order, packages, actor=actor, anyway=data.ship_anyway)
        if data.invoice:
            self._invoice(order, shipment, actor)

    def _invoice(self, order: Order, shipment: Shipment, actor: Actor) -> None:
        """Invoice the units that ship, as far as they are not invoiced already; once all units have left and are
        invoiced, also the amounts that are left, if they come to anything.
        """
        actor.needs(INVOICING)
        remaining, shipped = Remaining(order), Counter[int]()
        left = remaining.units
        for package in shipment.packages:
            for line in package.lines:
                shipped[line.line_id] += line.quantity
        if lines := {id_: min(units, left[id_]) for id_, units in shipped.items() if id_ in left}:
            issue_invoices([order], lines, actor=actor)
        elif remaining.net > 0 and not left and not any(line.open for line in order.lines):
            issue_invoices([order], actor=actor)

    def undo(self, order: Order, data: ShipInput) -> tuple[str, Mapping[str, Any]] | None:
        return ("take_back", {}) if SHIP_HOLD.of(order.store) else None

    def undo_in_run(self, since: int, version: int) -> tuple[str, Mapping[str, Any]] | None:
        return "take_back", {"shipped_by": (since, version)}

    def run_undoable(self, order_ids: Sequence[int]) -> bool:
        return any_shipment_undoable(order_ids)

    def offered(self, order: Order | None, actor: Actor) -> Mapping[str, Offered]:
        if order is None:
            return {}
        left = [UnitsOfLine(line.id, line.title, line.sku, line.open) for line in order.lines if line.open]
        units = sum(line.most for line in left)
        fields = {
            **carrier_fields(order, *last_carrier(order, actor)),
            "lines": Offered(lines=left) if units > 1 else HIDDEN,
        }
        return {
            "packages": Offered(fields=fields, most=units),
            "ship_anyway": Offered() if order.buyer_wants_cancel else HIDDEN,
            "invoice": Offered() if self._may_invoice(order, actor) else HIDDEN,
        }

    def _may_invoice(self, order: Order, actor: Actor) -> bool:
        """Whether the units can be invoiced with the shipment, and are not by themselves."""
        if not actor.may(INVOICING) or invoice_refusal(order, actor) is not None:
            return False
        return automatic_refusal(order, actor) is not None

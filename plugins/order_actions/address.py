"""Change the delivery address: of one order at a time, since each goes somewhere else."""

from collections.abc import Mapping
from typing import Annotated

from pydantic import Field

from webapp.api import (
    ADDRESS_LABELS,
    ActionInput,
    Actor,
    FormField,
    Kind,
    Offered,
    Order,
    OrderAction,
    Place,
    Refusal,
    address_needs,
    address_refusal,
    change_address,
    country_choices,
    lazy_gettext as _l,
    shown_addresses,
)

Line = Field(max_length=100)


class AddressInput(ActionInput):
    """The whole new address; a field that is left out is empty."""

    name: Annotated[str, Line, FormField(ADDRESS_LABELS["name"])] = ""
    company: Annotated[str, Line, FormField(ADDRESS_LABELS["company"])] = ""
    line1: Annotated[str, Line, FormField(ADDRESS_LABELS["line1"])] = ""
    line2: Annotated[str, Line, FormField(ADDRESS_LABELS["line2"])] = ""
    line3: Annotated[str, Line, FormField(ADDRESS_LABELS["line3"])] = ""
    postal_code: Annotated[str, Line, FormField(ADDRESS_LABELS["postal_code"])] = ""
    city: Annotated[str, Line, FormField(ADDRESS_LABELS["city"])] = ""
    district: Annotated[str, Line, FormField(ADDRESS_LABELS["district"])] = ""
    region: Annotated[str, Line, FormField(ADDRESS_LABELS["region"])] = ""
    country: Annotated[str, FormField(ADDRESS_LABELS["country"], Kind.CHOICE, needed=True)] = ""
    phone: Annotated[str, Line, FormField(ADDRESS_LABELS["phone"])] = ""


class ChangeAddress(OrderAction):
    """Change the delivery address; the channel's own address is kept."""

    code, label, right, icon = "address", _l("Change address"), "orders.address", "map-pin"
    place = Place.ADDRESSES
    Input = AddressInput

    def refusal(self, order: Order, actor: Actor) -> Refusal | None:
        return address_refusal(order, actor)

    def perform(self, order: Order, data: AddressInput, actor: Actor) -> None:
        change_address(order, data.model_dump(), actor=actor)

    def offered(self, order: Order | None, actor: Actor) -> Mapping[str, Offered]:
        if order is None:
            return {}
        found = {} if address_refusal(order, actor) else shown_addresses([order.id], actor, purpose="address")
        shown = found[order.id].address if order.id in found else {}
        wanted = address_needs(str(shown.get("country") or order.country))  # forms for other countries exist, too
        return {
            name: Offered(
                default=shown.get(name) or None,
                expected=name in wanted,
                choices=country_choices() if name == "country" else (),
            )
            for name in AddressInput.model_fields
        }

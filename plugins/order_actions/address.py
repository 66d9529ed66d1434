"""Change the delivery address: of one order at a time, since each goes somewhere else."""

from collections.abc import Mapping
from typing import Any

from webapp.api import (
    ADDRESS_LABELS,
    ActionInput,
    Actor,
    Order,
    OrderAction,
    Refusal,
    address_needs,
    address_refusal,
    change_address,
    country_choices,
    lazy_gettext as _l,
    shown_addresses,
)


class AddressInput(ActionInput):
    """The whole address as it shall be; what is left out is empty."""

    name: str = ""
    company: str = ""
    line1: str = ""
    line2: str = ""
    line3: str = ""
    postal_code: str = ""
    city: str = ""
    district: str = ""
    region: str = ""
    country: str = ""
    phone: str = ""


class ChangeAddress(OrderAction):
    """Send it elsewhere; the channel's own address is kept."""

    code, label, right, icon = "address", _l("Change address"), "orders.address", "map-pin"
    Input = AddressInput

    def refusal(self, order: Order, actor: Actor) -> Refusal | None:
        return address_refusal(order, actor)

    def perform(self, order: Order, data: AddressInput, actor: Actor) -> None:
        change_address(order, data.model_dump(), actor=actor)

    def form_fields(self, order: Order) -> Mapping[str, Mapping[str, Any]]:
        return _fields(order.country)

    def fields_for(self, order: Order, actor: Actor) -> Mapping[str, Mapping[str, Any]]:
        refused = address_refusal(order, actor)
        found = {} if refused else shown_addresses([order.id], actor, purpose="address")
        shown = found[order.id].address if order.id in found else {}
        fields = _fields(str(shown.get("country") or order.country))
        return {name: {**field, "default": shown[name]} if shown.get(name) else field for name, field in fields.items()}


def _fields(country: str) -> dict[str, dict[str, Any]]:
    """The fields of an address there. What another country does without is only expected: the form may choose one."""
    always = {"name", "line1"}
    fields: dict[str, dict[str, Any]] = {
        name: {"label": label, "required": name in always, "expected": name in address_needs(country), "longest": 100}
        for name, label in ADDRESS_LABELS.items()
    }
    fields["country"] = {"label": ADDRESS_LABELS["country"], "choices": country_choices()}
    return fields

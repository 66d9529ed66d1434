"""Shipping by hand: the merchant packs, labels, and types in what the carrier gave. Nothing is added to that."""

from collections.abc import Sequence

from webapp.api import FulfillmentProvider, Order, PackageInput, hookimpl, lazy_gettext as _l

LABEL = _l("Shipping by hand")
ABOUT = _l("You pack and label the parcels, and enter the carrier and the tracking number.")


class ManualFulfillment(FulfillmentProvider):
    """Takes carrier and tracking number as typed; the desk checks them."""

    code, label = "manual", _l("By hand")

    def prepare(self, order: Order, packages: Sequence[PackageInput]) -> Sequence[PackageInput]:
        return packages


@hookimpl
def register_fulfillment_providers() -> list[FulfillmentProvider]:
    return [ManualFulfillment()]

"""The contract of a fulfillment provider: who can ship, and what a provider returns for each parcel."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, ClassVar

from webapp.i18n import LazyString
from webapp.orders.contract import Origin

if TYPE_CHECKING:
    from webapp.orders.models import Order


@dataclass(frozen=True, slots=True)
class PackageInput:
    """A parcel to be recorded; without `lines` it contains everything that is open."""

    carrier: str
    tracking_number: str
    carrier_name: str = ""
    service: str = ""
    shipped_at: datetime | None = None  # None: now
    lines: Mapping[int, int] = field(default_factory=dict)  # order line id -> units


@dataclass(frozen=True, slots=True)
class ShipmentCreated:
    """A shipment that was recorded: goods that left together, from the desk or elsewhere."""

    id: int
    order_id: int
    origin: Origin


class FulfillmentProvider(ABC):
    """A provider who ships: the merchant by hand, a carrier's account, a warehouse."""

    code: ClassVar[str]
    label: ClassVar[LazyString | str]

    @abstractmethod
    def prepare(self, order: Order, packages: Sequence[PackageInput]) -> Sequence[PackageInput]:
        """The parcels with carrier, service and tracking number; raises `DeskError` for a missing or wrong value."""

"""The state of an order at a moment: its steps and all acts, replayed in order of time.

`fate` is the only place where an act takes effect, so searches, single orders, the page and the refusals of a
confirmation agree. An act that is not possible at its time (paying a canceled order, canceling a shipped one) does
nothing; it does not even move the time of the last update.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from plugins.amazon.practice import wares
from plugins.amazon.practice.composing import Order
from plugins.amazon.practice.world import mix


@dataclass(frozen=True)
class Act:
    """Something that happened to an order: by itself, by Amazon, by the buyer, or by the desk."""

    at_ms: int
    kind: str
    data: dict[str, Any] = field(default_factory=dict)


@dataclass
class Package:
    """A package as the Orders API shows it."""

    reference: str
    carrier: str
    service: str | None
    tracking: str
    ship_ms: int
    created_ms: int
    items: dict[str, int]
    codes: dict[str, list[str]] = field(default_factory=dict)
    status: str = "SHIPPED"


@dataclass
class Fate:
    """An order's state at a moment."""

    order: Order
    updated_ms: int
    verified: bool = False
    canceled_by: str | None = None  # the whole order
    cancel_request: str | None = None
    ordered: dict[str, int] = field(default_factory=dict)  # without the units that were canceled one by one
    units_canceled: dict[str, int] = field(default_factory=dict)
    cancellations: dict[str, tuple[str, str | None]] = field(default_factory=dict)  # by item: who, and why
    amazon_shipped_ms: int | None = None  # when it left Amazon's warehouse
    packages: dict[str, Package] = field(default_factory=dict)
    word: str | None = None

    def shipped(self, item_id: str, but: str | None = None) -> int:
        """The number of units of an item that were shipped, without package `but`."""
        if self.amazon_shipped_ms is not None:
            return self.ordered[item_id]
        return sum(p.items.get(item_id, 0) for p in self.packages.values() if p.reference != but)

    def left(self, item_id: str, but: str | None = None) -> int:
        """The number of units of an item that are still to be shipped."""
        return 0 if self.canceled_by else self.ordered[item_id] - self.shipped(item_id, but)

    def canceled(self, item_id: str) -> int:
        """The number of units of an item that were canceled."""
        return self.units_canceled.get(item_id, 0) + (self.ordered[item_id] if self.canceled_by else 0)

    @property
    def status(self) -> str:
        """Amazon's word for it."""
        if self.word:
            return self.word
        if self.canceled_by:
            return "CANCELLED"
        if not self.verified:
            return "PENDING"
        shipped = sum(self.shipped(item) for item in self.ordered)
        if not shipped:
            return "UNSHIPPED"
        return "SHIPPED" if all(self.left(item) == 0 for item in self.ordered) else "PARTIALLY_SHIPPED"


def fate(order: Order, acts: Iterable[Act], seed: int) -> Fate:
    """Replay the acts, which are in order of time."""
    state = Fate(order, order.created_ms, word=order.status_word)
    state.ordered = {line.id: line.quantity for line in order.lines}
    for act in acts:
        if _TELL[act.kind](state, act, seed):
            state.updated_ms = max(state.updated_ms, act.at_ms)
    return state


def _verify(state: Fate, act: Act, seed: int) -> bool:
    if state.verified or state.canceled_by:
        return False
    state.verified = True
    if state.word == "PENDING_AVAILABILITY":
        state.word = None
    return True


def _cancel(state: Fate, act: Act, seed: int) -> bool:
    """Cancel the order, if nothing of it was shipped; with `items`, so many units of each, if they are left."""
    by, reasons, units = act.data.get("by", "BUYER"), act.data.get("reasons", {}), act.data.get("items")
    shipped = any(state.shipped(item) for item in state.ordered)
    if state.canceled_by or (units is None and shipped):
        return False
    if units is not None:
        if not units or any(item not in state.ordered or count > state.left(item) for item, count in units.items()):
            return False
        for item, count in units.items():
            state.ordered[item] -= count
            state.units_canceled[item] = state.units_canceled.get(item, 0) + count
    for item in state.ordered if units is None else units:
        state.cancellations[item] = (by, reasons.get(item, act.data.get("reason")))
    if units is None or (not shipped and not any(state.left(item) for item in state.ordered)):
        state.canceled_by = by
    return True


def _cancel_buyer(state: Fate, act: Act, seed: int) -> bool:
    return _cancel(state, Act(act.at_ms, "cancel", {"by": "BUYER", "reason": "Ordered by mistake"}), seed)


def _cancel_unpaid(state: Fate, act: Act, seed: int) -> bool:
    return _cancel(state, Act(act.at_ms, "cancel", {"by": "AMAZON", "reason": "Payment declined"}), seed)


def _request_cancel(state: Fate, act: Act, seed: int) -> bool:
    if state.canceled_by or not any(state.left(item) for item in state.ordered):
        return False
    state.cancel_request = act.data.get("reason", "Order created by mistake")
    return True


def _withdraw_request(state: Fate, act: Act, seed: int) -> bool:
    asked, state.cancel_request = state.cancel_request, None
    return asked is not None


def _ship(state: Fate, act: Act, seed: int) -> bool:
    """Ship everything that is left: in the merchant's own past, or from Amazon's warehouse."""
    open_items = {item: left for item in state.ordered if (left := state.left(item)) > 0}
    if not open_items or not state.verified or state.canceled_by:
        return False
    if state.order.fulfilled_by == "AMAZON":
        state.amazon_shipped_ms = act.at_ms
        return True
    if act.kind == "ship_part":
        open_items = {next(iter(open_items)): 1}
    number = mix(seed, state.order.index, 9) + len(state.packages)
    carriers = wares.CARRIERS[state.order.market.code]
    carrier, service, tracking = carriers[number % len(carriers)]
    reference = act.data.get("reference") or str(max((int(r) for r in state.packages), default=0) + 1)
    tracking = act.data.get("tracking") or tracking.format(number % 10**9)
    state.packages[reference] = Package(
        reference, act.data.get("carrier") or carrier, service, tracking, act.at_ms, act.at_ms, open_items
    )
    return True


def _deliver(state: Fate, act: Act, seed: int) -> bool:
    under_way = [package for package in state.packages.values() if package.status != "DELIVERED"]
    for package in under_way:
        package.status = "DELIVERED"
    return bool(under_way)


def _confirm(state: Fate, act: Act, seed: int) -> bool:
    """Apply a package that the desk confirmed or edited; the rules were checked when it arrived (`confirming.py`)."""
    data = act.data
    before = state.packages.get(data["reference"])
    state.packages[data["reference"]] = Package(
        reference=data["reference"],
        carrier=data["carrier"],
        service=data.get("service"),
        tracking=data["tracking"],
        ship_ms=data["ship_ms"],
        created_ms=before.created_ms if before else act.at_ms,
        items=data["items"],
        codes=data.get("codes", {}),
        status=before.status if before else "SHIPPED",
    )
    return True


def _touch(state: Fate, act: Act, seed: int) -> bool:
    return True


def _quantity(state: Fate, act: Act, seed: int) -> bool:
    """Change the ordered quantity of an item, as after a partial cancellation; never below what was shipped."""
    item, wanted = act.data["item"], act.data["quantity"]
    if item not in state.ordered or state.canceled_by or wanted < state.shipped(item) or wanted == state.ordered[item]:
        return False
    state.ordered[item] = wanted
    return True


def _word(state: Fate, act: Act, seed: int) -> bool:
    state.word = act.data.get("status")
    return True


_TELL = {
    "verify": _verify,
    "cancel": _cancel,
    "cancel_buyer": _cancel_buyer,
    "cancel_unpaid": _cancel_unpaid,
    "request_cancel": _request_cancel,
    "withdraw_request": _withdraw_request,
    "ship": _ship,
    "ship_part": _ship,
    "deliver": _deliver,
    "confirm": _confirm,
    "touch": _touch,
    "quantity": _quantity,
    "word": _word,
}
KINDS = frozenset(_TELL)

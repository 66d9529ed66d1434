"""A marketplace with orders of its own, for tests of what may happen to them there and here at once."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from sqlalchemy import or_, select

from webapp.channels.connecting import StoreAccess
from webapp.channels.incoming import ChannelStage, IncomingOrder, IncomingPackage
from webapp.channels.outgoing import Accepted, Batch, NotCarriedOut, Outcome, Refused, Sent, Unknown, Update
from webapp.clock import now
from webapp.db import db
from webapp.fulfillment.models import Cancellation
from webapp.orders.models import Order
from webapp.testing import FakeChannel
from webapp.updates.models import ChannelUpdate

FATES = ("done", "accepted", "refused", "lost, done", "lost, not done")  # of an update that is sent


class OrderThere:
    """An order as the marketplace knows it; units by the numbers of its lines."""

    def __init__(self, order: IncomingOrder) -> None:
        self.order = order
        self.ordered = {line.number: line.ordered for line in order.lines}
        self.fulfilled = dict.fromkeys(self.ordered, 0)
        self.canceled = dict.fromkeys(self.ordered, 0)
        self.cancel_requested = False  # the buyer asked to cancel it
        self.packages: list[IncomingPackage] = []  # those that the desk confirmed

    def left(self, number: str) -> int:
        return self.ordered[number] - self.fulfilled[number] - self.canceled[number]

    @property
    def is_over(self) -> bool:
        """Whether everything has shipped or is canceled."""
        return not any(map(self.left, self.ordered))

    def happens(self, what: str, number: str, units: int) -> None:
        """Units ship or are canceled there, without the desk."""
        counted = self.fulfilled if what == "ships there" else self.canceled
        counted[number] += min(units, self.left(number))

    def reading(self, *, named: bool) -> IncomingOrder:
        """What the desk reads of it now; `named`: it says who canceled."""
        lines = tuple(
            replace(
                line,
                ordered=line.ordered - self.canceled[line.number],
                fulfilled=self.fulfilled[line.number],
                unfulfilled=self.left(line.number),
                canceled_by="SOMEBODY" if named and self.canceled[line.number] else "",
                cancel_requested=self.cancel_requested,
            )
            for line in self.order.lines
        )
        shipped, left = any(line.fulfilled for line in lines), any(line.unfulfilled for line in lines)
        stage = ChannelStage.OPEN if left else ChannelStage.SHIPPED if shipped else ChannelStage.CANCELED
        status = str(stage).upper()
        packages = tuple(self.packages)
        return replace(self.order, updated_at=now(), lines=lines, packages=packages, stage=stage, status=status)

    def carries_out(self, update: Update, *, really: bool) -> bool:
        """Whether the marketplace accepts the update; it takes effect if `really`."""
        lines = update.payload["lines"]
        if any(units > self.left(number) for number, units in lines.items()):
            return False
        if update.payload.get("whole") and any(self.fulfilled[number] for number in lines):
            return False
        where = self.canceled if update.kind == "cancel" else self.fulfilled
        for number, units in lines.items() if really else ():
            where[number] += units
        if really and update.kind == "shipment":
            sent = update.payload["package"]
            carrier, tracking_number = sent["carrier"], sent["tracking_number"]
            self.packages.append(IncomingPackage(str(sent["number"]), lines, carrier, tracking_number=tracking_number))
        return True


class Marketplace(FakeChannel):
    """What is sent happens there by its rules, or is refused; `fate_of` says what becomes of each update."""

    def __init__(self) -> None:
        super().__init__()
        self.there: dict[str, OrderThere] = {}
        self.done: set[int] = set()
        self.fate_of: Callable[[Update], str] = lambda _update: "done"

    def begin(self, order: IncomingOrder) -> OrderThere:
        self.there[order.number] = OrderThere(order)
        return self.there[order.number]

    def read(self, number: str, *, named: bool) -> IncomingOrder:
        """What the desk reads of an order now; a single fetch gets the same from then on."""
        self.orders[number] = self.there[number].reading(named=named)
        return self.orders[number]

    def deliver(self, store: StoreAccess, updates: Batch) -> Mapping[int, Outcome]:
        self._check_alone(updates)
        if updates[0].kind == "cancel":
            return updates.attempt(updates).call(self._answers, updates)
        return self._answers(updates)

    def _check_alone(self, updates: Batch) -> None:
        """No update of the other kind is under way for the same orders."""
        leased, left = ChannelUpdate.lease_owner.is_not(None), ChannelUpdate.state.in_(("sent", "unknown"))
        others = select(Order.channel_order_number).join(ChannelUpdate, ChannelUpdate.order_id == Order.id)
        others = others.where(ChannelUpdate.kind != updates[0].kind, or_(leased, left))
        assert not {update.order_number for update in updates[:]} & set(db.session.scalars(others))
        db.session.rollback()

    def look_up(self, store: StoreAccess, updates: Sequence[Update]) -> Mapping[int, Outcome]:
        return {update.id: Sent() if update.id in self.done else NotCarriedOut() for update in updates}

    def _answers(self, updates: Sequence[Update]) -> dict[int, Outcome]:
        return {update.id: self._answer(update) for update in updates}

    def _answer(self, update: Update) -> Outcome:
        fate = self.fate_of(update)
        really = fate != "lost, not done"
        assert update.id not in self.done  # nothing happens twice
        if fate == "refused" or not self.there[update.order_number].carries_out(update, really=really):
            return Refused("No.")
        if really:
            self.done.add(update.id)
        if fate.startswith("lost"):
            return Unknown()
        return Accepted() if fate == "accepted" else Sent()


def check(order: Order, there: OrderThere, rows: Sequence[Cancellation]) -> None:
    """What is true of an order at any moment."""
    assert order.canceling == any(row.state == "asked" for row in rows)
    assert sum(row.state == "asked" for row in rows) <= 1
    assert order.unshipped == sum(line.open for line in order.lines)
    for line in order.lines:
        assert line.shipped + line.canceled <= line.ordered
        assert line.canceled <= there.canceled[line.channel_line_number]
        effective = [row for row in rows if row.state == "effective" and str(line.id) in row.lines]
        assert sum(row.lines[str(line.id)] for row in effective) <= there.canceled[line.channel_line_number]
    assert (order.state == "canceled") <= (not any(line.open for line in order.lines))

"""A list of parcels, pasted or uploaded: which order left with which carrier under which tracking number.

Reading a list changes nothing: every row is checked by the predicates that shipping itself uses. The valid rows are
then shipped as a bulk run, each order once.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

from sqlalchemy import select

from webapp.audit.actor import Actor
from webapp.db import among, db, time_limit
from webapp.errors import DeskError, TooSlow
from webapp.fulfillment.models import Package
from webapp.fulfillment.services import BuyerWantsCancel, RoundedTrackingNumber, damaged, shipping_refusal
from webapp.fulfillment.ship_parcels import Parcels, TwiceInList
from webapp.fulfillment.ship_rows import Row
from webapp.i18n import lazy_gettext as _l
from webapp.jobs.models import Run
from webapp.orders.bulk import known_run, listed_action, start_each
from webapp.orders.models import Order
from webapp.orders.queries import AROUND, UnknownOrder, going_by, only_one
from webapp.orders.services import read_input

# Fields of the ship action's input: it ships although the buyer asked to cancel; it invoices what ships.
ANYWAY, INVOICE = str(BuyerWantsCancel.field), "invoice"


class ListTooSlow(DeskError):
    code, status, field = "ship_list_too_slow", 422, "list"
    sentence = _l("Reading so many rows takes too long just now. Split the list and send the parts.")


class OtherSeparator(DeskError):
    code, status = "other_separator", 422
    sentence = _l("This row does not use the same separator as the first row.")


class RowBeside(DeskError):
    """A parcel may lack units: the rows of an order are shipped together."""

    code, status = "row_beside", 422
    sentence = _l("Row %(row)s of this order has a mistake. The rows of one order ship together or not at all.")


class BuyerAsked(DeskError):
    """Only the tick for such rows ships them; nothing else is wrong with the row."""

    code, status = "buyer_asked", 422
    sentence = _l("The buyer asked to cancel this order. It is skipped unless you tick that such orders ship too.")


class NothingFits(DeskError):
    code, status, field = "nothing_fits", 422, "list"
    sentence = _l("No row of this list can be shipped.")


@dataclass(frozen=True, slots=True)
class Checked:
    """A row with its order, or with the reason why it can't be shipped. `unlisted` is the label under which a carrier
    goes that the marketplace does not list.
    """

    row: Row
    order: Order | None
    problem: DeskError | None
    unlisted: str = ""

    @property
    def asks_to_cancel(self) -> bool:
        """Whether nothing but the buyer's request to cancel keeps the row from being shipped."""
        return isinstance(self.problem, BuyerAsked)

    @property
    def found(self) -> Row:
        """The row with its order's full number, so that shipping finds the order at once."""
        number = self.order.number if self.order is not None else None
        return replace(self.row, number=number or self.row.number)


@contextmanager
def limited(seconds: float) -> Iterator[None]:
    """Raise `ListTooSlow` once reading a list and checking its rows takes longer."""
    try:
        with time_limit(seconds):
            yield
    except TooSlow:
        raise ListTooSlow from None


def check(rows: Sequence[Row], actor: Actor, anyway: Collection[Row] = ()) -> list[Checked]:
    """Every row with its order or its problem, as of now; for the rows `anyway`, it is no problem that the buyer asked
    to cancel.
    """
    return _check(rows, actor, anyway)[0]


def _check(rows: Sequence[Row], actor: Actor, anyway: Collection[Row]) -> tuple[list[Checked], Mapping[int, Parcels]]:
    """Every row, and by order what its rows pack."""
    actor.needs("orders.ship")
    known = going_by({row.number for row in rows}, actor, *AROUND)
    packed = _unpacked({order.id: order for fitting in known.values() for order in fitting})
    checked = [_checked(row, known.get(row.number, []), packed, actor) for row in rows]
    spoiled = {
        one.order.id: one.row.line
        for one in checked
        if one.order is not None and one.problem is not None and not isinstance(one.problem, TwiceInList)
    }
    return [_beside_others(one, spoiled, anyway) for one in checked], packed


def _unpacked(orders: Mapping[int, Order]) -> dict[int, Parcels]:
    """By order, its parcels before the first row, with the tracking numbers that its packages have."""
    query = select(Package.order_id, Package.tracking_number).where(among(Package.order_id, list(orders)))
    shipped: dict[int, set[str]] = {}
    for order_id, number in db.session.execute(query):
        shipped.setdefault(order_id, set()).add(number)
    return {order_id: Parcels(order, shipped.get(order_id, ())) for order_id, order in orders.items()}


def _checked(row: Row, fitting: list[Order], packed: Mapping[int, Parcels], actor: Actor) -> Checked:
    if row.odd:
        return Checked(row, None, damaged(row.number) or OtherSeparator())
    try:
        order = only_one(row.number, fitting)
    except UnknownOrder as problem:
        return Checked(row, None, damaged(row.number) or problem)
    except DeskError as problem:
        return Checked(row, None, problem)
    refusal = shipping_refusal(order, actor, anyway=True)
    try:
        unlisted = packed[order.id].add(row)
    except DeskError as problem:
        packed[order.id].incomplete = True
        return Checked(row, order, refusal or problem)
    rounded = RoundedTrackingNumber(number=row.tracking_number) if row.rounded else None
    packed[order.id].incomplete |= row.rounded
    return Checked(row, order, refusal or rounded, unlisted)


def _beside_others(one: Checked, spoiled: Mapping[int, int], anyway: Collection[Row]) -> Checked:
    """A row that fits, as far as the others of its order do; that the buyer asked to cancel is said only if nothing
    else is wrong.
    """
    if one.order is None or one.problem is not None:
        return one
    if one.order.id in spoiled:
        return replace(one, problem=RowBeside(row=spoiled[one.order.id]))
    asked = one.order.buyer_wants_cancel and one.row not in anyway
    return replace(one, problem=BuyerAsked()) if asked else one


def start(
    rows: Sequence[Row], *, actor: Actor, key: str = "", anyway: Sequence[Row] = (), invoice: bool = False
) -> Run:
    """Ship the valid rows of the list, as a run; of the rows `anyway`, also those whose buyer asked to cancel. With
    `invoice`, what ships is invoiced. Orders that can't be shipped any more are in the run, which names them with the
    reason. A repeated `key` returns the first run. Raises `NothingFits` if no row is valid.
    """
    if known := known_run(key, actor):
        return known
    action, ticked = listed_action(), frozenset(anyway)
    more = {INVOICE: True} if invoice else {}
    checked, packed = _check([*rows, *anyway], actor, ticked)
    if all(one.problem for one in checked):
        raise NothingFits
    inputs: dict[int, Mapping[str, Any]] = {}
    for one in checked:
        if one.order is None:
            continue
        if one.problem is None or isinstance(one.problem, BuyerAsked):
            asked = {ANYWAY: True} if one.row in ticked else {}
            inputs[one.order.id] = packed[one.order.id].input | more | asked
        elif shipping_refusal(one.order, actor, anyway=True):  # the run says it, and can be tried again
            parcels = packed[one.order.id]
            inputs[one.order.id] = {"tracking_number": ""} if parcels.incomplete else parcels.input | more
    each = {order_id: read_input(action, given) for order_id, given in inputs.items()}
    return start_each(action.code, each, actor=actor, key=key)

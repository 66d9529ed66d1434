"""A list of parcels, pasted or uploaded: which order left with which carrier under which tracking number.

Reading a list changes nothing: every row is checked by the predicates that shipping itself uses. The valid rows are
then shipped as a bulk run, each order once.
"""

import csv
import io
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field, replace

from webapp.audit.actor import Actor
from webapp.db import time_limit
from webapp.errors import DeskError, TooSlow
from webapp.fulfillment.services import (
    BuyerWantsCancel,
    CarrierNameNeeded,
    checked_carrier,
    checked_tracking_number,
    shipping_refusal,
)
from webapp.i18n import lazy_gettext as _l
from webapp.jobs.models import Run
from webapp.orders.bulk import known_run, listed_action, start_each
from webapp.orders.models import Order
from webapp.orders.queries import AROUND, going_by, only_one
from webapp.orders.services import read_input

LONGEST = 5_000  # rows of one list
# Fields of the ship action's input: it ships although the buyer asked to cancel; it invoices what ships.
ANYWAY, INVOICE = str(BuyerWantsCancel.field), "invoice"
_LONGEST_CELL = 100
_TAB = "\t"
_SEPARATORS = (_TAB, ";", ",")


class EmptyList(DeskError):
    code, status, field = "empty_ship_list", 422, "list"
    sentence = _l("There is nothing in this list. Each row holds an order number, a carrier and a tracking number.")


class ListTooLong(DeskError):
    code, status, field = "ship_list_too_long", 422, "list"
    sentence = _l("A list takes up to %(longest)s rows and this one has more. Send it in parts.")


class ListTooSlow(DeskError):
    code, status, field = "ship_list_too_slow", 422, "list"
    sentence = _l("Looking up so many rows takes too long just now. Send the list in parts.")


class CellTooLong(DeskError):
    code, status, field = "cell_too_long", 422, "list"
    sentence = _l("A cell of this list is far too long. Look whether a quotation mark was left open.")


class TwiceInList(DeskError):
    code, status = "twice_in_list", 422
    sentence = _l("Row %(row)s ships this order already. Ship several parcels of one order on its own page.")


class OtherSeparator(DeskError):
    code, status = "other_separator", 422
    sentence = _l("The cells of this row are not separated as those of the first row are.")


class CarrierUnnamed(DeskError):
    code, status = "carrier_unnamed", 422
    sentence = _l("This carrier needs a name: put it in the fifth cell of the row.")


class BuyerAsked(DeskError):
    """Only the tick for such rows ships them; nothing else is wrong with the row."""

    code, status = "buyer_asked", 422
    sentence = _l("The buyer asked to cancel this order. It is left out unless you tick that such orders ship, too.")


class NothingFits(DeskError):
    code, status, field = "nothing_fits", 422, "list"
    sentence = _l("No row of this list can be shipped.")


@dataclass(frozen=True, slots=True)
class Row:
    """One row of the list; `line` counts from 1."""

    line: int
    number: str
    carrier: str = ""
    tracking_number: str = ""
    service: str = ""
    carrier_name: str = ""  # if the marketplace does not list the carrier
    odd: bool = field(default=False, kw_only=True)  # its number contains a separator, which no order number does

    @property
    def input(self) -> dict[str, str]:
        """The input of the ship action."""
        return {
            "carrier": self.carrier,
            "tracking_number": self.tracking_number,
            "service": self.service,
            "carrier_name": self.carrier_name,
        }


@dataclass(frozen=True, slots=True)
class Checked:
    """A row with its order, or with the reason why it can't be shipped."""

    row: Row
    order: Order | None
    problem: DeskError | None

    @property
    def asks_to_cancel(self) -> bool:
        """Whether nothing but the buyer's request to cancel keeps the row from being shipped."""
        return isinstance(self.problem, BuyerAsked)

    @property
    def found(self) -> Row:
        """The row with its order's full number, so that shipping finds the order at once."""
        number = self.order.number if self.order is not None else None
        return replace(self.row, number=number or self.row.number)


def read_rows(text: str, *, written: bool = False) -> list[Row]:
    """The rows of a pasted or uploaded list: separated by tabs, semicolons or commas, with or without a head. A list
    `written` by `write_rows` is read without guessing.

    Raises `EmptyList`, `ListTooLong` or `CellTooLong`.
    """
    lines = [line for line in text.removeprefix("\ufeff").splitlines() if line.strip()]
    first = lines[0] if lines else ""
    separator = _TAB if written else max(_SEPARATORS, key=first.count)
    try:
        cells = list(csv.reader(lines, delimiter=separator))
    except csv.Error:
        raise CellTooLong from None
    rows = [_row(number, row, odd=not written and _is_odd(row)) for number, row in enumerate(cells, start=1)]
    if rows and not written and not any(letter.isdigit() for letter in rows[0].number + rows[0].tracking_number):
        rows = rows[1:]  # the head: order numbers contain digits, column titles don't
    if not rows:
        raise EmptyList
    if len(rows) > LONGEST:
        raise ListTooLong(longest=LONGEST)
    return rows


def _row(line: int, cells: Sequence[str], *, odd: bool) -> Row:
    texts = ["".join(filter(str.isprintable, cell)).strip()[:_LONGEST_CELL] for cell in cells[:5]]
    return Row(line, *texts, odd=odd)


def _is_odd(cells: Sequence[str]) -> bool:
    return any(separator in cells[0].strip() for separator in _SEPARATORS)


def look_up(text: str, actor: Actor, *, seconds: float) -> list[Checked]:
    """Every row of a pasted or uploaded list, checked by `check` before anything is shipped.

    Raises the errors of `read_rows`, and `ListTooSlow` after a time limit.
    """
    try:
        with time_limit(seconds):
            return check(read_rows(text), actor)
    except TooSlow:
        raise ListTooSlow from None


def write_rows(rows: Sequence[Row]) -> str:
    """The rows as a text for the step between checking and shipping; `read_rows` reads it with `written`."""
    text = io.StringIO()
    writer = csv.writer(text, delimiter=_TAB, lineterminator="\n")
    writer.writerows((row.number, row.carrier, row.tracking_number, row.service, row.carrier_name) for row in rows)
    return text.getvalue()


def check(rows: Sequence[Row], actor: Actor, anyway: Collection[Row] = ()) -> list[Checked]:
    """Every row with its order or its problem, as of now; for the rows `anyway`, it is no problem that the buyer asked
    to cancel.
    """
    actor.needs("orders.ship")
    known = going_by({row.number for row in rows}, actor, *AROUND)
    seen: dict[int, int] = {}
    return [_checked(row, known.get(row.number, []), seen, actor, row in anyway) for row in rows]


def _checked(row: Row, fitting: list[Order], seen: dict[int, int], actor: Actor, anyway: bool) -> Checked:
    if row.odd:
        return Checked(row, None, OtherSeparator())
    try:
        order = only_one(row.number, fitting)
    except DeskError as problem:
        return Checked(row, None, problem)
    if order.id in seen:
        return Checked(row, order, TwiceInList(row=seen[order.id]))
    seen[order.id] = row.line
    return Checked(row, order, _problem(row, order, actor, anyway))


def _problem(row: Row, order: Order, actor: Actor, anyway: bool) -> DeskError | None:
    """Why the row can't be shipped; a buyer who asked to cancel is named only if nothing else is wrong."""
    if refusal := shipping_refusal(order, actor, anyway=True):
        return refusal
    try:
        checked_tracking_number(row.tracking_number)
        checked_carrier(order, row.carrier, row.carrier_name)
    except CarrierNameNeeded:
        return CarrierUnnamed()
    except DeskError as wrong:
        return wrong
    return BuyerAsked() if order.buyer_wants_cancel and not anyway else None


def start(
    rows: Sequence[Row], *, actor: Actor, key: str = "", anyway: Sequence[Row] = (), invoice: bool = False
) -> Run:
    """Ship the valid rows of the list, as a run; of the rows `anyway`, also those whose buyer asked to cancel. With
    `invoice`, what ships is invoiced. A repeated `key` returns the first run. Raises `NothingFits`.
    """
    if known := known_run(key, actor):
        return known
    action, ticked = listed_action(), frozenset(anyway)
    more = {INVOICE: True} if invoice else {}
    inputs = {
        fit.order.id: read_input(action, fit.row.input | more | ({ANYWAY: True} if fit.row in ticked else {}))
        for fit in check([*rows, *anyway], actor, ticked)
        if fit.order is not None and fit.problem is None
    }
    if not inputs:
        raise NothingFits
    return start_each(action.code, inputs, actor=actor, key=key)

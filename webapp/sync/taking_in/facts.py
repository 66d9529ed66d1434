"""What a channel says of an order, compared with the desk's rows: pure functions from facts to columns.

Nothing here uses the database. `known_orders` and `new_orders` read the known rows, call these functions, and write the
results.
"""

import hashlib
import json
import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from webapp.channels.incoming import (
    ADDRESS_FIELDS,
    EXTRA_AT_MOST,
    ChannelStage,
    IncomingLine,
    IncomingOrder,
    units_canceled,
)
from webapp.clock import in_calendar
from webapp.orders.events import NAMED_BEFORE
from webapp.orders.postal import gaps
from webapp.orders.states import open_units
from webapp.sync import words

_LARGEST = 10**15  # minor units: sums over thousands of such orders still fit into a database integer
_LONGEST = 600  # characters of an indexed value: PostgreSQL's limit is 2,700 bytes, and a character can take four
_OPTIONAL_TIMES = ("ship_from", "ship_by", "deliver_from", "deliver_by")
# NUL and surrogates, as repr shows them: not every database stores them
_UNKEPT = re.compile(r"(?<!\\)(?:\\\\)*\\(?:x00|ud[89a-f][0-9a-f]{2})")
_NO_TAX_TOLD = ", tax_scheme='', ioss_number='', tax_paid_by=''"  # in the repr of a line


def fingerprint(order: IncomingOrder) -> bytes:
    """A hash of everything the channel said except the raw answer: if it is unchanged, nothing is written.

    Without `extra`, and without what is told of taxes, the hash is that of earlier versions, so that no order looks
    changed after an upgrade.
    """
    said = repr(order).replace(_NO_TAX_TOLD, "")
    for before, name in NAMED_BEFORE.items():
        said = said.replace(f", {name}=", f", {before}=")
    if order.extra or order.odd_extra:
        said += json.dumps([order.extra, order.odd_extra], sort_keys=True)
    return hashlib.blake2b(said.encode(errors="surrogatepass"), digest_size=16).digest()


def problem_of(order: IncomingOrder) -> tuple[str, str] | None:
    """Field and technical problem of an order that the desk can't store; None if there is none."""
    for name, instant in (("created_at", order.created_at), ("updated_at", order.updated_at)):
        if not in_calendar(instant):
            return name, "odd_time"
    for name, keys in _keys(order):
        if any(len(key) > _LONGEST for key in keys):
            return name, "too_long"
    numbers = [order.total, *(amount for line in order.lines for amount in (line.unit_price, line.total))]
    for amount in (*order.amounts, *(amount for line in order.lines for amount in line.amounts)):
        numbers += [amount.charged, amount.tax, amount.discount]
        if amount.tax < 0 or amount.discount < 0:
            return "amounts", "negative"
    if any(number is not None and abs(number) > _LARGEST for number in numbers):
        return "amounts", "too_large"
    if not order.currency and any(number for number in numbers):
        return "currency", "no_currency"
    seen = set()
    for line in order.lines:
        if line.number in seen:
            return "lines", "line_twice"
        seen.add(line.number)
        if not all(0 <= count < 2**31 for count in (line.ordered, line.fulfilled, line.unfulfilled or 0)):
            return "lines.quantity", "too_many"
    text = repr(order)
    if not order.number.strip() or ("\\" in text and _UNKEPT.search(text)):  # rarely contains a backslash
        return "number", "unkept_text"
    return None


def _keys(order: IncomingOrder) -> Iterator[tuple[str, Iterable[str]]]:
    """The values by which rows are found, each with the field that it is from."""
    yield "number", (order.number,)
    yield "marketplace", (order.marketplace,)
    yield "lines.number", (line.number for line in order.lines)
    yield "lines.sku", (line.sku for line in order.lines)


def without_odd_times(order: IncomingOrder) -> IncomingOrder:
    """The order without impossible times, such as a channel's “no deadline”, and their names; the order is still
    imported.
    """
    odd: dict[str, Any] = {name: None for name in _OPTIONAL_TIMES if not _may_stand(getattr(order, name))}
    packages = tuple(
        package if _may_stand(package.shipped_at) else replace(package, shipped_at=None) for package in order.packages
    )
    if not odd and packages == order.packages:
        return order
    names = (*odd, *(("shipped_at",) if packages != order.packages else ()))
    return replace(order, **odd, packages=packages, odd_times=names)


def without_odd_extra(order: IncomingOrder) -> IncomingOrder:
    """The order without the channel's own facts that the desk can't store; the order is marked and still imported."""
    if not order.extra and isinstance(order.extra, dict):
        return order
    if problem := _problem_of_extra(order.extra):
        return replace(order, extra={}, odd_extra=(problem,))
    return replace(
        order, extra={name: list(one) if isinstance(one, tuple) else one for name, one in order.extra.items()}
    )


def _problem_of_extra(extra: object) -> str:
    if not isinstance(extra, Mapping) or not all(isinstance(name, str) and _is_plain(extra[name]) for name in extra):
        return "odd_shape"
    if _UNKEPT.search(repr(dict(extra))):
        return "unkept_text"
    return "too_long" if len(json.dumps(dict(extra), ensure_ascii=False).encode()) > EXTRA_AT_MOST else ""


def _is_plain(value: object) -> bool:
    if isinstance(value, (list, tuple)):
        return all(isinstance(one, str) for one in value)
    if isinstance(value, int):  # Python too takes these for True and False
        return abs(value) < 2**63
    return value is None or isinstance(value, str)


def _may_stand(instant: datetime | None) -> bool:
    return instant is None or in_calendar(instant)


def address_state(order: IncomingOrder) -> str:
    """`ok`, `partial` or `missing`: whether a parcel can be delivered to the address."""
    missing = address_gaps(order)
    address = order.buyer.get("address") or {}
    if not any(address.get(name) for name in ADDRESS_FIELDS if name not in ("country", "kind")):
        return "missing"
    return "partial" if missing else "ok"


def address_gaps(order: IncomingOrder) -> list[str]:
    return gaps(order.buyer.get("address") or {})


def residual(order: IncomingOrder) -> int | None:
    """The channel's grand total less the sum of components; None while the total is withheld."""
    if order.total is None:
        return None
    amounts = [*order.amounts, *(amount for line in order.lines for amount in line.amounts)]
    return order.total - sum(amount.charged + amount.tax - amount.discount for amount in amounts)


@dataclass(slots=True)
class LineFacts:
    """A line's counters as the desk has them, advanced by a reading."""

    ordered: int = 0
    canceled: int = 0
    withdrawn: int = 0
    shipped: int = 0
    refunded: int = 0
    first_ordered: int = 0
    canceled_there: int | None = None  # by the reading, counted or not; None before the first
    doubted: bool = False  # whether the reading shows cancellations that count only if the next one agrees
    shipped_elsewhere: int = 0  # units that this reading adds, shipped by somebody else
    conflict: dict[str, Any] | None = None
    overcanceled: dict[str, Any] | None = None

    @property
    def open(self) -> int:
        return open_units(self)


def read_line(had: LineFacts, line: IncomingLine, stage: ChannelStage) -> LineFacts:
    """The counters after a reading.

    Channels give no canceled quantity: canceled there = first ordered − fulfilled − unfulfilled. If nobody is said to
    have canceled, it counts only once a second reading agrees. A reading only ever adds: one that lags behind takes
    nothing back. What does not fit beside what the desk did is a conflict, not an error.
    """
    now = LineFacts(
        ordered=max(had.ordered, line.ordered),
        canceled=had.canceled,
        withdrawn=had.withdrawn,
        shipped=had.shipped,
        refunded=had.refunded,
        first_ordered=max(had.first_ordered, line.ordered),
    )
    beyond = line.fulfilled - had.shipped
    if beyond > 0:
        now.shipped_elsewhere = min(beyond, now.open)
        now.shipped += now.shipped_elsewhere
        if now.shipped_elsewhere < beyond:
            now.conflict = {"there": line.fulfilled, "here": now.shipped, "sku": line.sku or line.title}
    left = now.ordered - now.withdrawn - now.shipped
    if stage is ChannelStage.CANCELED:
        now.canceled_there = now.first_ordered - line.fulfilled
        now.canceled = max(now.canceled, min(now.canceled_there, left))
        return now
    now.canceled_there = units_canceled(line, now.first_ordered)
    sure = now.canceled_there
    if had.canceled_there is not None and not line.canceled_by:
        sure = min(sure, had.canceled_there)
    now.doubted = now.canceled_there > max(sure, had.canceled)
    if sure > max(left, had.canceled):
        now.overcanceled = {"there": sure, "here": max(left, had.canceled), "sku": line.sku or line.title}
    now.canceled = max(now.canceled, min(sure, left))
    return now


@dataclass(slots=True)
class ForeignPackage:
    """A parcel that was confirmed elsewhere, with those of its units that are not the desk's."""

    reference: str
    carrier: str = ""
    service: str = ""
    tracking_number: str = ""
    shipped_at: datetime | None = None
    units: dict[str, int] = field(default_factory=dict)  # channel line number -> units


def foreign_packages(order: IncomingOrder, ours: Collection[str], units: Mapping[str, int]) -> list[ForeignPackage]:
    """The packages of units that left elsewhere: the channel's packages that are not ours, then one package without
    details for the rest.

    `ours` are the references of packages that the desk already has; `units` are those to account for, by line.
    """
    left = {number: count for number, count in units.items() if count > 0}
    found = []
    for package in order.packages:
        if package.number in ours:
            continue
        held = {number: min(count, left.get(number, 0)) for number, count in package.lines.items()}
        held = {number: count for number, count in held.items() if count}
        if not held:
            continue
        for number, count in held.items():
            left[number] -= count
        found.append(
            ForeignPackage(
                package.number, package.carrier, package.service, package.tracking_number, package.shipped_at, held
            )
        )
    rest = {number: count for number, count in left.items() if count}
    if rest:
        found.append(ForeignPackage("", units=rest))
    return found


def attention_of(order: IncomingOrder, lines: Sequence[LineFacts], had_shipped: bool) -> list[dict[str, Any]]:
    """The attention of the order according to this reading."""
    found: list[dict[str, Any]] = []
    if order.stage is ChannelStage.UNKNOWN:
        found.append({"kind": "unknown_status", "values": {"status": order.status}})
    works = order.fulfilled_by == "merchant" and order.stage in (ChannelStage.OPEN, ChannelStage.UNKNOWN)
    if works and (gaps := address_gaps(order)) and "recipient" not in map(str.lower, order.missing):
        found.append({"kind": "odd_address", "values": {"missing": gaps}})
    if order.stage is ChannelStage.CANCELED and had_shipped:
        found.append({"kind": "canceled_after_shipping", "values": {}})
    if order.missing:
        found.append({"kind": "incomplete", "values": {"missing": list(order.missing)}})
    if order.odd_extra:
        found.append({"kind": "odd_extra", "values": {"reasons": list(order.odd_extra)}})
    if order.odd_times:
        found.append({"kind": "odd_time", "values": {"times": list(order.odd_times)}})
    found += [{"kind": "conflict", "values": line.conflict} for line in lines if line.conflict]
    found += [{"kind": "overcanceled", "values": line.overcanceled} for line in lines if line.overcanceled]
    for problem in (problem for line in order.lines for problem in line_problems(line)):
        if problem not in found:  # each line has its own, the order has each kind once
            found.append(problem)
    return found


IMPORT_KINDS = frozenset(kind.code for kind in words.KINDS)  # each reading sets these again


def line_problems(line: IncomingLine) -> list[dict[str, Any]]:
    return [] if line.sku else [{"kind": "unmatched_sku", "values": {}}]


def channel_facts(order: IncomingOrder) -> dict[str, Any]:
    """The channel's other facts about the order, stored as they are."""
    facts = {
        "programs": list(order.programs),
        "payment_methods": list(order.payment_methods),
        "replaces": order.replaces,
        "missing": list(order.missing),
    }
    return {name: value for name, value in facts.items() if value}


def of_tax(facts: Mapping[str, Any]) -> dict[str, Any]:
    """What the facts of a line say of its tax."""
    return {name: facts[name] for name in ("tax_scheme", "ioss_number", "tax_paid_by") if name in facts}


def channel_line_facts(line: IncomingLine) -> dict[str, Any]:
    facts = {
        "condition": line.condition,
        "programs": list(line.programs),
        "promotions": list(line.promotions),
        "cancel_requested": line.cancel_requested,
        "cancel_reason": line.cancel_reason,
        "canceled_by": line.canceled_by,
        "tax_scheme": str(line.tax_scheme),
        "ioss_number": line.ioss_number,
        "tax_paid_by": line.tax_paid_by,
    }
    return {name: value for name, value in facts.items() if value}


def units_elsewhere(order: IncomingOrder, lines: Sequence[LineFacts]) -> dict[str, int]:
    return {line.number: counts.shipped_elsewhere for line, counts in zip(order.lines, lines, strict=False)}

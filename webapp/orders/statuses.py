"""Statuses: the merchant's own labels within a state, set by hand or by a rule. A status is retired, never deleted.

A status belongs to one state and is removed when the order leaves that state. A rule is a query: an order that arrives
or changes, and has no status yet, gets the first status of its state whose rule it matches. If somebody removes a
status, no rule sets one as long as the order stays in that state. New orders that no rule gave one get that of their
store (`order_settings`).
"""

import re
from collections.abc import Collection, Mapping, Sequence

import structlog
from sqlalchemy import ColumnElement, and_, func, select, true

from webapp.audit.actor import Actor
from webapp.audit.services import audit
from webapp.clock import now
from webapp.db import db
from webapp.errors import DeskError, Invalid, NotFound
from webapp.i18n import LANGUAGES, LazyString, get_locale, lazy_gettext as _l
from webapp.lists.subjects import zone_of
from webapp.orders.events import record_all
from webapp.orders.models import Order, OrderEvent, OrderStatus
from webapp.orders.queries import locked_all, visible
from webapp.orders.states import STATE_LABELS, OrderState
from webapp.orders.statuses_and_tags import forget_statuses_and_tags, statuses_and_tags
from webapp.search.compiling import compile_query
from webapp.search.gathering import among, order_id
from webapp.search.query import QueryMistake, parse
from webapp.search.values import in_codes

log = structlog.get_logger(__name__)
TONES: dict[str, LazyString] = {
    "calm": _l("Gray"),
    "info": _l("Blue"),
    "good": _l("Green"),
    "warn": _l("Amber"),
    "bad": _l("Red"),
    "waits": _l("Outlined"),
}
LONGEST_NAME = 40
_CODE = re.compile(r"[a-z][a-z0-9_]{0,39}", re.ASCII)


class StatusElsewhere(DeskError):
    """The status belongs to another state."""

    code, status = "status_elsewhere", 422
    field = "status"
    sentence = _l("The status “%(name)s” can't be used for orders in this state (%(state)s).")

    def __str__(self) -> str:
        return str(self.sentence) % (self.values | {"state": STATE_LABELS[self.values["state"]]})


class StatusRetired(DeskError):
    """The status was retired and is no longer set."""

    code, status = "status_retired", 422
    field = "status"
    sentence = _l("The status “%(name)s” is retired. Orders that have it keep it, and no other order can get it.")


def all_statuses() -> list[OrderStatus]:
    """Every status, retired ones too, by state and position; read once per transaction."""
    places = {state: place for place, state in enumerate(OrderState)}
    rows, _ = statuses_and_tags()
    return sorted(rows, key=lambda row: (places[OrderState(row.state)], row.position, row.code))


def statuses_of(state: str | None) -> list[OrderStatus]:
    """The statuses for orders of this state; without a state, those for any."""
    return [row for row in all_statuses() if state in (None, row.state) and row.retired_at is None]


def status_name(code: str, language: str | None = None) -> str:
    """A status's name in this language or the reader's; for an unknown status, its code."""
    row = next((row for row in all_statuses() if row.code == code), None)
    return name_in(row, language) if row else code


def name_in(row: OrderStatus, language: str | None = None) -> str:
    """The status's name in this language or the reader's, else in English."""
    return str(row.names.get(language or str(get_locale() or "en")) or row.names.get("en") or row.code)


def status_choices() -> dict[str, LazyString | str]:
    """The names of statuses for queries, in the reader's language, and a name for the lack of one."""
    return {row.code: name_in(row) for row in all_statuses()} | {"none": _l("none")}


def find_status(code: str) -> OrderStatus:
    for row in all_statuses():
        if row.code == code:
            return row
    raise NotFound(name=code)


def check_status(order: Order, code: str) -> OrderStatus:
    """The status of this code, if the order can get it; raises `StatusElsewhere` or `StatusRetired`."""
    row = next((row for row in all_statuses() if row.code == code), None)
    if row is None or row.state != order.state:
        raise StatusElsewhere(name=status_name(code), state=order.state)
    if row.retired_at is not None:
        raise StatusRetired(name=status_name(code))
    return row


# --- Keeping the list -------------------------------------------------------------------------------------------------


def make_status(
    code: str, names: Mapping[str, str], *, state: str, actor: Actor, tone: str = "calm", rule: str = ""
) -> OrderStatus:
    """Create a status in a state, behind its others. Raises `Invalid`."""
    actor.needs("settings.edit")
    actor.needs_all_shops()
    code = code.strip().lower()
    if not _CODE.fullmatch(code):
        raise Invalid(field="code", problem=_l("Use up to 40 letters, digits and underscores, with a letter first."))
    if any(row.code == code for row in all_statuses()):
        raise Invalid(field="code", problem=_l("Another status has this code. Choose another code."))
    if state not in set(OrderState):
        raise Invalid(field="state", problem=_l("This value is not known. Choose another."))
    last = max((row.position for row in all_statuses() if row.state == state), default=0)
    row = OrderStatus(code=code, state=state, position=last + 1)
    _fill(row, names, tone, rule)
    db.session.add(row)
    _note(row, "status_made", actor)
    return row


def change_status(row: OrderStatus, names: Mapping[str, str], *, tone: str, rule: str, actor: Actor) -> None:
    """Change a status's names, tone or rule; code and state stay, since orders refer to them. Raises `Invalid`."""
    actor.needs("settings.edit")
    actor.needs_all_shops()
    _fill(row, names, tone, rule)
    _note(row, "status_changed", actor)


def move_status(row: OrderStatus, *, up: bool, actor: Actor) -> None:
    """Swap a status with its neighbor: people see statuses in this order, and rules are tried in it."""
    actor.needs("settings.edit")
    actor.needs_all_shops()
    beside = [other for other in all_statuses() if other.state == row.state]
    here = beside.index(row)
    there = here - 1 if up else here + 1
    if 0 <= there < len(beside):
        beside[here], beside[there] = beside[there], beside[here]
    for place, other in enumerate(beside, start=1):
        other.position = place
    _note(row, "status_moved", actor)


def retire_status(row: OrderStatus, *, actor: Actor) -> None:
    """Retire a status: no further order gets it; orders that have it keep it."""
    actor.needs("settings.edit")
    actor.needs_all_shops()
    row.retired_at = row.retired_at or now()
    _note(row, "status_retired", actor)


def revive_status(row: OrderStatus, *, actor: Actor) -> None:
    """Offer a retired status again."""
    actor.needs("settings.edit")
    actor.needs_all_shops()
    row.retired_at = None
    _note(row, "status_revived", actor)


def _fill(row: OrderStatus, names: Mapping[str, str], tone: str, rule: str) -> None:
    cleaned = {language: " ".join(names.get(language, "").split()) for language in LANGUAGES}
    if not cleaned["en"]:
        raise Invalid(field="name_en", problem=_l("Enter a value."))
    for language, name in cleaned.items():
        if len(name) > LONGEST_NAME:
            raise Invalid(field=f"name_{language}", problem=_l("This text is too long. Shorten it."))
    if tone not in TONES:
        raise Invalid(field="tone", problem=_l("This value is not known. Choose another."))
    row.names = {language: name for language, name in cleaned.items() if name}
    row.tone, row.rule = tone, checked_rule(rule)


def _note(row: OrderStatus, code: str, actor: Actor) -> None:
    db.session.flush()
    forget_statuses_and_tags()
    audit(code, actor=actor, status=row.code)


def numbers_of_orders(actor: Actor) -> dict[str, int]:
    """The number of orders with each status, among those that the actor may see."""
    query = visible(actor).with_only_columns(Order.status, func.count()).where(Order.status.is_not(None))
    return {str(code): count for code, count in db.session.execute(query.group_by(Order.status))}


# --- Rules ------------------------------------------------------------------------------------------------------------


def checked_rule(text: str) -> str:
    """A rule in its stored form, which depends on no language; raises `Invalid` if the rule can't be read, or has
    words about buyers.
    """
    actor = Actor.job("statuses")
    try:
        query = parse(text.strip())
        compile_query(query, actor, zone=zone_of(actor))
    except QueryMistake as mistake:
        raise Invalid(field="rule", problem=str(mistake)) from None
    if query.words:
        raise Invalid(
            field="rule",
            problem=_l("Use search keys only, such as “gift:yes”. Free words and keys about buyers are not allowed."),
        )
    return in_codes(query, actor).structured


def apply_rules(ids: Collection[int]) -> None:
    """Give each of the orders without a status the first one whose rule it matches, in the open unit of work.

    One query per rule, none without rules. A rule that can no longer be read is skipped: it must not stop the import.
    """
    actor = Actor.job("statuses")
    for row in [row for row in all_statuses() if row.rule and row.retired_at is None]:
        found = _fitting(row, ids, actor)
        kept_off = _taken_off(found) if found else set()
        orders = locked_all([order_id for order_id in found if order_id not in kept_off], actor) if found else []
        for order in orders:
            order.status = row.code
        if orders:
            record_all(orders, "status_set", actor=actor, cause="rule", values={"status": row.code})


def give_to_new(ids: Collection[int], code: str) -> None:
    """Give a status to those of the orders that are worked here and got none by a rule, in the open unit of work."""
    actor = Actor.job("statuses")
    query = visible(actor).where(Order.id.in_(ids), Order.state == OrderState.PROCESSING)
    query = query.where(Order.status.is_(None), Order.number.is_not(None)).order_by(Order.id).with_for_update(of=Order)
    orders = list(db.session.scalars(query.execution_options(populate_existing=True)))
    for order in orders:
        order.status = code
    record_all(orders, "status_set", actor=actor, cause="store", values={"status": code})


def rule_for(order: Order, state: str) -> OrderStatus | None:
    """The first status of this state whose rule the order matches, whatever its own state and status; one query."""
    actor = Actor.job("statuses")
    ruled = [(row, _conditions(row, actor)) for row in statuses_of(state) if row.rule]
    known = [(row, conditions) for row, conditions in ruled if conditions is not None]
    if not known:
        return None
    matches = [and_(true(), *conditions) for _, conditions in known]
    found = db.session.execute(visible(actor).with_only_columns(*matches).where(Order.id == order.id)).one()
    return next((row for (row, _), fits in zip(known, found, strict=True) if fits), None)


def _fitting(row: OrderStatus, ids: Collection[int], actor: Actor) -> list[int]:
    conditions = _conditions(row, actor)
    if conditions is None:
        return []
    query = visible(actor).with_only_columns(Order.id).where(Order.id.in_(ids), Order.state == row.state)
    return list(db.session.scalars(query.where(Order.status.is_(None), *conditions)))


def _conditions(row: OrderStatus, actor: Actor) -> list[ColumnElement[bool]] | None:
    """The conditions of a status's rule; None if it can no longer be read."""
    try:
        compiled = compile_query(parse(row.rule), actor, zone=zone_of(actor))
    except DeskError as error:
        log.warning("status_rule_not_understood", status=row.code, problem=error.code)
        return None
    return [*compiled.conditions, *(among(word, order_id()) for word in compiled.words)]


def _taken_off(ids: Sequence[int]) -> set[int]:
    """Orders from which somebody removed a status after they came into their state."""
    cleared = select(OrderEvent.order_id, func.max(OrderEvent.id)).where(
        OrderEvent.order_id.in_(ids), OrderEvent.code == "status_cleared"
    )
    last = dict(db.session.execute(cleared.group_by(OrderEvent.order_id)).all())
    if not last:
        return set()
    later = select(OrderEvent.order_id, OrderEvent.id, OrderEvent.data).where(
        OrderEvent.order_id.in_(last), OrderEvent.id > min(last.values())
    )
    moved = {
        order_id
        for order_id, event_id, data in db.session.execute(later)
        if event_id > last[order_id] and "state" in data.get("after", {}).get("order", {})
    }
    return set(last) - moved

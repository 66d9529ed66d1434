"""An order's events as sentences, with old and new values. Stored are codes and values; the words are here.

A person's change stores the old values; for a channel's news they are computed from the events before.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from flask import g
from sqlalchemy import select

from webapp.accounts.models import User
from webapp.audit.actor import Actor, ActorKind
from webapp.channels import described
from webapp.clock import parse_instant
from webapp.db import db, once_a_transaction
from webapp.i18n import LazyString, gettext as _, lazy_gettext as _l
from webapp.money import Money
from webapp.orders import events as record
from webapp.orders.amounts import NOTHING, OWN
from webapp.orders.attention import in_words
from webapp.orders.events import (
    OTHER,
    EventGroup,
    EventWords,
    after_of,
    amounts_of,
    event_groups,
    event_words,
    events_of,
)
from webapp.orders.fact_words import CHANGED_THERE, FACT_LABELS, news_of, shortened
from webapp.orders.models import Order, OrderEvent
from webapp.orders.postal import territory
from webapp.orders.postal_lines import address_of
from webapp.orders.statuses import status_name
from webapp.orders.tags import all_tags
from webapp.returns.contract import CONDITION_LABELS
from webapp.ui.frame.formats import component_label, moment, money, state_label, to_the_second
from webapp.ui.orders.shown import amount_of, author_of, component_place
from webapp.vault import services as vault

LONGEST = 200  # entries on a page
_FURTHEST = 5000  # earlier events that are read to find the old values
WHO: dict[str, tuple[LazyString, tuple[str, ...]]] = {
    "people": (_l("People"), (ActorKind.PERSON,)),
    "channel": (_l("The channel"), (ActorKind.CHANNEL,)),
    "desk": (_l("Waybill"), (ActorKind.JOB, ActorKind.OPERATOR)),
    "plugin": (_l("Plugins"), (ActorKind.PLUGIN,)),
}
_VALUES: dict[str, dict[str, LazyString]] = {
    "address_state": {"ok": _l("complete"), "partial": _l("incomplete"), "missing": _l("missing")},
    "fulfilled_by": {"merchant": _l("You"), "channel": _l("the channel")},
    "flags": {
        "replacement": _l("Replacement"),
        "gift": _l("Gift"),
        "label_required": _l("Label required"),
        "cancel_requested": _l("Cancel requested"),
    },
}


@dataclass(frozen=True, slots=True)
class Entry:
    """One event in the timeline."""

    id: int
    at: datetime
    seen_at: datetime
    actor: str
    by: str
    sentence: str
    changes: list[dict[str, str | None]]
    note: str = ""  # its sealed text: a reason, an address


@dataclass(slots=True)
class Timeline:
    """Entries, newest first, and the id after which older ones come; None if there are none."""

    entries: list[Entry] = field(default_factory=list)
    older: int | None = None
    who: str = ""
    kind: str = ""  # the code of a group
    groups: Mapping[str, EventGroup] = field(default_factory=dict)  # the groups by which it can be filtered


def timeline_of(
    order: Order,
    *,
    actor: Actor | None = None,
    keys: Callable[[], vault.DataKeys] | None = None,
    who: str = "",
    kind: str = "",
    before: int | None = None,
    limit: int = 0,
) -> Timeline:
    """The events, by some actors or of one group. With an `actor` sealed texts are opened by right, with an access
    record.

    `keys` are those that the page already has; `limit` reads only the newest events.
    """
    events, known = events_of(order, limit=limit or _FURTHEST), event_words()
    groups = event_groups(known)
    had = _before_each(events)
    _remember_names(events)
    wanted = kind if kind in groups else ""
    fitting = [event for event in events if _fits(event, who, wanted, known) and (before is None or event.id < before)]
    drawn = fitting[:LONGEST]
    notes = _notes(order, drawn, actor, keys) if actor is not None else {}
    entries = [
        Entry(
            id=event.id,
            at=event.at,
            seen_at=event.seen_at,
            actor=author_of(event, order.store),
            by=event.actor_kind,
            sentence=sentence_of(order, event, known),
            changes=[] if event.code == "placed" else _changes(order, event, had[event.id]),
            note=notes.get(event.id, ""),
        )
        for event in drawn
    ]
    return Timeline(entries, drawn[-1].id if len(fitting) > len(drawn) else None, who, kind, groups)


def _fits(event: OrderEvent, who: str, kind: str, known: Mapping[str, EventWords]) -> bool:
    if who in WHO and event.actor_kind not in WHO[who][1]:
        return False
    group = known[event.code].group if event.code in known else OTHER
    return not kind or group.code == kind


def sentence_of(order: Order, event: OrderEvent, known: Mapping[str, EventWords] | None = None) -> str:
    """The event in the reader's language, news of the channel with the changed facts; an unknown code is returned
    itself.
    """
    if event.code == CHANGED_THERE and (facts := _news(order, event)):
        return str(_("News from the channel: %(facts)s", facts=" · ".join(facts)))
    said: dict[str, Callable[[Any], str]] = {
        "kind": lambda code: described.kind_label(order.store.channel, str(code)),
        "status": lambda code: status_name(str(code)),
        "reason": lambda code: described.cancel_reason_label(order.store.channel, order.marketplace, str(code)),
        "refund_reason": lambda code: described.refund_reason_label(order.store.channel, order.marketplace, str(code)),
        "condition": lambda code: str(CONDITION_LABELS.get(code, code)),
        "goes": lambda text: to_the_second(parse_instant(str(text))),
        "until": _moment,
        "due": _moment,
        "left": _moment,
        "left_before": _moment,
    }
    return record.sentence_of(event, said, known)


def _moment(text: Any) -> str:
    return moment(parse_instant(str(text)))


# --- What changed -----------------------------------------------------------------------------------------------------

_Had = Mapping[str, Mapping[str, Any]]  # by line, the order itself under the empty name


def _before_each(events: Sequence[OrderEvent]) -> dict[int, _Had]:
    """For each event, the old values of the columns that it changed, as far as they are known."""
    standing: dict[str, dict[str, Any]] = {}
    found: dict[int, _Had] = {}
    for event in reversed(events):
        stated = dict(_parts(event.data.get("before") or {}))
        had: dict[str, dict[str, Any]] = {}
        for part, after in after_of(event).items():
            there = standing.setdefault(part, {})
            had[part] = {name: there[name] for name in after if name in there} | dict(stated.get(part) or {})
            there.update(after)
        found[event.id] = had
    return found


def _parts(data: Mapping[str, Any]) -> Iterable[tuple[str, Mapping[str, Any]]]:
    yield "", data.get("order") or {}
    yield from (data.get("lines") or {}).items()


def _changes(order: Order, event: OrderEvent, had: _Had) -> list[dict[str, str | None]]:
    rows: list[dict[str, str | None]] = []
    titles: Mapping[str, str] | None = None
    for part, after in _parts(event.data.get("after") or {}):
        shown = {name: value for name, value in after.items() if name in FACT_LABELS}
        if part and shown and titles is None:
            titles = {str(line.id): line.sku or line.title for line in order.lines}
        for name, value in shown.items():
            label = str(FACT_LABELS[name])
            if part:
                label = str(_("%(name)s: %(text)s", name=(titles or {}).get(part, ""), text=label))
            before = had.get(part, {})
            before_value = value_of(order, name, before[name]) if name in before else None
            rows.append({"label": label, "before": before_value, "after": value_of(order, name, value)})
    return rows + _amount_changes(order, event)


def _news(order: Order, event: OrderEvent) -> list[str]:
    """The facts that the channel changed, with their new values, those of the order first; without those that follow
    from others.
    """
    after, (charged_before, charged) = after_of(event), amounts_of(event)
    lines = {str(line.id): line.sku or line.title for line in order.lines} if any(after) or charged else {}

    def named(label: LazyString | str, line_id: str) -> LazyString | str:
        return _("%(fact)s (%(sku)s)", fact=label, sku=lines[line_id]) if len(lines) > 1 and line_id in lines else label

    found = [
        (named(FACT_LABELS[name], line_id), value_of(order, name, value)) for line_id, name, value in news_of(after)
    ]
    for at in sorted(charged, key=lambda at: (at[0] == OWN, at[0], component_place(at[1]))):
        if "total_minor" not in after.get("", {}) and charged[at].net != charged_before.get(at, NOTHING).net:
            found.append((named(component_label(at[1]), str(at[0])), amount_of(charged[at].net, order.currency)))
    return shortened([_("%(name)s: %(text)s", name=label, text=value) for label, value in found])


def _amount_changes(order: Order, event: OrderEvent) -> list[dict[str, str | None]]:
    """The changed amounts, by line and component."""
    rows: list[dict[str, str | None]] = []
    before, after = amounts_of(event)
    lines = {line.id: line for line in order.lines} if after else {}
    places = {line_id: place for place, line_id in enumerate([*lines, OWN])}
    for line_id, component in sorted(after, key=lambda at: (places.get(at[0], -1), component_place(at[1]))):
        amount, line = after[line_id, component], lines.get(line_id)
        name = component_label(component)
        labels = (name, _("%(component)s, tax", component=name), _("%(component)s, discount", component=name))
        for label, had, has in zip(labels, before.get((line_id, component), NOTHING), amount, strict=True):
            if had != has:
                if line is not None:
                    label = _("%(name)s: %(text)s", name=line.sku or line.title, text=label)
                was, now_is = amount_of(had, order.currency), amount_of(has, order.currency)
                rows.append({"label": str(label), "before": was, "after": now_is})
    return rows


def value_of(order: Order, column: str, value: Any) -> str:
    """A column's stored value in the reader's language."""
    if value is None or value == "" or value == []:
        return "—"
    if column in _SAID:
        return _SAID[column](order, value)
    if isinstance(value, bool):
        return str(_("yes") if value else _("no"))
    if column.endswith("_minor") and order.currency:
        return money(Money(int(value), order.currency))
    if isinstance(value, list):
        return ", ".join(_word(column, part) for part in value)
    if isinstance(value, str) and (instant := _instant(column, value)):
        return moment(instant)
    return _word(column, value)


def label_of(column: str) -> str:
    """The label of a column."""
    return str(FACT_LABELS.get(column, column))


def _troubles(order: Order, value: Any) -> str:
    return ", ".join(trouble.label for trouble in in_words(value))


def _channel_status(order: Order, value: Any) -> str:
    return described.status_label(order.store.channel, str(value))


def _flags(order: Order, value: Any) -> str:
    """In the words of the order's channel, where it declares them."""
    code = order.store.channel
    declared = {flag.code: flag for flag in described.flags_of(code)}
    return ", ".join(
        described.flag_label(code, declared[name]) if name in declared else _word("flags", name) for name in value
    )


def _tags(order: Order, value: Any) -> str:
    names = {tag.id: tag.name for tag in all_tags()}
    return ", ".join(names.get(tag_id, str(_("a deleted tag"))) for tag_id in value)


def _person(order: Order, value: Any) -> str:
    known: str | None = g.get("names_in_events", {}).get(value)
    return known or _names().get(value) or str(_("Somebody"))


def _remember_names(events: Sequence[OrderEvent]) -> None:
    """Read names from events that assigned an order, so that people rarely have to be looked up."""
    names: dict[Any, str] = g.setdefault("names_in_events", {})
    for event in reversed(events):
        if event.code == "assigned":
            assignee = (event.data.get("after") or {}).get("order", {}).get("assignee_id")
            names[assignee] = str((event.data.get("values") or {}).get("name") or "")


def _names() -> dict[int, str]:
    query = select(User.id, User.name, User.email)
    return once_a_transaction("names", lambda: {id_: name or email for id_, name, email in db.session.execute(query)})


_SAID: dict[str, Callable[[Order, Any], str]] = {
    "attention": _troubles,
    "problems": _troubles,
    "state": lambda order, value: state_label(str(value)),
    "status": lambda order, value: status_name(str(value)),
    "channel_status": _channel_status,
    "service_level": lambda order, value: described.service_label(order.store.channel, str(value)),
    "flags": _flags,
    "tags": _tags,
    "assignee_id": _person,
    "country": lambda order, value: territory(str(value)),
}


def _word(column: str, code: Any) -> str:
    """The word of a code; an unknown one is returned itself."""
    word = _VALUES.get(column, {}).get(str(code))
    return str(word if word is not None else code)


def _instant(column: str, value: str) -> datetime | None:
    if not column.endswith(("_at", "_by", "_from")):
        return None
    try:
        return parse_instant(value)
    except (ValueError, OverflowError):
        return None


# --- What was sealed --------------------------------------------------------------------------------------------------


def _notes(
    order: Order, events: Sequence[OrderEvent], actor: Actor, keys: Callable[[], vault.DataKeys] | None
) -> dict[int, str]:
    """Reasons and addresses by event, for people who may see buyers; empty for an erased order."""
    sealed = [(event.id, event.sealed) for event in events if event.sealed]
    if not sealed or not actor.may("buyers.see"):
        return {}
    values = [(order.id, "event", body) for _id, body in sealed]
    opened = vault.reveal_sealed(actor, values, purpose="timeline", keys=keys() if keys else None)
    return {event_id: text for (event_id, _body), body in zip(sealed, opened, strict=True) if (text := _in_words(body))}


def _in_words(body: Any) -> str:
    if not isinstance(body, Mapping):
        return ""
    if body.get("reason"):
        return str(body["reason"])
    parts = [
        str(_("%(name)s: %(text)s", name=word, text=", ".join(address.lines)))
        for name, word in (("before", _("Before")), ("after", _("After")))
        if (address := address_of(body.get(name)))
    ]
    return "\n".join(parts)

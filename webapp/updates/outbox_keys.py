"""The query keys of the outbox: how far an update has come, what it tells, and its times."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any

from sqlalchemy import ColumnElement, Select, and_, case, literal, or_, select, text

from webapp.audit.actor import Actor
from webapp.channels.connecting import Denied
from webapp.channels.models import Store
from webapp.channels.registered import channels
from webapp.clock import now
from webapp.db import UtcDateTime
from webapp.errors import codes_of
from webapp.hooks.fence import PluginFailed
from webapp.i18n import LazyString, lazy_gettext as _l, lazy_pgettext
from webapp.orders.query_keys import KEYS as KEYS_OF_ORDERS
from webapp.search.conditions import between, by_id
from webapp.search.contract import Bound, KeyKind, QueryKey
from webapp.updates.kinds import carried_by, kinds
from webapp.updates.models import OPEN, OPEN_UPDATES, STATE_LABELS, WAITING, ChannelUpdate, UpdateState
from webapp.updates.outbox import DEADLINE, OUTBOX, QUEUED
from webapp.updates.queries import UNSEEN_AFTER


def _open() -> Select[int]:
    """The ids of the updates that have not ended: few, found by their index. SQLite would read all by another one."""
    found = select(ChannelUpdate.id).where(text(OPEN_UPDATES)).correlate(None)
    return found.with_hint(ChannelUpdate, "INDEXED BY ix_channel_updates_open", dialect_name="sqlite")


def _by_state(values: Sequence[str], actor: Actor) -> ColumnElement[bool]:
    if set(values) <= set(OPEN):
        return ChannelUpdate.id.in_(_open().where(ChannelUpdate.state.in_(values)))
    return ChannelUpdate.state.in_(values)


def _by_kind(values: Sequence[str], actor: Actor) -> ColumnElement[bool]:
    return ChannelUpdate.kind.in_(values)


def _states(actor: Actor) -> Mapping[str, LazyString]:
    return {state.value: STATE_LABELS[state] for state in UpdateState}


def _kinds(actor: Actor) -> Mapping[str, LazyString | str]:
    return {code: kind.label for code, kind in kinds().items()}


def _undecided(values: Sequence[bool], actor: Actor) -> ColumnElement[bool]:
    """By whether a person has to decide: refused, unknown, denied, or taken long ago and never shown."""
    failed = ChannelUpdate.state.in_((UpdateState.REFUSED, UpdateState.UNKNOWN))
    denied = and_(
        ChannelUpdate.state == UpdateState.OWED, ChannelUpdate.problem["code"].as_string().in_(codes_of(Denied))
    )
    taken = ChannelUpdate.state.in_((UpdateState.SENT, UpdateState.ACCEPTED))
    unseen = and_(taken, ChannelUpdate.sent_at <= _seen_since())
    found = _open().join(Store, Store.id == ChannelUpdate.store_id).where(or_(failed, denied, unseen))
    yes = ChannelUpdate.id.in_(found)
    return or_(*(yes if value else ~yes for value in values))


def _seen_since() -> Any:
    """The time since when an update may have been taken without being shown yet, by its channel and its kind."""
    since: list[tuple[Any, Any]] = []
    for code in channels():
        try:
            carriages = carried_by(code).values()
        except PluginFailed:
            continue
        for one in carriages:
            of_kind = and_(Store.channel == code, ChannelUpdate.kind == one.code)
            since.append((of_kind, _ago(one.unseen_after)))
    otherwise = _ago(UNSEEN_AFTER.total_seconds())
    return case(*since, else_=otherwise) if since else otherwise


def _ago(seconds: float) -> Any:
    return literal(now() - timedelta(seconds=seconds), UtcDateTime())


def _while(states: Sequence[str], column: Any) -> Callable[[Sequence[Bound], Actor], ColumnElement[bool]]:
    """The condition of a time that matters only while an update is in one of these open states."""
    fits = between(column)
    return lambda values, actor: ChannelUpdate.id.in_(
        _open().where(ChannelUpdate.state.in_(states), fits(values, actor))
    )


_OF_ORDERS = {key.code: key for key in KEYS_OF_ORDERS}
KEYS = (
    QueryKey(
        subject=OUTBOX, code="sending", label=_l("Sending status"), kind=KeyKind.CHOICE, condition=_by_state,
        choices=_states,
        help=_l("The status of sending the update to the channel."),
        name=lazy_pgettext("query key", "sending"),
    ),
    QueryKey(
        subject=OUTBOX, code="kind", label=_l("Update"), kind=KeyKind.CHOICE, condition=_by_kind, choices=_kinds,
        name=lazy_pgettext("query key", "kind"),
    ),
    QueryKey(
        subject=OUTBOX, code="decide", label=_l("Needs a decision"), kind=KeyKind.YES_NO, condition=_undecided,
        bare=True,
        help=_l(
            "The channel refused or did not permit the update, its result is unknown, or the channel accepted it "
            "long ago and never showed it."
        ),
        name=lazy_pgettext("query key", "decide"),
    ),
    QueryKey(
        subject=OUTBOX, code=QUEUED, label=_l("Queued since"), kind=KeyKind.DATE,
        condition=between(ChannelUpdate.created_at),
        name=lazy_pgettext("query key", "queued"),
    ),
    QueryKey(
        subject=OUTBOX, code="goes", label=_l("Scheduled for"), kind=KeyKind.DATE,
        condition=_while(WAITING, ChannelUpdate.due_at),
        name=lazy_pgettext("query key", "goes"),
    ),
    QueryKey(
        subject=OUTBOX, code=DEADLINE, label=_l("Deadline"), kind=KeyKind.DEADLINE,
        condition=_while(OPEN, ChannelUpdate.deadline),
        help=_l("The deadline of an update that is not confirmed yet, such as late or <4h."),
        name=lazy_pgettext("query key", "deadline"),
    ),
    # By the update's own store, which its indexes have: by the order's, SQLite reads all the store's orders.
    replace(_OF_ORDERS["store"], subject=OUTBOX, condition=by_id(ChannelUpdate.store_id)),
)  # fmt: skip

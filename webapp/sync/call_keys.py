"""The query keys of the communication log: what was asked for, how it ended, how long it took, and of which store."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

from sqlalchemy import ColumnElement, and_, or_, text

from webapp.audit.actor import Actor
from webapp.channels.connecting import CallOutcome
from webapp.channels.described import operations
from webapp.channels.models import Store
from webapp.channels.registered import channels
from webapp.i18n import LazyString, lazy_gettext as _l, lazy_pgettext
from webapp.orders.query_keys import KEYS as KEYS_OF_ORDERS
from webapp.search.conditions import between, by_id, spelled, within
from webapp.search.contract import Bound, KeyKind, QueryKey
from webapp.sync.call_list import AT, CALLS, SHOP_OF_CALL
from webapp.sync.call_log import OUTCOMES
from webapp.sync.models import FAILED_CALLS, ChannelCall

_OF_ORDERS = {key.code: key for key in KEYS_OF_ORDERS}


def _by_outcome(values: Sequence[str], actor: Actor) -> ColumnElement[bool]:
    found = ChannelCall.outcome.in_(values)
    return found if CallOutcome.OK in values else and_(text(FAILED_CALLS), found)


def _outcomes(actor: Actor) -> Mapping[str, LazyString]:
    return OUTCOMES


def _by_operation(values: Sequence[str], actor: Actor) -> ColumnElement[bool]:
    return ChannelCall.operation.in_(values)


def _operations(actor: Actor) -> Mapping[str, LazyString | str]:
    return {code: label for channel in channels() for code, label in operations(channel).items()}


def _by_seconds(values: Sequence[Bound], actor: Actor) -> ColumnElement[bool]:
    """Whole seconds that have passed: 5 finds 5.0 to 5.9."""
    spans = [(one.low and one.low * 1000, None if one.high is None else one.high * 1000 + 999) for one in values]
    return or_(*(within(ChannelCall.took, low, high) for low, high in spans))


def _by_code(values: Sequence[str], actor: Actor) -> ColumnElement[bool]:
    either = (spelled(column, str)(values, actor) for column in (ChannelCall.detail, ChannelCall.problem))
    return and_(text(FAILED_CALLS), or_(*either))


def _by_channel(values: Sequence[str], actor: Actor) -> ColumnElement[bool]:
    return Store.channel.in_(values)


KEYS = (
    QueryKey(
        subject=CALLS, code=AT, label=_l("When"), kind=KeyKind.DATE, condition=between(ChannelCall.at),
        name=lazy_pgettext("query key", "at"),
    ),
    QueryKey(
        subject=CALLS, code="operation", label=_l("Request"), kind=KeyKind.CHOICE, condition=_by_operation,
        choices=_operations,
        name=lazy_pgettext("query key", "operation"),
    ),
    QueryKey(
        subject=CALLS, code="outcome", label=_l("Outcome"), kind=KeyKind.CHOICE, condition=_by_outcome,
        choices=_outcomes,
        name=lazy_pgettext("query key", "outcome"),
    ),
    QueryKey(
        subject=CALLS, code="http", label=_l("HTTP"), kind=KeyKind.NUMBER, condition=between(ChannelCall.status),
        help=_l("The HTTP status of the answer, such as 429 or >=500."),
        name=lazy_pgettext("query key", "http"),
    ),
    QueryKey(
        subject=CALLS, code="took", label=_l("Seconds"), kind=KeyKind.NUMBER, condition=_by_seconds,
        help=_l("The duration of the call, in whole seconds, such as >=5."),
        name=lazy_pgettext("query key", "took"),
    ),
    QueryKey(
        subject=CALLS, code="code", label=_l("Error code"), kind=KeyKind.TEXT, condition=_by_code,
        help=_l("The error code of the channel or of Waybill, such as QuotaExceeded."),
        name=lazy_pgettext("query key", "code"),
    ),
    QueryKey(
        subject=CALLS, code="request", label=_l("Request ID"), kind=KeyKind.TEXT,
        condition=spelled(ChannelCall.request_id, str),
        name=lazy_pgettext("query key", "request"),
    ),
    replace(_OF_ORDERS["store"], subject=CALLS, condition=by_id(ChannelCall.store_id)),
    replace(_OF_ORDERS["shop"], subject=CALLS, condition=by_id(SHOP_OF_CALL)),
    replace(_OF_ORDERS["channel"], subject=CALLS, condition=_by_channel),
)  # fmt: skip

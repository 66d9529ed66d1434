"""Texts and links that channels give for pages: names of carriers, statuses and services, URLs of orders.

None of these functions uses the network. If the plugin is gone or fails to give a word, the code of the word is
shown; a channel whose plugin is gone has no links.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from types import NoneType
from typing import Any

from sqlalchemy import select

from webapp.channels.connecting import Denial, Marketplace, StoreAccess
from webapp.channels.contract import NO_CODE, Channel, Flag, ProductCode
from webapp.channels.messages import MailRoute, MessageKind
from webapp.channels.models import Store
from webapp.channels.outgoing import CancelReason, Carrier
from webapp.channels.refunds import RefundReason
from webapp.channels.registered import channels
from webapp.channels.returns import ReturnReason
from webapp.channels.review_requests import ReviewWindow
from webapp.channels.services import access_without_secrets, channel_name
from webapp.db import db
from webapp.hooks.failures import WrongType
from webapp.hooks.fence import PluginFailed, ask
from webapp.i18n import LazyString, gettext as _


def carriers(code: str, marketplace: str) -> Sequence[Carrier]:
    """The carriers that a marketplace accepts. Raises `PluginFailed`."""
    channel = channels().get(code)
    return ask(channel, "carriers", _carriers, channel, marketplace) if channel else ()


def _carriers(channel: Channel, marketplace: str) -> Sequence[Carrier]:
    found = list(channel.carriers(marketplace))
    for one in found:
        if not isinstance(one, Carrier):
            raise WrongType(one, Carrier)
    return found


def cancel_reasons(code: str, marketplace: str) -> Sequence[CancelReason]:
    """The reasons for which a marketplace cancels orders. Raises `PluginFailed`."""
    channel = channels().get(code)
    return ask(channel, "cancel", _cancel_reasons, channel, marketplace) if channel else ()


def message_kinds(code: str) -> Sequence[MessageKind]:
    """The kinds of messages to buyers that a channel knows."""
    channel = channels().get(code)
    return channel.message_kinds if channel else ()


def mail_route(code: str) -> MailRoute | None:
    """How buyers of a channel may be written to by e-mail; None if they may not be, or its plugin is gone."""
    channel = channels().get(code)
    return channel.mail if channel else None


def review_window(code: str) -> ReviewWindow | None:
    """The days in which a channel takes review requests; None if it takes none."""
    channel = channels().get(code)
    return channel.review_window if channel else None


def refund_reasons(code: str, marketplace: str) -> Sequence[RefundReason]:
    """The reasons for which a marketplace refunds buyers. Raises `PluginFailed`."""
    channel = channels().get(code)
    return ask(channel, "refund", _refund_reasons, channel, marketplace) if channel else ()


def _refund_reasons(channel: Channel, marketplace: str) -> Sequence[RefundReason]:
    found = list(channel.refund_reasons(marketplace))
    for one in found:
        if not isinstance(one, RefundReason):
            raise WrongType(one, RefundReason)
    return found


def refund_reason_label(code: str, marketplace: str, reason: str) -> str:
    """A channel's word for a reason to refund."""
    return _word(
        code,
        lambda channel: next((one.label for one in channel.refund_reasons(marketplace) if one.code == reason), reason),
        reason,
    )


def refund_reason_for(code: str, marketplace: str, reasons: Collection[ReturnReason]) -> str:
    """The channel's reason to refund units that came back for these reasons: the one that fits all of them and fewest
    others; empty if none does. Raises `PluginFailed`.
    """
    fitting = [one for one in refund_reasons(code, marketplace) if reasons and set(reasons) <= set(one.for_returns)]
    return min(fitting, key=lambda one: len(one.for_returns)).code if fitting else ""


def unanswered_request(code: str) -> str:
    """What a buyer's request to cancel costs while nobody answers it; empty if the channel says nothing."""
    channel = channels().get(code)
    return str(channel.unanswered_request) if channel else ""


def _cancel_reasons(channel: Channel, marketplace: str) -> Sequence[CancelReason]:
    found = list(channel.cancel_reasons(marketplace))
    for one in found:
        if not isinstance(one, CancelReason):
            raise WrongType(one, CancelReason)
    return found


def cancel_reason_label(code: str, marketplace: str, reason: str) -> str:
    """A channel's word for a reason to cancel."""
    return _word(
        code,
        lambda channel: next((one.label for one in channel.cancel_reasons(marketplace) if one.code == reason), reason),
        reason,
    )


def operations(code: str) -> Mapping[str, LazyString | str]:
    """What a channel's calls ask for, in words, by the codes that its calls have."""
    channel = channels().get(code)
    try:
        return ask(channel, "calls", _operations, channel) if channel else {}
    except PluginFailed:
        return {}


def _operations(channel: Channel) -> Mapping[str, LazyString | str]:
    found = channel.operations
    if not isinstance(found, Mapping):
        raise WrongType(found, Mapping)
    for word in (*found, *found.values()):
        if not isinstance(word, (str, LazyString)):
            raise WrongType(word, str)
    return found


def cancels_lines(code: str) -> bool:
    """Whether a channel cancels units of lines, and not only whole orders."""
    channel = channels().get(code)
    return channel is not None and bool(channel.cancels_lines)


def takes_documents(code: str, marketplace: str) -> bool:
    """Whether invoices and credit memos are uploaded to this marketplace; not if the plugin fails."""
    channel = channels().get(code)
    try:
        return ask(channel, "update", channel.takes_documents, marketplace, gives=bool) if channel else False
    except PluginFailed:
        return False


def marketplace_of(code: str, marketplace: str) -> Marketplace | None:
    """A channel's facts about a marketplace, by its id."""
    channel = channels().get(code)
    try:
        return ask(channel, "marketplace", channel.marketplace, marketplace, gives=_MARKETPLACE) if channel else None
    except PluginFailed:
        return None


def country_of(store: Store, marketplace: str) -> str:
    """The country of a marketplace, from its channel or from the store; else the channel's id of it."""
    known = marketplace_of(store.channel, marketplace)
    if known is not None:
        return known.country
    return next((row.country for row in store.marketplaces if row.marketplace == marketplace), marketplace)


def status_label(code: str, status: str) -> str:
    """A channel's word for one of its statuses of orders."""
    return _word(code, lambda channel: channel.status_label(status), status)


def package_status_label(code: str, status: str) -> str:
    """A channel's word for one of its statuses of packages."""
    return _word(code, lambda channel: channel.package_status_label(status), status)


def service_label(code: str, level: str) -> str:
    """A channel's word for one of its shipping services."""
    return _word(code, lambda channel: channel.service_label(level), level)


def denied_label(code: str, denial: Denial) -> str:
    """A channel's word for a denied thing."""
    return _word(code, lambda channel: channel.denied_label(denial), denial.name)


def kind_label(code: str, kind: str) -> str:
    """A channel's word for a kind of update."""
    return _word(code, lambda channel: next((one.label for one in channel.kinds if one.code == kind), kind), kind)


def product_code_of(code: str) -> ProductCode:
    """The product code of a channel."""
    channel = channels().get(code)
    return channel.product_code if channel else NO_CODE


def product_code_label(code: str) -> str:
    """A channel's label for its product code."""
    return _word(code, lambda channel: channel.product_code.label, str(NO_CODE.label))


def product_code_words() -> str:
    """The labels of all channels' product codes, in a row."""
    labels = [product_code_label(code) for code, one in channels().items() if one.product_code.code != NO_CODE.code]
    return ", ".join(dict.fromkeys(labels)) or _("product code")


def product_code_heading() -> str:
    """The heading for the product codes of all stores: the channels' label, if those that have one agree on it."""
    used = sorted(db.session.scalars(select(Store.channel).distinct()))
    labels = {own.code: code for code in used if (own := product_code_of(code)).code != NO_CODE.code}
    return product_code_label(*labels.values()) if len(labels) == 1 else str(NO_CODE.label)


def flags_of(code: str) -> Sequence[Flag]:
    """The flags that a channel declares."""
    channel = channels().get(code)
    return channel.flags if channel else ()


def flag_of(code: str, flag: str) -> Flag | None:
    """The flag of this code that a channel declares."""
    return next((one for one in flags_of(code) if one.code == flag), None)


def flag_label(code: str, flag: Flag) -> str:
    """A channel's label for one of its flags."""
    return _word(code, lambda channel: flag.label, flag.code).replace(NAME, channel_name(code))


def flag_help(code: str, flag: Flag) -> str:
    """A channel's help for one of its flags."""
    return _word(code, lambda channel: flag.help, "").replace(NAME, channel_name(code))


def order_url(store: Store, number: str, marketplace: str) -> str:
    """The URL of an order on the channel's own site; empty if it has no page there. Raises `PluginFailed`."""
    channel = channels().get(store.channel)
    if channel is None:
        return ""
    access = access_without_secrets(store)
    return ask(channel, "link", channel.order_url, access, number, marketplace, gives=(str, NoneType)) or ""


def seconds_until(store: Store, lane: str, *, urgent: bool = False) -> float:
    """Seconds until the next batch of a lane goes, or if it is urgent can go, as far as its channel knows; 0 if the
    plugin fails.
    """
    channel = channels().get(store.channel)
    access = access_without_secrets(store)
    try:
        found = ask(channel, "update", _when, channel, access, lane, urgent, gives=(int, float)) if channel else 0.0
        return float(found)
    except PluginFailed:
        return 0.0


def _when(channel: Channel, access: StoreAccess, lane: str, urgent: bool) -> float:
    return channel.when(access, lane, urgent=urgent)


def practice_settings(channel: Channel, url: str) -> Mapping[str, Any] | None:
    """The settings of a store at a practice marketplace; None if there is none, or if the plugin fails."""
    try:
        return ask(channel, "connection", channel.practice_settings, url, gives=(Mapping, NoneType))
    except PluginFailed:
        return None


NAME = "%(channel)s"  # the place of the channel's name in a label or help
_MARKETPLACE = (Marketplace, NoneType)


def _said(say: Callable[[Channel], Any], channel: Channel) -> str:
    word = say(channel)
    if not isinstance(word, (str, LazyString)):
        raise WrongType(word, str)
    return str(word)


def _word(code: str, say: Callable[[Channel], Any], otherwise: str) -> str:
    channel = channels().get(code)
    try:
        return ask(channel, "label", _said, say, channel) if channel else otherwise
    except PluginFailed:
        return otherwise

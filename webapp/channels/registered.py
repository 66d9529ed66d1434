"""The channels that plugins register, each after a check of its declarations: about orders, and what it can do."""

import re
from collections.abc import Sequence

from webapp.channels.connecting import GuideStep
from webapp.channels.contract import Channel, Flag, ProductCode
from webapp.hooks.failures import NotTaken, WrongType
from webapp.hooks.registered import by_code
from webapp.i18n import LazyString

REFUND = "refund"  # the kind of update for which a channel has a plan
_CODE = re.compile(r"[a-z][a-z0-9_]{0,39}")
OF_LINES = {  # other names in a line's JSON: a product code with such a name would overwrite the value
    "id", "channel_line_id", "sku", "title", "ordered", "canceled", "shipped", "invoiced", "invoiceable",
    "refunded", "returnable", "returned", "open", "unit_price", "total", "problems",
}  # fmt: skip


def channels() -> dict[str, Channel]:
    """The kinds of marketplace that plugins register, by code."""
    return by_code("register_channels", Channel, fits=_check)  # type: ignore[type-abstract]


def _check(channel: Channel, plugin: str) -> None:
    """Raise for an invalid product code or flag, or one that pages and searches could not name, and for what is
    declared and not implemented.
    """
    own = channel.product_code
    if not isinstance(own, ProductCode):
        raise WrongType(own, ProductCode)
    _check_words(own.code, own.label)
    if own.code in OF_LINES:
        raise NotTaken(f"a line has {own.code} already")
    if not all(isinstance(step, GuideStep) for step in channel.guide):
        raise WrongType(channel.guide, GuideStep)
    if not isinstance(channel.flags, Sequence):
        raise WrongType(channel.flags, Sequence)
    seen: set[str] = set()
    for flag in channel.flags:
        if not isinstance(flag, Flag):
            raise WrongType(flag, Flag)
        _check_words(flag.code, flag.label, flag.help)
        if flag.code in seen:
            raise NotTaken(f"the flag {flag.code} is there already")
        seen.add(flag.code)
    if any(getattr(kind, "code", "") == REFUND for kind in channel.kinds) and _lacks(channel, "refund_plan"):
        raise NotTaken(f"it carries the kind {REFUND}, and has no refund_plan")
    if channel.has_transactions and _lacks(channel, "fetch_transactions"):
        raise NotTaken("it has_transactions, and has no fetch_transactions")


def _lacks(channel: Channel, method: str) -> bool:
    """Whether the channel has not implemented a method of the contract."""
    return getattr(getattr(channel, method), "__func__", None) is getattr(Channel, method)


def _check_words(code: object, label: object, help_: object = "") -> None:
    for word in (code, label, help_):
        if not isinstance(word, (str, LazyString)):
            raise WrongType(word, str)
    if not _CODE.fullmatch(str(code)):
        raise NotTaken("a code is small letters, digits and _, and begins with a letter")
    if not str(label):
        raise NotTaken(f"the label of {code} is empty")
    str(help_)

"""The channels that plugins bring, each with what it declares of its orders looked at before it is there."""

import re
from collections.abc import Sequence

from webapp.channels.contract import Channel, Flag, ProductCode
from webapp.hooks.failures import NotTaken, WrongType
from webapp.hooks.registered import by_code
from webapp.i18n import LazyString

_CODE = re.compile(r"[a-z][a-z0-9_]{0,39}")
OF_LINES = {  # what else a line has in JSON: a product code of that name would take its place
    "id", "channel_line_id", "sku", "title", "ordered", "canceled", "shipped", "invoiced", "refunded", "open",
    "unit_price", "total", "problems",
}  # fmt: skip


def channels() -> dict[str, Channel]:
    """The kinds of marketplace that plugins bring, by code."""
    return by_code("register_channels", Channel, fits=_check)  # type: ignore[type-abstract]


def _check(channel: Channel, plugin: str) -> None:
    """Raise for a product code or a flag that is none, or that pages and searches could not name."""
    own = channel.product_code
    if not isinstance(own, ProductCode):
        raise WrongType(own, ProductCode)
    _check_words(own.code, own.label)
    if own.code in OF_LINES:
        raise NotTaken(f"a line has {own.code} already")
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


def _check_words(code: object, label: object, help_: object = "") -> None:
    for word in (code, label, help_):
        if not isinstance(word, (str, LazyString)):
            raise WrongType(word, str)
    if not _CODE.fullmatch(str(code)):
        raise NotTaken("a code is small letters, digits and _, and begins with a letter")
    if not str(label):
        raise NotTaken(f"the label of {code} is empty")
    str(help_)

"""What lists and searches get from channels' declarations: keys of their product codes, badges and keys of their flags.

Each belongs to its channel's plugin; if the desk has a badge or a key of the same code, the desk's own is used.
"""

from collections.abc import Iterable, Iterator, Sequence
from typing import TypeVar

from webapp.catalog.listings import by_product_code
from webapp.channels.contract import NO_CODE, Channel, Flag
from webapp.channels.described import flag_help, flag_label
from webapp.channels.registered import channels
from webapp.hooks.registered import made_of
from webapp.i18n import LazyString
from webapp.orders.badges import BADGES, flagged
from webapp.orders.contract import Badge
from webapp.orders.query_keys import KEYS, has_flag
from webapp.search.contract import KeyKind, QueryKey

T = TypeVar("T", bound=Badge | QueryKey)


def every_badge() -> list[Badge]:
    """The desk's own badges, with those of channels behind the badges for problems."""
    return _with(BADGES, behind="on_hold", brought=(made_of(channel, _badge(flag)) for channel, flag in _flags()))


def every_key() -> list[QueryKey]:
    """The desk's own keys, with product codes behind the SKU and flags behind the desk's flags."""
    codes = (made_of(one, _code_key(one)) for one in channels().values() if one.product_code.code != NO_CODE.code)
    flags = (made_of(channel, _flag_key(channel, flag)) for channel, flag in _flags() if flag.key)
    return _with(_with(KEYS, behind="sku", brought=codes), behind="archived", brought=flags)


def _flags() -> Iterator[tuple[Channel, Flag]]:
    return ((channel, flag) for channel in channels().values() for flag in channel.flags)


def _with(own: Sequence[T], *, behind: str, brought: Iterable[T]) -> list[T]:
    """The desk's own items with those of channels behind the item `behind`; of several with one code, the first is
    used.
    """
    codes = [thing.code for thing in own]
    taken = {*codes, *(alias for thing in own if isinstance(thing, QueryKey) for alias in thing.aliases)}
    new: dict[str, T] = {}
    for one in brought:
        if one.code not in taken:
            new.setdefault(one.code, one)
    place = codes.index(behind) + 1
    return list(own[:place]) + list(new.values()) + list(own[place:])


def _badge(flag: Flag) -> Badge:
    return Badge(
        code=flag.code,
        label=flag.label,
        help=flag.help,
        tone=flag.tone,
        icon=flag.icon,
        shows=flagged(flag.code),
        reads=("flags",),
    )


def _flag_key(channel: Channel, flag: Flag) -> QueryKey:
    label, help_ = (LazyString(words, channel.code, flag) for words in (flag_label, flag_help))
    code = _spelled(flag.code)
    return QueryKey(code=code, label=label, kind=KeyKind.YES_NO, condition=has_flag(flag.code), help=help_)


def _code_key(channel: Channel) -> QueryKey:
    own = channel.product_code
    return QueryKey(code=_spelled(own.code), label=own.label, kind=KeyKind.TEXT, find=by_product_code(own.code))


def _spelled(code: str) -> str:
    """A code as keys spell it: with hyphens."""
    return code.replace("_", "-")

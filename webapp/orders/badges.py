"""The desk's own badges: short words for what some orders are, or for their problems. A channel brings the badges of
its own flags (`webapp.orders.of_channels`), and may bring its own words for the desk's badges.

A flag that a channel set and that has no badge is shown by its code.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from typing import Any

from webapp.channels import described
from webapp.channels.described import NAME
from webapp.channels.services import channel_name
from webapp.db import table_of
from webapp.hooks.fence import PluginFailed, ask, label_of
from webapp.hooks.registered import by_code
from webapp.i18n import gettext as _, lazy_gettext as _l, ngettext
from webapp.orders.attention import in_words
from webapp.orders.contract import Badge
from webapp.orders.models import Order
from webapp.search.contract import Label


def flagged(code: str) -> Callable[[Order], bool]:
    """Whether the channel set this flag on an order."""
    return lambda order: code in order.flags


PRACTICE = Badge(
    code="practice",
    reads=(),
    label=_l("Practice"),
    shows=lambda order: order.store.practice,
    icon="flask",
    help=_l("This is a sample order of a practice store."),
)
BADGES = (
    Badge(
        code="cancel_requested",
        reads=("buyer_wants_cancel",),
        label=_l("Cancel requested"),
        shows=lambda order: order.buyer_wants_cancel,
        tone="bad",
        icon="hand-stop",
        help=_l("The buyer asked to cancel."),
    ),
    Badge(
        code="attention",
        reads=("needs_attention", "attention"),
        label=_l("Attention"),
        shows=lambda order: order.needs_attention,
        tone="warn",
        icon="alert-triangle",
        help=_l("Something in this order needs to be checked."),
    ),
    Badge(
        code="on_hold",
        reads=("on_hold", "canceling"),
        label=_l("On hold"),
        shows=lambda order: order.on_hold and order.canceling,  # in other cases the state shows it
        tone="warn",
        icon="player-pause",
    ),
    Badge(code="replacement", reads=("flags",), label=_l("Replacement"), shows=flagged("replacement"), icon="replace"),
    Badge(code="gift", reads=("flags",), label=_l("Gift"), shows=flagged("gift"), icon="gift"),
    Badge(
        code="label_required",
        reads=("flags",),
        label=_l("Label required"),
        shows=flagged("label_required"),
        tone="info",
        icon="rocket",
        help=_l("The shipping label must be bought on the channel."),
    ),
    Badge(
        code="by_channel",
        reads=("fulfilled_by",),
        label=_l("Fulfilled by %(channel)s"),
        shows=lambda order: order.fulfilled_by == "channel",
        icon="building-warehouse",
        help=_l("%(channel)s ships this order from its own stock."),
    ),
    PRACTICE,
)


def badges() -> dict[str, Badge]:
    """Every badge by its code, the desk's own first; a plugin's badge replaces one of the same code."""
    return by_code("register_badges", Badge)


def badge_reads() -> dict[str, Any]:
    """The columns of orders that badges read."""
    asked = {name for badge in badges().values() for name in badge.reads or ()}
    known = table_of(Order).c
    return {name: getattr(Order, name) for name in sorted(asked | {"flags"}) if name in known}


def _answers(badge: Badge, orders: Sequence[Order]) -> list[bool | PluginFailed]:
    """Whether each of these orders has a badge: the badge is asked for all at once, and one by one if that fails."""
    try:
        return list(ask(badge, "badge", _shows, badge, orders))
    except PluginFailed as problem:
        return [problem] if len(orders) == 1 else [_answers(badge, [order])[0] for order in orders]


def _shows(badge: Badge, orders: Sequence[Order]) -> list[bool]:
    return [bool(badge.shows(order)) for order in orders]


class Badges:
    """The badges of a page's orders; their labels are looked up once."""

    def __init__(self, without: Iterable[str] = ()) -> None:
        known = badges()
        self._known = set(known)
        self._named: dict[tuple[str, str], Label] = {}  # labels in a channel's words, by badge and channel
        self._asked = [
            (badge, Label(label_of(badge), badge.tone, badge.icon, str(badge.help)))
            for badge in known.values()
            if badge.code not in set(without)
        ]

    def of(self, order: Order) -> list[Label]:
        """The badges of one order."""
        return self.of_all([order])[order.id]

    def of_all(
        self, orders: Sequence[Any], whole: Callable[[], Sequence[Order]] | None = None
    ) -> dict[int, list[Label]]:
        """The badges of each of these orders, by their ids. If a list has read plain values alone, `whole` reads
        whole orders for badges that don't declare what they read.
        """
        carried: dict[int, list[Label]] = {order.id: [] for order in orders}
        for badge, label in self._asked:
            those = whole() if whole and badge.reads is None else orders
            for order, answer in zip(those, _answers(badge, those), strict=True):
                if isinstance(answer, PluginFailed):
                    text = _("%(name)s: %(text)s", name=label.text, text=_("failed"))
                    carried[order.id].append(Label(text, "warn", "alert-triangle", str(answer)))
                elif answer:
                    carried[order.id].append(self._worded(badge.code, label, order))
        for order in orders:
            for code in order.flags:
                if code not in self._known:
                    carried[order.id].append(Label(code.replace("_", " ").capitalize()))
        return carried

    def _worded(self, code: str, label: Label, order: Order) -> Label:
        """The badge's label for this order: with the kinds of attention and their fixes as its help, or with the
        channel's name. A channel's own words for a flag come first.
        """
        if code in order.flags or NAME in label.text or NAME in label.title:
            return self._of_channel(code, label, order.store.channel)
        troubles = in_words(order.attention) if code == "attention" else []
        if not troubles:
            return label
        fixes = "\n".join(str(_("%(name)s: %(text)s", name=trouble.label, text=trouble.fix)) for trouble in troubles)
        many = ngettext("%(num)s problem to check", "%(num)s problems to check", len(troubles))
        return replace(label, text=troubles[0].label if len(troubles) == 1 else many, title=fixes)

    def _of_channel(self, code: str, label: Label, channel: str) -> Label:
        if (code, channel) not in self._named:
            name = channel_name(channel)
            if flag := described.flag_of(channel, code):
                words = described.flag_label(channel, flag), described.flag_help(channel, flag)
                label = Label(words[0], flag.tone, flag.icon, words[1])
            text, title = (words.replace(NAME, name) for words in (label.text, label.title))
            self._named[code, channel] = replace(label, text=text, title=title)
        return self._named[code, channel]

"""Attention: what is the matter with an order or a line, with its cause and its fix. It marks, it never blocks."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from webapp.errors import sentence_of
from webapp.hooks.fence import PluginFailed, ask
from webapp.hooks.registered import by_code
from webapp.i18n import LazyString, lazy_gettext as _l
from webapp.orders.postal import FIELDS as ADDRESS_LABELS


@dataclass(frozen=True, slots=True)
class AttentionKind:
    """A kind of trouble: label, one sentence why, one sentence what to do. The sentences may take the row's values; of
    lists of codes among these, `words` says what they are called.
    """

    code: str
    label: LazyString
    cause: LazyString
    fix: LazyString
    words: Mapping[str, LazyString] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Attention:
    """One trouble in the reader's language."""

    kind: str
    label: str
    cause: str
    fix: str


_TIMES = {
    "ship_from": _l("Ship from"),
    "ship_by": _l("Ship by"),
    "deliver_from": _l("Deliver from"),
    "deliver_by": _l("Deliver by"),
    "shipped_at": _l("Shipped"),
}
KINDS = (
    AttentionKind(
        "unmatched_sku",
        _l("Product not known"),
        _l("The channel named no SKU for this line."),
        _l("Ship it by its title, and give the listing a SKU on the channel."),
    ),
    AttentionKind(
        "odd_address",
        _l("Address incomplete"),
        _l("The delivery address lacks: %(missing)s."),
        _l("Ask the buyer, or look at the order on the channel's own page, before it leaves."),
        ADDRESS_LABELS,
    ),
    AttentionKind(
        "address_changed",
        _l("Another address"),
        _l("The channel tells another delivery address since this one was corrected here."),
        _l("Compare both under Addresses and save the right one."),
    ),
    AttentionKind(
        "unknown_status",
        _l("Unknown status"),
        _l("The channel calls this order “%(status)s”, a word the desk does not know."),
        _l("Look at the order on the channel's own page before working it."),
    ),
    AttentionKind(
        "canceled_after_shipping",
        _l("Canceled there after it left"),
        _l("The channel canceled this order after the desk had shipped it."),
        _l("Ask the carrier to return the parcel, or agree with the buyer."),
    ),
    AttentionKind(
        "conflict",
        _l("Quantities disagree"),
        _l("The channel counts %(there)s shipped of %(sku)s, the desk %(here)s."),
        _l("Compare the packages of both sides."),
    ),
    AttentionKind(
        "update_refused",
        _l("Update refused"),
        _l("The channel refused an update: %(problem)s"),
        _l("Mend what the channel complains of and send it again; where nothing is left to tell, close it."),
    ),
    AttentionKind(
        "update_denied",
        _l("Update denied"),
        _l("The channel denies the desk this update: %(problem)s"),
        _l("Grant the permission there. The desk tries again every six hours; send it again yourself, or close it."),
    ),
    AttentionKind(
        "update_unseen",
        _l("Update not shown"),
        _l("The channel took an update long ago and does not show it."),
        _l("Look at the order on the channel's own page; where nothing is left to tell, close the update."),
    ),
    AttentionKind(
        "update_impossible",
        _l("Update not possible"),
        _l("An update can't be sent: %(problem)s"),
        _l("Mend what it says and send it again; where nothing is left to tell, close it."),
    ),
    AttentionKind(
        "update_undecided",
        _l("Fate unknown"),
        _l("The answer to an update was lost, and nothing at the channel shows whether it happened."),
        _l("Find out at the channel whether it happened, and say so under Channel updates."),
    ),
    AttentionKind(
        "incomplete",
        _l("Incomplete answer"),
        _l("The channel left out: %(missing)s."),
        _l("Check the permissions of the app on the channel; the next sync fills the gaps."),
    ),
    AttentionKind(
        "odd_time",
        _l("Impossible time"),
        _l("The channel gave times before 1970 or after 2199, so the desk left them out: %(times)s."),
        _l("Look at the order on the channel's own page for when it must leave."),
        _TIMES,
    ),
)


def kinds() -> dict[str, AttentionKind]:
    return by_code("register_attention_kinds", AttentionKind)


def in_words(stored: Iterable[Mapping[str, Any]]) -> list[Attention]:
    """Stored troubles as sentences; a kind whose plugin is gone says its code."""
    known = kinds()
    shown = []
    for trouble in stored:
        kind, values = known.get(trouble["kind"]), trouble.get("values", {})
        if kind is None:
            shown.append(Attention(trouble["kind"], trouble["kind"], "", ""))
        else:
            said = {name: _said(value, kind.words) for name, value in values.items()}
            try:
                cause, fix = ask(kind, "label", _sentences, kind, said)
            except PluginFailed:  # its name is said at least
                cause, fix = "", ""
            shown.append(Attention(kind.code, str(kind.label), cause, fix))
    return shown


def _sentences(kind: AttentionKind, said: Mapping[str, Any]) -> tuple[str, str]:
    return _fill(kind.cause, said), _fill(kind.fix, said)


def _fill(sentence: LazyString, values: Mapping[str, Any]) -> str:
    return str(sentence) % values if values else str(sentence)


def _said(value: Any, words: Mapping[str, LazyString]) -> Any:
    if isinstance(value, dict):
        return sentence_of(value)
    return ", ".join(str(words.get(code, code)) for code in value) if isinstance(value, list) else value

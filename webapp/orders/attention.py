"""Attention: a problem of an order or a line, with its cause and its fix. Attention marks an order and never blocks
it.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from webapp.errors import sentence_of
from webapp.hooks.fence import PluginFailed, ask
from webapp.hooks.registered import by_code
from webapp.i18n import LazyString, lazy_gettext as _l


@dataclass(frozen=True, slots=True)
class AttentionKind:
    """A kind of problem: its label, one sentence of cause, one sentence of fix. The sentences may use the values of
    the stored problem; if a value is a list of codes, `words` gives their labels.
    """

    code: str
    label: LazyString
    cause: LazyString
    fix: LazyString
    words: Mapping[str, LazyString] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Attention:
    """One problem, in the reader's language."""

    kind: str
    label: str
    cause: str
    fix: str


KINDS = (
    AttentionKind(
        "address_changed",
        _l("Different address"),
        _l("The channel has sent another delivery address since the address was corrected in Waybill."),
        _l("Compare both addresses under Addresses, then save the correct one."),
    ),
)


def kinds() -> dict[str, AttentionKind]:
    return by_code("register_attention_kinds", AttentionKind)


def in_words(stored: Iterable[Mapping[str, Any]]) -> list[Attention]:
    """Stored problems as sentences; a kind whose plugin is gone is shown by its code."""
    known = kinds()
    shown = []
    for trouble in stored:
        kind, values = known.get(trouble["kind"]), trouble.get("values", {})
        if kind is None:
            shown.append(Attention(trouble["kind"], trouble["kind"], "", ""))
        else:
            try:
                cause, fix = ask(kind, "label", _sentences, kind, values)
            except PluginFailed:  # at least its label is shown
                cause, fix = "", ""
            shown.append(Attention(kind.code, str(kind.label), cause, fix))
    return shown


def _sentences(kind: AttentionKind, values: Mapping[str, Any]) -> tuple[str, str]:
    said = {name: _said(value, kind.words) for name, value in values.items()}
    return _fill(kind.cause, said), _fill(kind.fix, said)


def _fill(sentence: LazyString, values: Mapping[str, Any]) -> str:
    return str(sentence) % values if values else str(sentence)


def _said(value: Any, words: Mapping[str, LazyString]) -> Any:
    if isinstance(value, dict):
        return sentence_of(value)
    return ", ".join(str(words.get(code, code)) for code in value) if isinstance(value, list) else value

"""Attention: what is the matter with an order or a line, with its cause and its fix. It marks, it never blocks."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from webapp.errors import sentence_of
from webapp.hooks.fence import PluginFailed, ask
from webapp.hooks.registered import by_code
from webapp.i18n import LazyString, lazy_gettext as _l


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


KINDS = (
    AttentionKind(
        "address_changed",
        _l("Another address"),
        _l("The channel tells another delivery address since this one was corrected here."),
        _l("Compare both under Addresses and save the right one."),
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

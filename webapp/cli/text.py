"""Documents as text for people: aligned tables, and pairs of name and value."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any
from unicodedata import combining, east_asian_width

LONGEST = 48  # a cell before the last; the JSON has the whole text


def table(rows: Sequence[Mapping[str, Any]], columns: Sequence[str], *, empty: str) -> list[str]:
    """The rows under their columns' titles; `empty` if there are none. Nothing is cut off in the last column."""
    if not rows:
        return [empty]
    cells = [
        [name.replace("_", " ").upper() for name in columns],
        *([cell(row[name], cut=name != columns[-1]) for name in columns] for row in rows),
    ]
    widths = [max(width(line[place]) for line in cells) for place in range(len(columns))]
    return ["  ".join(padded(text, wide) for text, wide in zip(line, widths, strict=True)).rstrip() for line in cells]


def pairs(document: Mapping[str, Any], names: Iterable[str] | None = None) -> list[str]:
    """One line for each value, after its name."""
    shown = {name if name.isupper() else name.replace("_", " "): document[name] for name in (names or document)}
    wide = max(map(len, shown), default=0)
    return [f"{name:{wide}}  {cell(value, cut=False)}".rstrip() for name, value in shown.items()]


def section(title: str, lines: Sequence[str]) -> list[str]:
    """Lines under a title; nothing if there are none."""
    return ["", title, *(f"  {line}" for line in lines)] if lines else []


def cell(value: Any, *, cut: bool = True) -> str:
    """A value in one line."""
    if value is None or value == "" or value == []:
        return "—"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list):
        return cell(", ".join(map(str, value)), cut=cut)
    text = " ".join(str(value).split())
    return text[: LONGEST - 1] + "…" if cut and len(text) > LONGEST else text


def width(text: str) -> int:
    """The columns that the text takes in a terminal."""
    return sum(0 if combining(letter) else 2 if east_asian_width(letter) in "WF" else 1 for letter in text)


def padded(text: str, wide: int) -> str:
    return text + " " * (wide - width(text))

"""Tables that people upload or paste: whatever program wrote them, they become rows of cleaned texts.

A file may be CSV or text in the usual encodings, or a workbook. Cells are separated by tabs, semicolons or commas. Each
column is found by its title; without a head, by its place.
"""

import codecs
import csv
import io
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from webapp.errors import DeskError
from webapp.i18n import LazyString, lazy_gettext as _l
from webapp.lists.spreadsheets import cleaned
from webapp.lists.workbook_reading import BadWorkbook, read_workbook

TAB = "\t"
SEPARATORS = (TAB, ";", ",")
_WORKBOOK = b"PK\x03\x04"
_NAMED_SEPARATOR = re.compile(r"sep=(.)", re.IGNORECASE)  # in the first line, as spreadsheets write and read it
_KANA = re.compile("[ぁ-ヺ]")
_WORD = re.compile(r"[^\W_]+")
_HEAD_WITHIN = 5  # rows; above a head stand lines about the file
_TITLES = 2  # so many known titles make a head


class UnreadableFile(DeskError):
    code, status = "unreadable_file", 422
    sentence = _l("This file can't be read. Save it as CSV or as an Excel workbook (.xlsx), and upload it again.")


class CellTooLong(DeskError):
    code, status = "cell_too_long", 422
    sentence = _l("A cell of this list is far too long. Check whether a closing quotation mark is missing.")


@dataclass(frozen=True, slots=True)
class TitledColumn:
    """A column that a table can have: the title that the desk gives it, and other titles for it."""

    code: str
    label: LazyString | str
    titles: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class TableRow:
    """A row of a table; `line` counts from 1, with empty rows, as spreadsheets do."""

    line: int
    cells: Sequence[str]


def text_of(body: bytes) -> str:
    """The text of an uploaded file; the rows of a workbook are separated by tabs. Raises `UnreadableFile`,
    or `TooSlow` once a time limit is over.
    """
    if body.startswith(_WORKBOOK):
        try:
            return write_cells(read_workbook(body))
        except BadWorkbook:
            raise UnreadableFile from None
    if body.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return body.decode("utf-16", errors="replace")
    if b"\0" in body:
        raise UnreadableFile
    for encoding in ("utf-8-sig", "cp932", "cp1252"):
        try:
            text = body.decode(encoding)
        except UnicodeDecodeError:
            continue
        if encoding != "cp932" or _KANA.search(text):  # other texts can be valid there, too, but have no kana
            return text
    return body.decode("latin-1")


def write_cells(rows: Sequence[Sequence[str]]) -> str:
    """The rows as a text whose cells are separated by tabs."""
    text = io.StringIO()
    csv.writer(text, delimiter=TAB, lineterminator="\n").writerows(rows)
    return text.getvalue()


def cells_of(text: str, separator: str = "") -> list[TableRow]:
    """The rows of a table, without empty ones. The first line that has separators says which one it is, if none is
    given. Raises `CellTooLong`.
    """
    lines = text.removeprefix("\ufeff").splitlines()
    if lines and not separator and (named := _NAMED_SEPARATOR.fullmatch(lines[0].strip())):
        separator, lines = named[1], lines[1:]
    first = next((line for line in lines if any(one in line for one in SEPARATORS)), "")
    try:
        rows = list(csv.reader(lines, delimiter=separator or max(SEPARATORS, key=first.count)))
    except csv.Error:
        raise CellTooLong from None
    return [TableRow(line, row) for line, row in enumerate(rows, start=1) if any(map(str.strip, row))]


def placed(rows: Sequence[TableRow], columns: Sequence[TitledColumn]) -> tuple[list[TableRow], dict[str, int]]:
    """The rows below the head, and the place of each column by its code: by its title, or without a head that names
    the first column, by the order of `columns`.
    """
    codes = _codes_of_titles(columns)
    untitled = {column.code: place for place, column in enumerate(columns)}
    named = [(at, _head(row, codes)) for at, row in enumerate(rows[:_HEAD_WITHIN])]
    heads = [(at, found) for at, found in named if columns[0].code in found]
    if not heads:
        return list(rows), untitled
    at, found = heads[-1]  # a head of codes can stand below one of words
    if found.items() <= untitled.items():  # rows may have cells beyond a short head
        found |= {code: place for code, place in untitled.items() if place >= len(rows[at].cells)}
    return list(rows[at + 1 :]), found


def _head(row: TableRow, codes: Mapping[str, str]) -> dict[str, int]:
    """The places of the columns that a row names; empty if it is no head."""
    found: dict[str, int] = {}
    for place, cell in enumerate(row.cells):
        if code := codes.get(_title(cell)):
            found.setdefault(code, place)
    return found if len(found) >= _TITLES else {}


def values_of(row: TableRow, places: Mapping[str, int]) -> dict[str, str]:
    """The cleaned texts of a row, by the codes of their columns."""
    return {code: cleaned(row.cells[place]) for code, place in places.items() if place < len(row.cells)}


def _codes_of_titles(columns: Sequence[TitledColumn]) -> dict[str, str]:
    """The code of each column by its titles, those of the reader's language included."""
    return {_title(title): column.code for column in columns for title in (*column.titles, str(column.label))}


def _title(text: str) -> str:
    return " ".join(_WORD.findall(text.casefold()))

"""Reading a workbook (XLSX) that somebody uploads: the sheet that was open when it was saved, as rows of texts.

A cell of digits is an amount there, of which fifteen digits are kept: a longer one is written with an exponent, so that
whoever reads the row sees that it was rounded (`spreadsheets`). Days and times are written as ISO 8601.
"""

import io
import lzma
import posixpath
import re
import zipfile
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal, InvalidOperation
from xml.etree import ElementTree as Xml

_LARGEST = 24 * 2**20  # bytes of a part of the workbook, unpacked
_COLUMNS = 100  # further ones are not read
_EMPTY = 1_000  # rows in a row
_LONGEST = 10**15  # amounts from here on have more digits than are kept
_DAY_ZERO = datetime(1899, 12, 30)  # noqa: DTZ001 - a workbook knows no zones
_DAYS_TO_1904 = 1_462  # between the days from which workbooks count
_LAST_DAY = 2_958_466
_DATE_FORMATS = frozenset({*range(14, 23), *range(27, 37), *range(45, 48), *range(50, 59)})  # of every workbook
_DAMAGED = (  # what bytes raise that are no archive, are encrypted, or have no structure of a workbook
    zipfile.BadZipFile, zlib.error, lzma.LZMAError, NotImplementedError, RuntimeError, OSError, EOFError,
    Xml.ParseError, LookupError, StopIteration, ValueError, ArithmeticError,
)  # fmt: skip
_LITERALS = re.compile(r'"[^"]*"|\[[^\]]*\]|\\.')
_LETTERS = re.compile("[A-Z]+")


class BadWorkbook(Exception):
    """The bytes are no workbook that can be read."""


@dataclass(frozen=True, slots=True)
class _Style:
    """What a cell's format says of an amount: whether it is a day or time, and to how many digits it is filled up."""

    is_date: bool = False
    digits: int = 0


_PLAIN = _Style()


def read_workbook(body: bytes) -> list[list[str]]:
    """The rows of the open sheet. Raises `BadWorkbook`."""
    try:
        with zipfile.ZipFile(io.BytesIO(body)) as book:
            return _rows(book)
    except _DAMAGED as error:
        raise BadWorkbook from error


def _rows(book: zipfile.ZipFile) -> list[list[str]]:
    workbook = _part(book, "xl/workbook.xml")
    view, epoch = workbook.find("{*}bookViews/{*}workbookView"), workbook.find("{*}workbookPr")
    sheets = workbook.findall("{*}sheets/{*}sheet")
    opened = int(view.get("activeTab", 0)) if view is not None else 0
    sheet = sheets[opened]
    relation = next(value for name, value in sheet.items() if name.endswith("}id"))
    targets = {one.get("Id"): one.get("Target", "") for one in _part(book, "xl/_rels/workbook.xml.rels")}
    path = posixpath.normpath(posixpath.join("/xl", targets[relation])).lstrip("/")
    later = epoch is not None and epoch.get("date1904") in ("1", "true")
    day_zero = _DAY_ZERO + timedelta(days=_DAYS_TO_1904 if later else 0)
    names = book.namelist()
    strings = _strings(book) if "xl/sharedStrings.xml" in names else []
    styles = _styles(book) if "xl/styles.xml" in names else []
    rows: list[list[str]] = []
    for row in _part(book, path).iterfind("{*}sheetData/{*}row"):
        empty = int(row.get("r", 0)) - len(rows) - 1  # empty rows are left out of the sheet, but count
        rows += [[] for _ in range(min(empty, _EMPTY))]
        rows.append(_row(row, strings, styles, day_zero))
    return rows


def _part(book: zipfile.ZipFile, name: str) -> Xml.Element:
    with book.open(name) as file:
        content = file.read(_LARGEST + 1)
    if len(content) > _LARGEST or b"<!DOCTYPE" in content:  # entities could grow without end
        raise BadWorkbook
    return Xml.fromstring(content)  # noqa: S314 - without a document type, and not too large


def _strings(book: zipfile.ZipFile) -> list[str]:
    return [_text(one) for one in _part(book, "xl/sharedStrings.xml").iterfind("{*}si")]


def _text(element: Xml.Element) -> str:
    """The text of a cell or a shared string, without the readings that Japanese texts have beside them."""
    return "".join(one.text or "" for part in ("{*}t", "{*}r/{*}t") for one in element.iterfind(part))


def _styles(book: zipfile.ZipFile) -> list[_Style]:
    sheet = _part(book, "xl/styles.xml")
    codes = {one.get("numFmtId"): one.get("formatCode", "") for one in sheet.iterfind("{*}numFmts/{*}numFmt")}
    return [_style(one.get("numFmtId", "0"), codes) for one in sheet.iterfind("{*}cellXfs/{*}xf")]


def _style(number: str, codes: Mapping[str | None, str]) -> _Style:
    code = codes.get(number, "")
    bare = _LITERALS.sub("", code).lower()
    is_date = int(number) in _DATE_FORMATS if not code else any(letter in bare for letter in "dyhs")
    return _Style(is_date, len(code) if code and not code.strip("0") else 0)


def _row(row: Xml.Element, strings: Sequence[str], styles: Sequence[_Style], day_zero: datetime) -> list[str]:
    cells: list[str] = []
    for place, cell in _placed(row):
        cells += [""] * (place + 1 - len(cells))
        style = styles[int(cell.get("s", 0))] if styles else _PLAIN
        cells[place] = " ".join(_value(cell, strings, style, day_zero).split())
    return cells


def _placed(row: Xml.Element) -> Iterator[tuple[int, Xml.Element]]:
    """The cells of a row with their places; a cell without a name stands behind the one before."""
    place = -1
    for cell in row.iterfind("{*}c"):
        place += 1
        if letters := _LETTERS.match(cell.get("r", "")):
            place = 0
            for letter in letters[0]:
                place = place * 26 + ord(letter) - ord("A") + 1
            place -= 1
        if 0 <= place < _COLUMNS:
            yield place, cell


def _value(cell: Xml.Element, strings: Sequence[str], style: _Style, day_zero: datetime) -> str:
    kind, value = cell.get("t", "n"), cell.findtext("{*}v") or ""
    if kind == "inlineStr":
        inline = cell.find("{*}is")
        return _text(inline) if inline is not None else ""
    if kind == "s":
        return strings[int(value)]
    return _amount(value, style, day_zero) if kind == "n" and value else value


def _amount(value: str, style: _Style, day_zero: datetime) -> str:
    try:
        amount = Decimal(value)
    except InvalidOperation:
        return value
    if style.is_date and 1 <= amount < _LAST_DAY:
        at = day_zero + timedelta(seconds=round(float(amount) * 86_400))
        return f"{at:%Y-%m-%d}" if amount == int(amount) else f"{at:%Y-%m-%dT%H:%M}"
    if abs(amount) >= _LONGEST:
        return f"{amount:.5E}"
    return str(int(amount)).zfill(style.digits) if amount == int(amount) else value

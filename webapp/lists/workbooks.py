"""Workbooks (XLSX), written while their rows are read: neither all rows nor a whole sheet is in memory or in a file.

The library that writes workbooks would keep the rows in files of its own, unsealed, until the workbook is closed. So it
only makes a workbook without rows, in memory: styles, sheets with their heads, and everything around them. The rows are
inserted into the sheets while the file is sealed.
"""

import io
import re
import zipfile
from collections.abc import Iterator, Sequence
from datetime import datetime
from itertools import islice
from typing import Any, Protocol

SHEET = 500_000  # rows of a sheet: a streamed file inside a workbook can have at most 2 GB
_WIDTH = 18  # of columns, in characters: enough for a time
_PLACES = 5  # number formats of amounts: 0 to 4 decimal places
_LONGEST = 32_767  # characters that a cell can hold
_SAMPLE = re.compile(r'<row r="2".*?</row>', re.DOTALL)
_STYLE = re.compile(r' s="(\d+)"')
_DIMENSION = re.compile(r'<dimension ref="[^"]*"/>')
_ESCAPED = re.compile(r"(_x[0-9a-fA-F]{4}_)")
_SPECIAL = re.compile("[&<>\x00-\x08\x0b-\x1f\ud800-\udfff\ufffe\uffff]")
_DAY_ZERO = datetime(1899, 12, 30)  # noqa: DTZ001 - a workbook knows no zones
_PIECE = 2_000  # rows that are compressed together


class Target(Protocol):
    """The file to which the workbook is written."""

    def write(self, data: bytes, /) -> int: ...
    def flush(self) -> None: ...
    def close(self) -> None: ...


def write_workbook(target: Target, head: Sequence[str], rows: Iterator[Sequence[Any]], count: int) -> None:
    """Write a workbook of these rows, `count` in all, on as many sheets as they need. Text never becomes a formula or a
    link. A cell is text, a number, `{"at": ISO time}` or `{"decimal": digits}`.
    """
    counts = [min(SHEET, count - start) for start in range(0, count, SHEET)] or [0]
    frame, styles = _frame(head, len(counts))
    names = [_column(place) for place in range(len(head))]
    # Written as a stream: the sizes are not known in advance, and nothing can be overwritten.
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED, compresslevel=6) as book:
        sheets = {f"xl/worksheets/sheet{number}.xml": many for number, many in enumerate(counts, start=1)}
        for name, content in frame.items():
            if name not in sheets:
                book.writestr(name, content)
                continue
            before, end, after = content.decode().rpartition("</sheetData>")
            before = _DIMENSION.sub(f'<dimension ref="A1:{names[-1]}{sheets[name] + 1}"/>', before)
            with book.open(name, "w") as sheet:
                sheet.write(before.encode())
                lines = enumerate(islice(rows, sheets[name]), start=2)
                while piece := [_row(at, row, names, styles) for at, row in islice(lines, _PIECE)]:
                    sheet.write("".join(piece).encode())
                sheet.write((end + after).encode())


def _frame(head: Sequence[str], sheets: int) -> tuple[dict[str, bytes], list[str]]:
    """The files of a workbook without rows, by name, and the numbers of its styles: first that of times, then those of
    amounts by decimal places.
    """
    import xlsxwriter  # slow to load, and few jobs write workbooks

    content = io.BytesIO()
    book = xlsxwriter.Workbook(content, {"in_memory": True})
    bold = book.add_format({"bold": True})
    formats = [book.add_format({"num_format": "yyyy-mm-dd hh:mm"})]
    formats += [book.add_format({"num_format": f"{0:.{places}f}"}) for places in range(_PLACES)]
    for number in range(sheets):
        sheet = book.add_worksheet()
        sheet.freeze_panes(1, 0)
        sheet.set_column(0, len(head) - 1, _WIDTH)
        for place, word in enumerate(head):
            sheet.write_string(0, place, word, bold)
        if number == 0:  # one cell of each style, to read the number that the library gave the style
            for place, format in enumerate(formats):
                sheet.write_number(1, place, 1, format)
    book.close()
    with zipfile.ZipFile(content) as made:
        files = {name: made.read(name) for name in made.namelist()}
    first = files["xl/worksheets/sheet1.xml"].decode()
    [sample] = _SAMPLE.findall(first)
    files["xl/worksheets/sheet1.xml"] = first.replace(sample, "").encode()
    return files, _STYLE.findall(sample)


def _row(at: int, row: Sequence[Any], names: Sequence[str], styles: Sequence[str]) -> str:
    cells = [f'<row r="{at}">']
    for name, cell in zip(names, row, strict=True):
        if cell is None:
            continue
        if isinstance(cell, str):
            space = ' xml:space="preserve"' if cell[:1].isspace() or cell[-1:].isspace() else ""
            cells.append(f'<c r="{name}{at}" t="inlineStr"><is><t{space}>{_text(cell)}</t></is></c>')
        elif not isinstance(cell, dict):
            cells.append(f'<c r="{name}{at}"><v>{cell}</v></c>')
        elif "at" in cell:  # in the shop's zone; workbooks know no zones
            day = (datetime.fromisoformat(cell["at"]).replace(tzinfo=None) - _DAY_ZERO).total_seconds() / 86_400
            cells.append(f'<c r="{name}{at}" s="{styles[0]}"><v>{day:.16g}</v></c>')
        else:
            places = min(len(cell["decimal"].partition(".")[2]), _PLACES - 1)
            cells.append(f'<c r="{name}{at}" s="{styles[places + 1]}"><v>{float(cell["decimal"]):.16g}</v></c>')
    cells.append("</row>")
    return "".join(cells)


def _text(text: str) -> str:
    """Text for XML; characters that XML can't hold are escaped as workbooks do it."""
    if len(text) > _LONGEST:
        text = text[:_LONGEST]
    if "_x" in text:
        text = _ESCAPED.sub(r"_x005F\1", text)
    return _SPECIAL.sub(_special, text) if _SPECIAL.search(text) else text


def _special(found: re.Match[str]) -> str:
    letter = found[0]
    known = {"&": "&amp;", "<": "&lt;", ">": "&gt;"}.get(letter)
    return known or ("?" if letter > "\x1f" else f"_x{ord(letter):04X}_")


def _column(place: int) -> str:
    """The letters of a column: A, B, … Z, AA, …"""
    name = ""
    while place >= 0:
        place, rest = divmod(place, 26)
        name, place = chr(ord("A") + rest) + name, place - 1
    return name

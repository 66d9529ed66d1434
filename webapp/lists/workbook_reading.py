"""Reading a workbook (XLSX) that somebody uploads: the sheet that was open when it was saved, as rows of texts.

A cell of digits is an amount there, of which fifteen digits are kept: a longer one is written with an exponent, so that
whoever reads the row sees that it was rounded (`spreadsheets`). Days and times are written as ISO 8601.
"""

import io
import warnings
import zipfile
from collections.abc import Sequence
from datetime import date, datetime, time
from typing import Any

from webapp.db import check_time
from webapp.errors import TooSlow

_LARGEST = 20 * 2**20  # bytes of the workbook, unpacked
_COLUMNS, _ROWS = 100, 20_000  # further ones are not read
_LONGEST = 10**15  # amounts from here on have more digits than are kept


class BadWorkbook(Exception):
    """The bytes are no workbook that can be read."""


def read_workbook(body: bytes) -> list[list[str]]:
    """The rows of the open sheet. Raises `BadWorkbook`, or `TooSlow` once a time limit is over."""
    from openpyxl import load_workbook  # takes a while to import

    try:
        with zipfile.ZipFile(io.BytesIO(body)) as packed:
            if sum(part.file_size for part in packed.infolist()) > _LARGEST:
                raise BadWorkbook
        with warnings.catch_warnings(action="ignore"):  # of parts that it does not read, such as charts
            book = load_workbook(io.BytesIO(body), read_only=True, data_only=True)
            rows = []
            for row in book.active.iter_rows(max_row=_ROWS, max_col=_COLUMNS):
                check_time()
                rows.append(_texts(row))
            return rows
    except (BadWorkbook, TooSlow):
        raise
    except Exception as error:  # whatever a file can be
        raise BadWorkbook from error


def _texts(row: Sequence[Any]) -> list[str]:
    """The cells of a row up to the last that is filled in."""
    texts = [_text(cell.value, cell) for cell in row]
    while texts and not texts[-1]:
        texts.pop()
    return texts


def _text(value: Any, cell: Any) -> str:
    match value:
        case None:
            return ""
        case bool():
            return str(value).upper()
        case int() | float():
            return _amount(value, cell.number_format)
        case datetime() if value.time() != time():
            return f"{value:%Y-%m-%dT%H:%M}"
        case date():
            return f"{value:%Y-%m-%d}"
    return " ".join(str(value).split())


def _amount(value: float, number_format: str) -> str:
    """The digits as the cell shows them: `000000` fills them up to six."""
    if abs(value) >= _LONGEST:
        return f"{value:.5E}"
    filled = len(number_format) if not number_format.strip("0") else 0
    return str(int(value)).zfill(filled) if value == int(value) else str(value)

"""Uploaded tables are read as spreadsheets leave them, and what they damaged is recognized."""

import io
from datetime import datetime
from typing import Any

import pytest
import xlsxwriter
from hypothesis import HealthCheck, given, settings, strategies as st

from webapp.lists.spreadsheets import Damage, damage_of
from webapp.lists.uploaded import UnreadableFile, cells_of, text_of

LINE = "000123;Österreich;JD1"


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "cp1252"])
@pytest.mark.parametrize("above", ["", "sep=;\r\n"])
def test_a_file_is_read_in_the_encoding_in_which_it_was_saved(encoding: str, above: str) -> None:
    [row] = cells_of(text_of((above + LINE).encode(encoding)))
    assert row.cells == LINE.split(";")


def test_a_japanese_file_is_read() -> None:
    assert text_of("000123\tヤマト運輸".encode("cp932")) == "000123\tヤマト運輸"


def workbook(*rows: tuple[Any, ...], date1904: bool = False) -> bytes:
    """A workbook in whose second sheet, which is open, the rows stand; texts beginning with 0 are filled up digits."""
    file = io.BytesIO()
    book = xlsxwriter.Workbook(file, {"default_date_format": "dd/mm/yy", "date_1904": date1904})
    filled = book.add_format({"num_format": "000000"})
    book.add_worksheet("About").write(0, 0, "Fill in the other sheet.")
    sheet = book.add_worksheet("List")
    sheet.activate()
    for at, row in enumerate(rows):
        for place, cell in enumerate(row):
            if isinstance(cell, bool):
                sheet.write_number(at, place, 123, filled)
            elif cell is not None:
                sheet.write(at, place, cell)
    book.close()
    return file.getvalue()


@pytest.mark.usefixtures("app")
@pytest.mark.parametrize("date1904", [False, True])
def test_a_workbook_is_read_as_its_cells_show_it(date1904: bool) -> None:
    day, time = datetime(2026, 3, 12), datetime(2026, 3, 12, 9, 30)  # noqa: DTZ001 - as workbooks have them
    body = workbook(
        ("000123", None, 123, True), (), (9400111899223000000001, day, time, "a\tb\nc", 1.5), date1904=date1904
    )
    first, second = cells_of(text_of(body))
    assert (first.line, second.line) == (1, 3)
    assert first.cells == ["000123", "", "123", "000123"]
    assert second.cells == ["9.40011E+21", "2026-03-12", "2026-03-12T09:30", "a b c", "1.5"]
    assert damage_of(second.cells[0]) is Damage.EXPONENT
    assert damage_of(second.cells[1]) is Damage.DATE


@pytest.mark.usefixtures("app")
@pytest.mark.parametrize(
    "body", [b"PK\x03\x04nothing", workbook(("1",))[:-200], b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1\0\0"]
)
def test_a_file_that_is_no_table_is_a_sentence(body: bytes) -> None:
    with pytest.raises(UnreadableFile, match=r"\(.xlsx\)"):
        text_of(body)


@pytest.mark.usefixtures("app")
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.binary(max_size=300), st.integers(0, 3000))
def test_any_bytes_are_a_text_or_a_sentence(body: bytes, at: int) -> None:
    whole = workbook(("000123", 5))
    for sent in (body, whole[:at] + body + whole[at + len(body) :]):
        try:
            assert isinstance(text_of(sent), str)
        except UnreadableFile:
            continue

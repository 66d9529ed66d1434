"""The list of features is complete: every id once, with the place where it is built or the reason why it is not."""

import re
from pathlib import Path

from webapp.audit.actor import Actor
from webapp.search.compiling import compile_query
from webapp.search.query import parse
from webapp.search.registered import query_keys

PAGE = Path(__file__).parents[1] / "docs" / "features.md"
_ROW = re.compile(r"^\| ([A-Z]+-?\d+) \| (.+?) \| (.+?) \|$", re.MULTILINE)
RANGES = {
    "GRID": 9,
    "SRCH": 4,
    "ACT": 5,
    "AMZ": 10,
    "VIEW": 16,
    "CAN": 9,
    "CRM": 22,
    "PROC": 16,
    "STAT": 10,
    "ARC": 3,
    "DASH": 8,
    "PRT": 5,
    "RMA": 6,
    "RPT": 3,
    "SET": 9,
    "TXN": 2,
}
SINGLE = """
    ADET-2 ADET-3 ADET-4 ADET-5 ADET-6 CHM-1 INV-10 INV-11 M6 M16 M17 W-3 W-4 W-5 W-9 W-10 W-13 W-14
    W-15 W-18 W-19 W-20 W-21 W-22 W-23 W-24 W-30 W-33 W-40 W-45 W-46 W-47 W-48 W-49 W-50 W-51 W-52 W-53 W-54 W-56
    W-59 W-63 W-66
"""


def _rows() -> list[tuple[str, str, str]]:
    return _ROW.findall(PAGE.read_text())


def test_every_id_is_told_once() -> None:
    wanted = [f"{group}-{number}" for group, last in RANGES.items() for number in range(1, last + 1)]
    told = [id_ for id_, _, _ in _rows()]

    assert sorted(told) == sorted([*wanted, *SINGLE.split()])
    assert len(re.findall(r"^\| [A-Z]+-?\d", PAGE.read_text(), re.MULTILINE)) == len(told)


def test_each_has_its_place_or_its_reason() -> None:
    for id_, what, where in _rows():
        assert what[0].isupper(), id_
        assert "](" in where or len(where.split()) >= 3, id_


def test_the_guide_tells_every_query_key_and_no_other(app: object) -> None:
    guide = (PAGE.parent / "merchants.md").read_text()
    [table] = re.findall(r"^\| Key \| .+?\n\n", guide, re.MULTILINE | re.DOTALL)
    told = [code for row in table.strip().splitlines()[2:] for code in re.findall(r"`([\w-]+)`", row.split("|")[1])]

    assert sorted(told) == sorted(query_keys())


def test_the_examples_of_the_guide_are_queries(app: object, mia: Actor) -> None:
    guide = (PAGE.parent / "merchants.md").read_text()
    [table] = re.findall(r"^\| Key \| .+?\n\n", guide, re.MULTILINE | re.DOTALL)
    examples = [text for row in table.strip().splitlines()[2:] for text in re.findall(r"`([^`]+)`", row.split("|")[3])]
    [shown] = re.findall(r"```text\n(.+)\n```", guide)

    for text in [*examples, shown.replace("channel:amazon ", "")]:  # a desk without stores has no channel to choose
        compile_query(parse(text), mia)

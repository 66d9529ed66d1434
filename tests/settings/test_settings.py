"""Settings are typed as declared, refused by a sentence that names them, and stored only where they differ."""

from collections.abc import Sequence
from typing import Any

import pytest
from flask import Flask
from hypothesis import given, strategies as st
from sqlalchemy import select

from webapp.db import db, unit_of_work
from webapp.errors import Invalid
from webapp.settings.declared import Setting, parse_all
from webapp.settings.models import StoredSetting
from webapp.settings.services import DESK, STORE, given as names_given, read, store_all
from webapp.vault.key_file import KeyProblem, open_secret, seal_secret


def _even(number: int) -> None:
    if number % 2:
        raise ValueError("must be even.")


DECLARED: Sequence[Setting] = (
    Setting(name="key", label="Key", default=None, secret=True),
    Setting(name="note", label="Note", default="", secret=True),
    Setting(name="region", label="Region", default="eu", choices={"eu": "Europe", "na": "America"}),
    Setting(name="days", label="Days", default=30, minimum=2, maximum=90, check=_even),
    Setting(name="reserve", label="Reserve", default=True),
)


def rows() -> dict[str, Any]:
    return {row.name: row.value for row in db.session.scalars(select(StoredSetting))}


def keep(values: dict[str, Any], scope_id: int = 1) -> dict[str, Any]:
    with unit_of_work():
        store_all(STORE, scope_id, DECLARED, values)
    return read(STORE, scope_id, DECLARED)


def test_what_was_stored_is_read_in_its_type(app: Flask) -> None:
    values = keep({"key": "k-secret", "region": "na", "days": "10", "reserve": "no"})
    assert values == {"key": "k-secret", "note": "", "region": "na", "days": 10, "reserve": False}
    assert read(STORE, 2, DECLARED) == {"key": None, "note": "", "region": "eu", "days": 30, "reserve": True}
    assert read(DESK, 0, DECLARED)["region"] == "eu"


def test_a_default_is_not_stored(app: Flask) -> None:
    keep({"key": "k", "region": "eu", "days": 30})
    assert set(rows()) == {"key"}
    keep({"days": 4})
    assert set(rows()) == {"key", "days"}
    keep({"days": 30})
    assert set(rows()) == {"key"}


def test_a_secret_is_sealed_in_the_table_and_known_to_a_page_by_name_only(app: Flask) -> None:
    keep({"key": "k-secret-1"})
    assert "k-secret-1" not in str(rows())
    assert open_secret(rows()["key"]) == "k-secret-1"
    assert names_given(STORE, 1, DECLARED) == {"key"}


@pytest.mark.parametrize("empty", ["", "   ", None])
def test_an_empty_secret_keeps_the_one_it_had(app: Flask, empty: str | None) -> None:
    keep({"key": "k-secret-1", "note": "n-secret"})
    before = rows()
    assert keep({"key": empty, "note": empty, "days": 4})["key"] == "k-secret-1"
    assert {name: rows()[name] for name in ("key", "note")} == before


def test_sealing_twice_looks_different_every_time(app: Flask) -> None:
    assert seal_secret("same") != seal_secret("same")


def test_a_secret_that_does_not_open_says_so(app: Flask) -> None:
    for sealed in ("", "####", "c2hvcnQ=", "A" * 80):
        with pytest.raises(KeyProblem, match="WAYBILL_SECRET"):
            open_secret(sealed)


REFUSED: list[tuple[dict[str, Any], str]] = [
    ({}, "Key: is needed."),
    ({"key": "  "}, "Key: is needed."),
    ({"key": None}, "Key: is needed."),
    ({"key": "k", "region": "mars"}, "Region: must be one of: eu, na."),
    ({"key": "k", "days": "soon"}, "Days: must be a whole number."),
    ({"key": "k", "days": "4.5"}, "Days: must be a whole number."),
    ({"key": "k", "days": ""}, "Days: must be a whole number."),
    ({"key": "k", "days": 1}, "Days: must be at least 2."),
    ({"key": "k", "days": 91}, "Days: must be at most 90."),
    ({"key": "k", "days": 5}, "Days: must be even."),
    ({"key": "k", "reserve": "perhaps"}, "Reserve: must be yes or no."),
    ({"key": "k", "color": "red"}, "color: is no setting here; there are: key, note, region, days, reserve."),
]


def test_what_cannot_be_is_refused_by_name_and_nothing_is_stored(app: Flask) -> None:
    for values, sentence in REFUSED:
        with pytest.raises(Invalid) as refused:
            keep(values)
        assert str(refused.value) == sentence
        assert rows() == {}


SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | st.text()


@given(st.fixed_dictionaries({"key": SCALARS, "region": SCALARS, "days": SCALARS, "reserve": SCALARS}))
def test_whatever_is_given_becomes_its_type_or_a_sentence(values: dict[str, Any]) -> None:
    try:
        parsed = parse_all(DECLARED, values)
    except Invalid:
        return
    assert isinstance(parsed["key"], str)
    assert parsed["key"]
    assert parsed["region"] in ("eu", "na")
    assert type(parsed["days"]) is int
    assert 2 <= int(parsed["days"]) <= 90
    assert type(parsed["reserve"]) is bool


@given(st.integers(2, 90).filter(lambda number: number % 2 == 0), st.booleans(), st.sampled_from(["eu", "na"]))
def test_what_was_parsed_parses_to_itself(days: int, reserve: bool, region: str) -> None:
    values = {"key": "k", "note": "", "region": region, "days": days, "reserve": reserve}
    assert parse_all(DECLARED, parse_all(DECLARED, values)) == values

"""Instants are aware and in UTC; text without an offset could mean any zone and is refused."""

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given, strategies as st

from webapp.clock import iso, now, parse_instant


def test_now_is_in_utc() -> None:
    assert now().tzinfo is UTC


@given(st.datetimes(min_value=datetime(1971, 1, 1), timezones=st.just(UTC)))  # noqa: DTZ001
def test_what_is_written_is_read_again(instant: datetime) -> None:
    written = iso(instant)
    assert written is not None
    assert written.endswith("Z")
    assert parse_instant(written) == instant


def test_an_offset_is_turned_into_utc() -> None:
    assert parse_instant("2026-11-20T10:00:00+02:00") == datetime(2026, 11, 20, 8, tzinfo=UTC)
    assert iso(datetime(2026, 11, 20, 10, tzinfo=timezone(timedelta(hours=2)))) == "2026-11-20T08:00:00Z"
    assert iso(None) is None


@pytest.mark.parametrize("text", ["2026-11-20T10:00:00", "2026-11-20", "yesterday", ""])
def test_text_without_an_offset_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"offset|isoformat"):
        parse_instant(text)

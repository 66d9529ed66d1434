"""Time: instants are aware and in UTC everywhere; the doors convert them to zones for showing."""

from datetime import UTC, date, datetime
from functools import cache
from zoneinfo import available_timezones

_YEARS = range(1970, 2200)


def now() -> datetime:
    """The present instant, in UTC."""
    return datetime.now(UTC)


def parse_instant(text: str) -> datetime:
    """An instant from ISO 8601 text. Raises ValueError for text without an offset, since it could mean any zone, and
    OverflowError for an instant that UTC does not have.
    """
    instant = datetime.fromisoformat(text)
    if instant.tzinfo is None:
        raise ValueError(f"no offset in {text!r}")
    return instant.astimezone(UTC)


@cache
def zones() -> frozenset[str]:
    """The known time zones, by name; they are files, and listing them takes a while."""
    return frozenset(available_timezones())


def in_calendar(moment: date) -> bool:
    """Whether the desk can store such a day or instant: values that mean “none” or “never” may not exist in some
    zone.
    """
    return moment.year in _YEARS


def iso(instant: datetime | None) -> str | None:
    """ISO 8601 with `Z`, to the second or the microsecond, as the command line and the channels write it."""
    if instant is None:
        return None
    return instant.astimezone(UTC).isoformat().replace("+00:00", "Z")

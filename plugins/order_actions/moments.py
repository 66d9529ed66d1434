"""Times as people type them: in the zone of the order's shop, unless they name another."""

from datetime import date, datetime, time
from typing import Annotated, Any
from zoneinfo import ZoneInfo

from pydantic import AfterValidator, BeforeValidator
from pydantic_core import PydanticCustomError

from webapp.api import Order, in_calendar


def _read(given: Any) -> Any:
    """Text as a date or a time; a date stays a date, since as a time it would be midnight."""
    if not isinstance(given, str):
        return given
    text = given.strip()
    try:
        return (date.fromisoformat(text) if len(text) == 10 else datetime.fromisoformat(text)) if text else None
    except ValueError:
        raise PydanticCustomError("datetime_parsing", "no time") from None


def _kept(moment: datetime | date | None) -> datetime | date | None:
    if moment is not None and not in_calendar(moment):
        raise PydanticCustomError("odd_time", "out of the calendar")
    return moment


Moment = Annotated[datetime | date | None, BeforeValidator(_read), AfterValidator(_kept)]


def in_shop(order: Order, moment: datetime | date | None) -> datetime | None:
    """The instant. A time without an offset is in the shop's zone; a date alone is the end of that day there."""
    zone = ZoneInfo(order.shop.zone)
    if moment is None:
        return None
    if isinstance(moment, datetime):
        return moment if moment.tzinfo else moment.replace(tzinfo=zone)
    return datetime.combine(moment, time(23, 59), zone)


def typed(order: Order, instant: datetime | None) -> str:
    """The instant as the value of a form's field for a time."""
    return f"{instant.astimezone(ZoneInfo(order.shop.zone)):%Y-%m-%dT%H:%M}" if instant else ""

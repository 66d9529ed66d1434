"""Which of a store's documents are uploaded to its channel: none until that is switched on, and from a day on."""

from collections.abc import Mapping, Sequence
from datetime import date, datetime, time
from typing import Any
from zoneinfo import ZoneInfo

from webapp.channels.described import takes_documents
from webapp.channels.models import Store
from webapp.channels.registered import channels
from webapp.channels.uploads import INVOICE_UPLOAD
from webapp.errors import Invalid
from webapp.hooks.fence import PluginFailed
from webapp.i18n import lazy_gettext as _l
from webapp.orders.models import Order
from webapp.settings.declared import STORE, Setting, SettingsGroup
from webapp.updates.kinds import carried_by

UPLOAD = Setting(
    name="upload_documents",
    label=_l("Upload invoices and credit memos to the channel"),
    default=False,
    help=_l(
        "If this is on, each document is uploaded to the channel as a PDF once the channel shows the whole "
        "order as shipped, in the marketplaces where sellers invoice. Orders that the channel invoices itself "
        "are left out."
    ),
)
SINCE = Setting(
    name="upload_from",
    label=_l("Upload from"),
    day=True,
    help=_l("Documents that were issued before this day are not uploaded. This day is required for the upload."),
)
_BOTH = (UPLOAD, SINCE)


def _settings(store: Store) -> Sequence[Setting[Any]]:
    """The settings of a store to whose channel documents can be uploaded. A new store's marketplaces are unknown."""
    places = [row.marketplace for row in store.marketplaces]
    takes = not places or any(takes_documents(store.channel, place) for place in places)
    return _BOTH if takes and carries_uploads(store.channel) else ()


def _check(store: Store, had: Mapping[str, Any], given: Mapping[str, Any]) -> None:
    """Refuse uploads without the day from which on."""
    values = {**had, **given}
    if values and UPLOAD.parse(values[UPLOAD.name]) and not str(values[SINCE.name] or "").strip():
        raise Invalid(
            field=SINCE.name, problem=_l("Enter a day. Documents that were issued before this day are not uploaded.")
        )


UPLOADS = SettingsGroup("uploads", _l("Upload of invoices"), _settings, scope=STORE, check=_check)


def channels_with_uploads() -> list[str]:
    """The codes of the channels that carry uploads."""
    return [code for code in channels() if carries_uploads(code)]


def carries_uploads(code: str) -> bool:
    """Whether a channel carries uploads; not if its plugin fails."""
    try:
        return INVOICE_UPLOAD in carried_by(code)
    except PluginFailed:
        return False


def uploads_since(store: Store) -> date | None:
    """The day from which on a store's documents are uploaded; None if they are not."""
    values = UPLOADS.read(store, _BOTH)
    return date.fromisoformat(values[SINCE.name]) if values[UPLOAD.name] and values[SINCE.name] else None


def first_moment(order: Order) -> datetime | None:
    """The beginning of that day in the time zone of the order's shop; None if nothing is uploaded."""
    day = uploads_since(order.store)
    return None if day is None else datetime.combine(day, time(), ZoneInfo(order.shop.zone))


def switch_on(store: Store, since: date) -> dict[str, Any]:
    """The values that switch a store's uploads on; empty if its channel carries none."""
    values = {UPLOAD.name: True, SINCE.name: since.isoformat()}
    return values if UPLOADS.declared(store) else {}

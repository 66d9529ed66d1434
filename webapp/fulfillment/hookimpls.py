"""What fulfillment registers: update kinds, their settings and words, list columns and query keys about packages."""

from datetime import datetime

from webapp.fulfillment.cancellations import REFUSED, WORDS, CancelKind
from webapp.fulfillment.confirmations import ShipmentConfirmation
from webapp.fulfillment.contract import ShipmentCreated
from webapp.fulfillment.correcting import WORDS as CORRECTING_WORDS
from webapp.fulfillment.holding import SETTINGS
from webapp.fulfillment.list_columns import COLUMNS
from webapp.fulfillment.query_keys import KEYS, PACKAGE_KEYS, SOURCES
from webapp.fulfillment.services import departed
from webapp.fulfillment.shipment_list import COLUMNS as PACKAGE_COLUMNS, SHIPMENT_LIST
from webapp.fulfillment.unshipping import SHIPPED, SHIPPING, TAKEN_BACK
from webapp.hooks import hookimpl
from webapp.i18n import lazy_gettext as _l
from webapp.jobs.telling import declare
from webapp.lists.contract import Subject
from webapp.orders.attention import AttentionKind
from webapp.orders.events import EventWords
from webapp.search.contract import Column, QueryKey, WordSource
from webapp.settings.declared import SettingsGroup
from webapp.updates.contract import OutwardKind

declare("shipments_created", list[ShipmentCreated])


@hookimpl
def register_outward_kinds() -> list[OutwardKind]:
    return [ShipmentConfirmation(), CancelKind()]


@hookimpl
def register_settings() -> list[SettingsGroup]:
    return [SETTINGS]


@hookimpl
def register_attention_kinds() -> list[AttentionKind]:
    return [REFUSED]


@hookimpl
def register_event_words() -> list[EventWords]:
    shipped = EventWords(SHIPPED, _l("Shipped by %(carrier)s, %(tracking)s (units: %(units)s)"), SHIPPING)
    return [shipped, *CORRECTING_WORDS, TAKEN_BACK, *WORDS]


@hookimpl
def units_departed(lines: list[int]) -> dict[int, list[tuple[datetime, int]]]:
    return departed(lines)


@hookimpl
def register_list_subjects() -> list[Subject]:
    return [SHIPMENT_LIST]


@hookimpl
def register_columns() -> list[Column]:
    return [*COLUMNS, *PACKAGE_COLUMNS]


@hookimpl
def register_query_keys() -> list[QueryKey]:
    return [*KEYS, *PACKAGE_KEYS]


@hookimpl
def register_word_sources() -> list[WordSource]:
    return list(SOURCES)

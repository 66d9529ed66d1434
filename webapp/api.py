"""The plugin API: everything that a plugin may import, under names that stay.

A plugin is a module with `hookimpl` functions (see `webapp/hooks/specs.py` for all hooks) in
`plugins/<name>/plugin.py`, or an installed package with an entry point in the group `waybill.plugins`.
"""

from webapp.audit.actor import Actor, ActorKind
from webapp.channels.contract import (
    ADDRESS_FIELDS,
    BUYER_FIELDS,
    DENIED_FOR,
    Carrier,
    Channel,
    ChannelError,
    ChannelStage,
    Component,
    Connection,
    Denial,
    Denied,
    DeniedThing,
    Disconnected,
    Effective,
    FulfilledBy,
    IncomingAmount,
    IncomingLine,
    IncomingOrder,
    IncomingPackage,
    Marketplace,
    NotYet,
    OrdersPage,
    OrdersWindow,
    Outcome,
    PageRefused,
    Refused,
    Sent,
    StoreAccess,
    Throttled,
    Unknown,
    UnreadableOrder,
    Update,
    UpdateKind,
)
from webapp.channels.services import access, add_store, get_channel, remember_marketplaces, stores
from webapp.clock import in_calendar, iso, now, parse_instant
from webapp.config import configuration
from webapp.db import db, unit_of_work
from webapp.errors import DeskError, Invalid, Refusal
from webapp.fulfillment.contract import FulfillmentProvider, PackageInput
from webapp.fulfillment.models import Package, Shipment
from webapp.fulfillment.services import ship_order, shipping_refusal
from webapp.hooks import hookimpl
from webapp.hooks.processes import PracticeStore, Process
from webapp.i18n import LazyString, gettext, lazy_gettext, ngettext
from webapp.jobs import Job, job
from webapp.jobs.schedule import Schedule
from webapp.live import connection as redis, key as redis_key
from webapp.money import Money, decimals
from webapp.orders.addresses import address_refusal, change_address, shown as shown_addresses
from webapp.orders.archiving import archive, archive_refusal, restore, restore_refusal
from webapp.orders.attention import AttentionKind
from webapp.orders.contract import ActionInput, Amount, AmountChange, Badge, OrderAction, OrdersChange, Panel
from webapp.orders.events import EventWords, record
from webapp.orders.holds import hold, hold_refusal, release, release_refusal
from webapp.orders.models import Order, OrderLine
from webapp.orders.organizing import (
    assign,
    find_person,
    people,
    set_due,
    set_status,
    set_tags,
    status_refusal,
    tag_refusal,
)
from webapp.orders.postal import FIELDS as ADDRESS_LABELS, countries as country_choices, needed as address_needs
from webapp.orders.queries import visible
from webapp.orders.services import comment, raise_attention, settle_attention
from webapp.orders.statuses import status_name, statuses_of
from webapp.orders.tags import offered_tags, tags_of
from webapp.reporting.contract import Card
from webapp.search.contract import Bound, Column, ColumnKind, Found, KeyKind, Label, Link, QueryKey, WordSource
from webapp.settings.declared import Setting, SettingsChange, SettingsGroup
from webapp.sync.taking_in.loading import BATCH, Loaded, load_orders
from webapp.vault.key_file import open_secret, seal_secret

__all__ = [
    "ADDRESS_FIELDS",
    "ADDRESS_LABELS",
    "BATCH",
    "BUYER_FIELDS",
    "DENIED_FOR",
    "ActionInput",
    "Actor",
    "ActorKind",
    "Amount",
    "AmountChange",
    "AttentionKind",
    "Badge",
    "Bound",
    "Card",
    "Carrier",
    "Channel",
    "ChannelError",
    "ChannelStage",
    "Column",
    "ColumnKind",
    "Component",
    "Connection",
    "Denial",
    "Denied",
    "DeniedThing",
    "DeskError",
    "Disconnected",
    "Effective",
    "EventWords",
    "Found",
    "FulfilledBy",
    "FulfillmentProvider",
    "IncomingAmount",
    "IncomingLine",
    "IncomingOrder",
    "IncomingPackage",
    "Invalid",
    "Job",
    "KeyKind",
    "Label",
    "LazyString",
    "Link",
    "Loaded",
    "Marketplace",
    "Money",
    "NotYet",
    "Order",
    "OrderAction",
    "OrderLine",
    "OrdersChange",
    "OrdersPage",
    "OrdersWindow",
    "Outcome",
    "Package",
    "PackageInput",
    "PageRefused",
    "Panel",
    "PracticeStore",
    "Process",
    "QueryKey",
    "Refusal",
    "Refused",
    "Schedule",
    "Sent",
    "Setting",
    "SettingsChange",
    "SettingsGroup",
    "Shipment",
    "StoreAccess",
    "Throttled",
    "Unknown",
    "UnreadableOrder",
    "Update",
    "UpdateKind",
    "WordSource",
    "access",
    "add_store",
    "address_needs",
    "address_refusal",
    "archive",
    "archive_refusal",
    "assign",
    "change_address",
    "comment",
    "configuration",
    "country_choices",
    "db",
    "decimals",
    "find_person",
    "get_channel",
    "gettext",
    "hold",
    "hold_refusal",
    "hookimpl",
    "in_calendar",
    "iso",
    "job",
    "lazy_gettext",
    "load_orders",
    "ngettext",
    "now",
    "offered_tags",
    "open_secret",
    "parse_instant",
    "people",
    "raise_attention",
    "record",
    "redis",
    "redis_key",
    "release",
    "release_refusal",
    "remember_marketplaces",
    "restore",
    "restore_refusal",
    "seal_secret",
    "set_due",
    "set_status",
    "set_tags",
    "settle_attention",
    "ship_order",
    "shipping_refusal",
    "shown_addresses",
    "status_name",
    "status_refusal",
    "statuses_of",
    "stores",
    "tag_refusal",
    "tags_of",
    "unit_of_work",
    "visible",
]

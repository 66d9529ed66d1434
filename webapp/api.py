"""The plugin API: everything that a plugin may import, under names that stay.

A plugin is a module with `hookimpl` functions (see `webapp/hooks/specs.py` for all hooks) in
`plugins/<name>/plugin.py`, or an installed package with an entry point in the group `waybill.plugins`.
"""

from webapp.audit.actor import Actor, ActorKind
from webapp.channels.contract import (
    ADDRESS_FIELDS,
    BUYER_FIELDS,
    Carrier,
    Channel,
    ChannelError,
    ChannelStage,
    Component,
    Connection,
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
from webapp.channels.services import get_channel
from webapp.clock import iso, now, parse_instant
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
from webapp.orders.attention import AttentionKind
from webapp.orders.contract import ActionInput, Badge, OrderAction, OrdersChange, Panel
from webapp.orders.events import EventWords, record
from webapp.orders.models import Order, OrderLine
from webapp.orders.services import comment, raise_attention, settle_attention
from webapp.reporting.contract import Card
from webapp.search.contract import Bound, Column, ColumnKind, KeyKind, Label, Link, QueryKey
from webapp.settings.declared import Setting
from webapp.settings.services import SettingsGroup, desk_setting
from webapp.vault.keys import open_secret, seal_secret

__all__ = [
    "ADDRESS_FIELDS",
    "BUYER_FIELDS",
    "ActionInput",
    "Actor",
    "ActorKind",
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
    "DeskError",
    "Disconnected",
    "Effective",
    "EventWords",
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
    "SettingsGroup",
    "Shipment",
    "StoreAccess",
    "Throttled",
    "Unknown",
    "UnreadableOrder",
    "Update",
    "UpdateKind",
    "comment",
    "configuration",
    "db",
    "decimals",
    "desk_setting",
    "get_channel",
    "gettext",
    "hookimpl",
    "iso",
    "job",
    "lazy_gettext",
    "ngettext",
    "now",
    "open_secret",
    "parse_instant",
    "raise_attention",
    "record",
    "redis",
    "redis_key",
    "seal_secret",
    "settle_attention",
    "ship_order",
    "shipping_refusal",
    "unit_of_work",
]

"""The plugin API: everything that a plugin may import, under names that stay.

A plugin is a module with `hookimpl` functions (see `webapp/hooks/specs.py` for all hooks) in
`plugins/<name>/plugin.py`, or an installed package with an entry point in the group `waybill.plugins`.
"""

from webapp.audit.actor import Actor, ActorKind
from webapp.audit.rights import Right
from webapp.billing.adopting import adopt_transaction
from webapp.billing.automatic import automatic_refusal, issue_due
from webapp.billing.contract import DocumentIssued, DocumentKind
from webapp.billing.corrections import correct_invoice
from webapp.billing.memos import (
    any_refund_undoable,
    approve_refund,
    decline_refund,
    record_refund,
    record_refunds,
    refund_refusal,
    reverse_memo,
    undo_refund,
    undo_refund_refusal,
)
from webapp.billing.models import CreditMemo, CreditMemoLine, Invoice, InvoiceLine
from webapp.billing.previewing import preview_refund
from webapp.billing.refundable import LineWish, Refundable, Wish
from webapp.billing.remaining import Remaining
from webapp.billing.services import invoice_refusal, issue_invoice, issue_invoices, planned_rows
from webapp.channels.calling import Calling, calling
from webapp.channels.connecting import (
    DENIED_FOR,
    Call,
    CallOutcome,
    ChannelError,
    Check,
    Connection,
    Denial,
    Denied,
    DeniedThing,
    Disconnected,
    GuideStep,
    Marketplace,
    StoreAccess,
    Throttled,
)
from webapp.channels.contract import Channel, Flag, ProductCode
from webapp.channels.described import cancel_reasons, cancels_lines, refund_reasons
from webapp.channels.incoming import (
    ADDRESS_FIELDS,
    BUYER_FIELDS,
    COMPONENT_LABELS,
    EXTRA_AT_MOST,
    ChannelStage,
    Component,
    FulfilledBy,
    IncomingAmount,
    IncomingLine,
    IncomingOrder,
    IncomingPackage,
    OrdersPage,
    OrdersWindow,
    PageRefused,
    TaxScheme,
    UnreadableOrder,
)
from webapp.channels.models import ChannelOrder
from webapp.channels.outgoing import (
    Accepted,
    Attempt,
    Batch,
    Begun,
    CancelReason,
    Carrier,
    Effective,
    LeaseLost,
    NotCarriedOut,
    NothingLearned,
    NotYet,
    Outcome,
    Refused,
    Sent,
    TooLate,
    Unknown,
    Update,
    UpdateKind,
)
from webapp.channels.refunds import Adjustment, RefundAmount, RefundPart, RefundPlan, RefundReason, RefundRequest
from webapp.channels.services import access, add_store, get_channel, remember_marketplaces, stores
from webapp.channels.transactions import (
    IncomingTransaction,
    TransactionKind,
    TransactionPart,
    TransactionsPage,
    TransactionsWindow,
)
from webapp.channels.uploads import UploadedDocument
from webapp.clock import in_calendar, iso, now, parse_instant
from webapp.config import configuration
from webapp.db import Json, Model, UtcDateTime, db, unit_of_work
from webapp.errors import DeskError, Invalid, Refusal
from webapp.fulfillment.canceling import (
    any_cancel_undoable,
    buyers_reason,
    cancel_orders,
    cancel_refusal,
    undo_cancel,
    undo_cancel_refusal,
)
from webapp.fulfillment.confirmations import shows_package
from webapp.fulfillment.contract import FulfillmentProvider, PackageInput, ShipmentCreated
from webapp.fulfillment.correcting import (
    Correction,
    correct_shipment,
    correcting_refusals,
    find_package,
)
from webapp.fulfillment.holding import SHIP_HOLD
from webapp.fulfillment.models import Package, Shipment
from webapp.fulfillment.services import ship_order, shipping_refusal
from webapp.fulfillment.taking_back import any_shipment_undoable, take_back, taking_back_refusals
from webapp.hooks import hookimpl
from webapp.hooks.processes import PracticeStore, Process
from webapp.i18n import LazyString, gettext, lazy_gettext, ngettext
from webapp.jobs import Job, job
from webapp.jobs.schedule import Schedule
from webapp.lists.contract import Expansion, ListWords, PlainRow, StatusCard, Subject
from webapp.lists.saved_views import View
from webapp.live import connection as redis, key as redis_key
from webapp.money import Money, NotAnAmount, decimals
from webapp.orders.addresses import address_refusal, change_address, shown as shown_addresses
from webapp.orders.archiving import archive, archive_refusal, restore, restore_refusal
from webapp.orders.attention import AttentionKind
from webapp.orders.contract import (
    ActionInput,
    Amount,
    AmountChange,
    Badge,
    DraftRow,
    Move,
    OrderAction,
    OrdersChange,
    Origin,
    PackageAction,
    Panel,
    Place,
    Preview,
    UnitsMoved,
)
from webapp.orders.events import EventGroup, EventWords, record
from webapp.orders.holds import hold, hold_refusal, release, release_refusal
from webapp.orders.inputs import HIDDEN, AmountLeft, AmountsOfLine, FormField, Kind, Offered, UnitsOfLine
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
from webapp.sync.streams import Stream, StreamPage
from webapp.sync.taking_in.loading import BATCH, Loaded, load_orders
from webapp.ui.frame.access import current_actor, needs, personal
from webapp.ui.frame.menu import MenuEntry
from webapp.ui.frame.pages import page, tell
from webapp.ui.frame.redirects import redirect
from webapp.updates.contract import (
    Contradicted,
    DoneElsewhere,
    Impossible,
    OutwardKind,
    Owing,
    Shown,
    UpdateOwed,
    UpdateSettled,
    Waits,
)
from webapp.updates.models import ChannelUpdate, UpdateState
from webapp.updates.owing import OnItsWay, owe, withdraw
from webapp.vault.key_file import open_secret, seal_secret

__all__ = [
    "ADDRESS_FIELDS",
    "ADDRESS_LABELS",
    "BATCH",
    "BUYER_FIELDS",
    "COMPONENT_LABELS",
    "DENIED_FOR",
    "EXTRA_AT_MOST",
    "HIDDEN",
    "SHIP_HOLD",
    "Accepted",
    "ActionInput",
    "Actor",
    "ActorKind",
    "Adjustment",
    "Amount",
    "AmountChange",
    "AmountLeft",
    "AmountsOfLine",
    "Attempt",
    "AttentionKind",
    "Badge",
    "Batch",
    "Begun",
    "Bound",
    "Call",
    "CallOutcome",
    "Calling",
    "CancelReason",
    "Card",
    "Carrier",
    "Channel",
    "ChannelError",
    "ChannelOrder",
    "ChannelStage",
    "ChannelUpdate",
    "Check",
    "Column",
    "ColumnKind",
    "Component",
    "Connection",
    "Contradicted",
    "Correction",
    "CreditMemo",
    "CreditMemoLine",
    "Denial",
    "Denied",
    "DeniedThing",
    "DeskError",
    "Disconnected",
    "DocumentIssued",
    "DocumentKind",
    "DoneElsewhere",
    "DraftRow",
    "Effective",
    "EventGroup",
    "EventWords",
    "Expansion",
    "Flag",
    "FormField",
    "Found",
    "FulfilledBy",
    "FulfillmentProvider",
    "GuideStep",
    "Impossible",
    "IncomingAmount",
    "IncomingLine",
    "IncomingOrder",
    "IncomingPackage",
    "IncomingTransaction",
    "Invalid",
    "Invoice",
    "InvoiceLine",
    "Job",
    "Json",
    "KeyKind",
    "Kind",
    "Label",
    "LazyString",
    "LeaseLost",
    "LineWish",
    "Link",
    "ListWords",
    "Loaded",
    "Marketplace",
    "MenuEntry",
    "Model",
    "Money",
    "Move",
    "NotAnAmount",
    "NotCarriedOut",
    "NotYet",
    "NothingLearned",
    "Offered",
    "OnItsWay",
    "Order",
    "OrderAction",
    "OrderLine",
    "OrdersChange",
    "OrdersPage",
    "OrdersWindow",
    "Origin",
    "Outcome",
    "OutwardKind",
    "Owing",
    "Package",
    "PackageAction",
    "PackageInput",
    "PageRefused",
    "Panel",
    "Place",
    "PlainRow",
    "PracticeStore",
    "Preview",
    "Process",
    "ProductCode",
    "QueryKey",
    "RefundAmount",
    "RefundPart",
    "RefundPlan",
    "RefundReason",
    "RefundRequest",
    "Refundable",
    "Refusal",
    "Refused",
    "Remaining",
    "Right",
    "Schedule",
    "Sent",
    "Setting",
    "SettingsChange",
    "SettingsGroup",
    "Shipment",
    "ShipmentCreated",
    "Shown",
    "StatusCard",
    "StoreAccess",
    "Stream",
    "StreamPage",
    "Subject",
    "TaxScheme",
    "Throttled",
    "TooLate",
    "TransactionKind",
    "TransactionPart",
    "TransactionsPage",
    "TransactionsWindow",
    "UnitsMoved",
    "UnitsOfLine",
    "Unknown",
    "UnreadableOrder",
    "Update",
    "UpdateKind",
    "UpdateOwed",
    "UpdateSettled",
    "UpdateState",
    "UploadedDocument",
    "UtcDateTime",
    "View",
    "Waits",
    "Wish",
    "WordSource",
    "access",
    "add_store",
    "address_needs",
    "address_refusal",
    "adopt_transaction",
    "any_cancel_undoable",
    "any_refund_undoable",
    "any_shipment_undoable",
    "approve_refund",
    "archive",
    "archive_refusal",
    "assign",
    "automatic_refusal",
    "buyers_reason",
    "calling",
    "cancel_orders",
    "cancel_reasons",
    "cancel_refusal",
    "cancels_lines",
    "change_address",
    "comment",
    "configuration",
    "correct_invoice",
    "correct_shipment",
    "correcting_refusals",
    "country_choices",
    "current_actor",
    "db",
    "decimals",
    "decline_refund",
    "find_package",
    "find_person",
    "get_channel",
    "gettext",
    "hold",
    "hold_refusal",
    "hookimpl",
    "in_calendar",
    "invoice_refusal",
    "iso",
    "issue_due",
    "issue_invoice",
    "issue_invoices",
    "job",
    "lazy_gettext",
    "load_orders",
    "needs",
    "ngettext",
    "now",
    "offered_tags",
    "open_secret",
    "owe",
    "page",
    "parse_instant",
    "people",
    "personal",
    "planned_rows",
    "preview_refund",
    "raise_attention",
    "record",
    "record_refund",
    "record_refunds",
    "redirect",
    "redis",
    "redis_key",
    "refund_reasons",
    "refund_refusal",
    "release",
    "release_refusal",
    "remember_marketplaces",
    "restore",
    "restore_refusal",
    "reverse_memo",
    "seal_secret",
    "set_due",
    "set_status",
    "set_tags",
    "settle_attention",
    "ship_order",
    "shipping_refusal",
    "shown_addresses",
    "shows_package",
    "status_name",
    "status_refusal",
    "statuses_of",
    "stores",
    "tag_refusal",
    "tags_of",
    "take_back",
    "taking_back_refusals",
    "tell",
    "undo_cancel",
    "undo_cancel_refusal",
    "undo_refund",
    "undo_refund_refusal",
    "unit_of_work",
    "visible",
    "withdraw",
]

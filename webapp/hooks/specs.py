"""Every hook of Waybill, with its purpose and when it is called.

A hook `register_…` is called for a check when the desk starts and once before the first use; its answer is then kept:
an object that it creates lives as long as the process.

Every other hook is asked or told. One that is *asked* is called before something is done: return a `Refusal`, or raise
one, and the merchant reads its sentence. A plugin's listener that fails refuses, too. One that is *told* is called
after something has happened, with a list of facts: ids, codes and columns, which can be stored as JSON, and nothing
about buyers. It can't refuse: if a plugin's listener fails, its own writes are rolled back, and it is called again
later. The other listeners are told what it writes; the listener itself is told neither that nor what the others write
because of it.

Both run inside the transaction of the act: write rows, enqueue jobs (they are sent after the commit, or not at all),
never call the network.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from webapp.hooks import asked, hookspec, told

if TYPE_CHECKING:
    from datetime import datetime

    import click
    from flask import Blueprint

    from webapp.audit.rights import Right
    from webapp.billing.contract import DocumentIssued
    from webapp.channels.contract import Channel
    from webapp.errors import Refusal
    from webapp.fulfillment.contract import FulfillmentProvider, ShipmentCreated
    from webapp.hooks.processes import Process
    from webapp.jobs.schedule import Schedule
    from webapp.lists.contract import Subject
    from webapp.orders.attention import AttentionKind
    from webapp.orders.contract import AmountChange, Badge, OrderAction, OrdersChange, Panel, UnitsMoved
    from webapp.orders.events import EventWords
    from webapp.reporting.contract import Card
    from webapp.search.contract import Column, QueryKey, WordSource
    from webapp.settings.declared import SettingsChange, SettingsGroup
    from webapp.sync.streams import Stream
    from webapp.ui.frame.menu import MenuEntry
    from webapp.updates.contract import OutwardKind, UpdateOwed, UpdateSettled


@hookspec
def register_channels() -> list[Channel]:
    """The kinds of marketplace that a plugin connects. Example::

    @hookimpl
    def register_channels():
        return [EbayChannel()]
    """


@hookspec
def register_rights() -> list[Right]:
    """Rights beside the desk's own; routes, actions, panels, cards and columns name them by their codes. Example::

    @hookimpl
    def register_rights():
        return [Right("loyalty.grant", _l("grant loyalty points"), roles=("manager", "clerk"))]
    """


@hookspec
def register_streams() -> list[Stream]:
    """What is read from channels or mailboxes beside orders, each stream in a lane of its own. Example::

    @hookimpl
    def register_streams():
        return [Stream("payouts", lane="payouts", label=_l("Payouts"), fetch=fetch, take_in=take_in, every=3600)]
    """


@hookspec
def register_order_actions() -> list[OrderAction]:
    """What a merchant can do to an order, in the order of the buttons."""


@hookspec
def register_fulfillment_providers() -> list[FulfillmentProvider]:
    """Providers who ship: each gives carrier, service and tracking number for the packages of a shipment."""


@hookspec
def register_outward_kinds() -> list[OutwardKind]:
    """Kinds of updates for channels: for each what is sent, whether it is still wanted, and what a reading shows of
    it. The channel declares how it is sent.
    """


@hookspec
def register_settings() -> list[SettingsGroup]:
    """Groups of settings, of the desk, of each shop or of each store; each group is drawn as a form. A channel
    declares the connection settings of its stores itself.
    """


@told
def settings_changed(changes: list[SettingsChange]) -> None:
    """Settings of the desk, of a shop or of a store were written, and are about to be committed. The fact has no
    values: read the setting. Example::

        @hookimpl
        def settings_changed(changes):
            for change in changes:
                if change.concerns(PRINTING) and PRINTER.name in change.names:
                    print_a_test_page.enqueue(change.id)
    """


@hookspec
def register_schedules() -> list[Schedule]:
    """Jobs that run by the clock."""


@hookspec
def register_attention_kinds() -> list[AttentionKind]:
    """Kinds of attention of an order or a line: the words, the cause and the fix."""


@hookspec
def register_list_subjects() -> list[Subject]:
    """What there are lists of: each gets a page with filters, saved views, columns to choose and exports."""


@hookspec
def register_columns() -> list[Column]:
    """Columns of the order list and its exports, or of the list of another subject."""


@hookspec
def register_query_keys() -> list[QueryKey]:
    """Keys of the query bar and of the filters."""


@hookspec
def register_word_sources() -> list[WordSource]:
    """Where the free words of a search are searched for."""


@hookspec
def register_badges() -> list[Badge]:
    """Short words that some orders carry wherever they are shown."""


@hookspec
def register_panels() -> list[Panel]:
    """Parts of the order page; each loads by itself."""


@hookspec
def register_cards() -> list[Card]:
    """Cards of the dashboard; each loads by itself."""


@hookspec
def register_blueprints() -> list[Blueprint]:
    """Pages below `/x/<plugin>/`. Every view declares by `needs` or `personal` who may use it. Example::

    @hookimpl
    def register_blueprints():
        return [pages]
    """


@hookspec
def register_menu_entries() -> list[MenuEntry]:
    """Links to those pages, in the main menu and under Ctrl K, for people with the right of the view. Example::

    @hookimpl
    def register_menu_entries():
        return [MenuEntry(_l("Inspections"), "pages.index")]
    """


@hookspec
def register_event_words() -> list[EventWords]:
    """The words of timeline entries, by code, and the group of each in the filter; whoever records an event
    registers its words.
    """


@hookspec
def register_processes() -> list[Process]:
    """Processes that `up` starts beside web, worker and scheduler."""


@hookspec
def register_commands(cli: click.Group) -> None:
    """Add commands to `python -m webapp`; they run with the desk's database and settings."""


@told
def orders_placed(orders: list[int]) -> None:
    """Orders with these ids are new on the desk and are about to be committed."""


@told
def orders_imported(orders: list[int]) -> None:
    """A page of orders with these ids was taken in for the first time and is about to be committed."""


@told
def orders_changed(changes: list[OrdersChange]) -> None:
    """Known orders changed, by a channel's news or by somebody's act, and are about to be committed. What a listener
    itself records on an order is told to the others, not to itself. Example::

        @hookimpl
        def orders_changed(changes):
            renew_routes.enqueue([change.order_id for change in changes if "country" in change.changed])
    """


@asked
def keep_from_archive(orders: list[int]) -> dict[int, Refusal]:
    """Those of these orders that must not be archived since something of them is under way, each with the reason.

    Asked before archiving by hand and by rule.
    """


@asked
def buyers_erasing(orders: list[int]) -> None:
    """The vault's data about the buyers of these orders is about to be destroyed: delete whatever was made of it,
    too. The data can still be opened here.
    """


@asked
def keep_buyers(orders: list[int]) -> dict[int, Refusal]:
    """Those of these orders whose buyers are still needed since something of them is under way, each with the reason.

    Asked before erasing by date, under the orders' locks; for orders that are kept it is asked again the next day.
    """


@asked
def unplaced_buyers(store: int, before: datetime) -> int:
    """The number of records of this store's buyers that belong to no order and are older than this instant."""


@asked
def erase_unplaced_buyers(store: int, before: datetime) -> int:
    """Erase the records that `unplaced_buyers` counts; return their number."""


@asked
def keep_from_shipping(orders: list[int]) -> dict[int, Refusal]:
    """Those of these orders that must not be shipped now, each with the reason. Asked for the button, which shows
    it, and again before a shipment is recorded. Example::

        @hookimpl
        def keep_from_shipping(orders):
            return {order_id: BeingChecked() for order_id in suspicious(orders)}
    """


@asked
def units_departed(lines: list[int]) -> dict[int, list[tuple[datetime, int]]]:
    """When units of these order lines left, by line: (when, how many), the earliest first. Asked when an invoice is
    issued, for its date of supply.
    """


@told
def units_moved(moves: list[UnitsMoved]) -> None:
    """Units of order lines were shipped, unshipped, canceled, withdrawn or returned, at the desk or elsewhere.

    The moves of a line add up to the change of its counters since the order was placed here: units that had left or
    were canceled before the order arrived are not reported. Example::

        @hookimpl
        def units_moved(moves):
            count_pick_list.enqueue(sorted({moved.line_id for moved in moves if moved.move == "canceled"}))
    """


@told
def amounts_changed(changes: list[AmountChange]) -> None:
    """The channel changed an amount of known orders, perhaps with an unchanged total: a component of a line, or of
    the order itself. Example::

        @hookimpl
        def amounts_changed(changes):
            check_taxes.enqueue(sorted({change.order_id for change in changes}))
    """


@told
def shipments_created(shipments: list[ShipmentCreated]) -> None:
    """Shipments of known orders were recorded: the desk's own, and those of origin `elsewhere` from a channel's
    news. Example::

        @hookimpl
        def shipments_created(shipments):
            print_packing_slips.enqueue([shipment.id for shipment in shipments if shipment.origin == "desk"])
    """


@told
def documents_issued(documents: list[DocumentIssued]) -> None:
    """Invoices were issued: each has its number and never changes. Example::

    @hookimpl
    def documents_issued(documents):
        book.enqueue([document.id for document in documents if document.kind == "invoice"])
    """


@told
def updates_owed(updates: list[UpdateOwed]) -> None:
    """Updates are owed to channels and are about to be committed."""


@told
def updates_settled(updates: list[UpdateSettled]) -> None:
    """Updates have ended, by the channel's answer, by a reading or by a person, and this is about to be committed."""

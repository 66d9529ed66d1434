"""Every hook of Waybill, with what it is for and when it is called.

A hook `register_…` is asked for a check when the desk starts and once before the first use, and what it then gives is
kept: an object that is made there lives as long as the process.

Every other hook is asked or told. One that is *asked* is called before something is done: give a `Refusal`, or raise
one, and the merchant reads its sentence. A listener of a plugin that fails refuses, too. One that is *told* hears what
has happened, as a list of facts: ids, codes and columns, which can be kept as JSON, and nothing about buyers. It can't
refuse: a plugin's listener that fails has its own writing undone, and is told again later. What it writes is told to
the other listeners, but neither that nor what they write because of it comes back to the listener itself.

Both run inside the transaction of what is done: write rows, enqueue jobs (they leave after the commit, or not at all),
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
    from webapp.channels.contract import Channel
    from webapp.errors import Refusal
    from webapp.fulfillment.contract import FulfillmentProvider, ShipmentCreated
    from webapp.hooks.processes import Process
    from webapp.jobs.schedule import Schedule
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
    """The kinds of marketplace that a plugin speaks to. Example::

    @hookimpl
    def register_channels():
        return [EbayChannel()]
    """


@hookspec
def register_rights() -> list[Right]:
    """What not everybody may do, beside the desk's own rights; routes, actions, panels, cards and columns name them by
    their codes. Example::

        @hookimpl
        def register_rights():
            return [Right("loyalty.grant", _l("grant loyalty points"), roles=("manager", "clerk"))]
    """


@hookspec
def register_streams() -> list[Stream]:
    """What is read from channels or mailboxes beside orders, each in a lane of its own. Example::

    @hookimpl
    def register_streams():
        return [Stream("payouts", lane="payouts", label=_l("Payouts"), fetch=fetch, take_in=take_in, every=3600)]
    """


@hookspec
def register_order_actions() -> list[OrderAction]:
    """What a merchant can do to an order, in the order of the buttons."""


@hookspec
def register_fulfillment_providers() -> list[FulfillmentProvider]:
    """Who can ship: each gives carrier, service and tracking number for the packages of a shipment."""


@hookspec
def register_outward_kinds() -> list[OutwardKind]:
    """What channels are told: each kind with what it says, whether it still holds, and what readings show of it. How it
    travels is said by the channel.
    """


@hookspec
def register_settings() -> list[SettingsGroup]:
    """Settings in groups, of the desk, of each shop or of each store; each group is drawn as a form. By what a store's
    account is reached, its channel declares itself.
    """


@told
def settings_changed(changes: list[SettingsChange]) -> None:
    """Settings of the desk, of a shop or of a store were written, and are about to be committed. No value is told:
    read the setting. Example::

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
    """What can be the matter with an order or a line: its words, its cause and its fix."""


@hookspec
def register_columns() -> list[Column]:
    """Columns of the order list and its exports."""


@hookspec
def register_query_keys() -> list[QueryKey]:
    """Keys of the query bar and of the filters."""


@hookspec
def register_word_sources() -> list[WordSource]:
    """Where the free words of a search are looked for."""


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
    """Pages below `/x/<plugin>/`. Every view says by `needs` or `personal` who may use it. Example::

    @hookimpl
    def register_blueprints():
        return [pages]
    """


@hookspec
def register_menu_entries() -> list[MenuEntry]:
    """Ways to those pages, in the main menu and under Ctrl K, for whoever has the right of the view. Example::

    @hookimpl
    def register_menu_entries():
        return [MenuEntry(_l("Inspections"), "pages.index")]
    """


@hookspec
def register_event_words() -> list[EventWords]:
    """The words of timeline entries, by code, and the group of each in the filter: whoever records an event brings its
    words.
    """


@hookspec
def register_processes() -> list[Process]:
    """Processes that `up` starts beside web, worker and scheduler."""


@hookspec
def register_commands(cli: click.Group) -> None:
    """Add commands to `python -m webapp`; they run with the desk's database and settings at hand."""


@told
def orders_placed(orders: list[int]) -> None:
    """Orders with these ids are new on the desk and are about to be committed; stock listens."""


@told
def orders_imported(orders: list[int]) -> None:
    """A page of orders with these ids was taken in for the first time and is about to be committed."""


@told
def orders_changed(changes: list[OrdersChange]) -> None:
    """Known orders changed, by a channel's news or by somebody's act, and are about to be committed. Of what a listener
    itself records on an order the others are told, and it is not. Example::

        @hookimpl
        def orders_changed(changes):
            renew_routes.enqueue([change.order_id for change in changes if "country" in change.changed])
    """


@asked
def keep_from_archive(orders: list[int]) -> dict[int, Refusal]:
    """Of these orders, those that must stay at hand since something of them is under way, each with the reason.

    Archiving asks, by hand and by rule.
    """


@asked
def buyers_erasing(orders: list[int]) -> None:
    """What the vault holds of the buyers of these orders is about to be destroyed: whatever was made of it must go too.
    It can still be opened here.
    """


@asked
def keep_buyers(orders: list[int]) -> dict[int, Refusal]:
    """Of these orders, those whose buyers are needed yet since something of them is under way, each with the reason.

    Erasing by date asks, under the orders' locks; what is kept is asked for again the next day.
    """


@asked
def unplaced_buyers(store: int, before: datetime) -> int:
    """How many records of this store's buyers that belong to no order are older than this instant."""


@asked
def erase_unplaced_buyers(store: int, before: datetime) -> int:
    """Erase the records that `unplaced_buyers` counts; tells how many."""


@asked
def keep_from_shipping(orders: list[int]) -> dict[int, Refusal]:
    """Of these orders, those that must not leave now, each with the reason. The button asks, so that it says so, and
    shipping asks again before it records anything. Example::

        @hookimpl
        def keep_from_shipping(orders):
            return {order_id: BeingChecked() for order_id in suspicious(orders)}
    """


@told
def units_moved(moves: list[UnitsMoved]) -> None:
    """Units of order lines were shipped, unshipped, canceled, withdrawn or returned, at the desk or elsewhere.

    The moves of a line add up to what its counters gained since the order was placed here: of orders that arrive with
    units that left already, or are canceled already, this tells nothing. Example::

        @hookimpl
        def units_moved(moves):
            count_pick_list.enqueue(sorted({moved.line_id for moved in moves if moved.move == "canceled"}))
    """


@told
def amounts_changed(changes: list[AmountChange]) -> None:
    """The channel charges something of known orders otherwise than before, perhaps at the same total: a component of a
    line, or of the order itself. Example::

        @hookimpl
        def amounts_changed(changes):
            check_taxes.enqueue(sorted({change.order_id for change in changes}))
    """


@told
def shipments_created(shipments: list[ShipmentCreated]) -> None:
    """Shipments of orders that the desk knew were recorded: its own, and those of origin `elsewhere` that a channel's
    news told of. Example::

        @hookimpl
        def shipments_created(shipments):
            print_packing_slips.enqueue([shipment.id for shipment in shipments if shipment.origin == "desk"])
    """


@told
def updates_owed(updates: list[UpdateOwed]) -> None:
    """Updates are owed to channels and are about to be committed."""


@told
def updates_settled(updates: list[UpdateSettled]) -> None:
    """Updates ended, by the channel's word, by a reading or by a person, and that is about to be committed."""

"""The desk's own registrations for orders: kinds of attention, the words of events, and scheduled jobs."""

from webapp.hooks import hookimpl
from webapp.jobs.runs import any_stands_still, look_after_runs
from webapp.jobs.schedule import Schedule
from webapp.jobs.telling import any_to_tell, declare, tell_again
from webapp.lists.contract import Subject
from webapp.orders.archiving import SETTINGS
from webapp.orders.attention import KINDS, AttentionKind
from webapp.orders.contract import AmountChange, Badge, OrdersChange, UnitsMoved
from webapp.orders.drafts import any_old_draft
from webapp.orders.erasing import any_to_erase, erase_by_date
from webapp.orders.events import WORDS, EventWords
from webapp.orders.holds import any_due, release_over
from webapp.orders.indexing import forget_buyers
from webapp.orders.jobs import (
    any_submission_to_forget,
    any_tag_leaves,
    archive_by_rule,
    archives_by_rule,
    clear_leaving_tags,
    forget_drafts,
    forget_submissions,
    release_due,
)
from webapp.orders.list_columns import COLUMNS
from webapp.orders.listing import ORDER_LIST
from webapp.orders.of_channels import every_badge, every_key
from webapp.orders.order_settings import MARKETPLACES, NEW_ORDERS
from webapp.orders.search_words import SOURCES
from webapp.orders.states import OPEN_STATES
from webapp.orders.statuses import apply_rules
from webapp.search.contract import Column, QueryKey, WordSource
from webapp.settings.declared import SettingsGroup

declare("orders_placed", list[int], order_of=int)
declare("orders_imported", list[int], order_of=int)
declare("orders_changed", list[OrdersChange])
declare("units_moved", list[UnitsMoved])
declare("amounts_changed", list[AmountChange])


@hookimpl
def register_attention_kinds() -> list[AttentionKind]:
    return list(KINDS)


@hookimpl
def register_event_words() -> list[EventWords]:
    return list(WORDS)


@hookimpl
def register_schedules() -> list[Schedule]:
    return [
        Schedule(look_after_runs, every=20, due=any_stands_still),
        Schedule(tell_again, every=20, due=any_to_tell),
        Schedule(release_due, every=30, due=any_due),
        Schedule(clear_leaving_tags, every=60, due=any_tag_leaves),
        Schedule(archive_by_rule, every=3600, due=archives_by_rule),
        Schedule(forget_submissions, every=3600, due=any_submission_to_forget),
        Schedule(forget_drafts, every=3600, due=any_old_draft),
        Schedule(erase_by_date, every=3600, due=any_to_erase),
    ]


@hookimpl
def register_settings() -> list[SettingsGroup]:
    return [NEW_ORDERS, MARKETPLACES, SETTINGS]


@hookimpl(trylast=True)  # a rule may read what other listeners write about new orders
def orders_imported(orders: list[int]) -> None:
    apply_rules(orders)


@hookimpl(trylast=True)
def orders_changed(changes: list[OrdersChange]) -> None:
    """Release holds with nothing left to hold back, and apply the rules of statuses. A status that somebody has just
    set or removed is left alone, unless the same change moved the order into another state.
    """
    if over := [
        change.order_id for change in changes if change.changed.get("state", OPEN_STATES[0]) not in OPEN_STATES
    ]:
        release_over(over)
    ids = [change.order_id for change in changes if "status" not in change.changed or "state" in change.changed]
    if ids:
        apply_rules(ids)


@hookimpl
def register_list_subjects() -> list[Subject]:
    return [ORDER_LIST]


@hookimpl
def register_columns() -> list[Column]:
    return list(COLUMNS)


@hookimpl
def register_badges() -> list[Badge]:
    return every_badge()


@hookimpl
def buyers_erasing(orders: list[int]) -> None:
    forget_buyers(orders)


@hookimpl
def register_query_keys() -> list[QueryKey]:
    return every_key()


@hookimpl
def register_word_sources() -> list[WordSource]:
    return list(SOURCES)

"""What the sync listens to, and what it runs by the clock."""

from datetime import datetime

from webapp.errors import Refusal
from webapp.fulfillment.models import Shipment
from webapp.hooks import hookimpl
from webapp.jobs.schedule import Schedule
from webapp.search.contract import QueryKey
from webapp.sync import numbering  # noqa: F401 - declares the job that its runs go on in
from webapp.sync.jobs import anything_due, deliver, find_due, forget_quiet_runs, keep_statistics
from webapp.sync.query_keys import KEYS
from webapp.sync.runs import any_to_forget
from webapp.sync.taking_in.quarantine import count_payloads, erase_payloads
from webapp.sync.updates import owe_confirmations, unconfirmed, under_way


@hookimpl
def shipments_created(shipments: list[Shipment]) -> None:
    for store_id, kind in {(update.store_id, update.kind) for update in owe_confirmations(shipments)}:
        deliver.enqueue(store_id, kind)


@hookimpl
def keep_from_archive(orders: list[int]) -> dict[int, Refusal]:
    return unconfirmed(orders)


@hookimpl
def keep_buyers(orders: list[int]) -> dict[int, Refusal]:
    return under_way(orders)


@hookimpl
def unplaced_buyers(store: int, before: datetime) -> int:
    return count_payloads(store, before)


@hookimpl
def erase_unplaced_buyers(store: int, before: datetime) -> int:
    return erase_payloads(store, before)


@hookimpl
def register_query_keys() -> list[QueryKey]:
    return KEYS


@hookimpl
def register_schedules() -> list[Schedule]:
    return [
        Schedule(find_due, every=2, due=anything_due),
        Schedule(forget_quiet_runs, every=600, due=any_to_forget),
        Schedule(keep_statistics, every=3600),
    ]

"""What the sync listens to, and what it runs by the clock."""

from webapp.errors import Refusal
from webapp.fulfillment.models import Shipment
from webapp.hooks import hookimpl
from webapp.jobs.schedule import Schedule
from webapp.search.contract import QueryKey
from webapp.sync import numbering  # noqa: F401 - declares the job that its runs go on in
from webapp.sync.jobs import deliver, find_due, forget_quiet_runs, keep_statistics
from webapp.sync.query_keys import KEYS
from webapp.sync.updates import owe_confirmations, unconfirmed


@hookimpl
def shipments_created(shipments: list[Shipment]) -> None:
    for store_id, kind in {(update.store_id, update.kind) for update in owe_confirmations(shipments)}:
        deliver.enqueue(store_id, kind)


@hookimpl
def keep_from_archive(orders: list[int]) -> dict[int, Refusal]:
    return unconfirmed(orders)


@hookimpl
def register_query_keys() -> list[QueryKey]:
    return KEYS


@hookimpl
def register_schedules() -> list[Schedule]:
    return [
        Schedule(find_due, every=2),
        Schedule(forget_quiet_runs, every=600),
        Schedule(keep_statistics, every=3600),
    ]

"""What the sync listens to, and what it runs by the clock."""

from webapp.fulfillment.models import Shipment
from webapp.hooks import hookimpl
from webapp.jobs.schedule import Schedule
from webapp.sync.jobs import deliver, find_due, forget_quiet_runs
from webapp.sync.updates import owe_confirmations


@hookimpl
def shipments_created(shipments: list[Shipment]) -> None:
    for store_id, kind in {(update.store_id, update.kind) for update in owe_confirmations(shipments)}:
        deliver.enqueue(store_id, kind)


@hookimpl
def register_schedules() -> list[Schedule]:
    return [Schedule(find_due, every=2), Schedule(forget_quiet_runs, every=600)]

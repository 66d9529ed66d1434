"""The hooks that the figures listen to, and the job that folds them."""

from webapp.hooks import hookimpl
from webapp.jobs.schedule import Schedule
from webapp.orders.contract import OrdersChange
from webapp.reporting.changes import count_changes, count_new
from webapp.reporting.jobs import anything_to_do, fold_figures


@hookimpl
def orders_imported(orders: list[int]) -> None:
    count_new(orders)


@hookimpl
def orders_changed(changes: list[OrdersChange]) -> None:
    count_changes(changes)


@hookimpl
def register_schedules() -> list[Schedule]:
    return [Schedule(fold_figures, every=10, due=anything_to_do)]

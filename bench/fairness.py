"""How long a person waits for background work, alone and while channels keep the workers busy.

    python -m bench.fairness [--orders 20000] [--database postgresql://…] [--rounds 3]

A desk with its real workers and scheduler, on a practice Amazon: a bulk hold of 50 orders and a workbook of 84 rows are
measured while nothing else is done, beside a first import of so many orders, and while Amazon takes 25 s for each
answer to three stores. Prints the medians, with their ratio to those without the import.
"""

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

FILLED, HELD, ROWS = 1_500, 50, 84
SLOW = 25.0  # seconds
BUDGETS = {"first result": 5.0, f"hold of {HELD}": 15.0, f"XLSX of {ROWS} rows": 20.0}
PATIENCE = 900.0

Times = dict[str, list[float]]


def until(condition: Callable[[], Any], what: str) -> Any:
    """The condition's first true value, polled often enough to measure tenths of a second."""
    from webapp.db import db

    end = time.monotonic() + PATIENCE
    while time.monotonic() < end:
        db.session.rollback()
        if value := condition():
            return value
        time.sleep(0.02)
    raise SystemExit(f"waited in vain for {what}")


@contextmanager
def running(*argv: str) -> Iterator[None]:
    """A process of the desk."""
    from supervisor.reaper import OwnedProcess

    process = OwnedProcess(
        [sys.executable, "-m", "webapp", *argv], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        yield
    finally:
        process.stop(30)


@contextmanager
def queue(folder: Path) -> Iterator[None]:
    """The bundled queue, unless REDIS_URL names another."""
    from supervisor import valkey
    from supervisor.reaper import OwnedProcess

    if os.environ.get("REDIS_URL"):
        yield
        return
    process = OwnedProcess(valkey.command(folder), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        while not valkey.is_up(folder):
            time.sleep(0.05)
        yield
    finally:
        process.stop()


def add(url: str, region: str) -> int:
    """A store of this region, which the workers connect and begin to read."""
    from plugins.amazon.plugin import practice_settings
    from webapp.audit.actor import Actor
    from webapp.channels.services import add_store
    from webapp.db import unit_of_work
    from webapp.sync.jobs import connect

    with unit_of_work():
        settings = practice_settings(url, region=region)
        store = add_store("amazon", f"Bench {region}", settings, actor=Actor.operator(), practice=True)
        connect.enqueue(store.id)
        return store.id


def imported(store_id: int) -> int:
    """The number of the store's orders that were imported."""
    from sqlalchemy import func, select

    from webapp.db import db
    from webapp.orders.models import Order

    return db.session.scalar(select(func.count()).select_from(Order).where(Order.store_id == store_id)) or 0


def act(code: str, ids: list[int], given: dict[str, Any]) -> tuple[float, float]:
    """Do an act on these orders in a run; returns the seconds until the first result and until the last."""
    from webapp.audit.actor import Actor
    from webapp.db import db, unit_of_work
    from webapp.jobs.models import Run
    from webapp.orders import bulk
    from webapp.orders.services import find_action, read_input

    begun = time.monotonic()
    with unit_of_work():
        run_id = bulk.start_bulk(code, read_input(find_action(code), given), actor=Actor.operator(), ids=ids).id
    until(lambda: db.session.get_one(Run, run_id).done, "the first result")
    first = time.monotonic() - begun
    until(lambda: db.session.get_one(Run, run_id).state == "done", "the last result")
    return first, time.monotonic() - begun


def export(ids: list[int]) -> float:
    """Write a workbook of these orders; returns the seconds until it can be fetched."""
    from webapp.audit.actor import Actor
    from webapp.db import db, unit_of_work
    from webapp.jobs.models import Run
    from webapp.lists import export_runs, exporting
    from webapp.orders.listing import ORDER_LIST

    actor, begun = Actor.operator(), time.monotonic()
    with unit_of_work():
        codes = exporting.default_columns(ORDER_LIST, actor, "")
        run_id = export_runs.start_export(
            ORDER_LIST, actor=actor, format=export_runs.XLSX, rows="orders", codes=codes, total=len(ids), ids=ids
        ).id
    until(lambda: db.session.get_one(Run, run_id).state == "done", "the workbook")
    return time.monotonic() - begun


def measure(rounds: int, ids: list[int], goes_on: Callable[[], bool]) -> Times:
    """Measure a person's waiting while `goes_on` returns True, at most so many rounds."""
    first, hold, xlsx = (list[float]() for _ in BUDGETS)
    for _ in range(rounds):
        result, all_of_them = act("hold", ids[:HELD], {"reason": "Stock count"})
        written = export(ids[:ROWS])
        act("release", ids[:HELD], {})
        if not goes_on():  # the load ended during the measurement
            break
        first.append(result)
        hold.append(all_of_them)
        xlsx.append(written)
    return dict(zip(BUDGETS, (first, hold, xlsx), strict=True))


def report(phases: dict[str, Times]) -> None:
    alone, *beside = phases
    print(f"| seconds, median | budget | {alone} | " + " | ".join(f"{name} | ratio" for name in beside) + " |")
    print("| --- " * (3 + 2 * len(beside)) + "|")
    for what, budget in BUDGETS.items():
        usual = statistics.median(phases[alone][what])
        cells = [f"{what}", f"{budget:.0f}", f"{usual:.2f}"]
        for name in beside:
            times = phases[name][what]
            cells += (
                [f"{statistics.median(times):.2f}", f"{statistics.median(times) / usual:.1f}"] if times else ["–"] * 2
            )
        print(f"| {' | '.join(cells)} |")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--orders", type=int, default=20_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--database", default="")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="bench") as name, ExitStack() as stack:
        folder = Path(name)
        os.environ |= {
            "WAYBILL_DATA_DIR": name,
            "DATABASE_URL": options.database,
            "WAYBILL_CUSTOM_ENDPOINTS": "1",
            "WAYBILL_LOG_LEVEL": "error",
        }
        subprocess.run([sys.executable, "-m", "webapp", "migrate"], check=True, stdout=subprocess.DEVNULL)
        from plugins.amazon.practice import PracticeServer
        from webapp import create_app
        from webapp.audit.actor import Actor
        from webapp.db import db
        from webapp.jobs.backlog import workers
        from webapp.orders.models import Order
        from webapp.orders.queries import visible

        stack.enter_context(queue(folder))
        rates = {"rates": 1_000_000, "edge": 0}
        practice = stack.enter_context(
            PracticeServer(folder / "practice", orders=0, arrivals=0, process=True, settings=rates)
        )
        stack.enter_context(create_app().app_context())
        for process in ("worker", "scheduler"):
            stack.enter_context(running(process))
        until(lambda: workers() >= 2, "the workers")
        practice.client.fill(FILLED, ["eu"], days=20)
        filled = add(practice.url, "eu")
        until(lambda: imported(filled) >= FILLED * 0.9, "the desk's own orders")
        work = visible(Actor.operator()).where(Order.state == "processing").with_only_columns(Order.id)
        ids = list(db.session.scalars(work.order_by(Order.id).limit(ROWS)))
        kind = db.engine.dialect.name
        print(f"{kind}, {options.orders:,} orders imported beside it, load {os.getloadavg()[0]:.1f}", flush=True)

        phases = {"alone": measure(options.rounds, ids, lambda: True)}
        practice.client.fill(options.orders, ["na"], days=20)
        large = add(practice.url, "na")
        until(lambda: imported(large), "the import's first page")
        left = options.orders * 0.95
        phases["beside a first import"] = measure(options.rounds, ids, lambda: imported(large) < left)
        print(f"the import had {imported(large):,} orders by then", flush=True)
        practice.client.fault("searchOrders", "slow", times=10_000, seconds=SLOW)
        add(practice.url, "fe")
        time.sleep(5)
        phases["Amazon takes 25 s"] = measure(options.rounds, ids, lambda: True)
        report(phases)


if __name__ == "__main__":
    main()

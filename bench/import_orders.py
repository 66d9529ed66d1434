"""How many orders a second the desk imports, from decoded pages (PRODUCT: at least 1,000).

    python -m bench.import_orders --orders 10000 --workers 1 [--database postgresql://…]

Pages are the practice Amazon's answers. Each worker is a process that maps its pages, checks them, writes them and logs
their calls, as the import does after the network. Then the pages are imported again, unchanged. Prints one line per
phase.
"""

import argparse
import json
import multiprocessing
import os
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

Page = list[dict[str, Any]]


def pages_of(orders: int) -> list[Page]:
    """Decoded pages of the practice Amazon's orders."""
    from plugins.amazon.practice import PracticeServer

    with tempfile.TemporaryDirectory() as folder, PracticeServer(Path(folder), orders=orders, arrivals=0) as practice:
        import httpx

        practice.client.settings(rates=1_000_000)
        token = httpx.post(practice.token_url, data=_credentials()).json()["access_token"]
        sets = "BUYER,RECIPIENT,PROCEEDS,EXPENSE,PROMOTION,CANCELLATION,FULFILLMENT,PACKAGES,TAX,PAYMENT"
        asked = {"createdAfter": "2020-01-01T00:00:00Z", "includedData": sets, "maxResultsPerPage": "100"}
        pages, page = [], None
        with httpx.Client(base_url=practice.url, headers={"x-amz-access-token": token}, timeout=30) as http:
            while page is None or page:
                answer = http.get(
                    "/orders/2026-01-01/orders", params=asked | ({"paginationToken": page} if page else {})
                )
                answer.raise_for_status()
                body = answer.json()
                pages.append(body["orders"])
                page = body.get("pagination", {}).get("nextToken", "")
    return pages


def _credentials() -> dict[str, str]:
    from plugins.amazon.practice import CLIENT_ID, CLIENT_SECRET, REFRESH_TOKENS

    return {
        "grant_type": "refresh_token",
        "refresh_token": REFRESH_TOKENS["eu"],
        "client_id": CLIENT_ID,
        "client_secret": CLIENT_SECRET,
    }


def set_up() -> int:
    """Create an empty desk with one store; returns its id."""
    from plugins.amazon.plugin import practice_settings
    from webapp import create_app, schema
    from webapp.audit.actor import Actor
    from webapp.channels.services import add_store
    from webapp.db import unit_of_work
    from webapp.vault.key_file import key_file

    with create_app().app_context():
        schema.migrate()
        key_file().create()
        key_file().current()
        values = practice_settings("http://127.0.0.1", "eu")
        with unit_of_work():
            return add_store("amazon", "Bench", values, actor=Actor.operator(), practice=True).id


def take(store_id: int, files: Sequence[str], ready: Any, go: Any, done: Any) -> None:
    """One worker: map and import every page of its files."""
    from plugins.amazon.mapping import read_order
    from webapp import create_app
    from webapp.channels.calling import calling
    from webapp.channels.connecting import StoreAccess
    from webapp.channels.incoming import IncomingOrder, OrdersPage
    from webapp.channels.models import Store
    from webapp.db import db, unit_of_work
    from webapp.sync.call_log import logged
    from webapp.sync.taking_in.pages import prepare, take_in

    pages = [json.loads(Path(file).read_text()) for file in files]
    with create_app().app_context():
        ready.release()
        go.wait()
        cpu = time.process_time()
        for page in pages:
            read = [read_order(raw) for raw in page]
            orders = [order for order in read if isinstance(order, IncomingOrder)]
            prepared = prepare(db.session.get_one(Store, store_id), OrdersPage(orders))
            with logged(StoreAccess(store_id, {})) as store:
                with calling(store.report, "orders") as made, made.sending():
                    made.answered(200)
                with unit_of_work():
                    take_in(db.session.get_one(Store, store_id), prepared)
            db.session.expunge_all()
        done.put(time.process_time() - cpu)


def measure(label: str, store_id: int, files: Sequence[str], workers: int, orders: int) -> float:
    context = multiprocessing.get_context("spawn")
    ready, go, done = context.Semaphore(0), context.Event(), context.Queue()
    shares = [files[n::workers] for n in range(workers)]
    processes = [context.Process(target=take, args=(store_id, share, ready, go, done)) for share in shares]
    for process in processes:
        process.start()
    for _ in processes:
        ready.acquire()
    start = time.perf_counter()
    go.set()
    cpu = [done.get() for _ in processes]
    seconds = time.perf_counter() - start
    for process in processes:
        process.join()
    rate, cost = orders / seconds, sum(cpu) / orders * 1000
    print(f"{label:<10} {rate:>8,.0f} orders/s   {seconds:6.2f} s   {cost:5.2f} ms CPU an order")
    return rate


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--orders", type=int, default=10_000)
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--database", default="")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="bench") as folder:
        os.environ |= {"WAYBILL_DATA_DIR": folder, "DATABASE_URL": options.database, "WAYBILL_LOG_LEVEL": "error"}
        os.environ["WAYBILL_CUSTOM_ENDPOINTS"] = "yes"
        pages = pages_of(options.orders)
        orders = sum(len(page) for page in pages)
        files = []
        for number, page in enumerate(pages):
            path = Path(folder) / f"page-{number}.json"
            path.write_text(json.dumps(page))
            files.append(str(path))
        store_id = set_up()
        kind = "PostgreSQL" if options.database else "SQLite"
        print(f"{kind}, {options.workers} worker(s), {orders:,} orders in {len(pages)} pages")
        measure("new", store_id, files, options.workers, orders)
        measure("unchanged", store_id, files, options.workers, orders)


if __name__ == "__main__":
    main()

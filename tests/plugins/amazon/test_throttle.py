"""The shared allowance of calls: close to all of it is used, by any number of workers, and nobody is refused."""

import heapq
import itertools
import os
import random
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import redis

from plugins.amazon.channel import AmazonChannel
from plugins.amazon.client import CONFIRM_SHIPMENT, CREATE_FEED, GET_ORDER, SEARCH_ORDERS, Operation
from plugins.amazon.practice import PracticeClient, PracticeServer
from plugins.amazon.practice.throttle import Throttle as AmazonThrottle
from plugins.amazon.shared import Shared
from plugins.amazon.throttle import Plan, Throttle
from webapp.api import StoreAccess, Throttled

ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture(autouse=True)
def _no_bucket_is_known(valkey: redis.Redis) -> None:
    valkey.flushdb()


@pytest.fixture
def slept() -> list[float]:
    return []


@pytest.fixture
def throttle(shared: Shared, slept: list[float]) -> Throttle:
    return Throttle(shared, slept.append)


def taken(throttle: Throttle, key: str, plan: Plan, **options: Any) -> int:
    """The number of tokens that can be taken at once."""
    for count in range(1000):
        try:
            throttle.take(key, plan, patience=0, **options)
        except Throttled:
            return count
    raise AssertionError("no end")


def test_a_burst_then_the_wait_for_the_next(throttle: Throttle, slept: list[float]) -> None:
    plan = Plan(0.0056, 20)
    assert taken(throttle, "a", plan, start=20) == 19  # the possible cost of a late call is held back
    with pytest.raises(Throttled) as caught:
        throttle.take("a", plan, patience=0)
    assert 0 < caught.value.retry_after <= 1 / 0.0056  # type: ignore[operator] - it is throttled
    assert slept == []
    assert taken(throttle, "b", plan, start=20) == 19  # another account's


def test_a_bucket_that_nobody_remembers(throttle: Throttle) -> None:
    assert taken(throttle, "slow", Plan(0.0056, 20)) == 2
    assert taken(throttle, "quick", Plan(2, 10)) >= 9


def test_a_short_wait_is_slept(throttle: Throttle, slept: list[float]) -> None:
    plan = Plan(10, 1)
    throttle.take("a", plan)
    with pytest.raises(Throttled):
        throttle.take("a", plan, patience=0.15)  # this sleep only records; no time passes
    assert slept
    assert all(0 < pause < 0.2 for pause in slept)


def test_reserves_are_left_for_more_important_work(throttle: Throttle) -> None:
    plan = Plan(0.01, 10)
    assert taken(throttle, "a", plan, start=10, reserve=4) == 5
    assert taken(throttle, "a", plan) == 4
    assert taken(throttle, "b", plan, start=10, reserve=50) == 1  # a reserve that no bucket can hold never starves


def test_refusals_hold_back_twice_as_long_each_time(throttle: Throttle, valkey: redis.Redis) -> None:
    plan = Plan(1, 5)
    granted = throttle.take("h", plan)
    first = throttle.refused("h", plan)
    assert 1 <= first <= 1.5
    assert throttle.refused("h", plan) == pytest.approx(first, abs=1.0)  # refusals of one burst of calls
    valkey.hset("h", "hold", "0")
    assert 2 <= throttle.refused("h", plan) <= 3
    valkey.hset("h", "hold", "0")
    again = throttle.refused("h", plan)
    assert 4 <= again <= 6
    valkey.hset("h", mapping={"hold": "0", "refusals": "30"})
    assert throttle.refused("h", plan) == 600
    valkey.hset("h", mapping={"hold": "0", "tokens": "5"})
    throttle.answered("h", throttle.take("h", plan), None)
    assert valkey.hget("h", "refusals") == b"0"
    assert granted.refusals == 0


def test_a_rate_that_amazon_tells_is_learned_by_all(throttle: Throttle, shared: Shared, slept: list[float]) -> None:
    plan = Plan(0.001, 1)
    granted = throttle.take("a", plan)
    throttle.answered("a", granted, 50.0)
    other = Throttle(shared, time.sleep)
    assert other.take("a", plan).rate == 50


def test_amazons_own_hosts_are_believed_within_bounds(channel: AmazonChannel) -> None:
    from httpx import Response

    from plugins.amazon.accounts import Account
    from plugins.amazon.client import GET_ORDER, _learned

    def learned(endpoint: str, rate: str) -> float | None:
        account = Account("na", endpoint, "", "", "", "", "", report=lambda call: None)
        return _learned(Response(200, headers={"x-amzn-RateLimit-Limit": rate}), account, GET_ORDER)

    amazon, practice = "https://sellingpartnerapi-na.amazon.com", "http://127.0.0.1:9400"
    assert learned(amazon, "1.5") == 1.5
    assert learned(amazon, "500") == 5
    assert learned(amazon, "0.0001") == pytest.approx(0.05)
    assert learned(practice, "500") == 500
    for odd in ("", "much", "-1", "0", "nan", "inf"):
        assert learned(amazon, odd) is None


def test_without_redis_a_process_goes_on_at_half_the_rate(slept: list[float]) -> None:
    gone = redis.Redis(host="127.0.0.1", port=1)
    throttle = Throttle(Shared(connection=lambda: gone, key=lambda *parts: ":".join(parts)), slept.append)
    plan = Plan(1, 10)
    assert taken(throttle, "a", plan) == 2
    with pytest.raises(Throttled) as caught:
        throttle.take("a", plan, patience=0)
    assert 1.5 < caught.value.retry_after <= 2  # type: ignore[operator] - it is throttled
    assert throttle.refused("a", plan) >= 2


def test_four_workers_use_nearly_all_and_are_never_refused(valkey_url: str, tmp_path: Path) -> None:
    shares: list[float] = []
    while len(shares) < 3 and max(shares, default=0) < 0.9:  # a busy machine leaves calls unused
        shares.append(share_used_by_four(valkey_url, tmp_path / f"{len(shares)}"))
    assert max(shares) >= 0.9


def share_used_by_four(valkey_url: str, folder: Path) -> float:
    """The share of the allowance that four processes use, calling as often as they may; none of them is refused."""
    folder.mkdir()
    settings, seconds, rate, burst = {"rates": 16, "edge": 0}, 6.0, 8.0, 30.0
    with PracticeServer(folder, seed=3, orders=10, days=2, settings=settings) as server:
        order = server.client.place(marketplace="US")["order_id"]
        caller, prefix = str(Path(__file__).with_name("caller.py")), f"crowd-{folder.name}"
        words = [caller, valkey_url, prefix, server.url, order, str(seconds), "4"]
        crowd = subprocess.run(
            [sys.executable, *words],
            capture_output=True,
            cwd=ROOT,
            env=os.environ | {"PYTHONPATH": str(ROOT)},
            timeout=60,
            check=True,
        )
        calls = server.client.calls("getOrder")
        tokens = server.client.calls("token")

    answers = [int(line) for line in crowd.stdout.split()]
    span = (calls[-1]["at_ms"] - calls[0]["at_ms"]) / 1000
    assert {call["status"] for call in calls} == {200}
    assert len(tokens) == 1  # fetched by one, used by all
    assert len(answers) == 4
    assert sum(answers) == len(calls)
    return len(calls) / (burst + rate * span)


def test_threads_of_one_process_share_too(channel: AmazonChannel, store: StoreAccess, amazon: PracticeClient) -> None:
    order = amazon.place(marketplace="US")["order_id"]
    amazon.settings(rates=40)
    amazon.fill_buckets()
    before, until = len(amazon.calls("getOrder")), time.monotonic() + 2

    def work() -> None:
        while time.monotonic() < until:
            channel.fetch_order(store, order)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert {call["status"] for call in amazon.calls("getOrder")[before:]} == {200}


def test_somebody_else_used_the_quota(
    channel: AmazonChannel, make_store: Callable[..., StoreAccess], amazon: PracticeClient
) -> None:
    order = amazon.place(marketplace="DE")["order_id"]
    amazon.settings(rates=1)
    channel.fetch_order(make_store("eu"), order)
    amazon.empty_buckets("getOrder")
    with pytest.raises(Throttled):
        channel.fetch_order(make_store("eu"), order)


def test_asking_how_long_takes_no_token(shared: Shared) -> None:
    throttle, plan = Throttle(shared), Plan(1 / 60, 2)
    for _ in range(5):
        assert throttle.wait("peeked", plan) == 0
    for _ in range(2):
        throttle.take("peeked", plan, start=2)
    assert 30 < throttle.wait("peeked", plan) <= 60
    without = Throttle(Shared(connection=lambda: redis.Redis.from_url("redis://127.0.0.1:1"), key=shared.key))
    assert without.wait("alone", plan) == 0
    without.take("alone", plan)
    assert without.wait("alone", plan) > 60  # half the rate


class _Slept(Exception):
    """A worker sleeps for some seconds."""


class Backlog:
    """Workers that call as often as the allowance lets them, by a clock of their own, against Amazon's own buckets."""

    def __init__(self, valkey: redis.Redis, seed: int) -> None:
        self.now, self.random = 1_000_000.0, random.Random(seed)
        self.valkey, self.granted, self.refused, self.until = valkey, 0, 0, 0.0
        at_this_time = Shared(connection=lambda: self, key=lambda *parts: ":".join(parts))  # type: ignore[arg-type,return-value]
        self.throttle = Throttle(at_this_time, self._sleep)
        self.amazon = AmazonThrottle(lambda: self.now)

    def eval(self, script: str, keys: int, *words: Any) -> Any:
        """Run a script of the throttle, with the time of this clock for that of the server."""
        seconds, micros = divmod(round(self.now * 1_000_000), 1_000_000)
        return self.valkey.eval(script.replace("redis.call('TIME')", f"{{{seconds}, {micros}}}"), keys, *words)

    def _sleep(self, seconds: float) -> None:
        raise _Slept(seconds)

    def work(self, operation: Operation, workers: int, calls: int) -> float:
        """Make so many calls, each late by up to half a second, and each worker busy with its answer for a time. What
        has to wait longer than a worker sleeps comes back as a job, up to two seconds late. Returns the share of the
        tokens that Amazon gave until the last call.
        """
        begun, order = self.now, itertools.count()
        due = [(self.now, next(order), "ready") for _ in range(workers)]
        while self.granted + self.refused < calls:
            self.now, _, what = heapq.heappop(due)
            later, then = 0.0, "ready"
            if what == "arrives":
                if self.amazon.take("seller", operation.name, 1.0):
                    self.granted, self.until = self.granted + 1, self.now
                else:
                    self.refused += 1
                later = self.random.uniform(0.1, 1.0)
            else:
                try:
                    self.throttle.take("bucket", operation.plan, start=operation.plan.burst)
                    later, then = self.random.uniform(0, 0.5), "arrives"
                except _Slept as slept:
                    later = slept.args[0]
                except Throttled as throttled:
                    later = (throttled.retry_after or 0) + self.random.uniform(0, 2)
            heapq.heappush(due, (self.now + later, next(order), then))
        return self.granted / (operation.plan.burst + operation.plan.rate * (self.until - begun))


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize(
    ("operation", "calls"),
    [(SEARCH_ORDERS, 60), (GET_ORDER, 600), (CONFIRM_SHIPMENT, 600), (CREATE_FEED, 60)],
    ids=lambda given: getattr(given, "name", None),
)
def test_two_workers_use_what_a_backlog_is_given(
    valkey: redis.Redis, operation: Operation, calls: int, seed: int
) -> None:
    """The promise for a steady backlog: at least 95 % of what the bucket gives is used, and nothing is refused."""
    backlog = Backlog(valkey, seed)
    share = backlog.work(operation, workers=2, calls=calls)
    assert backlog.refused == 0
    assert share >= 0.95

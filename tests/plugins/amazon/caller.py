"""Workers that request one order as often as they may: `caller.py VALKEY PREFIX URL ORDER SECONDS WORKERS`.

They are forks of one process, as the desk's workers are. Each prints how many answers it got; run by the throttle's
tests.
"""

import multiprocessing
import os
import sys
import time

import redis

from plugins.amazon.channel import AmazonChannel
from plugins.amazon.plugin import practice_settings
from tests.plugins.amazon.conftest import shared_over
from webapp.api import StoreAccess, Throttled


def work(channel: AmazonChannel, store: StoreAccess, order: str, seconds: float) -> int:
    until, answers = time.monotonic() + seconds, 0
    while time.monotonic() < until:
        try:
            channel.fetch_order(store, order)
            answers += 1
        except Throttled as throttled:
            time.sleep(max(0, min(throttled.retry_after or 0, until - time.monotonic())))
    return answers


def main() -> None:
    valkey, prefix, url, order, seconds, workers = sys.argv[1:]
    connection = redis.Redis.from_url(valkey)
    channel = AmazonChannel(shared_over(connection, prefix))
    store = StoreAccess(1, practice_settings(url), practice=True)
    together = multiprocessing.get_context("fork").Barrier(int(workers))
    for _ in range(int(workers)):
        if not os.fork():
            together.wait()  # one worker alone would not use its allowance, and unused calls are lost
            print(work(channel, store, order, float(seconds)), flush=True)
            os._exit(0)
    for _ in range(int(workers)):
        os.wait()


main()

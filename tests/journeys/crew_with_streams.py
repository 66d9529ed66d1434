"""A crew of one worker on a desk with streams that are slow, hang and kill their workers: run as a process by a test.

python -m tests.journeys.crew_with_streams '{"release": "/tmp/…", "mark": "/tmp/…"}'
"""

import json
import os
import signal
import sys
import time
from datetime import timedelta
from pathlib import Path

from webapp import create_app
from webapp.audit.actor import Actor
from webapp.audit.services import audit
from webapp.channels.connecting import StoreAccess
from webapp.channels.incoming import OrdersPage, OrdersWindow
from webapp.clock import now
from webapp.hooks import hookimpl, hooks
from webapp.jobs.crew import run_crew
from webapp.sync import leases, streams
from webapp.sync.streams import Stream, StreamPage
from webapp.testing import FakeChannel, FakeChannelPlugin, incoming_order

LETTERS = list("abcde")


class Arriving(FakeChannel):
    """A channel that has a new order at each request."""

    poll_every = 0.2

    def fetch_orders(self, store: StoreAccess, window: OrdersWindow) -> OrdersPage:
        return OrdersPage([incoming_order(number=f"302-{time.time_ns()}", created_at=now())], bound=now())


class Streams:
    """Three streams, each faulty in another way."""

    def __init__(self, release: Path, mark: Path) -> None:
        self.release, self.mark = release, mark

    def wait(self, store: StoreAccess, place: str | None) -> StreamPage:
        while not self.release.exists():
            time.sleep(0.05)
        return StreamPage(place="waited")

    def hang(self, store: StoreAccess, place: str | None) -> StreamPage:
        time.sleep(600)
        return StreamPage()

    def fetch(self, store: StoreAccess, place: str | None) -> StreamPage:
        start = int(place or 0)
        items = LETTERS[start : start + 2]
        return StreamPage(items, place=str(start + len(items)), more=start + 2 < len(LETTERS))

    def take_in(self, store: StoreAccess, page: StreamPage) -> None:
        for letter in page.items:
            audit("letter", actor=Actor.job("letters"), text=letter)
        if "c" in page.items and not self.mark.exists():
            self.mark.touch()
            os.kill(os.getpid(), signal.SIGKILL)

    @hookimpl
    def register_streams(self) -> list[Stream]:
        nothing = {"take_in": lambda store, page: None}
        return [
            Stream("slow", lane="slow", label="Slow", fetch=self.wait, seconds=600, **nothing),
            Stream("stuck", lane="stuck", label="Stuck", fetch=self.hang, seconds=1, **nothing),
            Stream("letters", lane="letters", label="Letters", fetch=self.fetch, take_in=self.take_in),
        ]


def main() -> None:
    orders = json.loads(sys.argv[1])
    leases.LEASE = timedelta(seconds=4)
    app = create_app()
    hooks.manager.register(FakeChannelPlugin(Arriving()), name="fake")
    hooks.manager.register(Streams(Path(orders["release"]), Path(orders["mark"])), name="streams")
    with app.app_context():
        lanes = streams.lanes()
    run_crew(app, 1, lanes)


if __name__ == "__main__":
    main()

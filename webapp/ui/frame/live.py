"""Live news for open pages: events with ids and nothing else; each page then requests what changed.

One thread per process listens to Redis and puts the news into bounded queues, one for each stream. Beyond the maximum
of streams, or while Redis can't be reached, a page is answered 204 and polls instead.
"""

import json
import queue
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any

import structlog
from flask import Blueprint, Flask, Response, current_app, request
from redis import RedisError
from sqlalchemy import select

from webapp import live
from webapp.accounts.models import UserSession
from webapp.audit.actor import Actor
from webapp.channels.models import Store
from webapp.channels.services import serving
from webapp.config import configuration
from webapp.db import db
from webapp.orders.models import Order
from webapp.orders.queries import visible
from webapp.ui.frame.access import current_person, needs
from webapp.ui.web_server.client_socket import mark_live

bp = Blueprint("live", __name__)
log = structlog.get_logger(__name__)

LONGEST = 600.0  # seconds of one stream: the browser connects again, and an ended session is refused then
_HEARTBEAT = 15.0
_WAITING = 100  # unread news that a stream may have
_READ_WITHIN = 5.0  # seconds between reading the data of a page and drawing it, and the difference of two clocks
_LISTENING = "listening"  # the first news of each stream: from now on it misses nothing
stopping: Callable[[], bool] = lambda: False  # noqa: E731 - the server tells when its process ends


class Pump:
    """This process's one listener, running while any stream is open."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._streams: set[queue.Queue[dict[str, Any] | None]] = set()
        self._thread: threading.Thread | None = None
        self._listening = False

    def join(self, limit: int) -> queue.Queue[dict[str, Any] | None] | None:
        """A queue of news; None if the maximum of streams is reached."""
        with self._lock:
            if len(self._streams) >= limit:
                return None
            own: queue.Queue[dict[str, Any] | None] = queue.Queue(_WAITING)
            self._streams.add(own)
            if self._thread is None or not self._thread.is_alive():
                self._listening = False
                self._thread = threading.Thread(target=self._run, name="live", daemon=True)
                self._thread.start()
            elif self._listening:
                own.put_nowait({"kind": _LISTENING})
            return own

    def leave(self, own: queue.Queue[dict[str, Any] | None]) -> None:
        with self._lock:
            self._streams.discard(own)

    def _run(self) -> None:
        try:
            for news in live.listen():
                with self._lock:
                    if not self._streams:
                        self._thread = None
                        return
                    if not self._listening:
                        self._listening = True
                        self._hand_out({"kind": _LISTENING})
                    if news is not None:
                        self._hand_out(news)
        except RedisError as error:
            log.warning("live_news_broken", problem=type(error).__name__)
        with self._lock:
            self._hand_out(None)
            self._streams.clear()
            self._thread = None

    def _hand_out(self, news: dict[str, Any] | None) -> None:
        for own in list(self._streams):
            try:
                own.put_nowait(news)
            except queue.Full:  # the stream ends here; the browser connects again and renews its page
                own.get_nowait()
                own.put_nowait(None)
                self._streams.discard(own)


pump = Pump()


@bp.get("/live")
@needs("orders.view")
def stream() -> Response:
    """The stream of a page."""
    person = current_person()
    app = current_app._get_current_object()  # type: ignore[attr-defined]
    try:
        live.connection().ping()
    except RedisError:
        return Response(status=204)
    own = pump.join(configuration().live_pages)
    if own is None:
        return Response(status=204)
    mark_live(request.environ)
    news = _stream_of(app, person.actor, own, person.session_id, since=_drawn_at())
    response = Response(news, mimetype="text/event-stream")
    response.headers["Cache-Control"] = "no-store"
    response.headers["X-Accel-Buffering"] = "no"
    response.call_on_close(lambda: pump.leave(own))
    return response


def now_in_ms() -> int:
    """The time of a page that is being drawn, and of news, in milliseconds; pages ask by it what they missed."""
    return int(time.time() * 1000)


def _drawn_at() -> float | None:
    """The time since which a page may have missed news: that of its last news, or of its drawing."""
    try:
        milliseconds = int(request.headers.get("Last-Event-ID") or request.args["since"])
    except (KeyError, ValueError):
        return None
    return min(max(milliseconds, 0), now_in_ms()) / 1000


def _stream_of(
    app: Flask,
    actor: Actor,
    own: queue.Queue[dict[str, Any] | None],
    session_id: int | None = None,
    *,
    since: float | None = None,
) -> Iterator[str]:
    began = beat = time.monotonic()
    yield "retry: 3000\n\n"
    while not stopping() and time.monotonic() - began < LONGEST:
        try:
            news = own.get(timeout=1.0)
        except queue.Empty:
            if time.monotonic() - beat >= _HEARTBEAT:
                beat = time.monotonic()
                yield f"id: {now_in_ms()}\n\n"
            continue
        if news is None:
            return
        if news["kind"] == _LISTENING:
            if session_id is not None and _actor_of(app, session_id) != actor:  # changed while the stream began
                return
            if since is not None:
                with suppress(RedisError):
                    for kind, missed in live.since(since - _READ_WITHIN).items():
                        yield from _line(app, actor, {"kind": kind, "ids": sorted(missed)})
            continue
        if news["kind"] == live.ACCESS_CHANGED:
            if session_id in news["ids"]:
                return
            continue
        yield from _line(app, actor, news)


def _line(app: Flask, actor: Actor, news: dict[str, Any]) -> Iterator[str]:
    if news["kind"] == live.ACCESS_CHANGED:
        return
    everybodys = actor.shops is None or news["kind"] == "runs"  # only its id is sent
    ids = news["ids"] if everybodys else _seen(app, actor, news)
    if ids:
        yield f"data: {json.dumps({'kind': news['kind'], 'ids': ids})}\n\n"
        yield f"id: {now_in_ms()}\n\n"


def _actor_of(app: Flask, session_id: int) -> Actor | None:
    with app.app_context():
        row = db.session.get(UserSession, session_id)
        return row.user.as_actor() if row else None


def _seen(app: Flask, actor: Actor, news: dict[str, Any]) -> list[int]:
    """Those of the ids that the actor may see."""
    with app.app_context():
        if news["kind"] == "orders":
            query = visible(actor).with_only_columns(Order.id).where(Order.id.in_(news["ids"]))
        else:
            query = serving(select(Store.id).where(Store.id.in_(news["ids"])), actor)
        return list(db.session.scalars(query))

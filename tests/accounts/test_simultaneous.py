"""Many passwords at once: few are hashed at a time, waiting requests have no connection, and changes meanwhile
count.
"""

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from typing import Any

import pytest
from flask import Flask

from tests.conftest import PASSWORD
from webapp.accounts import hashing, services
from webapp.accounts.hashing import TooManyAtOnce, places
from webapp.accounts.models import UserSession
from webapp.accounts.services import SignInRefused, authenticated, get_user, hashed, set_password, sign_in
from webapp.audit.actor import Actor
from webapp.db import db, unit_of_work

MIA = "mia@desk.test"


class SlowHasher:
    """Verifies when the test lets it, and counts how many run at once."""

    def __init__(self) -> None:
        self.go, self.begun, self.most, self.connections = threading.Event(), threading.Semaphore(0), 0, -1
        self._now, self._lock = 0, threading.Lock()

    def verify(self, password_hash: str, password: str) -> bool:
        with self._lock:
            self._now += 1
            self.most = max(self.most, self._now)
        self.connections = db.engine.pool.checkedout()  # type: ignore[attr-defined]
        self.begun.release()
        assert self.go.wait(60)
        with self._lock:
            self._now -= 1
        return password == PASSWORD


@contextmanager
def _waiting(app: Flask, count: int) -> Iterator[list[Any]]:
    """This number of sign-ins, each begun in a thread of its own."""

    def ask() -> int:
        with app.app_context():
            return authenticated(MIA, PASSWORD).user_id

    with ThreadPoolExecutor(count) as pool:
        yield [pool.submit(ask) for _ in range(count)]


def test_one_password_is_hashed_at_a_time_and_who_waits_holds_no_connection(
    app: Flask, mia: Actor, monkeypatch: pytest.MonkeyPatch
) -> None:
    slow = SlowHasher()
    monkeypatch.setattr(services, "_hasher", slow)
    db.session.rollback()
    with _waiting(app, places()) as asked:
        assert slow.begun.acquire(timeout=60)
        slow.go.set()
        assert [one.result(60) for one in asked] == [mia.id] * places()
    assert slow.most == 1
    assert slow.connections == 0


def test_a_crowd_is_told_to_come_back_and_keeps_nobody_out_who_is_known(app: Flask, mia: Actor) -> None:
    with ExitStack() as crowd:
        strangers = hashing._places(places())[False]
        for _ in range(places()):
            assert strangers.acquire(blocking=False)
            crowd.callback(strangers.release)
        with pytest.raises(TooManyAtOnce) as refused:
            authenticated(MIA, PASSWORD)
        assert refused.value.values["retry_after"] > 0
        assert authenticated(MIA, PASSWORD, known=True).user_id == mia.id
    assert authenticated(MIA, PASSWORD).user_id == mia.id


def test_a_password_that_was_changed_while_its_check_waited_opens_nothing(app: Flask, mia: Actor) -> None:
    proof = authenticated(MIA, PASSWORD)
    with unit_of_work():
        set_password(get_user(MIA), hashed("Another-Horse-8-Battery", MIA))
    with pytest.raises(SignInRefused), unit_of_work():
        sign_in(proof)
    assert db.session.query(UserSession).count() == 0


def test_a_password_without_end_is_refused_before_any_work(
    app: Flask, mia: Actor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(services, "_hasher", None)
    with pytest.raises(SignInRefused):
        authenticated(MIA, "x" * 100_000)

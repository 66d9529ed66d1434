"""What database, disk, queue and pool say of being full, busy or gone is a 503 with a sentence."""

import errno
import re
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from html import unescape
from typing import Any

import pytest
from flask import Flask
from redis import ConnectionError as QueueGone
from sqlalchemy import event, text
from sqlalchemy.exc import TimeoutError as PoolEmpty

from tests.ui.conftest import Browser
from webapp.config import configuration
from webapp.db import check_time, db, failure_of, unit_of_work
from webapp.errors import DatabaseBusy, DiskFull, TooSlow, Unavailable
from webapp.search.models import SealedQuery

WORDS = re.compile(r"<[^>]*>")  # of a route
LONG = " ".join(f"quixelworth{number}" for number in range(250))  # what is kept of it takes pages of its own


@contextmanager
def full_disk() -> Iterator[None]:
    """Let SQLite's file grow no more: what it says is what a full disk makes it say."""

    def limit(connection: Any, record: Any, proxy: Any) -> None:
        [pages] = connection.execute("PRAGMA page_count").fetchone()
        connection.execute(f"PRAGMA max_page_count = {pages}")

    db.session.remove()
    with db.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        raw: Any = connection.connection.dbapi_connection
        raw.rollback()
        raw.execute("VACUUM")  # no page is free
    db.engine.dispose()
    event.listen(db.engine, "checkout", limit)
    try:
        yield
    finally:
        event.remove(db.engine, "checkout", limit)
        db.session.remove()
        db.engine.dispose()


@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
def test_a_full_disk_is_told_and_what_was_typed_stays(app: Flask, browser: Browser, make_order: Any) -> None:
    make_order()
    with full_disk():
        while (page := browser.post("/orders/search", {"text": LONG})).status_code == 303:
            pass  # the room left in pages that the file has
        kept = db.session.query(SealedQuery).count()
        part = browser.post("/orders/search", {"text": LONG}, htmx=True)
        assert browser.get("/orders/").status_code == 200  # reading goes on
    assert (page.status_code, part.status_code) == (503, 503)
    for answer in (page, part):
        assert str(DiskFull()) in unescape(answer.text)
    assert (part.headers["HX-Retarget"], part.headers["HX-Reswap"]) == ("#messages", "beforeend")  # the form stays
    assert LONG in unescape(page.text)  # behind a button that sends it again
    assert "Send it again" in page.text
    assert db.session.query(SealedQuery).count() == kept
    assert browser.post("/orders/search", {"text": LONG}).status_code == 303  # there is room again


def test_no_secret_stands_in_the_page_that_says_why(
    app: Flask, browser: Browser, monkeypatch: pytest.MonkeyPatch
) -> None:
    browser.get("/orders/")

    def view(**values: Any) -> str:
        raise DatabaseBusy

    tried = 0
    for rule in app.url_map.iter_rules():
        shown = app.view_functions[rule.endpoint]
        if "POST" not in (rule.methods or ()) or getattr(shown, "shows_again", False):
            continue
        view.__dict__.update(shown.__dict__)
        monkeypatch.setitem(app.view_functions, rule.endpoint, view)
        path = WORDS.sub("1", rule.rule)
        answer = browser.post(path, {"email-present": "hunter-2", "refresh_token": "Atzr|hunter-2"})
        assert "hunter-2" not in answer.text, rule
        tried += answer.status_code == 503
    assert tried > 30


@pytest.mark.parametrize("database", ["postgres"], indirect=True)
@pytest.mark.parametrize(
    ("sqlstate", "told"),
    [
        ("53100", DiskFull), ("53300", DatabaseBusy), ("53200", DatabaseBusy), ("55P03", DatabaseBusy),
        ("40P01", DatabaseBusy), ("57P01", Unavailable), ("57P03", Unavailable), ("25006", Unavailable),
        ("08006", Unavailable), ("58030", Unavailable), ("57014", TooSlow),
    ],
)  # fmt: skip
def test_what_a_server_says_by_its_codes_has_its_words(app: Flask, sqlstate: str, told: type[Exception]) -> None:
    raising = text(f"DO $$ BEGIN RAISE EXCEPTION 'said by the server' USING ERRCODE = '{sqlstate}'; END $$")
    with pytest.raises(told), unit_of_work():
        db.session.execute(raising)


@pytest.mark.parametrize("database", ["postgres"], indirect=True)
def test_a_statement_that_is_wrong_stays_a_bug(app: Flask) -> None:
    with pytest.raises(Exception, match="no_such_table") as caught, unit_of_work():
        db.session.execute(text("SELECT * FROM no_such_table"))
    assert failure_of(caught.value) is None


@pytest.mark.parametrize("database", ["postgres"], indirect=True)
def test_a_connection_that_is_cut_off_is_told(app: Flask) -> None:
    with pytest.raises(Unavailable), unit_of_work():
        db.session.execute(text("SELECT pg_terminate_backend(pg_backend_pid())"))


@pytest.mark.parametrize("database", ["postgres"], indirect=True)
def test_so_is_one_that_is_cut_off_while_a_page_is_read(
    app: Flask, browser: Browser, monkeypatch: pytest.MonkeyPatch
) -> None:
    def view() -> str:
        process = db.session.scalar(text("SELECT pg_backend_pid()"))
        with db.engine.connect() as other:
            other.execute(text("SELECT pg_terminate_backend(:process, 10000)"), {"process": process})
        db.session.info.pop("limited_at", None)
        check_time()  # which tells the database how much time is left
        return ""

    view.__dict__["right"] = "plugins.view"
    monkeypatch.setitem(app.view_functions, "plugins.index", view)
    answer = browser.get("/plugins/")
    assert answer.status_code == 503
    assert str(Unavailable(what="database")) in unescape(answer.text)


def test_an_exhausted_pool_is_told(app: Flask, browser: Browser, monkeypatch: pytest.MonkeyPatch) -> None:
    browser.get("/orders/")
    db.session.remove()
    monkeypatch.setattr(db.engine.pool, "_max_overflow", 0)
    monkeypatch.setattr(db.engine.pool, "_timeout", 0.05)
    with ExitStack() as held:
        for _ in range(db.engine.pool.size()):  # type: ignore[attr-defined]
            held.enter_context(db.engine.connect())
        with pytest.raises(PoolEmpty):
            db.engine.connect()
        page = browser.get("/orders/")
        part = browser.post("/orders/search", {"text": "jane"}, htmx=True)
    assert (page.status_code, part.status_code) == (503, 503)
    assert str(DatabaseBusy()) in unescape(page.text)
    assert part.headers["HX-Retarget"] == "#messages"
    assert browser.get("/orders/").status_code == 200


@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
def test_every_thread_finds_a_connection_and_few_stay_open(app: Flask) -> None:
    db.session.remove()
    assert configuration().connections > configuration().web_threads
    with ExitStack() as held:
        for _ in range(configuration().connections):
            held.enter_context(db.engine.connect()).exec_driver_sql("SELECT 1")
    assert db.engine.pool.checkedin() == 16  # type: ignore[attr-defined]
    db.engine.dispose()


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (OSError(errno.ENOSPC, "No space left on device"), DiskFull()),
        (OSError(errno.EDQUOT, "Disk quota exceeded"), DiskFull()),
        (QueueGone("refused"), Unavailable(what="queue")),
    ],
)
def test_a_full_disk_and_a_lost_queue_have_their_answers(
    app: Flask, browser: Browser, monkeypatch: pytest.MonkeyPatch, error: Exception, told: Exception
) -> None:
    def view() -> str:
        raise error

    view.__dict__["right"] = "plugins.view"
    monkeypatch.setitem(app.view_functions, "plugins.index", view)
    answer = browser.get("/plugins/")
    assert answer.status_code == 503
    assert str(told) in unescape(answer.text)


def test_any_other_error_of_the_system_is_a_bug() -> None:
    assert failure_of(OSError(errno.EACCES, "Permission denied")) is None
    assert failure_of(ValueError()) is None


def test_what_is_too_large_to_be_read_says_so(browser: Browser, logged: Callable[[], str]) -> None:
    sent = browser.post("/orders/search", {"text": "x" * 3_000_000}, htmx=True)
    assert sent.status_code == 413
    assert "Send a smaller file or a shorter text" in sent.text
    assert sent.headers["HX-Retarget"] == "#messages"

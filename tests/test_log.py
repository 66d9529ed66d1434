"""Logs hold codes and ids: what could be a secret or a buyer is masked, whoever logs it."""

import json
import logging
from collections.abc import Iterator

import pytest
import structlog

from webapp import log
from webapp.config import Configuration

SECRET = "Jane Quixelworth"


@pytest.fixture(autouse=True)
def as_before() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
    log.configure(Configuration())


@pytest.mark.parametrize("log_format", ["json", "console"])
def test_words_that_could_hold_more_are_masked(capsys: pytest.CaptureFixture[str], log_format: str) -> None:
    log.configure(Configuration(log_format=log_format))
    fields = dict.fromkeys(("password", "token", "refresh_token", "client_secret", "buyer", "address", "email"), SECRET)
    structlog.get_logger("test").error("something", order=7, **fields)
    written = capsys.readouterr().err
    assert SECRET not in written
    assert "something" in written


def test_a_line_is_one_document_with_the_ids_of_its_job(capsys: pytest.CaptureFixture[str]) -> None:
    log.configure(Configuration(log_format="json", log_level="info"))
    with structlog.contextvars.bound_contextvars(job_id="j1"):
        structlog.get_logger("test").warning("job_not_sent", job="sync.deliver")
    [line] = capsys.readouterr().err.splitlines()
    entry = json.loads(line)
    assert (entry["event"], entry["level"], entry["job"], entry["job_id"]) == (
        "job_not_sent",
        "warning",
        "sync.deliver",
        "j1",
    )
    assert entry["timestamp"].endswith("Z")


def test_what_libraries_log_comes_in_the_same_form(capsys: pytest.CaptureFixture[str]) -> None:
    log.configure(Configuration(log_format="json"))
    logging.getLogger("a.library").warning("it %s", "happened")
    assert json.loads(capsys.readouterr().err)["event"] == "it happened"


def test_the_level_holds(capsys: pytest.CaptureFixture[str]) -> None:
    log.configure(Configuration(log_level="warning"))
    structlog.get_logger("test").info("chatter")
    logging.getLogger("httpx").info("GET https://somewhere/?token=1")
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize("log_format", ["json", "console"])
def test_a_traceback_shows_no_value_of_a_variable(capsys: pytest.CaptureFixture[str], log_format: str) -> None:
    """Also where Rich is installed, with which the console's tracebacks would."""
    log.configure(Configuration(log_format=log_format))
    try:
        buyer = " ".join(("Jane", "Quixelworth"))
        raise RuntimeError(len(buyer))
    except RuntimeError:
        structlog.get_logger("test").error("something", exc_info=True)
        logging.getLogger("a.library").exception("it happened")
    written = capsys.readouterr().err
    assert "RuntimeError" in written
    assert SECRET not in written

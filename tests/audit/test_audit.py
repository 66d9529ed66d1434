"""Who did what is written with the act, and readings by a job: none is lost, none is written twice."""

from collections.abc import Callable

import pytest
from flask import Flask
from structlog.testing import capture_logs

from webapp import live, log
from webapp.audit.actor import Actor
from webapp.audit.models import AuditEntry
from webapp.audit.rights import BUILT_IN, all_rights, rights_of_built_in
from webapp.audit.services import audit, audit_reading, write_readings
from webapp.config import configuration
from webapp.db import db, unit_of_work
from webapp.errors import Forbidden


def entries() -> list[tuple[str, dict[str, object]]]:
    db.session.rollback()
    return [(entry.code, entry.data) for entry in db.session.query(AuditEntry).order_by(AuditEntry.id)]


def test_an_act_that_is_rolled_back_leaves_no_entry(app: Flask, operator: Actor) -> None:
    with pytest.raises(ValueError, match="stop"), unit_of_work():  # noqa: PT012
        audit("tried", actor=operator)
        raise ValueError("stop")
    assert entries() == []


def test_readings_wait_for_the_job_that_writes_them(app: Flask, operator: Actor, work: Callable[[], int]) -> None:
    for number in range(1203):  # more than it moves at once
        audit_reading("seen", actor=operator, number=number)
    assert entries() == []
    write_readings.enqueue()
    write_readings.enqueue()
    work()
    assert entries() == [("seen", {"number": number}) for number in range(1203)]


def test_one_writer_at_a_time_moves_them(app: Flask, operator: Actor) -> None:
    audit_reading("seen", actor=operator)
    with live.connection().lock(live.key("audit", "writing"), timeout=10):
        write_readings()
        assert entries() == []
    write_readings()
    assert [code for code, _ in entries()] == ["seen"]


def test_the_log_is_the_witness_while_the_queue_is_gone(
    app: Flask, operator: Actor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REDIS_URL", "redis://127.0.0.1:1")
    configuration.cache_clear()
    log.configure(configuration().model_copy(update={"log_level": "warning"}))
    with capture_logs() as logged:
        audit_reading("buyers_seen", actor=operator, orders=[1, 2])
    [entry] = logged
    assert (entry["event"], entry["code"], entry["data"]) == ("audit_entry", "buyers_seen", {"orders": [1, 2]})


def test_every_role_holds_known_rights_and_has_a_label() -> None:
    assert all(rights_of_built_in(role) <= all_rights() for role in BUILT_IN)
    assert rights_of_built_in("owner") == all_rights()
    assert "buyers.see" not in rights_of_built_in("read_only")


def test_a_missing_right_is_named_in_words(app: Flask) -> None:
    with pytest.raises(Forbidden, match=r"You don't have the right to do this \(see buyer data\)\."):
        Actor(Actor.operator().kind, rights=rights_of_built_in("read_only")).needs("buyers.see")

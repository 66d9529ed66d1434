"""`sync` without a queue says so instead of leaving a run that no worker hears of."""

import pytest

from tests.cli.conftest import Command
from webapp.channels.models import Store
from webapp.config import configuration
from webapp.db import db
from webapp.jobs.models import Run


def test_a_sync_that_no_worker_can_hear_of_is_not_started(
    cli: Command, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REDIS_URL", "redis://127.0.0.1:1")
    configuration.cache_clear()
    ended = cli("sync", store.id)
    assert (ended.code, "can't reach its queue" in ended.err) == (6, True)
    assert db.session.query(Run).count() == 0

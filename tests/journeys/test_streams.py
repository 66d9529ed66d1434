"""One worker, and beside the orders a stream that is slow, one that hangs, and one that kills its worker."""

import json
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import func, select

from tests.journeys.conftest import StartProcess, until
from tests.journeys.crew_with_streams import LETTERS, Streams, __name__ as crew
from webapp.audit.actor import Actor
from webapp.audit.models import AuditEntry
from webapp.channels.models import Store
from webapp.clock import now
from webapp.db import db, unit_of_work
from webapp.errors import class_of
from webapp.hooks import hooks
from webapp.jobs.models import Run
from webapp.orders.models import Order
from webapp.sync import jobs, leases, runs
from webapp.sync.models import StoreSync

pytestmark = [pytest.mark.slow, pytest.mark.own_desk]
AT_ITS_PACE = 5  # orders that arrive while the slow stream is read


def test_orders_come_at_their_pace_beside_streams_that_are_slow_hang_and_kill(
    store: Store, start_process: StartProcess, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing here depends on the speed of the machine: the slow page ends when the test lets it."""
    monkeypatch.setattr(leases, "LEASE", timedelta(seconds=4))
    release, mark, store_id = tmp_path / "release", tmp_path / "mark", store.id
    hooks.manager.register(Streams(release, mark), name="streams")
    with unit_of_work():
        runs.start(db.session.get_one(Store, store_id), actor=Actor.operator())
    start_process(crew, json.dumps({"release": str(release), "mark": str(mark)}))

    def lane(name: str) -> StoreSync | None:
        return db.session.get(StoreSync, (store_id, name))

    def orders() -> int:
        jobs.find_due()
        return db.session.scalar(select(func.count()).select_from(Order)) or 0

    def killed() -> bool:
        failed = db.session.scalars(select(Run).where(Run.kind == runs.STREAM, Run.state == "failed"))
        return mark.exists() and any(class_of(run.problem) is runs.ReaderLost for run in failed)

    def letters() -> list[str]:
        entries = select(AuditEntry).where(AuditEntry.code == "letter").order_by(AuditEntry.id)
        return [entry.data["text"] for entry in db.session.scalars(entries)]

    until(lambda: orders() and (found := lane("slow")) and found.lease_owner, "the slow page's beginning")
    before, owner = orders(), lane("slow").lease_owner  # type: ignore[union-attr]
    until(lambda: orders() >= before + AT_ITS_PACE, "orders beside it")
    assert lane("slow").lease_owner == owner, "the slow page had ended: nothing was proven"  # type: ignore[union-attr]

    until(lambda: orders() and (found := lane("stuck")) and found.failures, "the end of a page that hangs")
    assert class_of(lane("stuck").last_failure) is runs.PageTooSlow  # type: ignore[union-attr]
    until(lambda: orders() and killed(), "the kill to be found")
    with unit_of_work():
        lane("letters").next_at = now()  # type: ignore[union-attr]
    until(lambda: orders() and len(letters()) >= len(LETTERS), "the rest of the letters")
    release.touch()
    until(lambda: orders() and lane("slow").last_success_at, "the slow page's end")  # type: ignore[union-attr]
    assert letters() == LETTERS
    assert lane("orders").failures == 0  # type: ignore[union-attr]
    assert db.session.get_one(Store, store_id).problem is None

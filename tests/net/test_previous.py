"""The desk of the version before, brought up to this one: nothing is lost, and nothing is told twice."""

import json
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import time_machine
from sqlalchemy import func, select

from tests import postgres
from tests.conftest import DATABASES, run_jobs
from tests.desks import SECRET, application
from tests.net import previous
from tests.net.conftest import KEEPS
from tests.net.seeded import AT
from webapp import live, schema
from webapp.accounts.models import User
from webapp.audit.actor import Actor
from webapp.channels.legal_face import LANGUAGE
from webapp.channels.models import Store, StoreMarketplace
from webapp.channels.shops import shops
from webapp.db import db, table_of
from webapp.hooks import hooks
from webapp.jobs.models import Run, RunState
from webapp.jobs.runs import look_after_runs
from webapp.orders.archiving import AFTER_DAYS
from webapp.orders.bulk import KIND
from webapp.orders.models import Order, OrderAmount, OrderComment, OrderEvent, OrderLine
from webapp.search.models import SavedView
from webapp.sync.jobs import find_due
from webapp.testing import FakeChannel, FakeChannelPlugin
from webapp.updates.models import ChannelUpdate
from webapp.vault.services import reveal


def facts() -> dict[str, Any]:
    """What must be the same before and after."""
    orders, updates = table_of(Order), table_of(ChannelUpdate)
    counted = {
        model.__tablename__: db.session.scalar(select(func.count()).select_from(model))
        for model in (Order, OrderLine, OrderAmount, OrderEvent, OrderComment, ChannelUpdate, SavedView, User)
    }
    return {
        "rows": counted,
        "states": dict(Counter(db.session.scalars(select(orders.c.state)))),
        "totals": {
            currency: int(total)
            for currency, total in db.session.execute(
                select(orders.c.currency, func.sum(orders.c.total_minor)).group_by(orders.c.currency)
            )
        },
        "updates": dict(Counter(db.session.scalars(select(updates.c.state)))),
        "views": sorted(db.session.scalars(select(SavedView.name))),
        "runs": [[run.kind, run.done, run.total] for run in db.session.scalars(select(Run).order_by(Run.id))],
        "archive_after_days": AFTER_DAYS.of(),
        "languages": {shop.name: LANGUAGE.of(shop) for shop in shops()},
        "shops": {row.marketplace: row.shop_id for row in db.session.scalars(select(StoreMarketplace))},
        "buyers": sorted(
            str(buyer.get("name")) for buyer in reveal(Actor.operator(), [1, 2, 3], purpose="test").values()
        ),
    }


@contextmanager
def desk_of(engine: str, folder: Path, data: Path, queue: str) -> Iterator[FakeChannel]:
    """A kept desk, as it was left, on this version's schema; gives its channel."""
    url = previous.bring_back(engine, folder, data)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("WAYBILL_DATA_DIR", str(data))
        patch.setenv("WAYBILL_SECRET", SECRET)
        patch.setenv("REDIS_URL", queue)
        with time_machine.travel(AT), application(url) as app, app.app_context():
            live.connection().flushdb()
            channel = FakeChannel()
            hooks.manager.register(FakeChannelPlugin(channel))
            schema.migrate()
            yield channel
            db.session.remove()
    if engine == "postgres":
        postgres.server_or_skip().drop_database(url)


on_each = pytest.mark.parametrize("database", DATABASES)  # a database of its own, beside the tests' shared one


@pytest.fixture
def channel_of_before(database: str, tmp_path: Path, queue_server: str) -> Iterator[FakeChannel]:
    """The channel of the desk of before."""
    with desk_of(database, previous.FOLDER, tmp_path, queue_server) as found:
        yield found


@on_each
def test_nothing_is_lost(channel_of_before: FakeChannel) -> None:
    assert facts() == json.loads((previous.FOLDER / "facts.json").read_text())


@on_each
def test_what_was_owed_is_told_once_and_what_was_under_way_goes_on(channel_of_before: FakeChannel) -> None:
    for later in (timedelta(minutes=2), timedelta(hours=1), timedelta(hours=30)):
        with time_machine.travel(AT + later):
            find_due()
            look_after_runs()
            run_jobs()

    told = Counter(str(payload["package"]["tracking_number"])[:4] for payload in channel_of_before.told("shipment"))
    assert told == {"owed": 8}
    [run] = db.session.scalars(select(Run).where(Run.kind == KIND))
    assert (run.state, run.done, run.failed) == (RunState.DONE, previous.IN_RUN, 0)


@pytest.mark.soak
@pytest.mark.own_desk
def test_a_desk_is_kept_as_it_is(
    take: Callable[..., list[Order]],
    work: Callable[[], int],
    store: Store,
    channel: FakeChannel,
    olga: Actor,
    mia: Actor,
    database: str,
    queue_server: str,
    tmp_path: Path,
) -> None:
    """With WAYBILL_KEEP=1 what is kept is this version's desk, to be the one before for the next."""
    engine = "sqlite" if database.startswith("sqlite") else "postgres"
    with time_machine.travel(AT):
        previous.fill(take, work, store, channel, olga, mia)
        here = facts()
        folder = previous.FOLDER if KEEPS else tmp_path / "kept"
        previous.keep(engine, folder)
    (tmp_path / "data").mkdir()
    with desk_of(engine, folder, tmp_path / "data", queue_server):
        assert facts() == here
    if KEEPS:
        (folder / "facts.json").write_text(json.dumps(here, indent=1, sort_keys=True) + "\n")

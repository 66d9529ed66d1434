"""The desk of the previous version, migrated to this one: nothing is lost, and nothing is sent twice."""

import csv
import json
import math
import zlib
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import timedelta
from hashlib import sha256
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
from webapp.channels.connecting import StoreAccess
from webapp.channels.incoming import OrdersPage, UnreadableOrder
from webapp.channels.keeping import days_of
from webapp.channels.legal_face import ADDRESS, LANGUAGE
from webapp.channels.models import Store, StoreMarketplace
from webapp.channels.outgoing import Outcome, Update
from webapp.channels.services import access, get_store, stores
from webapp.channels.shops import shops
from webapp.db import Model, db, table_of, unit_of_work
from webapp.fulfillment.contract import PackageInput
from webapp.fulfillment.services import ship_order
from webapp.hooks import hooks
from webapp.jobs.models import Run, RunState
from webapp.jobs.runs import look_after_runs
from webapp.lists import export_runs
from webapp.lists.models import Export, ListLayout, SavedView
from webapp.orders.archiving import AFTER_DAYS
from webapp.orders.asof import as_of
from webapp.orders.bulk import KIND
from webapp.orders.events import events_of
from webapp.orders.jobs import any_tag_leaves, clear_leaving_tags
from webapp.orders.models import Order, OrderAmount, OrderComment, OrderEvent, OrderLine
from webapp.orders.order_settings import IMPORT_ORDERS, NEW_ORDERS, OWN_NUMBERS
from webapp.orders.queries import locked
from webapp.orders.services import ManagedAtChannel
from webapp.orders.tags import all_tags, numbers_of_orders
from webapp.settings.services import change
from webapp.sync import denials, numbering
from webapp.sync.jobs import fetch_order, find_due
from webapp.sync.models import QuarantinedOrder, StoreDenial, StoreSync, SyncWindow
from webapp.sync.taking_in.pages import prepare, take_in
from webapp.sync.taking_in.quarantine import quarantined_orders
from webapp.testing import JAPAN, FakeChannel, FakeChannelPlugin, again, incoming_order
from webapp.updates.models import ChannelUpdate, UpdateState
from webapp.vault.key_file import decrypt, key_file
from webapp.vault.models import VaultErasure, VaultFile
from webapp.vault.services import reveal


def facts() -> dict[str, Any]:
    """What migrating must not change."""
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
        "numbers": _digest(select(orders.c.channel_order_number, orders.c.number)),
        "updates": dict(Counter(db.session.scalars(select(updates.c.state)))),
        "told": _digest(
            select(updates.c.order_id, updates.c.reference, updates.c.state, updates.c.handle, updates.c.attempts)
        ),
        "leased": db.session.scalar(select(func.count(updates.c.lease_owner))),
        "views": sorted(db.session.scalars(select(SavedView.name))),
        "layouts": [[row.columns, row.sort, row.dense] for row in db.session.scalars(select(ListLayout))],
        "runs": [
            [run.kind, run.state, run.done, run.total] for run in db.session.scalars(select(Run).order_by(Run.id))
        ],
        "archive_after_days": AFTER_DAYS.of(),
        "plugin": previous.PARCELS.read(),
        "languages": {shop.name: LANGUAGE.of(shop) for shop in shops()},
        "addresses": {shop.name: ADDRESS.of(shop) for shop in shops()},
        "shops": [[row.marketplace, row.shop_id] for row in db.session.scalars(_in_order(StoreMarketplace))],
        "stores": {
            store.name: {
                "imports": IMPORT_ORDERS.of(store),
                "own_numbers": OWN_NUMBERS.of(store),
                "buyers_kept": days_of(store),
                "problem": (store.problem or {}).get("code"),
                "settings": access(store).settings,
                "without_number": len(without_number(store.name)),
            }
            for store in stores()
        },
        "syncs": [
            [row.store_id, row.run_id, row.failures, row.last_success_at is not None]
            for row in db.session.scalars(_in_order(StoreSync))
        ],
        "windows": [
            [row.store_id, row.kind, row.page_token, row.cursor is not None, row.low is not None]
            for row in db.session.scalars(_in_order(SyncWindow))
        ],
        "quarantined": [
            [row.number, row.field, row.problem, row.attempts, row.payload != b""]
            for row in db.session.scalars(_in_order(QuarantinedOrder))
        ],
        "denied": [[row.store_id, row.work, row.thing, row.name] for row in db.session.scalars(_in_order(StoreDenial))],
        "tags": {tag.name: [tag.leaving, tag.heir_id, numbers_of_orders()[tag.id]] for tag in all_tags()},
        "exports": [
            [row.format, row.rows, row.columns, row.query, row.sealed is not None, row.file != ""]
            for row in db.session.scalars(_in_order(Export))
        ],
        "files": sorted([row.kind, row.position] for row in db.session.scalars(select(VaultFile))),
        "erased": sorted(db.session.scalars(select(VaultErasure.order_id))),
        "buyers": sorted(
            str(buyer.get("name")) for buyer in reveal(Actor.operator(), [1, 2, 3], purpose="test").values()
        ),
    }


def _in_order(model: type[Model]) -> Any:
    return select(model).order_by(*model.__mapper__.primary_key)


def _digest(query: Any) -> str:
    rows = sorted(map(str, db.session.execute(query)))
    return sha256("\n".join(rows).encode()).hexdigest()


def without_number(store: str) -> list[str]:
    """The channel's numbers of a store's orders without a number of the desk."""
    query = select(Order.channel_order_number).join(Store).where(Store.name == store, Order.number.is_(None))
    return sorted(db.session.scalars(query))


@contextmanager
def desk_of(engine: str, folder: Path, data: Path, queue: str) -> Iterator[FakeChannel]:
    """A kept desk, migrated to this version's schema; returns its channel."""
    url = previous.bring_back(engine, folder, data)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("WAYBILL_DATA_DIR", str(data))
        patch.setenv("WAYBILL_SECRET", SECRET)
        patch.setenv("REDIS_URL", queue)
        with time_machine.travel(AT), application(url) as app, app.app_context():
            live.connection().flushdb()
            channel = FakeChannel()
            hooks.manager.register(FakeChannelPlugin(channel))
            hooks.manager.register(previous.Parcels())
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
def test_nothing_is_lost_by_going_back_and_coming_again(channel_of_before: FakeChannel) -> None:
    schema.back_to((previous.FOLDER / "revision").read_text().strip())
    schema.migrate()
    assert facts() == json.loads((previous.FOLDER / "facts.json").read_text())


@on_each
def test_what_events_of_before_say_is_still_read(channel_of_before: FakeChannel) -> None:
    """They call a column of lines as the version before did."""
    [order, *_] = db.session.scalars(select(Order).order_by(Order.id))
    events = events_of(order)
    assert any("asin" in line for event in events for line in event.data.get("after", {}).get("lines", {}).values())

    then = as_of(events, AT + timedelta(days=1))

    assert then is not None
    assert {id_: line["product_code"] for id_, line in then.lines.items()} == {
        line.id: line.product_code for line in order.lines
    }


def run_due(*, after: timedelta) -> None:
    """Run what is due some time after the desk was stopped."""
    with time_machine.travel(AT + after):
        find_due()
        look_after_runs()
        run_jobs()


@on_each
def test_what_was_owed_is_told_once_and_what_was_under_way_goes_on(channel_of_before: FakeChannel) -> None:
    for later in (timedelta(minutes=2), timedelta(hours=1), timedelta(hours=30)):
        run_due(after=later)

    told = Counter(str(payload["package"]["tracking_number"])[:4] for payload in channel_of_before.told("shipment"))
    assert told == {"owed": 8}
    assert set(db.session.scalars(select(ChannelUpdate.lane))) == {"shipment"}
    [run] = db.session.scalars(select(Run).where(Run.kind == KIND))
    assert (run.state, run.done, run.failed) == (RunState.DONE, previous.IN_RUN, 0)


@on_each
def test_what_a_dead_worker_held_is_looked_up_and_what_a_lost_store_owes_waits(channel_of_before: FakeChannel) -> None:
    found: set[str] = set()
    look_up = channel_of_before.look_up

    def note(store: StoreAccess, updates: Sequence[Update]) -> Mapping[int, Outcome]:
        found.update(str(update.payload["package"]["tracking_number"]) for update in updates)
        return look_up(store, updates)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(channel_of_before, "look_up", note)
        for minutes in (2, 4, 6):  # they are looked up in batches
            run_due(after=timedelta(minutes=minutes))

    assert len([number for number in found if number.startswith("lost")]) == 3
    waiting = select(ChannelUpdate).join(Store).where(Store.name == previous.LOCKED)
    assert [update.state for update in db.session.scalars(waiting)] == [UpdateState.OWED]
    assert {str(told["package"]["tracking_number"])[:4] for told in channel_of_before.told("shipment")} == {"owed"}


@on_each
def test_a_store_that_is_not_imported_stays_so_until_it_is_switched_on(channel_of_before: FakeChannel) -> None:
    quiet, had = get_store(previous.QUIET), without_number(previous.QUIET)
    assert had == [f"302-700000{number}-0000001" for number in (3, 4, 5)]
    channel_of_before.offer(incoming_order(number="302-7000006-0000001", created_at=AT))
    run_due(after=timedelta(minutes=2))
    with unit_of_work():
        assert numbering.start(quiet) is not None  # like one of an earlier version, when importing was on for a moment
    run_due(after=timedelta(minutes=4))
    had.append("302-7000006-0000001")
    assert without_number(previous.QUIET) == had
    [order, *_] = db.session.scalars(select(Order).where(Order.channel_order_number.in_(had)).order_by(Order.id))
    with unit_of_work(), pytest.raises(ManagedAtChannel):
        ship_order(locked(order), [PackageInput("DHL", "JD1")], actor=Actor.operator())

    with time_machine.travel(AT + timedelta(minutes=5)):
        with unit_of_work():
            change(NEW_ORDERS, {"import_orders": "yes"}, quiet, actor=Actor.operator())
        run_jobs()

    assert without_number(previous.QUIET) == []
    numbered = select(Order.number).where(Order.store_id == quiet.id).order_by(Order.placed_at, Order.id)
    theirs = [f"302-700000{number}-0000001" for number in range(1, 7)]
    assert sorted(str(number) for number in db.session.scalars(numbered)) == theirs  # the channel's, as it was set


@on_each
def test_quarantined_orders_are_listed_and_can_be_read_again(channel_of_before: FakeChannel) -> None:
    main = get_store("Fake store")
    readable, other = previous.UNREADABLE
    kept = quarantined_orders(Actor.operator(), store_id=main.id)
    assert {(row.number, row.attempts) for row in kept} == {(readable, 2), (other, 1)}
    for row in kept:
        plain = decrypt(key_file().key(row.period) or b"", row.payload, f"aside:{row.period}")
        assert json.loads(zlib.decompress(plain)) == {"total": "12,5 coins"}
    channel_of_before.offer(
        incoming_order(number=readable, created_at=AT), UnreadableOrder(other, "total", "not_money", {})
    )
    for number in previous.UNREADABLE:
        fetch_order.enqueue(main.id, number)
    run_jobs()

    [left] = quarantined_orders(Actor.operator(), store_id=main.id)
    assert (left.number, left.attempts) == (other, 2)
    [order] = db.session.scalars(select(Order).where(Order.channel_order_number == readable))
    assert order.number is not None


@on_each
def test_tags_go_on_leaving(channel_of_before: FakeChannel) -> None:
    ids = {tag.name: tag.id for tag in all_tags()}
    gone, heir = {ids["brittle"], ids["summer"]}, ids["fragile"]
    assert any_tag_leaves()
    clear_leaving_tags.enqueue()
    run_jobs()

    assert [tag.name for tag in all_tags()] == ["fragile"]
    assert not any_tag_leaves()
    carried = [order.tags for order in db.session.query(Order) if order.tags]
    assert not gone & {tag for tags in carried for tag in tags}
    merged = [tags for tags in carried if heir in tags]  # five of them were fragile before
    assert len(merged) == numbers_of_orders()[heir] == 10
    events = select(OrderEvent.code, func.count()).where(OrderEvent.cause == "tag").group_by(OrderEvent.code)
    assert dict(db.session.execute(events).all()) == {"retagged": 5, "untagged": 4}
    [view] = db.session.scalars(select(SavedView).where(SavedView.name == "Brittle"))
    assert view.query == "tag:fragile"


@on_each
def test_an_export_can_be_fetched_and_a_half_done_one_goes_on(
    channel_of_before: FakeChannel, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(export_runs, "CHUNK", previous.IN_PART)
    made, half = db.session.scalars(select(Run).where(Run.kind == export_runs.KIND).order_by(Run.id))
    owner = db.session.get_one(User, made.actor_id).as_actor()
    whole = fetched(made, owner)
    of_orders = Order.channel_order_number.in_({row["Channel order number"] for row in whole})
    assert db.session.scalar(select(func.count()).select_from(Order).where(of_orders)) == made.total
    of_lines = select(OrderLine.sku).join(Order).where(of_orders)
    assert sorted(row["SKU"] for row in whole) == sorted(db.session.scalars(of_lines))
    assert {row["Buyer"] for row in whole} == {"Jane Quixelworth"}
    listed = select(Order.channel_order_number).where(Order.archived_at.is_(None))
    noted = set(db.session.scalars(listed)) - {order.number for order in previous.unread()}
    assert not export_runs.can_fetch(half, owner)
    channel_of_before.offer(incoming_order(number="302-9999999-0000001", created_at=AT))  # meanwhile
    run_due(after=timedelta(hours=1))

    half = db.session.get_one(Run, half.id)
    assert (half.state, half.done, half.total) == (RunState.DONE, len(noted), len(noted))
    assert half.chunk == math.ceil(len(noted) / previous.IN_PART)  # no part was written again
    told = Counter(row["Channel order number"] for row in fetched(half, owner))
    assert set(told) == noted
    assert set(told.values()) == {1}


def fetched(run: Run, owner: Actor) -> list[dict[str, str]]:
    """The rows of an export's file."""
    with time_machine.travel(AT + timedelta(hours=1)), unit_of_work():
        reader, _format = export_runs.open_file(run, owner)
        return list(csv.DictReader(b"".join(reader.chunks()).decode().splitlines()))


@on_each
def test_a_half_read_window_goes_on_without_what_is_denied(channel_of_before: FakeChannel) -> None:
    main, orders = get_store("Fake store"), previous.unread()
    channel_of_before.page_size = 2
    channel_of_before.offer(*orders)
    run_due(after=timedelta(minutes=2))

    asked = next(window for window in channel_of_before.asked if window.open_only)  # the other store's were read whole
    assert (asked.page, asked.without) == ("2", (JAPAN.id,))
    mine = select(Order.channel_order_number).where(Order.store_id == main.id)
    read = [number for number in db.session.scalars(mine) if number.startswith("302-9")]
    assert sorted(read) == [order.number for order in orders]
    assert len(denials.left_out(main.id)) == 1
    run_due(after=timedelta(hours=7))
    assert JAPAN.id in {window.only for window in channel_of_before.asked}
    assert denials.left_out(main.id) == ()


@on_each
def test_an_erased_buyer_stays_erased(channel_of_before: FakeChannel) -> None:
    erased = list(db.session.scalars(select(VaultErasure.order_id)))
    numbers = list(db.session.scalars(select(Order.channel_order_number).where(Order.id.in_(erased))))
    assert len(numbers) == 2
    news = [again(incoming_order(number=number, created_at=AT)) for number in numbers]
    ready = prepare(get_store("Fake store"), OrdersPage(news))
    with unit_of_work():
        take_in(get_store("Fake store"), ready)
    with unit_of_work():
        assert not any(reveal(Actor.operator(), erased, purpose="test").values())


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
    """With WAYBILL_KEEP=1 the desk of this version is stored, as the previous one for the next."""
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
        (folder / "revision").write_text(f"{schema.needed()}\n")
        (folder / "facts.json").write_text(json.dumps(here, indent=1, sort_keys=True) + "\n")

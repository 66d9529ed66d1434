"""A desk as the previous version left it: 500 orders in all states, with open updates, unfinished work and settings."""

import lzma
import sqlite3
import subprocess
import tarfile
from collections.abc import Callable
from contextlib import closing
from datetime import timedelta
from pathlib import Path
from random import Random
from typing import Any
from unittest.mock import patch

import psycopg
from sqlalchemy import make_url

from tests import postgres
from tests.net.seeded import AT
from webapp.audit.actor import Actor
from webapp.channels.connecting import Denial, DeniedThing, Disconnected
from webapp.channels.incoming import ChannelStage, FulfilledBy, IncomingOrder, OrdersPage, UnreadableOrder
from webapp.channels.keeping import BUYERS
from webapp.channels.legal_face import FACE
from webapp.channels.models import Store
from webapp.channels.outgoing import Outcome, Refused, Sent, Unknown
from webapp.channels.services import add_store
from webapp.channels.shops import create_shop
from webapp.config import configuration
from webapp.db import db, unit_of_work
from webapp.fulfillment.contract import PackageInput
from webapp.fulfillment.services import ship_order
from webapp.hooks import hookimpl, hooks
from webapp.lists import export_runs
from webapp.lists.saved_views import remember_layout, remember_sort, save_view
from webapp.orders import tags
from webapp.orders.archiving import archive
from webapp.orders.bulk import act_on_chunk, start_bulk
from webapp.orders.holds import hold
from webapp.orders.listing import ORDER_LIST
from webapp.orders.models import Order
from webapp.orders.order_settings import change_orders
from webapp.orders.organizing import assign, set_due, set_tags
from webapp.orders.queries import locked
from webapp.orders.services import comment, find_action, read_input
from webapp.search.query import parse
from webapp.settings.declared import DESK, Setting, SettingsGroup
from webapp.settings.services import change as change_settings, groups
from webapp.sync import denials, runs
from webapp.sync.delivering import claim_due
from webapp.sync.jobs import import_orders
from webapp.sync.taking_in.pages import prepare, take_in
from webapp.testing import JAPAN, FakeChannel, again, incoming_line, incoming_order
from webapp.vault import services as vault

ORDERS, IN_RUN, IN_PART = 500, 120, 100
FOLDER = Path(__file__).parent / "kept" / "previous"
_DATA = "keys.json", "files"
_OUTCOMES: dict[str, Outcome] = {"sent": Sent("handle"), "unknown": Unknown("reset"), "refused": Refused("No carrier")}
PARCELS = SettingsGroup(
    "parcels",
    "Parcels",
    [
        Setting(name="parcel_units", label="Units of a parcel", default=10),
        Setting(name="parcel_key", label="Key", secret=True),
    ],
)
QUIET, LOCKED = "Quiet store", "Locked store"  # stores: one is not imported, one is disconnected
UNREADABLE = "302-8000001-0000001", "302-8000002-0000001"
_IN_CHUNK, _PARTS = 2, 2  # orders that have lost a tag already; parts of the unfinished export that are written


class Parcels:
    """A plugin with settings of the desk."""

    @hookimpl
    def register_settings(self) -> list[SettingsGroup]:
        return [PARCELS]


def fill(
    take: Callable[..., list[Order]],
    work: Callable[[], int],
    store: Store,
    channel: FakeChannel,
    owner: Actor,
    clerk: Actor,
) -> None:
    """Create the desk by its own services, as its people would have."""
    _set_up(store, owner)
    _add_stores(channel, work, owner, clerk)
    told = [_told(number) for number in range(1, ORDERS + 1)]
    orders = take(*told)
    take(*[_canceled(order) for order in told if order.stage == ChannelStage.OPEN][:20])
    open_ones = [order for order in orders if order.state == "processing" and order.fulfilled_by == "merchant"][20:]
    for name, outcome in _OUTCOMES.items():
        for order in [open_ones.pop() for _ in range(8)]:
            channel.outcomes = [outcome]
            with unit_of_work():
                ship_order(locked(order), [PackageInput("DHL", f"{name}{order.id}")], actor=clerk)
            work()
    _quarantine(store)
    with unit_of_work():
        vault.erase([open_ones.pop().id for _ in range(2)])
    _export(owner, rows="lines", codes=["buyer"], query=parse("sku:BOWL Quixelworth"))
    work()
    with unit_of_work():
        for order in [open_ones.pop() for _ in range(3)]:
            ship_order(locked(order), [PackageInput("DHL", f"lost{order.id}")], actor=clerk)
    with unit_of_work():
        claim_due(store.id, "shipment", "a worker that died")
    with unit_of_work():
        for order in [open_ones.pop() for _ in range(8)]:
            ship_order(locked(order), [PackageInput("UPS", f"owed{order.id}")], actor=clerk)
        for order in [open_ones.pop() for _ in range(5)]:
            hold(locked(order), "fraud check", actor=owner)
            comment(locked(order), "Asked the bank.", actor=clerk, pin=True)
        for order in [open_ones.pop() for _ in range(5)]:
            assign(locked(order), clerk.id, actor=owner)
            set_due(locked(order), AT + timedelta(days=2), actor=owner)
            set_tags(locked(order), ["fragile"], [], actor=owner, new=["fragile"])
        for order in [order for order in orders if order.state == "canceled"][:10]:
            archive(locked(order), actor=owner)
        for name, query in (("Mugs", "sku:MUG"), ("Jane", "buyer:Quixelworth"), ("Held", "hold:fraud")):
            save_view(name, parse(query), actor=owner, sort="-total", shared=name == "Mugs")
        remember_layout(owner, [("number", None), ("total", 140)], dense=True)
        remember_sort(owner, "-total")
    _retire_tags([open_ones.pop() for _ in range(8)], owner)
    with unit_of_work():
        chosen = [order.id for order in open_ones[:IN_RUN]]
        run = start_bulk("comment", read_input(find_action("comment"), {"text": "Counted"}), actor=owner, ids=chosen)
        db.session.flush()
        chunk = run.chunk
    act_on_chunk(run.id, chunk)  # the first chunk; the others are left
    _leave_half_exported(owner)
    _leave_half_read(store, channel, owner)


def _set_up(store: Store, owner: Actor) -> None:
    hooks.manager.register(Parcels())
    with unit_of_work():
        shop = create_shop("Second shop", prefix="B-", zone="Europe/Paris", actor=owner)
        change_settings(FACE, {"language": "fr", "address": "1 Rue X\nParis"}, shop, actor=owner)
        [group] = [group for group in groups(DESK) if group.code == "archive"]
        change_settings(group, {"archive_after_days": "45"}, actor=owner)
        change_settings(PARCELS, {"parcel_units": "7", "parcel_key": "sesame"}, actor=owner)
        change_settings(BUYERS, {"erase_buyers_after_days": "20"}, store, actor=owner)
        change_orders(
            store,
            settings={},
            shop_id=store.shop_id,
            marketplace_shops={JAPAN.id: shop.id},
            actor=owner,
        )


def _add_stores(channel: FakeChannel, work: Callable[[], int], owner: Actor, clerk: Actor) -> None:
    """One store whose importing was switched off between two orders and three, and one that was disconnected with an
    update still owed.
    """
    with unit_of_work():
        quiet = add_store("fake", QUIET, {"key": "k-secret-7"}, actor=owner)
        change_orders(quiet, settings={"own_numbers": "no"}, shop_id=quiet.shop_id, marketplace_shops={}, actor=owner)
    channel.offer(*[_fresh(f"302-700000{number}-0000001") for number in (1, 2)])
    _read_all(quiet, work, owner)
    with unit_of_work():
        off = {"import_orders": "no", "own_numbers": "no"}
        change_orders(quiet, settings=off, shop_id=quiet.shop_id, marketplace_shops={}, actor=owner)
    channel.offer(*[_fresh(f"302-700000{number}-0000001") for number in (3, 4, 5)])
    _read_all(quiet, work, owner)
    channel.orders.clear()
    with unit_of_work():
        gone = add_store("fake", LOCKED, {"key": "k-secret-8"}, actor=owner)
    channel.offer(_fresh("302-7100001-0000001"))
    _read_all(gone, work, owner)
    channel.orders.clear()
    with unit_of_work():
        [order] = db.session.query(Order).filter_by(store_id=gone.id)
        runs.disconnect(gone, Disconnected(channel="Fake", problem="gone"))
        ship_order(locked(order), [PackageInput("UPS", f"none{order.id}")], actor=clerk)
    work()


def _read_all(store: Store, work: Callable[[], int], owner: Actor) -> None:
    with unit_of_work():
        runs.start(store, actor=owner)
        import_orders.enqueue(store.id)
    work()


def _quarantine(store: Store) -> None:
    """Two orders that can't be read, one of them twice, and a denied marketplace."""
    problems = [UnreadableOrder(number, "total", "not_money", {"total": "12,5 coins"}) for number in UNREADABLE]
    for page in (problems, problems[:1]):
        ready = prepare(store, OrdersPage([], page))
        with unit_of_work():
            take_in(store, ready)
    with unit_of_work():
        denied = Denial(DeniedThing.MARKETPLACE, JAPAN.id, Disconnected(channel="Fake", problem="no role").stored())
        denials.note(store.id, denials.ORDERS, denied, low=AT - timedelta(days=3))


def _retire_tags(orders: list[Order], owner: Actor) -> None:
    """A tag that becomes another, which some of its orders have lost already, and one that is deleted."""
    with unit_of_work():
        for name, some in (("brittle", orders[:5]), ("summer", orders[4:])):
            for order in some:
                set_tags(locked(order), [], [], actor=owner, new=[name])
        save_view("Brittle", parse("tag:brittle"), actor=owner)
        named = {tag.name: tag for tag in tags.all_tags()}
        tags.retire_tag(named["brittle"], heir=named["fragile"], actor=owner)
        tags.retire_tag(named["summer"], actor=owner)
        tags.clear_tag(named["brittle"].id, _IN_CHUNK)


def _export(owner: Actor, **what: Any) -> tuple[int, int]:
    """Begin an export; returns its run and chunk. Its number of orders is counted with the first chunk."""
    with unit_of_work():
        run = export_runs.start_export(ORDER_LIST, actor=owner, format=export_runs.CSV, total=ORDERS, **what)
        db.session.flush()
        return run.id, run.chunk


def _leave_half_exported(owner: Actor) -> None:
    """An export of every order, in parts so small that some are not written."""
    run_id, chunk = _export(owner, rows="orders", codes=["total"])
    with patch.object(export_runs, "CHUNK", IN_PART):
        for part in range(_PARTS):
            export_runs.write_part(run_id, chunk + part)


def unread() -> list[IncomingOrder]:
    """Orders of which only a store's first page was read."""
    return [_fresh(f"302-900000{number}-0000001") for number in range(1, 6)]


def _leave_half_read(store: Store, channel: FakeChannel, owner: Actor) -> None:
    """A window with one of three pages read."""
    channel.offer(*unread())
    channel.page_size = 2
    with unit_of_work():
        runs.start(store, actor=owner)
    import_orders(store.id)


def _fresh(number: str) -> IncomingOrder:
    return incoming_order(
        number=number, created_at=AT - timedelta(minutes=1), lines=[incoming_line(number=f"L{number}")]
    )


def _told(number: int) -> IncomingOrder:
    """An order of a kind that depends on the number only."""
    chance = Random(number)
    sku, quantity = chance.choice(("MUG", "CUP", "BOWL", "")), chance.randint(1, 4)
    lines = [incoming_line(sku, quantity, number=f"L{number:05d}{place}") for place in range(chance.randint(1, 3))]
    sort: dict[str, Any] = chance.choice(
        [
            {},
            {},
            {},
            {"flags": ("prime", "gift")},
            {"marketplace": JAPAN.id, "currency": "JPY"},
            {"stage": ChannelStage.AWAITING_PAYMENT, "status": "PENDING"},
            {"stage": ChannelStage.CANCELED, "status": "CANCELED"},
            {"fulfilled_by": FulfilledBy.CHANNEL},
        ]
    )
    placed = AT - timedelta(minutes=97 * number)
    return incoming_order(lines, **{"number": f"302-{number:07d}-0000001", "created_at": placed} | sort)


def _canceled(order: IncomingOrder) -> IncomingOrder:
    return again(order, stage=ChannelStage.CANCELED, status="CANCELED")


def keep(engine: str, folder: Path) -> None:
    """Write this desk to files: its database, and of its data folder the sealed files and the keys, which belong to
    tests only.
    """
    folder.mkdir(parents=True, exist_ok=True)
    db.session.remove()
    if engine == "sqlite":
        own = sqlite3.connect(str(db.engine.url.database))
        with closing(own) as source, closing(sqlite3.connect(folder / "plain")) as copy:
            source.backup(copy)
    else:
        plain = _plain(configuration().database_url)
        program = postgres.find_programs(folder) / "pg_dump"
        options = ["--inserts", "--rows-per-insert=200", "--no-owner", "--no-privileges"]
        subprocess.run([program, *options, f"--file={folder / 'plain'}", plain], check=True)
    (folder / f"{engine}.xz").write_bytes(lzma.compress((folder / "plain").read_bytes()))
    (folder / "plain").unlink()
    with tarfile.open(folder / f"{engine}.data.tar.xz", "w:xz") as data:
        for name in _DATA:
            data.add(configuration().data_dir / name, name)


def bring_back(engine: str, folder: Path, to: Path) -> str:
    """Create a database from the kept files, with its keys and files in the data folder; returns its address."""
    kept = lzma.decompress((folder / f"{engine}.xz").read_bytes())
    with tarfile.open(folder / f"{engine}.data.tar.xz") as data:
        data.extractall(to, filter="data")
    if engine == "sqlite":
        (to / "previous.db").write_bytes(kept)
        return f"sqlite:///{to / 'previous.db'}"
    url = postgres.server_or_skip().create_database()
    lines = kept.decode().splitlines(keepends=True)
    statements = "".join(line for line in lines if not line.startswith(("\\", "SET transaction_timeout")))
    with psycopg.connect(_plain(url), autocommit=True) as connection:
        connection.execute(statements.encode())
    return url


def _plain(url: str) -> str:
    return make_url(url).set(drivername="postgresql").render_as_string(hide_password=False)

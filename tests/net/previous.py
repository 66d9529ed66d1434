"""A desk as the version before kept it: 500 orders in all states, with what was owed, half done and set."""

import lzma
import shutil
import sqlite3
import subprocess
from collections.abc import Callable
from contextlib import closing
from datetime import timedelta
from pathlib import Path
from random import Random
from typing import Any

import psycopg
from sqlalchemy import make_url

from tests import postgres
from tests.net.seeded import AT
from webapp.audit.actor import Actor
from webapp.channels.contract import ChannelStage, FulfilledBy, IncomingOrder, Outcome, Refused, Sent, Unknown
from webapp.channels.legal_face import FACE
from webapp.channels.models import Store
from webapp.channels.services import change_orders
from webapp.channels.shops import create_shop
from webapp.config import configuration
from webapp.db import db, unit_of_work
from webapp.fulfillment.contract import PackageInput
from webapp.fulfillment.services import ship_order
from webapp.orders.archiving import archive
from webapp.orders.bulk import act_on_chunk, start_bulk
from webapp.orders.holds import hold
from webapp.orders.models import Order
from webapp.orders.organizing import assign, set_due, set_tags
from webapp.orders.queries import locked
from webapp.orders.services import comment, find_action, read_input
from webapp.search.query import parse
from webapp.search.saved_views import save_view
from webapp.settings.declared import DESK
from webapp.settings.services import change as change_settings, groups
from webapp.testing import JAPAN, FakeChannel, again, incoming_line, incoming_order

ORDERS, IN_RUN = 500, 120
FOLDER = Path(__file__).parent / "kept" / "previous"
_OUTCOMES: dict[str, Outcome] = {"sent": Sent("handle"), "unknown": Unknown("reset"), "refused": Refused("No carrier")}


def fill(
    take: Callable[..., list[Order]],
    work: Callable[[], int],
    store: Store,
    channel: FakeChannel,
    owner: Actor,
    clerk: Actor,
) -> None:
    """Make the desk by its own services, as its people would have."""
    with unit_of_work():
        shop = create_shop("Second shop", prefix="B-", zone="Europe/Paris", actor=owner)
        change_settings(FACE, {"language": "fr"}, shop, actor=owner)
        [group] = [group for group in groups(DESK) if group.code == "archive"]
        change_settings(group, {"archive_after_days": "45"}, actor=owner)
        change_orders(
            store,
            settings={},
            shop_id=store.shop_id,
            marketplace_shops={JAPAN.id: shop.id},
            actor=owner,
        )
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
        chosen = [order.id for order in open_ones[:IN_RUN]]
        run = start_bulk("comment", read_input(find_action("comment"), {"text": "Counted"}), actor=owner, ids=chosen)
        db.session.flush()
        chunk = run.chunk
    act_on_chunk(run.id, chunk)  # the first chunk; the rest is left


def _told(number: int) -> IncomingOrder:
    """An order of any sort, the same one for the same number."""
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
    """Write what this desk is into files: its database, and its keys, which are of tests alone."""
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
    shutil.copy(configuration().data_dir / "keys.json", folder / f"{engine}.keys.json")


def bring_back(engine: str, folder: Path, to: Path) -> str:
    """The address of a database that is what was kept, with its keys in the data folder."""
    kept = lzma.decompress((folder / f"{engine}.xz").read_bytes())
    shutil.copy(folder / f"{engine}.keys.json", to / "keys.json")
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

"""One chain of migrations makes both databases, as the models say, and takes every table away again."""

import tempfile
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from flask import Flask
from sqlalchemy import inspect, select, text
from sqlalchemy.exc import SQLAlchemyError

from tests import postgres
from tests.refunds import refund, shipped_order
from webapp import create_app, schema
from webapp.accounts.models import User
from webapp.audit.actor import Actor
from webapp.billing.models import CreditMemo, Invoice, Transaction
from webapp.billing.number_settings import NUMBERS
from webapp.billing.services import issue_invoice
from webapp.channels import keeping
from webapp.channels.incoming import Component, IncomingAmount, OrdersPage
from webapp.channels.legal_face import FACE
from webapp.channels.models import Shop, Store
from webapp.channels.returns import ReturnReason
from webapp.channels.services import access, add_store, remember_marketplaces
from webapp.channels.shops import create_shop
from webapp.clock import now
from webapp.config import configuration
from webapp.db import db, unit_of_work
from webapp.fulfillment.shipment_list import SHIPMENT_LIST, SHIPMENTS
from webapp.hooks import hookimpl, hooks
from webapp.lists.export_runs import CSV, start_export
from webapp.lists.models import Export, ListLayout, SavedView
from webapp.lists.saved_views import remember_layout, save_view, set_start_view
from webapp.mail import queue
from webapp.mail.composing import Letter
from webapp.messaging.models import ReceivedMail
from webapp.orders.archiving import AFTER_DAYS, SETTINGS
from webapp.orders.listing import ORDER_LIST
from webapp.orders.models import Order, OrderAmount
from webapp.orders.order_settings import IMPORT_ORDERS, NEW_ORDERS, OWN_NUMBERS
from webapp.orders.queries import locked
from webapp.returns.contract import ReturnItem
from webapp.returns.services import request_return
from webapp.schema import SchemaDiffers
from webapp.search.contract import ORDERS
from webapp.search.query import parse
from webapp.settings.declared import Setting, SettingsGroup
from webapp.settings.models import StoredSetting
from webapp.settings.services import change, store_all
from webapp.sync import runs
from webapp.sync.models import OrdersProof, QuarantinedOrder, StoreSync, SyncWindow, WindowKind
from webapp.sync.taking_in.pages import prepare, take_in
from webapp.sync.taking_in.quarantine import quarantine
from webapp.testing import FakeChannel, incoming_line, incoming_order
from webapp.updates.models import ChannelUpdate
from webapp.vault import periods
from webapp.vault.models import VaultErasure, VaultPeriod
from webapp.vault.services import erase


@pytest.fixture(params=["sqlite", "postgres"])
def empty_desk(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Flask]:
    """A desk whose database holds nothing yet."""
    url = f"sqlite:///{tmp_path}/desk.db"
    if request.param == "postgres":
        url = postgres.server_or_skip().create_database()
    monkeypatch.setenv("WAYBILL_DATA_DIR", str(tmp_path))
    monkeypatch.setenv("DATABASE_URL", url)
    configuration.cache_clear()
    app = create_app()
    with app.app_context():
        yield app
        db.session.remove()
        db.engine.dispose()
    if request.param == "postgres":
        postgres.server_or_skip().drop_database(url)
    configuration.cache_clear()


def tables() -> set[str]:
    return set(inspect(db.engine).get_table_names()) - {"alembic_version"}


@pytest.mark.filterwarnings("ignore:Skipped unsupported reflection of expression-based index")  # on SQLite
@pytest.mark.filterwarnings("ignore:autogenerate skipping metadata-specified expression-based index")
def test_up_down_and_up_again_gives_what_the_models_say(empty_desk: Flask) -> None:
    assert schema.found() == ""
    for _ in range(2):
        schema.migrate()
        schema.check()
        assert tables() == set(db.metadata.tables)
        with db.engine.connect() as connection:
            assert compare_metadata(MigrationContext.configure(connection), db.metadata) == []
        schema.back_to()
        assert tables() == set()
        assert schema.found() == ""


def test_orders_whose_keys_are_gone_were_erased(take: Callable[..., list[Order]]) -> None:
    _, erased = take(incoming_order(), incoming_order())
    with unit_of_work():
        erase([erased.id])
    schema.back_to("0003")
    db.session.rollback()
    schema.migrate()
    assert db.session.scalars(select(VaultErasure.order_id)).all() == [erased.id]


def test_amounts_that_stood_twice_are_added_up_and_get_their_ceilings(take: Callable[..., list[Order]]) -> None:
    line = incoming_line(amounts=(IncomingAmount(Component.ITEM, 1000, 190, 50),))
    [order] = take(incoming_order([line], total=1460, amounts=(IncomingAmount(Component.TIP, 120),)))
    [other] = take(incoming_order([incoming_line(amounts=(IncomingAmount(Component.ITEM, -70),))]))
    order_id, line_id, other_id, other_line = order.id, order.lines[0].id, other.id, other.lines[0].id
    db.session.rollback()
    schema.back_to("0004")
    insert = "INSERT INTO order_amounts (order_id, line_id, component, charged, tax, discount) VALUES"
    with unit_of_work():
        for row in ("'tip', 200, 20, 0", "'tip', 1, 0, 3", "'other', 0, 0, 0"):
            db.session.execute(text(f"{insert} ({order_id}, NULL, {row})"))
    schema.migrate()
    rows = select(OrderAmount).order_by(OrderAmount.order_id, OrderAmount.id)
    found = [(r.order_id, r.line_id, r.component, r.figures, r.ceiling) for r in db.session.scalars(rows)]
    assert found == [
        (order_id, None, "tip", (321, 20, 3), 338),
        (order_id, line_id, "item", (1000, 190, 50), 1140),
        (order_id, None, "other", (0, 0, 0), 0),
        (other_id, other_line, "item", (-70, 0, 0), 0),
    ]
    db.session.rollback()
    schema.back_to("0004")
    kept = "SELECT component, charged, tax, discount FROM order_amounts ORDER BY order_id, id"
    assert [tuple(row) for row in db.session.execute(text(kept))] == [
        ("tip", 321, 20, 3),
        ("item", 1000, 190, 50),
        ("item", -70, 0, 0),
    ]
    db.session.rollback()
    schema.migrate()


def test_stores_that_were_read_are_read_again_as_far_back_as_at_first(channel: FakeChannel) -> None:
    """Else a year that nobody read again would count as proven."""
    at = now()
    days = {"as usual": None, "a year": 365, "shortened since": 7, "first window runs": 365, "never read": 90}
    ids = {}
    for name, told in days.items():
        with unit_of_work():
            store = add_store("fake", name, {"key": "k"}, actor=Actor.operator())
            ids[store.id] = name
            if told is not None:
                db.session.add(
                    StoredSetting(scope="store", scope_id=store.id, group="connection", name="import_from", value=told)
                )
            if name == "never read":
                continue
            runs.sync_of(store.id)
            window = db.session.get_one(SyncWindow, (store.id, WindowKind.CHANGES))
            window.cursor = None if name == "first window runs" else at
        ages = (200, 3) if name == "shortened since" else (3,)
        ready = prepare(store, OrdersPage([incoming_order(created_at=at - timedelta(days=age)) for age in ages]))
        with unit_of_work():
            take_in(db.session.get_one(Store, store.id), ready)
    db.session.rollback()
    schema.back_to("0005")
    schema.migrate()
    proofs = {ids[row.store_id]: row for row in db.session.scalars(select(OrdersProof))}
    assert {name: round((at - row.low) / timedelta(days=1)) for name, row in proofs.items()} == {
        "as usual": 30,
        "a year": 365,
        "shortened since": 200,
    }
    assert {name: (row.total, row.proven_at) for name, row in proofs.items()} == {
        "as usual": (1, None),
        "a year": (1, None),
        "shortened since": (2, None),
    }


def test_words_of_exports_that_are_forgotten_need_no_key(app: Flask) -> None:
    with unit_of_work():
        start_export(
            ORDER_LIST, actor=Actor.operator(), format=CSV, rows=ORDERS, codes=[], total=1, query=parse("Quixelworth")
        )
    [week] = periods.in_use()
    db.session.rollback()
    schema.back_to("0007")
    words = text("SELECT place, period, sealed FROM exports")
    assert [tuple(row) for row in db.session.execute(words)] == [("forgotten", None, None)]
    with unit_of_work():
        sealed = text("UPDATE exports SET place = 'begun', period = :period, sealed = :sealed")
        db.session.execute(sealed, {"period": week, "sealed": b"words"})
    schema.migrate()
    assert [tuple(row) for row in db.session.execute(words)] == [("forgotten", None, None)]
    assert periods.in_use() == set()
    assert db.session.scalars(select(VaultPeriod.period)).all() == [week]  # so that its key can be destroyed


def test_quarantined_orders_are_kept_under_either_name(store: Store) -> None:
    kept = [("302-1", "total", "missing", {"buyer": "Jane Quixelworth"}), ("302-2", "number", "unkept_text", {})]
    with unit_of_work():
        quarantine(store.id, kept)
    columns = "id, store_id, number, field, problem, at, attempts, period, payload"
    before = db.session.execute(text(f"SELECT {columns} FROM quarantined_orders ORDER BY id")).all()
    db.session.rollback()

    schema.back_to("0008")
    assert db.session.execute(text(f"SELECT {columns} FROM asides ORDER BY id")).all() == before
    db.session.rollback()
    schema.migrate()

    assert db.session.execute(text(f"SELECT {columns} FROM quarantined_orders ORDER BY id")).all() == before
    with unit_of_work():
        quarantine(store.id, [("302-1", "total", "missing", {}), ("302-3", "total", "missing", {})])
    rows = db.session.scalars(select(QuarantinedOrder).order_by(QuarantinedOrder.id))
    assert [(row.number, row.attempts) for row in rows] == [("302-1", 2), ("302-2", 1), ("302-3", 1)]


def test_settings_keep_their_values_under_groups_and_without(store: Store, operator: Actor) -> None:
    units = Setting(name="parcel_units", label="Units", default=10)
    parcels = SettingsGroup("parcels", "Parcels", [units])

    class Plugin:
        @hookimpl
        def register_settings(self) -> list[SettingsGroup]:
            return [parcels]

    hooks.manager.register(Plugin())
    with unit_of_work():
        store_all(NEW_ORDERS, {"import_orders": True, "own_numbers": False}, store)
        store_all(SETTINGS, {"archive_after_days": 45})
        store_all(keeping.BUYERS, {keeping.NAME: 20}, store)
        store_all(parcels, {"parcel_units": 12})
        db.session.add(StoredSetting(scope="desk", group="other", name="parcel_units", value=13))
        db.session.add(StoredSetting(scope="store", scope_id=store.id, group="plugins", name="key", value="another"))
    rows = "SELECT scope, name FROM settings ORDER BY scope, name"
    db.session.rollback()

    schema.back_to("0009")
    flags = db.session.execute(text("SELECT import_orders, own_numbers FROM stores")).one()
    assert tuple(map(bool, flags)) == (True, False)
    before = [("desk", "archive_after_days"), ("desk", "parcel_units"), ("store", "erase_buyers_after_days")]
    assert [tuple(row) for row in db.session.execute(text(rows))] == [*before, ("store", "key")]
    db.session.rollback()
    schema.migrate()

    known = db.session.get_one(Store, store.id)
    assert (IMPORT_ORDERS.of(known), OWN_NUMBERS.of(known)) == (True, False)
    assert AFTER_DAYS.of() == 45
    assert keeping.days_of(known) == 20
    assert access(known).settings["key"] == "k-secret-9"
    assert units.of() == 12


def test_language_and_address_of_shops_become_settings_and_back(app: Flask, operator: Actor) -> None:
    with unit_of_work():
        plain = create_shop("Plain", prefix="A-", actor=operator).id
        paris = create_shop("Paris", prefix="P-", zone="Europe/Paris", actor=operator)
        told = {"language": "fr", "address": "1 Rue X\nParis", "vat_numbers": "FR12345678901"}
        store_all(FACE, told, paris)
        paris_id = paris.id
    db.session.rollback()

    schema.back_to("0012")
    rows = db.session.execute(text("SELECT id, language, address FROM shops ORDER BY id")).all()
    assert [tuple(row) for row in rows] == [(plain, "en", ""), (paris_id, "fr", "1 Rue X\nParis")]
    db.session.rollback()
    schema.migrate()

    face = FACE.read(db.session.get_one(Shop, paris_id))
    assert face == told | {"legal_name": "", "footer": "", "return_address": ""}
    assert FACE.stored(db.session.get_one(Shop, plain)) == frozenset()


def test_a_migration_that_fails_has_deleted_no_file(empty_desk: Flask) -> None:
    schema.migrate()
    folder = configuration().data_dir
    plain, sealed = folder / "exports" / "1.csv", folder / "files" / "1"
    for file in (plain, sealed):
        file.parent.mkdir()
        file.write_text("content")
    with unit_of_work():
        db.session.execute(text("DROP TABLE vault_periods"))
    with pytest.raises(SQLAlchemyError):
        schema.back_to("0007")
    assert sealed.exists()
    with unit_of_work():
        db.session.execute(text("CREATE TABLE vault_periods (period VARCHAR PRIMARY KEY)"))
    schema.back_to("0007")
    assert not sealed.exists()
    schema.migrate()
    assert plain.exists()  # the desk deletes it once it runs, wherever the migration was made


def test_migrating_twice_changes_nothing(empty_desk: Flask) -> None:
    schema.migrate()
    schema.migrate()
    assert schema.found() == schema.needed()


def test_an_empty_database_is_no_desk_and_says_where_it_was_looked_for(empty_desk: Flask) -> None:
    with pytest.raises(SchemaDiffers) as differs:
        schema.check()
    assert str(differs.value).startswith("There is no desk in ")
    assert str(differs.value).endswith("run “python -m webapp migrate”.")


def test_a_newer_database_is_left_alone_with_a_sentence(empty_desk: Flask) -> None:
    schema.migrate()
    with unit_of_work():
        db.session.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    for ask in (schema.check, schema.migrate):
        with pytest.raises(SchemaDiffers, match=r"\(9999\).*it is newer\. Start the newer version of Waybill"):
            ask()
    assert schema.found() == "9999"
    assert tables() == set(db.metadata.tables)


def test_migrating_makes_nothing_outside_of_the_database(empty_desk: Flask) -> None:
    with tempfile.TemporaryDirectory() as elsewhere, pytest.MonkeyPatch.context() as patch:
        patch.chdir(elsewhere)
        schema.migrate()
        assert list(Path(elsewhere).iterdir()) == []


def test_what_was_being_read_is_the_orders_lane_and_other_lanes_go_with_the_way_back(channel: FakeChannel) -> None:
    with unit_of_work():
        store = add_store("fake", "Read", {"key": "k"}, actor=Actor.operator())
        sync = runs.sync_of(store.id)
        sync.failures, sync.last_failure, sync.lease_owner = 3, {"code": "channel_failed", "values": {}}, "worker"
        sync.last_success_at = sync.next_at
        runs.sync_of(store.id, "letters").place = "7"
        store_id, next_at = store.id, sync.next_at
    schema.back_to("0014")
    db.session.rollback()
    kept = db.session.execute(text("SELECT store_id, failures, lease_owner FROM store_syncs")).all()
    assert [tuple(row) for row in kept] == [(store_id, 3, "worker")]
    db.session.rollback()
    schema.migrate()
    [row] = db.session.scalars(select(StoreSync))
    assert (row.store_id, row.lane, row.place, row.failures, row.next_at) == (store_id, "orders", None, 3, next_at)
    assert (row.last_failure, row.last_success_at) == ({"code": "channel_failed", "values": {}}, next_at)


def test_of_updates_with_corrections_those_that_count_are_kept_on_the_way_back(
    take: Callable[..., list[Order]],
) -> None:
    [order] = take(incoming_order())
    chains = {
        "told": ("withdrawn", "effective"),
        "goes": ("sent", "owed"),
        "undone": ("owed", "withdrawn"),
        "over": ("withdrawn", "withdrawn"),
        "accepted": ("accepted",),
    }
    with unit_of_work():
        for reference, states in chains.items():
            for revision, state in enumerate(states, 1):
                row = {"kind": "shipment", "lane": "shipment", "reference": reference, "revision": revision}
                row |= {"order_id": order.id, "store_id": order.store_id, "order_version": 1, "payload": {}}
                row |= {"state": state, "due_at": now(), "created_at": now(), "attempts": revision}
                db.session.execute(ChannelUpdate.__table__.insert().values(**row))
    schema.back_to("0013")
    kept = text("SELECT reference, state, attempts FROM channel_updates ORDER BY reference")
    found = [tuple(row) for row in db.session.execute(kept)]
    db.session.rollback()
    schema.migrate()
    assert found == [
        ("accepted", "sent", 1),
        ("goes", "owed", 2),
        ("over", "withdrawn", 2),
        ("told", "effective", 2),
        ("undone", "owed", 1),
    ]


def test_stores_of_before_are_asked_for_their_account_and_archived_ones_like_new_ones(channel: FakeChannel) -> None:
    states = {"Named": "known", "Not asked": "older", "Archived": "unasked", "Never connected": "unasked"}
    with unit_of_work():
        for name in states:
            store = add_store("fake", name, {"key": "k"}, actor=Actor.operator())
            if name != "Never connected":
                remember_marketplaces(store, channel.connect(access(store)))
            store.account = "seller" if name == "Named" else ""
            store.archived_at = store.created_at if name == "Archived" else None
    schema.back_to("0018")
    db.session.rollback()
    schema.migrate()
    assert dict(db.session.execute(select(Store.name, Store.account_state)).all()) == states


def test_what_is_kept_of_other_lists_goes_with_the_way_back(make_user: Callable[..., Actor]) -> None:
    mia, max_ = make_user("clerk", "Mia"), make_user("manager", "Max")
    with unit_of_work():
        own = save_view("Mine", parse("state:open"), actor=mia).id
        save_view("Left", parse("shipped:today", SHIPMENTS), actor=mia)
        remember_layout(mia, [("number", None)], dense=False, subject=SHIPMENTS)
        set_start_view("today", actor=mia, subject=SHIPMENTS)
        set_start_view(str(own), actor=max_)
        start_export(SHIPMENT_LIST, actor=max_, format=CSV, rows=SHIPMENTS, codes=[], total=1)
    db.session.rollback()
    schema.back_to("0020")
    schema.migrate()

    assert list(db.session.scalars(select(SavedView.id))) == [own]
    assert not db.session.scalars(select(ListLayout)).all()
    assert not db.session.scalars(select(Export)).all()
    assert dict(db.session.execute(select(User.name, User.start_view)).all()) == {"Mia": "", "Max": str(own)}


def test_terms_of_invoices_and_sequences_of_years_are_kept_on_the_way_back(
    take: Callable[..., list[Order]], operator: Actor, caplog: pytest.LogCaptureFixture
) -> None:
    [order, other, later] = take(incoming_order(), incoming_order(), incoming_order())
    numbers = []
    for settings, one in (({}, order), ({"invoice_yearly": True}, other)):
        with unit_of_work():
            change(NUMBERS, settings, order.shop, actor=operator)
            numbers.append(issue_invoice(locked(one), actor=operator).number)
    kept = db.session.execute(select(Invoice.number, Invoice.terms, Invoice.seller).order_by(Invoice.id)).all()
    year = numbers[1].removeprefix("INV-")[:4]
    db.session.rollback()

    schema.back_to("0027")
    kinds = text("SELECT kind, prefix, next FROM number_sequences WHERE kind LIKE 'invoice%' ORDER BY id")
    assert [tuple(row) for row in db.session.execute(kinds)] == [
        ("invoice", "INV-", 2),
        (f"invoice:yearly-{year}:INV-", "INV-", 2),
    ]
    db.session.rollback()
    schema.migrate()

    assert db.session.execute(select(Invoice.number, Invoice.terms, Invoice.seller).order_by(Invoice.id)).all() == kept
    with unit_of_work():
        assert issue_invoice(locked(later), actor=operator).number == f"INV-{year}-000002"
    with pytest.raises(SystemExit):
        schema.back_to("0026")
    assert "Invoices were issued" in caplog.text
    schema.migrate()


def test_no_version_that_would_forget_refunds_is_gone_back_to(
    take: Callable[..., list[Order]], operator: Actor, caplog: pytest.LogCaptureFixture
) -> None:
    [order] = take(shipped_order())
    memo = refund(order, actor=operator)
    row = {"store_id": order.store_id, "order_id": order.id, "number": "T-1", "order_number": "1", "kind": "refund"}
    row |= {"word": "", "status": "", "posted_at": now(), "marketplace": "", "currency": "EUR", "parts": []}
    row |= {"total_minor": 0, "fees_minor": 0, "memo_id": memo.id}
    with unit_of_work():
        db.session.execute(Transaction.__table__.insert().values(**row))
    with pytest.raises(SystemExit):
        schema.back_to("0030")
    assert "a second time" in caplog.text
    schema.migrate()
    with unit_of_work():
        db.session.execute(text("UPDATE transactions SET memo_id = NULL"))
    with pytest.raises(SystemExit):
        schema.back_to("0028")
    assert "Credit memos were recorded" in caplog.text
    schema.migrate()
    assert db.session.scalars(select(CreditMemo.id)).all() == [memo.id]


def test_no_version_that_would_forget_returns_is_gone_back_to(
    take: Callable[..., list[Order]], operator: Actor, caplog: pytest.LogCaptureFixture
) -> None:
    [order] = take(shipped_order())
    with unit_of_work():
        items = [ReturnItem(order.lines[0].id, 1, ReturnReason.OTHER)]
        request_return(locked(order), items, actor=operator)
    db.session.rollback()
    with pytest.raises(SystemExit):
        schema.back_to("0032")
    assert "Returns were recorded" in caplog.text
    schema.migrate()


def test_numbers_of_mails_go_on_and_mails_of_a_removed_mailbox_stay(app: Flask) -> None:
    with unit_of_work():
        numbers = [queue.put(queue.TEST, Letter("mia@example.com", "a", "b")).id for _ in range(3)]
        given = {"fingerprint": "f", "reference": "", "sort": "answer", "received_at": now()}
        db.session.add(ReceivedMail(mailbox_id=7, **given))
    schema.back_to("0040")
    schema.migrate()
    db.session.rollback()
    assert db.session.scalars(select(ReceivedMail.mailbox_id)).all() == [None]
    with unit_of_work():
        assert queue.put(queue.TEST, Letter("mia@example.com", "a", "b")).id > max(numbers)

"""Settings by commands: those of the desk, and with its name those of a store or a shop."""

from collections.abc import Callable

import pytest
from flask import Flask
from sqlalchemy import select

from tests.cli.conftest import ON_SQLITE, Command
from tests.ui.frame.test_fence import Faulty
from webapp.audit.models import AuditEntry
from webapp.channels.connecting import Connection, Disconnected, StoreAccess
from webapp.channels.keeping import days_of
from webapp.channels.models import Store
from webapp.channels.shops import create_shop
from webapp.db import db, unit_of_work
from webapp.hooks import hookimpl, hooks
from webapp.hooks.failures import Failure
from webapp.orders.archiving import AFTER_DAYS
from webapp.orders.models import Order
from webapp.settings.declared import STORE, Setting, SettingsGroup
from webapp.testing import FakeChannel, FakeChannelPlugin, incoming_order

LABELS = Setting(name="labels_of_a_parcel", label="Labels of a parcel", default=1, minimum=1)
KEY = Setting(name="printer_key", label="Key of the printer", secret=True)


class Printing:
    """A plugin with settings of each store, one of them a secret."""

    @hookimpl
    def register_settings(self) -> list[SettingsGroup]:
        return [SettingsGroup("printing", "Printing", [LABELS, KEY], scope=STORE)]


@pytest.fixture(autouse=True)
def _printing(app: Flask) -> None:
    hooks.manager.register(Printing())


def test_settings_of_the_desk(cli: Command) -> None:
    changed = cli("settings", "set", "archive", "--set", "archive_after_days=45")
    assert (changed.code, changed.out.strip()) == (0, "Saved.")
    [row] = [row for row in cli("--json", "settings", "list").document if row["group"] == "archive"]
    assert (row["name"], row["value"], row["stored"]) == ("archive_after_days", 45, True)
    db.session.rollback()
    assert AFTER_DAYS.of() == 45
    wrong = cli("settings", "set", "archive", "--set", "archive_after_days=soon")
    assert (wrong.code, "Enter a whole number" in wrong.err) == (1, True)


def test_settings_of_a_store(cli: Command, store: Store) -> None:
    given = ("--set", "labels_of_a_parcel=3", "--set", "printer_key=p-secret-7")
    assert cli("settings", "set", "printing", "--store", store.name, *given).code == 0
    listed = cli("--json", "settings", "list", "--store", store.id)
    rows = [row for row in listed.document if row["group"] == "printing"]
    assert [(row["name"], row["value"], row["stored"]) for row in rows] == [
        ("labels_of_a_parcel", 3, True),
        ("printer_key", None, True),
    ]
    db.session.rollback()
    assert LABELS.of(store) == 3
    assert KEY.of(store) == "p-secret-7"


def test_the_desks_own_settings_of_a_store_are_known(cli: Command, store: Store) -> None:
    listed = cli("--json", "settings", "list", "--store", store.name).document
    ours = [(row["group"], row["name"], row["value"]) for row in listed if row["group"] != "printing"]
    assert ours == [
        ("connection", "key", None),
        ("buyers", "erase_buyers_after_days", 30),
        ("orders", "import_orders", True),
        ("orders", "own_numbers", True),
        ("orders", "new_order_status", ""),
        ("orders", "other_orders", True),
        ("marketplaces", "marketplace.DE", True),
        ("marketplaces", "marketplace.JP", True),
        ("outward", "cancel_hold", 60),
        ("outward", "ship_hold", 0),
        ("invoices", "invoices", "by_hand"),
        ("invoices", "invoice_from", ""),
        ("invoices", "invoice_channel_fulfilled", False),
        ("refunds", "refund_hold", 60),
        ("messages", "message_hold", 60),
        ("buyer_mail", "by_mail", False),
        ("buyer_mail", "mail_invoices", False),
        ("buyer_mail", "mail_memos", False),
        ("buyer_mail", "mail_shipments", False),
        ("reviews", "request_reviews", False),
        ("reviews", "review_days", 7),
        ("reviews", "review_leave_out_refunded", True),
        ("reviews", "review_leave_out_returned", True),
        ("leaving", "reread_after", 10),
    ]
    where = ("settings", "set", "buyers", "--store", store.name)
    assert cli(*where, "--set", "erase_buyers_after_days=7").code == 0
    too_long = cli(*where, "--set", "erase_buyers_after_days=4000")
    assert (too_long.code, "Enter 3650 or less" in too_long.err) == (1, True)
    db.session.rollback()
    assert days_of(store) == 7
    changed = db.session.scalars(select(AuditEntry).where(AuditEntry.code == "settings_changed")).one()
    assert changed.data == {
        "group": "buyers",
        "settings": ["erase_buyers_after_days"],
        "values": {"erase_buyers_after_days": 7},
        "store": store.id,
    }
    assert cli("store", "set", store.name, "--unset", "erase_buyers_after_days").code == 0
    db.session.rollback()
    assert days_of(store) == 30


def test_importing_that_is_switched_on_numbers_what_came_meanwhile(
    cli: Command, store: Store, take: Callable[..., list[Order]], work: Callable[[], int]
) -> None:
    where = ("settings", "set", "orders", "--store", store.name, "--set")
    assert cli(*where, "import_orders=off").code == 0
    take(incoming_order(), incoming_order())
    assert work() == 0
    assert cli(*where, "own_numbers=yes").code == 0
    assert work() == 0

    assert cli(*where, "import_orders=on").code == 0

    work()
    assert sorted(db.session.scalars(select(Order.number))) == ["000001", "000002"]
    assert cli(*where, "import_orders=on").code == 0
    assert work() == 0


def test_a_connection_that_is_changed_is_tested(
    cli: Command, store: Store, work: Callable[[], int], monkeypatch: pytest.MonkeyPatch
) -> None:
    tried = []

    def connect(self: FakeChannel, access: StoreAccess) -> Connection:
        tried.append(access.settings["key"])
        return Connection(problem=Disconnected(channel="Fake", problem="wrong secret"))

    monkeypatch.setattr(FakeChannel, "connect", connect)
    where = ("settings", "set", "connection", "--store", store.name)
    changed = cli(*where, "--set", "key=k-secret-10")
    assert (changed.code, "k-secret" in changed.out) == (0, False)
    work()
    assert tried == ["k-secret-10"]
    [listed] = cli("--json", "store", "list").document
    assert "wrong secret" in listed["disconnected"]
    assert cli(*where).code == 0  # saved again unchanged: it is tried again
    db.session.rollback()
    assert db.session.get_one(Store, store.id).problem is None
    work()
    assert tried == ["k-secret-10", "k-secret-10"]
    refused = cli(*where, "--set", "colour=red")
    assert (refused.code, "There is no setting" in refused.err) == (1, True)


def test_a_store_whose_channel_was_left_out_lists_its_other_settings(cli: Command, store: Store) -> None:
    [plugin] = [one for one in hooks.manager.get_plugins() if isinstance(one, FakeChannelPlugin)]
    hooks.manager.unregister(plugin)
    listed = cli("--json", "settings", "list", "--store", store.name).document
    assert {row["group"] for row in listed} == {
        "orders",
        "marketplaces",
        "buyers",
        "invoices",
        "leaving",
        "messages",
        "outward",
        "printing",
        "refunds",
    }


def test_what_is_not_there_is_named(cli: Command, store: Store) -> None:
    assert cli("settings", "set", "printing").code == 3  # it is not a group of the desk
    assert cli("settings", "list", "--store", "Nowhere").code == 3
    assert cli("settings", "list", "--shop", "99").code == 3
    both = cli("settings", "list", "--store", store.name, "--shop", store.shop_id)
    assert (both.code, "not both" in both.err) == (2, True)


@ON_SQLITE
def test_a_shop_is_named_by_its_id_or_its_name(cli: Command, store: Store) -> None:
    with unit_of_work():
        mugs = create_shop("Mugs", prefix="M")
        create_shop(str(mugs.id), prefix="N")  # its name is the id of the other
        twins = [create_shop(name, prefix=name) for name in ("One", "Two")]
        for twin in twins:
            twin.name = "Été" if twin is twins[0] else "été"
    assert cli("settings", "set", "legal", "--shop", " mugs", "--set", "footer=Of mugs").code == 0
    assert "Of mugs" in cli("settings", "list", "--shop", mugs.id).out
    several = cli("settings", "list", "--shop", "été")
    ids = ", ".join(str(twin.id) for twin in twins)
    assert (several.code, several.err.strip()) == (
        4,
        f"“été” matches several shops. Give the ID of one of them: {ids}.",
    )


def test_settings_of_a_shop_are_its_legal_face(cli: Command, store: Store) -> None:
    given = ("--set", "vat_numbers=DE 123456789", "--set", "address=1 Rue X\nParis")
    assert cli("settings", "set", "legal", "--shop", store.shop_id, *given).code == 0
    listed = cli("--json", "settings", "list", "--shop", store.shop_id).document
    assert {row["name"]: row["value"] for row in listed} == {
        "legal_name": "",
        "address": "1 Rue X\nParis",
        "vat_numbers": "DE 123456789",
        "language": "en",
        "footer": "",
        "return_address": "",
        "sender_name": "",
        "sender_address": "",
        "reply_to": "",
        "copies": "",
        "invoice_prefix": "",
        "invoice_yearly": False,
        "credit_memo_prefix": "",
        "credit_memo_yearly": False,
        "tax_rates": "",
        "prices_include_tax": False,
        "kept_countries": "",
    }
    wrong = cli("settings", "set", "sender", "--shop", store.shop_id, "--set", "reply_to=harbor")
    assert (wrong.code, "Reply address: This is not an e-mail address. Correct it." in wrong.err) == (1, True)


def test_a_right_is_needed(cli: Command, store: Store, mia: object) -> None:
    for arguments in (["list", "--store", store.name], ["set", "printing", "--store", store.name]):
        assert cli("--as", "mia@desk.test", "settings", *arguments).code == 1


def test_an_optional_secret_is_taken_away_again(cli: Command, store: Store) -> None:
    where = ("settings", "set", "printing", "--store", store.name)
    assert cli(*where, "--set", "printer_key=p-secret-7", "--set", "labels_of_a_parcel=3").code == 0
    both = cli(*where, "--set", "printer_key=p-secret-8", "--unset", "printer_key")
    assert (both.code, "can't be removed and entered at the same time" in both.err) == (1, True)
    db.session.rollback()
    assert KEY.of(store) == "p-secret-7"

    unset = cli("--json", *where, "--unset", "printer_key", "--unset", "labels_of_a_parcel")

    assert unset.document == {"group": "printing", "changed": ["labels_of_a_parcel", "printer_key"]}
    db.session.rollback()
    assert (KEY.of(store), LABELS.of(store)) == ("", 1)
    assert not any(row["stored"] for row in cli("--json", "settings", "list", "--store", store.id).document[1:])
    needed = cli("settings", "set", "connection", "--store", store.name, "--unset", "key")
    assert (needed.code, "Key: Enter a value." in needed.err) == (1, True)
    assert cli("store", "set", store.name, "--unset", "key").code == 1
    unknown = cli(*where, "--unset", "colour")
    assert (unknown.code, "colour: There is no setting" in unknown.err) == (1, True)


@pytest.mark.parametrize("temper", ["raises", "wrong_type", "attribute_error", "wrong_sql"])
def test_a_group_that_fails_is_named_and_the_others_are_listed(
    cli: Command, store: Store, temper: str, plugin_failures: list[Failure]
) -> None:
    faulty = Faulty(temper)

    class Shelves:
        @hookimpl
        def register_settings(self) -> list[SettingsGroup]:
            whole = SettingsGroup("shelves", "Shelves", lambda subject: faulty.do([]), scope=STORE)
            inside = SettingsGroup("drawers", "Drawers", lambda subject: [faulty.do(LABELS)], scope=STORE)
            return [whole, inside, SettingsGroup("rooms", "Rooms", [Setting(name="room", label="Room")], scope=STORE)]

    hooks.manager.register(Shelves(), name="shelves")
    listed = cli("--json", "settings", "list", "--store", store.name)
    assert {row["group"] for row in listed.document} == {
        "connection",
        "orders",
        "marketplaces",
        "buyer_mail",
        "buyers",
        "invoices",
        "leaving",
        "messages",
        "reviews",
        "outward",
        "printing",
        "refunds",
        "rooms",
    }
    assert listed.code == 1
    for code, label in (("shelves", "Shelves"), ("drawers", "Drawers")):
        assert f"{code}: “{label}” of the plugin “shelves” failed. The Plugins page shows the reason." in listed.err
    assert "Room" in cli("settings", "list", "--store", store.name).out
    assert {(one.place, one.code) for one in plugin_failures} == {("setting", "shelves"), ("setting", "drawers")}
    plugin_failures.clear()

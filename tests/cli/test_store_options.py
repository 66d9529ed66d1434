"""Every option of a store by its plain name: `store settings` and `store set`."""

from collections.abc import Callable

import pytest
from sqlalchemy import select

from tests.cli.conftest import Command
from webapp.audit.actor import Actor
from webapp.channels.keeping import days_of
from webapp.channels.models import Store
from webapp.channels.shops import create_shop
from webapp.db import db, unit_of_work
from webapp.fulfillment.holding import CANCEL_HOLD
from webapp.hooks import hookimpl, hooks
from webapp.hooks.failures import Failure
from webapp.orders.models import Order
from webapp.orders.order_settings import IMPORT_ORDERS, NEW_ORDER_STATUS, switched_off
from webapp.orders.statuses import make_status
from webapp.settings.declared import STORE, Setting, SettingsGroup
from webapp.testing import incoming_order

OUR_CODE = Setting(name="code", label="Our code", secret=True)


class Twins:
    """A plugin with a secret, and with a setting that has the name of one of the desk's."""

    @hookimpl
    def register_settings(self) -> list[SettingsGroup]:
        same = Setting(name="import_orders", label="Import by hand", default=False)
        return [SettingsGroup("twins", "Twins", [same, OUR_CODE], scope=STORE)]


@pytest.fixture
def tokyo(store: Store, operator: Actor) -> int:
    with unit_of_work():
        make_status("to_pick", {"en": "To pick"}, state="processing", actor=operator)
        return create_shop("Tokyo", prefix="T-", actor=operator).id


def test_every_option_is_listed_with_its_choices(cli: Command, store: Store, tokyo: int) -> None:
    rows = {row["name"]: row for row in cli("--json", "store", "settings", store.name).document}
    assert list(rows) == [
        "key",
        "erase_buyers_after_days",
        "import_orders",
        "own_numbers",
        "new_order_status",
        "other_orders",
        "shop",
        "shop.DE",
        "shop.JP",
        "marketplace.DE",
        "marketplace.JP",
        "cancel_hold",
        "ship_hold",
        "invoices",
        "invoice_from",
        "invoice_channel_fulfilled",
        "refund_hold",
        "message_hold",
        "by_mail",
        "mail_invoices",
        "mail_memos",
        "mail_shipments",
        "request_reviews",
        "review_days",
        "review_leave_out_refunded",
        "review_leave_out_returned",
        "reread_after",
    ]
    assert rows["key"] == {
        "name": "key",
        "group": "connection",
        "label": "Key",
        "value": None,
        "default": None,
        "choices": None,
        "secret": True,
        "stored": True,
    }
    assert rows["new_order_status"]["choices"] == {"": "No status", "to_pick": "To pick"}
    assert rows["shop.JP"]["choices"] == {"": "As the store", str(store.shop_id): store.shop.name, str(tokyo): "Tokyo"}
    assert (rows["marketplace.JP"]["value"], rows["cancel_hold"]["default"]) == (True, 60)
    text = cli("store", "settings", store.name).out
    assert "Orders from Japan" in text
    assert "k-secret" not in text


def test_options_of_several_groups_are_set_at_once(
    cli: Command, store: Store, tokyo: int, take: Callable[..., list[Order]]
) -> None:
    first = store.shop_id
    given = {
        "import_orders": "yes",
        "own_numbers": "no",
        "new_order_status": "to_pick",
        "shop": "Tokyo",
        "shop.DE": str(first),
        "cancel_hold": "10",
        "erase_buyers_after_days": "7",
        "marketplace.JP": "off",
    }
    done = cli("store", "set", store.name, *(part for one in given.items() for part in ("--set", "=".join(one))))
    assert done.code == 0
    db.session.rollback()
    changed = db.session.get_one(Store, store.id)
    assert (NEW_ORDER_STATUS.of(changed), CANCEL_HOLD.of(changed), days_of(changed)) == ("to_pick", 10, 7)
    assert (changed.shop.name, switched_off(changed)) == ("Tokyo", {"JP"})
    told = incoming_order()
    [order] = take(told)
    assert (order.number, order.shop_id, order.status) == (told.number, first, "to_pick")

    assert cli("store", "set", store.name, "--unset", "shop.DE", "--unset", "cancel_hold").code == 0
    db.session.rollback()
    changed = db.session.get_one(Store, store.id)
    assert ({row.shop_id for row in changed.marketplaces}, CANCEL_HOLD.of(changed)) == ({None}, 60)


def test_importing_switched_off_and_on_numbers_what_came(
    cli: Command, store: Store, take: Callable[..., list[Order]], work: Callable[[], int]
) -> None:
    assert cli("store", "set", store.name, "--set", "import_orders=no").code == 0
    take(incoming_order())
    assert cli("store", "set", store.name, "--set", "import_orders=yes").code == 0
    work()
    assert list(db.session.scalars(select(Order.number))) == ["000001"]


def test_what_can_not_be_set_is_said_in_one_sentence_and_nothing_is_changed(cli: Command, store: Store) -> None:
    wrong = cli("store", "set", store.name, "--set", "import_orders=no", "--set", "colour=red")
    assert wrong.code == 1
    assert (
        "colour: There is no setting with this name. The settings are: key, erase_buyers_after_days, import_orders"
        in wrong.err
    )
    nowhere = cli("store", "set", store.name, "--set", "shop=Osaka")
    assert (nowhere.code, "This shop does not exist" in nowhere.err) == (1, True)
    none = cli("store", "set", store.name, "--set", "shop=")
    assert (none.code, "Enter a value." in none.err) == (1, True)
    assert IMPORT_ORDERS.of(db.session.get_one(Store, store.id))


def test_a_name_of_two_groups_is_refused_with_both(cli: Command, store: Store) -> None:
    hooks.manager.register(Twins())
    both = cli("store", "set", store.name, "--set", "import_orders=no")
    assert (both.code, "Several groups have this setting: orders, twins." in both.err) == (1, True)
    assert cli("store", "set", store.name, "--set", "code=c-secret-3").code == 0
    db.session.rollback()
    assert OUR_CODE.of(db.session.get_one(Store, store.id)) == "c-secret-3"
    assert "c-secret" not in cli("--json", "store", "settings", store.name).out


def test_a_right_is_needed(cli: Command, store: Store, mia: Actor) -> None:
    for arguments in (["settings", store.name], ["set", store.name, "--set", "shop=1"]):
        assert cli("--as", "mia@desk.test", "store", *arguments).code == 1


class Broken:
    """A plugin whose settings can't be read."""

    @hookimpl
    def register_settings(self) -> list[SettingsGroup]:
        return [SettingsGroup("broken", "Broken", lambda store: store.lost, scope=STORE)]


def test_a_group_that_fails_is_named_and_the_others_are_listed(
    cli: Command, store: Store, plugin_failures: list[Failure]
) -> None:
    hooks.manager.register(Broken(), name="broken")
    listed = cli("--json", "store", "settings", store.name)
    assert (listed.code, "broken: " in listed.err) == (1, True)
    assert "shop" in [row["name"] for row in listed.document]
    assert cli("store", "set", store.name, "--set", "cancel_hold=5").code == 0
    plugin_failures.clear()

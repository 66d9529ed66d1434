"""A person who works for one shop only: no page of theirs shows anything of another shop's orders and stores."""

import io
import zipfile
from collections.abc import Callable
from typing import Any

import pytest
from flask import Flask, url_for
from pypdf import PdfReader
from sqlalchemy import select
from werkzeug.test import TestResponse

from tests.ui.conftest import Browser
from webapp.accounts import people
from webapp.accounts.models import User
from webapp.accounts.services import get_user
from webapp.audit.actor import Actor
from webapp.billing.models import Invoice
from webapp.billing.services import issue_invoice
from webapp.channels.incoming import OrdersPage, UnreadableOrder
from webapp.channels.models import Store
from webapp.channels.services import access, add_store, remember_marketplaces
from webapp.channels.shops import create_shop
from webapp.db import db, unit_of_work
from webapp.errors import Forbidden
from webapp.fulfillment.contract import PackageInput
from webapp.fulfillment.services import ship_order
from webapp.jobs.models import Run
from webapp.orders.holds import hold
from webapp.orders.models import Order, OrderComment
from webapp.orders.order_settings import change_orders
from webapp.orders.queries import locked
from webapp.orders.services import comment
from webapp.orders.statuses import make_status
from webapp.orders.tags import make_tag, retire_tag
from webapp.sync import runs
from webapp.sync.models import QuarantinedOrder
from webapp.sync.taking_in.pages import prepare, take_in
from webapp.testing import JANE, FakeChannel, incoming_line, incoming_order
from webapp.updates.models import ChannelUpdate

NUMBER, OWN = "777-7777777-7777777", "302-0000001-0000001"
SECRETS = ("zanzibar", "zanzi-", NUMBER)
CODES = ("ship", "work", "sync", "sales", "recent", "fake", "clerk", "hold")


@pytest.fixture
def other(store: Store, channel: FakeChannel) -> Store:
    """A store of another shop, with an order and everything that an order can have."""
    boss = Actor.operator()
    with unit_of_work():
        shop = create_shop("Zanzibar shop", prefix="ZANZI-", actor=boss)
        made = add_store("fake", "Zanzibar store", {"key": "k-secret-9"}, actor=boss)
        remember_marketplaces(made, channel.connect(access(made)))
        change_orders(made, settings={}, shop_id=shop.id, marketplace_shops={}, actor=boss)
    lines = [incoming_line("ZANZI-SKU", 2, title="A mug from Zanzibar")]
    told = incoming_order(lines, number=NUMBER, buyer=JANE | {"name": "Zanzibar Jane"})
    ready = prepare(made, OrdersPage([told], [UnreadableOrder("ZANZI-9", "status", "zanzibar", {})]))
    with unit_of_work():
        take_in(made, ready)
        runs.start(made, actor=boss)
    order = order_of(made)
    with unit_of_work():
        parcel = PackageInput("DHL", "ZANZI-777", lines={order.lines[0].id: 1})
        ship_order(locked(order), [parcel], actor=boss)
        comment(locked(order), "Zanzibar called.", actor=boss)
        issue_invoice(locked(order), actor=boss)
    with unit_of_work():
        hold(locked(order), "zanzibar", actor=boss)
    return made


def order_of(store: Store) -> Order:
    return db.session.scalars(select(Order).where(Order.store_id == store.id)).one()


@pytest.fixture
def max_(
    make_browser: Callable[..., Browser],
    make_user: Callable[..., Actor],
    store: Store,
    other: Store,
    take: Callable[..., list[Order]],
) -> Browser:
    """A manager who works only for the first shop."""
    take(incoming_order([incoming_line("MUG")], number=OWN))
    manager = make_user("manager", "Max")
    with unit_of_work():
        people.change_shops(manager.id or 0, [store.shop_id], actor=Actor.operator())
    return make_browser(db.session.get_one(User, manager.id).as_actor())


def addresses(app: Flask, other: Store) -> list[str]:
    """The addresses of every page; pages of one thing with that of the other shop."""
    order = order_of(other)
    values: dict[str, Any] = {
        "number": order.number,
        "store_id": other.id,
        "shop_id": other.shop_id,
        "order_id": order.id,
        "run_id": db.session.scalars(select(Run.id).where(Run.subject_id == other.id)).first(),
        "comment_id": db.session.scalars(select(OrderComment.id)).one(),
        "row_id": db.session.scalars(select(QuarantinedOrder.id)).one(),
        "update_id": db.session.scalars(select(ChannelUpdate.id)).one(),
        "invoice_id": db.session.scalars(select(Invoice.id)).one(),
        "filename": "waybill.css",
        "token": "none",
    }
    found = []
    with app.test_request_context():
        for rule in app.url_map.iter_rules():
            if "GET" in (rule.methods or ()) and rule.endpoint not in ("static", "live.stream"):
                given = {name: values.get(name, 1) for name in rule.arguments}
                for code in CODES if "code" in given else ("",):
                    found.append(url_for(rule.endpoint, **given | ({"code": code} if code else {})))
    return found


def words_of(answer: TestResponse) -> str:
    """The text of a page or of a file."""
    if answer.mimetype == "application/pdf":
        return "\n".join(page.extract_text() for page in PdfReader(io.BytesIO(answer.data)).pages)
    if answer.data.startswith(b"PK"):
        with zipfile.ZipFile(io.BytesIO(answer.data)) as book:
            return "\n".join(book.read(name).decode() for name in book.namelist())
    return answer.text


def told(app: Flask, browser: Browser, other: Store) -> list[str]:
    """The addresses whose pages show something of the other shop."""
    number, found = order_of(other).number.lower(), []
    for address in addresses(app, other):
        for htmx in (False, True):
            answer = browser.get(address, htmx=htmx)
            assert answer.status_code < 500, address
            text = words_of(answer).lower().replace(number, "")  # what an address asks for in vain is said again
            found += [f"{address} {answer.status_code}: {secret}" for secret in SECRETS if secret in text]
    return found


def test_no_page_tells_of_another_shop(app: Flask, max_: Browser, other: Store) -> None:
    assert told(app, max_, other) == []


def test_who_works_for_all_shops_reads_all_of_that(app: Flask, browser: Browser, max_: Browser, other: Store) -> None:
    pages = {address.partition(" ")[0] for address in told(app, browser, other)}
    assert len(pages) > 25  # else the walk passes by what it is about


def test_what_is_typed_finds_nothing_of_another_shop(max_: Browser, other: Store) -> None:
    for text in ("zanzibar", "sku:ZANZI-SKU", f"number:{NUMBER}", "hold:zanzibar", "store:Zan", "shop:Zan", "Jane"):
        found = max_.post("/orders/search", {"text": text})
        page = max_.get(found.location) if found.status_code == 303 else found
        assert order_of(other).number not in page.text, text
        offered = max_.post("/orders/complete", {"text": text[:-1]}).text.lower()
        assert "zanzibar s" not in offered, text
        assert NUMBER not in offered
    assert NUMBER not in max_.post("/palette/", {"text": NUMBER}).text.replace(f'value="{NUMBER}"', "")


def test_own_orders_and_stores_are_there(max_: Browser, store: Store) -> None:
    assert OWN in max_.get("/orders/").text
    assert store.name in max_.get("/stores/").text
    assert max_.get(f"/stores/{store.id}/settings").status_code == 200


@pytest.fixture
def maria(make_browser: Callable[..., Browser], make_user: Callable[..., Actor], max_: Browser) -> Browser:
    """A manager who works for all shops."""
    return make_browser(make_user("manager", "Maria"))


def limit(name: str, shop_id: int) -> None:
    with unit_of_work():
        people.change_shops(get_user(f"{name}@desk.test").id, [shop_id], actor=Actor.operator())


def exported(browser: Browser) -> str:
    browser.post("/orders/export/start", {"all": "1", "format": "xlsx", "rows": "orders", "column": "total"})
    return f"/runs/{db.session.scalars(select(Run.id).where(Run.kind == 'export').order_by(Run.id.desc())).first()}"


def test_a_file_from_before_a_limit_is_not_fetched_after_it(
    maria: Browser, store: Store, other: Store, work: Callable[[], int]
) -> None:
    both = exported(maria)
    work()
    answer = maria.get(f"{both}/file")
    assert answer.status_code == 200
    answer.close()
    limit("maria", store.shop_id)
    assert maria.get(f"{both}/file").status_code == 404
    assert f"{both}/file" not in maria.get(both).text
    own = exported(maria)
    work()
    answer = maria.get(f"{own}/file")
    assert answer.status_code == 200
    answer.close()


def test_a_file_that_was_begun_before_a_limit_tells_of_no_other_shop(
    maria: Browser, store: Store, other: Store, work: Callable[[], int]
) -> None:
    begun = exported(maria)
    limit("maria", store.shop_id)
    work()
    answer = maria.get(f"{begun}/file")
    assert answer.status_code == 200
    with zipfile.ZipFile(io.BytesIO(answer.data)) as book:
        text = "".join(book.read(name).decode() for name in book.namelist())
    answer.close()
    assert OWN in text
    assert NUMBER not in text


def test_somebody_elses_run_is_not_for_who_works_for_one_shop(
    max_: Browser, maria: Browser, other: Store, work: Callable[[], int]
) -> None:
    run = exported(maria)
    assert max_.get(run).status_code == 404
    assert max_.post(f"{run}/stop", {}).status_code == 404
    assert run not in max_.get("/runs/").text
    assert run in maria.get("/runs/").text


STORE_ACTS = ("activate", "deactivate", "archive", "restore", "let_send", "erase", "sync", "test", "settings")


@pytest.mark.parametrize("act", STORE_ACTS)
def test_another_shops_store_can_not_be_changed(max_: Browser, other: Store, act: str) -> None:
    assert max_.post(f"/stores/{other.id}/{act}", {}).status_code == 404


@pytest.mark.parametrize("act", ["retry", "close", "confirm", "undo", "send"])
def test_another_shops_update_can_not_be_decided(max_: Browser, other: Store, act: str) -> None:
    update_id = db.session.scalars(select(ChannelUpdate.id)).one()
    assert max_.post(f"/updates/{update_id}/{act}", {}).status_code == 404


def test_acts_by_ids_of_another_shop_reach_nothing(max_: Browser, other: Store, work: Callable[[], int]) -> None:
    order = order_of(other)
    before, shop = order.version, {"name": "New", "prefix": "N-", "zone": "UTC", "padding": "6"}
    assert max_.post(f"/orders/{order.number}/actions/comment", {"text": "hello"}).status_code == 404
    max_.post("/orders/bulk/comment", {"order": str(order.id), "text": "hello", "submission_key": "k" * 20})
    work()
    assert max_.post(f"/settings/shops/{other.shop_id}", shop).status_code == 404
    assert max_.post("/settings/shops/add", shop).status_code == 403
    assert max_.post("/stores/add/fake", {"name": "New", "key": "k"}).status_code == 403
    db.session.expire_all()
    assert order_of(other).version == before


def test_what_is_the_desks_own_is_changed_by_who_works_for_all_shops(max_: Browser, browser: Browser) -> None:
    limited = get_user("max@desk.test").as_actor()
    for browsing, status in ((max_, 403), (browser, 302)):
        assert browsing.post("/settings/archive", {"archive_after_days": "9"}).status_code == status
    with unit_of_work():
        tag = make_tag("fragile", actor=limited)
    with pytest.raises(Forbidden, match="work for all shops"), unit_of_work():
        retire_tag(tag, actor=limited)
    with pytest.raises(Forbidden, match="work for all shops"), unit_of_work():
        make_status("packing", {"en": "Packing"}, state="processing", tone="info", rule="", actor=limited)


def test_a_store_of_several_shops_is_seen_and_changed_by_none_of_them_alone(
    max_: Browser, store: Store, other: Store
) -> None:
    with unit_of_work():
        served = db.session.get_one(Store, store.id)
        served.marketplaces[0].shop_id = other.shop_id
    assert max_.get(f"/stores/{store.id}").status_code == 200
    assert max_.get(f"/stores/{store.id}/settings").status_code == 403
    assert max_.post(f"/stores/{store.id}/deactivate", {}).status_code == 403

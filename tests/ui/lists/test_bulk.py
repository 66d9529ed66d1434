"""From ticked rows to a run: three steps to hold many orders, a list of parcels with a look before, refusals kept."""

import html
import io
import re
from collections.abc import Callable
from datetime import timedelta
from html import unescape
from typing import Any

import pytest
import time_machine
from sqlalchemy import update

from tests.ui.conftest import Browser, tells_both
from webapp.audit.actor import Actor
from webapp.billing.models import Invoice
from webapp.channels.incoming import ChannelStage
from webapp.channels.models import Store
from webapp.clock import now
from webapp.db import db, unit_of_work
from webapp.fulfillment import ship_list
from webapp.fulfillment.holding import SETTINGS as HOLDS
from webapp.fulfillment.models import Package, Shipment
from webapp.hooks.failures import Failure
from webapp.jobs.models import Run, RunResult
from webapp.orders import bulk
from webapp.orders.models import Order, OrderComment
from webapp.orders.services import actions, find_action
from webapp.orders.statuses import make_status
from webapp.settings.services import store_all
from webapp.sync import jobs
from webapp.testing import incoming_line, incoming_order
from webapp.updates.models import ChannelUpdate


@pytest.fixture
def orders(take: Callable[..., list[Order]]) -> list[Order]:
    return take(*(incoming_order([incoming_line()]) for _ in range(3)))


def ids(orders: list[Order]) -> list[str]:
    return [str(order.id) for order in orders]


def runs_of(kind: str = "bulk") -> list[Run]:
    db.session.rollback()
    return list(db.session.query(Run).filter_by(kind=kind).order_by(Run.id))


def test_the_list_offers_what_can_be_done_to_many(browser: Browser, orders: list[Order]) -> None:
    page = browser.get("/orders/").text
    for code in ("hold", "comment", "tag", "archive"):
        assert f'name="action" value="{code}"' in page
    assert 'name="action" value="ship"' not in page  # each order has a tracking number of its own
    assert 'name="all" value="1"' in page


def test_many_orders_are_held_in_three_steps(browser: Browser, orders: list[Order], work: Callable[[], int]) -> None:
    chosen = ids(orders)[:2]
    form = browser.get("/orders/bulk", {"order": chosen, "action": "hold"})
    assert form.status_code == 200
    assert 'name="reason"' in form.text
    assert len(browser.queries) <= 8
    sent = browser.post("/orders/bulk/hold", {"order": chosen, "reason": "Stock count", "submission_key": "k1"})
    [run] = runs_of()
    assert (sent.status_code, sent.location) == (302, f"/orders/?sort=-placed&run={run.id}")
    page = browser.get(sent.location).text
    assert f"/runs/{run.id}/strip" in page
    assert "2 orders are being put on hold." in page
    assert "0 of 2" in page
    assert browser.get("/orders/").text.count("being put on hold") == 0  # said where it was started
    work()
    ended = browser.get(f"/runs/{run.id}/strip")
    assert "run-ended" in ended.headers["HX-Trigger"]
    assert "2 put on hold" in ended.text
    assert "every 2s" not in ended.text
    db.session.expire_all()
    assert [order.on_hold for order in db.session.query(Order).order_by(Order.id)] == [True, True, False]


def test_a_run_ends_with_what_became_of_it_and_can_be_undone_where_its_act_can(
    browser: Browser, orders: list[Order], work: Callable[[], int]
) -> None:
    browser.post("/orders/bulk/archive", {"order": ids(orders)[:1], "submission_key": "k1"})
    work()
    browser.post("/orders/bulk/hold", {"order": ids(orders)[:2], "reason": "x", "submission_key": "k2"})
    work()
    browser.post("/orders/bulk/release", {"order": ids(orders), "submission_key": "k3"})
    work()
    _, held, released = runs_of()
    told = browser.get(f"/runs/{released.id}/strip").text
    assert "released, " in told
    assert "1 refused" in told
    assert "/undo" not in told  # a hold needs its reason
    first = browser.get(f"/runs/{held.id}/strip").text
    assert f"/runs/{held.id}/undo" in first


def test_undoing_a_run_takes_back_what_it_did_and_nothing_else(
    browser: Browser, orders: list[Order], work: Callable[[], int]
) -> None:
    browser.post("/orders/bulk/hold", {"order": ids(orders)[:2], "reason": "x", "submission_key": "k1"})
    work()
    [held] = runs_of()
    undone = browser.post(f"/runs/{held.id}/undo")
    again = browser.post(f"/runs/{held.id}/undo")  # twice in a hurry
    assert (undone.status_code, undone.location) == (302, again.location)
    assert "2 orders are being released." in browser.get(undone.location).text
    work()
    db.session.expire_all()
    assert not any(order.on_hold for order in db.session.query(Order))
    assert len(runs_of()) == 2
    assert browser.post(f"/runs/{runs_of()[-1].id}/undo").status_code == 409


def test_words_that_fail_take_no_page_with_them(
    browser: Browser, orders: list[Order], monkeypatch: pytest.MonkeyPatch, plugin_failures: list[Failure]
) -> None:
    def broken(count: int) -> str:
        raise ZeroDivisionError

    browser.post("/orders/bulk/hold", {"order": ids(orders)[:2], "reason": "x", "submission_key": "k1"})
    monkeypatch.setattr(find_action("hold"), "doing", broken)
    [run] = runs_of()
    assert "Hold: 2" in browser.get(f"/orders/?run={run.id}").text
    assert browser.get("/orders/?run=999999").status_code == 200
    assert {(one.place, one.code) for one in plugin_failures} == {("label", "hold")}
    plugin_failures.clear()


def test_the_first_tag_of_all_can_be_put_on_many(
    browser: Browser, orders: list[Order], work: Callable[[], int]
) -> None:
    chosen = ids(orders)[:2]
    assert 'name="new"' in browser.get("/orders/bulk", {"order": chosen, "action": "tag"}).text

    browser.post("/orders/bulk/tag", {"order": chosen, "new": "rush", "submission_key": "k1"})

    work()
    db.session.expire_all()
    assert [len(order.tags) for order in db.session.query(Order).order_by(Order.id)] == [1, 1, 0]


def test_everything_found_is_acted_on_by_its_query(
    browser: Browser, orders: list[Order], work: Callable[[], int]
) -> None:
    data = {"all": "1", "q": "state:processing", "text": "Look here", "submission_key": "k1"}
    sent = browser.post("/orders/bulk/comment", data)
    assert "q=state" in sent.location
    work()
    assert db.session.query(OrderComment).count() == 3


def fields_of(page: str) -> dict[str, list[str]]:
    """What the form of a page sends of its choice."""
    found: dict[str, list[str]] = {}
    for name, value in re.findall(r'<input type="hidden" name="(\w+)" value="([^"]*)"', page):
        found.setdefault(name, []).append(unescape(value))
    return found


@pytest.mark.parametrize("looked_at", [200, 2])
def test_what_was_confirmed_is_done_and_a_newcomer_is_left_alone(
    browser: Browser,
    orders: list[Order],
    take: Callable[..., list[Order]],
    work: Callable[[], int],
    monkeypatch: pytest.MonkeyPatch,
    looked_at: int,
) -> None:
    monkeypatch.setattr(bulk, "LOOKED_AT", looked_at)
    form = browser.get("/orders/bulk", {"action": "hold", "all": "1", "q": "sku:MUG"}).text
    assert re.search(r"Hold: (up to )?3 orders", form)
    take(incoming_order([incoming_line()]))

    browser.post("/orders/bulk/hold", fields_of(form) | {"reason": "Count", "submission_key": "k1"})

    work()
    db.session.expire_all()
    assert [order.on_hold for order in db.session.query(Order).order_by(Order.id)] == [True, True, True, False]
    again = browser.post("/orders/bulk/hold", fields_of(form) | {"reason": "Count", "submission_key": "k1"})
    assert again.status_code == 302
    assert len(runs_of()) == 1


def test_orders_that_come_to_fit_meanwhile_are_confirmed_anew(
    browser: Browser, orders: list[Order], work: Callable[[], int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bulk, "LOOKED_AT", 2)
    browser.post("/orders/bulk/tag", {"order": ids(orders)[:2], "new": "rush", "submission_key": "k1"})
    work()
    form = browser.get("/orders/bulk", {"action": "hold", "all": "1", "q": "tag:rush"}).text
    browser.post("/orders/bulk/tag", {"order": ids(orders)[2:], "new": "rush", "submission_key": "k2"})
    work()

    told = browser.post("/orders/bulk/hold", fields_of(form) | {"reason": "Count", "submission_key": "k3"})
    assert told.status_code == 422
    assert "found 2 orders before and finds 3 now" in told.text
    assert "Count" in told.text
    done = browser.post("/orders/bulk/hold", fields_of(told.text) | {"reason": "Count", "submission_key": "k3"})
    assert done.status_code == 302
    work()
    db.session.expire_all()
    assert all(order.on_hold for order in db.session.query(Order))


def test_a_form_sent_twice_starts_one_run(browser: Browser, orders: list[Order], work: Callable[[], int]) -> None:
    for _ in range(2):
        browser.post("/orders/bulk/comment", {"order": ids(orders), "text": "Once", "submission_key": "k1"})
    work()
    assert len(runs_of()) == 1
    assert db.session.query(OrderComment).count() == 3


def test_what_is_missing_is_said_beside_its_field_and_nothing_starts(browser: Browser, orders: list[Order]) -> None:
    answer = browser.post("/orders/bulk/hold", {"order": ids(orders), "reason": ""})
    assert answer.status_code == 422
    assert 'aria-invalid="true"' in answer.text
    assert f'name="order" value="{orders[0].id}"' in answer.text
    assert runs_of() == []


def test_a_refused_form_offers_what_the_first_did(
    browser: Browser, take: Callable[..., list[Order]], olga: Actor
) -> None:
    unpaid = incoming_order([incoming_line()], stage=ChannelStage.AWAITING_PAYMENT, status="PENDING")
    chosen = ids(take(unpaid, incoming_order([incoming_line()])))
    with unit_of_work():
        make_status("packing", {"en": "Being packed"}, state="processing", actor=olga)

    first = browser.get("/orders/bulk", {"order": chosen, "action": "status"})
    refused = browser.post("/orders/bulk/status", {"order": chosen})

    assert (first.status_code, refused.status_code) == (200, 422)
    for form in (first, refused):
        assert 'value="packing"' in form.text


def test_a_refused_form_of_orders_that_are_gone_meanwhile_is_a_sentence(
    browser: Browser, orders: list[Order], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bulk, "orders_to_look_at", lambda actor, **where: [])

    answer = browser.post("/orders/bulk/hold", {"order": ids(orders), "reason": ""})

    assert answer.status_code == 422
    assert "Choose at least one order" in answer.text


def test_an_act_on_many_leads_back_to_the_view_that_they_were_chosen_in(browser: Browser, orders: list[Order]) -> None:
    asked = {"order": ids(orders), "q": "state:open", "view": "today"}
    assert 'name="view" value="today"' in browser.get("/orders/?view=today&q=state:open").text
    assert 'name="view" value="today"' in browser.get("/orders/bulk", asked | {"action": "hold"}).text
    sent = browser.post("/orders/bulk/hold", asked | {"reason": "Stock count"})
    assert "view=today" in sent.location
    assert "q=state:open" in sent.location


def test_back_leads_to_the_page_of_the_list_with_the_same_orders_ticked(
    browser: Browser, take: Callable[..., list[Order]]
) -> None:
    take(*(incoming_order() for _ in range(52)))

    def link(page: str, which: str) -> str:
        return unescape(re.search(rf'{which} href="([^"]+)"', page)[1])  # type: ignore[index]

    def ticked(page: str) -> list[str]:
        return re.findall(r'name="order" value="(\d+)"[^>]* checked', page)

    older = browser.get(link(browser.get("/orders/").text, 'rel="next"')).text
    around = dict(re.findall(r'<input type="hidden" name="(after)" value="([^"]+)"', older))
    [first, _second] = re.findall(r'<tr id="order-(\d+)"', older)
    for path, action in (("bulk", ""), ("bulk", "hold"), ("export", ""), ("packing-slips", "")):
        asked = around | {"action": action}
        chosen = browser.get(f"/orders/{path}", asked | {"order": first}).text
        back = browser.get(link(chosen, 'class="crumb"')).text
        assert ticked(back) == [first], path
        everything = browser.get(f"/orders/{path}", asked | {"all": "1"}).text
        assert 'name="all" value="1" checked' in browser.get(link(everything, 'class="crumb"')).text, path
    assert ticked(older) == []
    sent = browser.post("/orders/bulk/hold", around | {"order": first, "reason": "Stock count"})
    page = browser.get(sent.location).text
    assert f'id="order-{first}"' in page
    assert ticked(page) == []  # they are done


def test_without_an_action_every_act_says_for_how_many_it_is_possible(browser: Browser, orders: list[Order]) -> None:
    page = browser.get("/orders/bulk", {"order": ids(orders)}).text
    assert "possible for 3 of 3" in page
    assert "possible for 0 of 3" in page  # releasing what is not held


def test_forms_for_many_keep_their_budget_whatever_the_act_and_the_orders(
    browser: Browser, take: Callable[..., list[Order]]
) -> None:
    shipped = {"stage": ChannelStage.SHIPPED, "status": "SHIPPED"}
    chosen = ids(take(incoming_order(), *(incoming_order(**shipped) for _ in range(10))))
    offered = browser.get("/orders/bulk", {"order": chosen})
    assert "possible for 10 of 11" in offered.text
    needed = {"": len(browser.queries)}
    for code in (action.code for action in actions().values() if action.bulk and action.code != "ship"):
        assert browser.get("/orders/bulk", {"order": chosen, "action": code}).status_code == 200
        needed[code] = len(browser.queries)
    assert {"archive", "restore", "tag", "status", "hold", "release", "comment"} < set(needed)
    assert max(needed.values()) <= 8, needed


def test_nothing_ticked_leads_back_with_a_sentence(browser: Browser, orders: list[Order]) -> None:
    for path in ("/orders/bulk", "/orders/export", "/orders/packing-slips"):
        answer = browser.get(path, {"q": "state:processing"})
        assert answer.location.startswith("/orders/?q=state"), path
        assert "Choose at least one order" in browser.get(answer.location).text


def test_rights_are_asked(
    orders: list[Order], make_browser: Callable[..., Browser], make_user: Callable[..., Actor]
) -> None:
    reader = make_browser(make_user("read_only", "Rob"))
    assert reader.get("/orders/bulk", {"order": ids(orders), "action": "hold"}).status_code == 403
    assert reader.post("/orders/bulk/hold", {"order": ids(orders), "reason": "x"}).status_code == 403
    assert 'name="action"' not in reader.get("/orders/").text
    assert runs_of() == []


def test_shipping_many_needs_a_list(browser: Browser, orders: list[Order]) -> None:
    answer = browser.get("/orders/bulk", {"order": ids(orders), "action": "ship"})
    assert answer.status_code == 409
    assert runs_of() == []


def test_a_list_of_parcels_is_looked_at_before_it_ships(
    browser: Browser, orders: list[Order], work: Callable[[], int]
) -> None:
    text = "\n".join(f"{order.number};DHL;JD{order.id}" for order in orders) + "\n999;DHL;JD9"
    file = (io.BytesIO(text.encode("utf-8-sig")), "parcels.csv")
    looked = browser.post("/orders/ship-list", {"file": file, "list": ""})
    assert "3 parcels fit" in looked.text
    assert "999" in looked.text
    assert all(tells_both(looked.text, order) for order in orders)
    assert db.session.query(Shipment).count() == 0
    kept = "\n".join(f"{order.number}\tDHL\tJD{order.id}\t" for order in orders)
    for _ in range(2):
        sent = browser.post("/orders/ship-list/start", {"list": kept, "submission_key": "k1"})
    [run] = runs_of()
    assert sent.location == f"/orders/?run={run.id}"
    assert "3 orders are being shipped" in browser.get(sent.location).text
    work()
    assert "3 shipped" in browser.get(sent.location).text
    assert db.session.query(Shipment).count() == 3
    assert browser.post("/orders/ship-list/start", {"list": kept, "submission_key": "k2"}).status_code == 422


def test_what_a_list_ships_is_invoiced_if_that_is_ticked(
    browser: Browser, orders: list[Order], work: Callable[[], int]
) -> None:
    kept = "\n".join(f"{order.number}\tDHL\tJD{order.id}\t" for order in orders)
    assert "Invoice what ships" in browser.post("/orders/ship-list", {"list": kept}).text
    browser.post("/orders/ship-list/start", {"list": kept, "submission_key": "k1", "invoice": "1"})
    work()
    assert {row.order_id for row in db.session.query(Invoice)} == {order.id for order in orders}
    again = browser.post("/orders/ship-list", {"list": kept}).text
    assert "Invoice what ships" not in again  # nothing fits


@pytest.mark.parametrize("fitting", [True, False])
def test_orders_whose_buyers_asked_to_cancel_ship_by_one_tick(
    browser: Browser, take: Callable[..., list[Order]], work: Callable[[], int], fitting: bool
) -> None:
    wanting = [incoming_order([incoming_line(cancel_requested=True)]) for _ in range(2)]
    orders = take(*wanting, *([incoming_order()] if fitting else []))
    text = "\n".join(f"{order.number};DHL;JD{order.id}" for order in orders)
    looked = browser.post("/orders/ship-list", {"list": text}).text
    assert "Also ship 2 orders whose buyers asked to cancel" in looked
    kept = dict(re.findall(r'<textarea name="(list|anyway)" hidden>(.*?)</textarea>', looked, re.DOTALL))
    given = {name: html.unescape(value) for name, value in kept.items()}
    answer = browser.post("/orders/ship-list/start", given | {"submission_key": "k1"})
    assert answer.status_code == (302 if fitting else 422)
    assert fitting or "No row of this list can be shipped." in answer.text
    work()
    assert db.session.query(Shipment).count() == int(fitting)
    looked = browser.post("/orders/ship-list", {"list": text}).text
    kept = dict(re.findall(r'<textarea name="(list|anyway)" hidden>(.*?)</textarea>', looked, re.DOTALL))
    given = {name: html.unescape(value) for name, value in kept.items()}
    answer = browser.post("/orders/ship-list/start", given | {"submission_key": "k2", "ship_anyway": "1"})
    assert answer.status_code == 302
    work()
    assert db.session.query(Shipment).count() == len(orders)
    assert "asked to cancel" not in browser.post("/orders/ship-list", {"list": "999;DHL;JD9"}).text


def test_what_ships_is_what_was_looked_at_whatever_its_cells_hold(
    browser: Browser, orders: list[Order], work: Callable[[], int]
) -> None:
    service = "Next day, signed, insured, weekend, upstairs"
    looked = browser.post(
        "/orders/ship-list", {"list": f'Order;Carrier;Tracking\n{orders[0].number};DHL;JD1;"{service}"'}
    ).text
    [kept] = re.findall(r'<textarea name="list" hidden>(.*?)</textarea>', looked, re.DOTALL)
    browser.post("/orders/ship-list/start", {"list": html.unescape(kept), "submission_key": "k1"})
    work()
    [package] = db.session.query(Package)
    assert (package.tracking_number, package.service) == ("JD1", service)


def test_a_list_that_was_looked_at_comes_back_to_be_mended(browser: Browser, orders: list[Order]) -> None:
    text = f'Order;Carrier;Tracking\n{orders[0].number};DHL;"JD <1>"\n999;DHL;JD9'
    file = (io.BytesIO(text.encode("cp1252")), "parcels.csv")
    looked = browser.post("/orders/ship-list", {"file": file, "list": ""}).text
    [kept] = re.findall(r'<textarea name="mend" hidden>(.*?)</textarea>', looked, re.DOTALL)
    assert html.unescape(kept) == text

    back = browser.post("/orders/ship-list", {"mend": html.unescape(kept)})

    assert back.status_code == 200
    assert f">{kept}</textarea>" in back.text


def test_a_list_that_is_too_long_comes_back_whole(
    browser: Browser, orders: list[Order], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ship_list, "LONGEST", 2)
    text = "\n".join(f"{number};DHL;JD{'0' * 50}{number}" for number in range(400))
    assert text in browser.post("/orders/ship-list", {"list": text}).text


def long_list(orders: list[Order], cell: str = "") -> str:
    """5,000 rows, of which the last are these orders', by numbers without prefix and zeros."""
    unknown = (str(900_000 + row) for row in range(5_000 - len(orders)))
    ours = (str(int(re.sub(r"\D", "", str(order.number)))) for order in orders)
    return "\n".join(f"{number};DHL;JD0146000{number:>08};{cell}" for number in (*unknown, *ours))


def test_five_thousand_parcels_are_looked_at_and_shipped(
    browser: Browser, orders: list[Order], work: Callable[[], int]
) -> None:
    """In few questions to the database, and fewer while others wait for it; also where each row is long."""
    looked = browser.post("/orders/ship-list", {"list": long_list(orders, "DHL Paket International Premium " * 3)})
    assert looked.status_code == 200
    assert "3 parcels fit" in looked.text
    assert len(browser.queries) < 60
    [kept] = re.findall(r'<textarea name="list" hidden>(.*?)</textarea>', looked.text, re.DOTALL)
    assert [line.split("\t")[0] for line in html.unescape(kept).splitlines()] == [order.number for order in orders]

    assert browser.post("/orders/ship-list/start", {"list": html.unescape(kept), "submission_key": "k"}).location
    assert len(browser.queries) < 25
    work()
    assert db.session.query(Shipment).count() == 3


def test_a_list_that_takes_too_long_comes_back_whole(
    browser: Browser, orders: list[Order], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("webapp.ui.lists.ship_list._LONGEST", 0.0)
    text = long_list(orders)
    answer = browser.post("/orders/ship-list", {"list": text})
    assert (answer.status_code, "Send the list in parts" in answer.text) == (422, True)
    assert text in html.unescape(answer.text)


def test_a_cell_without_end_is_a_sentence(browser: Browser, orders: list[Order]) -> None:
    for path in ("/orders/ship-list", "/orders/ship-list/start"):
        answer = browser.post(path, {"list": '000001;DHL;"' + "J" * 140_000})
        assert (answer.status_code, "quotation mark was left open" in answer.text) == (422, True)


def test_chosen_orders_begin_a_list_of_parcels(
    browser: Browser, orders: list[Order], make_browser: Callable[..., Browser], make_user: Callable[..., Actor]
) -> None:
    held = orders[0]
    with unit_of_work():
        db.session.execute(db.update(Order).where(Order.id == held.id).values(on_hold=True))
    bar = re.search(r'<button[^>]* formaction="([^"]+)">[^<]*<svg.*?</svg>Ship<', browser.get("/orders/").text)
    assert bar is not None

    page = browser.get(bar[1], {"order": ids(orders)})

    assert len(browser.queries) <= 8, "\n".join(browser.queries)
    begun = page.text.partition("<textarea")[2].partition("</textarea>")[0].partition(">")[2]
    assert begun.split("\n") == [f"{order.number}; ; " for order in orders[1:]]
    left_out = page.text.partition("1 order can't be shipped now:")[2].partition("<textarea")[0]
    assert tells_both(left_out, held)
    assert "This order is on hold" in left_out
    looked = browser.post("/orders/ship-list", {"list": begun.replace("; ;", "; DHL; JD1", 1)})
    assert "1 parcel fits" in looked.text
    assert "1 does not" in looked.text  # its row was left as it was begun
    assert f"{orders[1].number}; ; " in browser.get("/orders/ship-list?all=1").text
    reader = make_browser(make_user("read_only", "Rob"))
    assert bar[1] not in reader.get("/orders/").text


@pytest.mark.parametrize("given", ["", "  \n ", "\x00\x01"])
def test_a_list_of_nothing_is_a_sentence(browser: Browser, orders: list[Order], given: str) -> None:
    answer = browser.post("/orders/ship-list", {"list": given})
    assert answer.status_code in (200, 422)
    assert "nothing in this list" in answer.text or "No row of this list" in answer.text


def test_a_runs_page_names_every_order_and_tries_again(
    browser: Browser, orders: list[Order], work: Callable[[], int]
) -> None:
    browser.post("/orders/bulk/hold", {"order": ids(orders)[:1], "reason": "first", "submission_key": "k1"})
    work()
    browser.post("/orders/bulk/hold", {"order": ids(orders), "reason": "second", "submission_key": "k2"})
    work()
    _first, run = runs_of()
    page = browser.get(f"/runs/{run.id}").text
    assert "This order is on hold already." in page
    assert all(str(order.number) in page for order in orders)
    assert len(browser.queries) <= 12
    refused = browser.get(f"/runs/{run.id}?state=refused").text
    assert f">{orders[1].number}<" not in refused
    again = browser.post(f"/runs/{run.id}/again", {"submission_key": "k3"})
    assert again.location == f"/orders/?run={runs_of()[-1].id}"
    assert db.session.query(RunResult).filter_by(run_id=runs_of()[-1].id).count() == 1
    listed = browser.get("/runs/").text
    assert listed.count("Act on many orders") == 3
    assert "Olga" in listed


def test_a_runs_page_says_what_was_wrong_by_the_forms_labels(
    browser: Browser, orders: list[Order], work: Callable[[], int]
) -> None:
    browser.post("/orders/bulk/due", {"order": ids(orders), "due": "", "submission_key": "k1"})
    work()
    [run] = runs_of()
    assert "Due: is needed: there is no due date to take off." in browser.get(f"/runs/{run.id}").text
    assert len(browser.queries) <= 12


def test_whoever_began_a_run_leads_it(
    browser: Browser, orders: list[Order], make_browser: Callable[..., Browser], mia: Actor, work: Callable[[], int]
) -> None:
    browser.post("/orders/bulk/comment", {"order": ids(orders), "text": "x", "submission_key": "k1"})
    [run] = runs_of()
    clerk = make_browser(mia)
    assert clerk.post(f"/runs/{run.id}/pause").status_code == 404
    paused = browser.post(f"/runs/{run.id}/pause", htmx=True)
    assert "It pauses after the part in work" in paused.text
    work()
    assert runs_of()[0].state == "paused"
    assert "Go on" in browser.get(f"/runs/{run.id}").text
    assert browser.post(f"/runs/{run.id}/resume").location == f"/runs/{run.id}"
    work()
    assert runs_of()[0].state == "done"
    assert browser.post(f"/runs/{run.id}/stop").status_code == 409


def test_results_are_paged(
    browser: Browser, orders: list[Order], work: Callable[[], int], monkeypatch: pytest.MonkeyPatch, olga: Any
) -> None:
    monkeypatch.setattr("webapp.ui.desk.runs.RESULTS", 2)
    browser.post("/orders/bulk/comment", {"order": ids(orders), "text": "x", "submission_key": "k1"})
    [run] = runs_of()
    page = browser.get(f"/runs/{run.id}").text
    assert f"/runs/{run.id}?after=2" in page
    assert str(orders[2].number) in browser.get(f"/runs/{run.id}?after=2").text


def test_a_run_brings_its_results_with_its_progress(
    browser: Browser, orders: list[Order], work: Callable[[], int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("webapp.ui.desk.runs.RESULTS", 2)
    browser.post("/orders/bulk/hold", {"order": ids(orders)[:1], "reason": "first", "submission_key": "k1"})
    work()
    browser.post("/orders/bulk/hold", {"order": ids(orders), "reason": "second", "submission_key": "k2"})
    run = runs_of()[-1]
    asked = f"/runs/{run.id}/progress?after=2"
    assert f'hx-get="{asked}"' in browser.get(f"/runs/{run.id}?after=2").text
    paused = browser.post(f"/runs/{run.id}/pause?after=2", htmx=True).text
    assert paused.count("Not done yet") == 2  # a row, and what rows can be filtered by
    browser.post(f"/runs/{run.id}/resume")
    work()

    told = browser.get(asked, htmx=True).text

    assert len(browser.queries) <= 12
    assert 'id="run-results" class="stackgap" hx-swap-oob="morph"' in told
    assert [f">{order.number}<" in told for order in orders] == [False, False, True]
    assert "Try the 1 not done again" in told


def test_a_run_is_for_whoever_began_it_and_for_who_manages_the_desk(
    browser: Browser,
    orders: list[Order],
    make_browser: Callable[..., Browser],
    make_user: Callable[..., Actor],
    mia: Actor,
    work: Callable[[], int],
) -> None:
    clerk, other, manager = make_browser(mia), make_browser(make_user("clerk", "Carl")), make_user("manager", "Max")
    clerk.post("/orders/bulk/hold", {"order": ids(orders), "reason": "x", "submission_key": "k1"})
    work()
    [run] = runs_of()
    for path in ("", "/progress", "/strip"):
        assert clerk.get(f"/runs/{run.id}{path}").status_code == 200
        assert make_browser(manager).get(f"/runs/{run.id}{path}").status_code == 200
        assert other.get(f"/runs/{run.id}{path}").status_code == 404
    for path in ("pause", "resume", "stop", "again", "undo"):
        assert other.post(f"/runs/{run.id}/{path}").status_code == 404
    links = [f'href="/runs/{run.id}"' in someone.get("/runs/").text for someone in (clerk, other, browser)]
    assert links == [True, False, True]


def test_an_export_is_not_repeated_as_an_act(browser: Browser, orders: list[Order]) -> None:
    browser.post("/orders/export/start", {"all": "1", "format": "xlsx", "rows": "orders", "column": "total"})
    [run] = runs_of("export")
    assert browser.post(f"/runs/{run.id}/again").status_code == 404


@pytest.mark.parametrize(("role", "offered"), [("packer", False), ("clerk", True)])
def test_a_form_for_many_offers_what_its_person_may_do(
    orders: list[Order],
    make_browser: Callable[..., Browser],
    make_user: Callable[..., Actor],
    operator: Actor,
    role: str,
    offered: bool,
) -> None:
    with unit_of_work():
        make_status("packing", {"en": "Being packed"}, state="processing", actor=operator)
    someone = make_browser(make_user(role, "Sam"))

    form = someone.get("/orders/bulk", {"order": ids(orders), "action": "comment"})

    assert 'name="text"' in form.text
    assert ('name="status"' in form.text) is offered


def test_tags_of_all_are_offered_whatever_the_first_order_has(
    browser: Browser, orders: list[Order], work: Callable[[], int]
) -> None:
    browser.post("/orders/bulk/tag", {"order": ids(orders)[:1], "new": "rush", "submission_key": "k1"})
    work()

    form = browser.get("/orders/bulk", {"order": ids(orders), "action": "tag"}).text

    assert re.search(r'name="add"[^>]*value="rush"', form)
    assert re.search(r'name="remove"[^>]*value="rush"', form)


def test_a_form_says_for_how_many_it_is_possible(
    browser: Browser, orders: list[Order], work: Callable[[], int], monkeypatch: pytest.MonkeyPatch
) -> None:
    browser.post("/orders/bulk/hold", {"order": ids(orders)[:1], "reason": "first", "submission_key": "k1"})
    work()

    assert "Hold: 2 of 3 orders" in browser.get("/orders/bulk", {"order": ids(orders), "action": "hold"}).text
    assert "Hold: 2 orders" in browser.get("/orders/bulk", {"order": ids(orders)[1:], "action": "hold"}).text
    none = browser.get("/orders/bulk", {"order": ids(orders)[:1], "action": "hold"}).text
    assert "This order is on hold already." in none
    assert "button main" not in none.partition("<main")[2]

    monkeypatch.setattr("webapp.orders.bulk.LOOKED_AT", 2)
    everything = {"all": "1", "q": "", "action": "hold"}
    assert "Hold: up to 3 orders" in browser.get("/orders/bulk", everything).text


def test_too_many_for_one_run_is_said_before_anything_is_typed(
    browser: Browser, orders: list[Order], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("webapp.orders.bulk.LOOKED_AT", 1)
    monkeypatch.setattr("webapp.orders.bulk.CAP", 2)
    for action in ("", "comment"):
        page = browser.get(f"/orders/bulk?all=1&action={action}").text.partition("<main")[2]
        assert "2+ orders" in page
        assert "One run takes up to 2 orders." in page
        assert 'type="submit"' not in page.partition("<footer")[0]

    sent = browser.post("/orders/bulk/comment", {"all": "1", "text": "Look here"})

    assert sent.status_code == 422
    assert "more were found" in sent.text
    assert "Look here" in sent.text
    assert runs_of() == []
    monkeypatch.setattr("webapp.orders.bulk.CAP", 3)
    assert "Comment: up to 3 orders" in browser.get("/orders/bulk?all=1&action=comment").text


@pytest.fixture
def shipped(browser: Browser, orders: list[Order], store: Store, work: Callable[[], int]) -> Callable[[], Run]:
    """Ship two orders by a list under a hold, and return the run."""

    def ship() -> Run:
        with unit_of_work():
            store_all(HOLDS, {"ship_hold": 60}, store)
        rows = [f"{order.number}\tDHL\tJD{order.id}\t" for order in orders[:2]]
        browser.post("/orders/ship-list/start", {"list": "\n".join(rows), "submission_key": "k1"})
        work()
        [run] = runs_of()
        return run

    return ship


def test_a_list_that_shipped_under_a_hold_is_undone_from_its_run(
    browser: Browser, shipped: Callable[[], Run], work: Callable[[], int]
) -> None:
    run = shipped()
    assert f"/runs/{run.id}/undo" in browser.get(f"/runs/{run.id}/strip").text
    undone = browser.post(f"/runs/{run.id}/undo")
    assert "The shipments of 2 orders are being taken back." in browser.get(undone.location).text
    work()
    db.session.expire_all()
    assert all(order.unshipped for order in db.session.query(Order))
    last = runs_of()[-1]
    strip = browser.get(f"/runs/{last.id}/strip").text
    assert "2 shipments taken back" in strip
    assert "/undo" not in strip
    assert "/undo" not in browser.get(f"/runs/{run.id}/strip").text  # nothing is left to be undone


def test_undo_is_offered_as_long_as_something_waits(
    browser: Browser, orders: list[Order], shipped: Callable[[], Run], work: Callable[[], int]
) -> None:
    run = shipped()
    with time_machine.travel(now() + timedelta(seconds=61), tick=True):
        jobs.find_due()
        work()
        assert "/undo" not in browser.get(f"/runs/{run.id}/strip").text
        assert browser.post(f"/runs/{run.id}/undo").status_code == 409


def test_orders_that_an_undoing_run_left_are_tried_again(
    browser: Browser, orders: list[Order], shipped: Callable[[], Run], work: Callable[[], int]
) -> None:
    run = shipped()
    with unit_of_work():
        db.session.execute(update(ChannelUpdate).where(ChannelUpdate.order_id == orders[0].id).values(attempts=1))
    browser.post(f"/runs/{run.id}/undo")
    work()
    undoing = runs_of()[-1]
    assert (undoing.done, undoing.failed) == (2, 1)
    with unit_of_work():
        db.session.execute(update(ChannelUpdate).where(ChannelUpdate.order_id == orders[0].id).values(attempts=0))
    again = browser.post(f"/runs/{undoing.id}/again", {"submission_key": "k9"})
    assert again.status_code == 302
    work()
    db.session.expire_all()
    assert all(order.unshipped for order in db.session.query(Order))


def test_a_run_that_undid_cancellations_offers_no_second_cancellation(
    browser: Browser, orders: list[Order], work: Callable[[], int]
) -> None:
    browser.post("/orders/bulk/cancel", {"order": ids(orders)[:2], "reason": "NoInventory", "submission_key": "k1"})
    work()
    [canceled] = runs_of()
    assert f"/runs/{canceled.id}/undo" in browser.get(f"/runs/{canceled.id}/strip").text
    browser.post(f"/runs/{canceled.id}/undo")
    work()
    last = runs_of()[-1]
    assert last.id != canceled.id
    assert "/undo" not in browser.get(f"/runs/{last.id}/strip").text
    assert browser.post(f"/runs/{last.id}/undo").status_code == 409

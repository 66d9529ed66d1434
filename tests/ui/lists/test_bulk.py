"""From ticked rows to a run: three steps to do an act to many orders, and what its forms say before."""

import re
from collections.abc import Callable
from html import unescape

import pytest
from sqlalchemy import select, update

from tests.ui.conftest import Browser, ids, runs_of
from webapp.audit.actor import Actor
from webapp.channels.incoming import ChannelStage
from webapp.db import db, unit_of_work
from webapp.orders import bulk
from webapp.orders.holds import hold_refusal
from webapp.orders.models import Order, OrderComment
from webapp.orders.services import actions
from webapp.orders.statuses import make_status
from webapp.testing import again, incoming_line, incoming_order


def test_the_list_offers_what_can_be_done_to_many(browser: Browser, orders: list[Order]) -> None:
    page = browser.get("/orders/").text
    for code in ("hold", "comment", "tag", "archive"):
        assert f'name="action" value="{code}"' in page
    assert 'name="action" value="ship"' not in page  # each order has a tracking number of its own
    assert 'name="all" value="1"' in page
    others = re.findall(r'<a class="item" href="/orders/bulk\?([^"]+)"', browser.get("/orders/?q=state:open").text)
    assert [unescape(one) for one in others] == ["all=1&q=state%3Aopen"]


def test_the_bar_offers_what_any_of_the_chosen_orders_allows(
    browser: Browser, take: Callable[..., list[Order]], monkeypatch: pytest.MonkeyPatch
) -> None:
    canceled, *open_ones = take(
        incoming_order([incoming_line()], stage=ChannelStage.CANCELED, status="CANCELED"),
        *(incoming_order([incoming_line()]) for _ in range(49)),
    )

    def offered(*orders: Order) -> list[str]:
        bar = browser.get("/orders/acts", {"order": ids(list(orders))}).text
        assert len(browser.queries) <= 8, "\n".join(browser.queries)
        return re.findall(r'<button[^>]*formaction="([^"]+)"(?:[^>]*value="(\w+)")?', bar)  # type: ignore[return-value]

    def codes(*orders: Order) -> set[str]:
        return {code or url.rpartition("/")[2] for url, code in offered(*orders)}

    assert [url for url, _code in offered(*open_ones)][:2] == ["/orders/ship-list", "/orders/packing-slips"]
    assert {"hold", "cancel", "pick-list", "comment", "export"} <= codes(*open_ones)
    assert not {"release", "undo_cancel", "restore", "invoices", "credit-memos"} & codes(*open_ones)
    assert "comment" in codes(canceled)
    assert not {"ship-list", "packing-slips", "hold", "cancel"} & codes(canceled)
    assert "hold" in codes(canceled, open_ones[0])
    monkeypatch.setattr(bulk, "LOOKED_AT", 2)
    assert {"hold", "release"} <= codes(canceled, *open_ones)  # not all were asked


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


def test_an_order_that_is_canceled_before_the_press_is_named_with_its_reason(
    browser: Browser, take: Callable[..., list[Order]], work: Callable[[], int]
) -> None:
    incoming = [incoming_order() for _ in range(2)]
    found = take(*incoming)
    form = browser.get("/orders/bulk", {"order": ids(found), "action": "hold"})
    assert "2" in form.text
    take(again(incoming[0], stage=ChannelStage.CANCELED, status="Canceled"))
    browser.post("/orders/bulk/hold", {"order": ids(found), "reason": "Stock count", "submission_key": "k1"})
    work()
    [run] = runs_of()
    told = browser.get(f"/runs/{run.id}").text
    assert str(found[0].number) in told
    assert "try again" not in told.partition("<main")[2].partition("</main")[0]
    assert str(hold_refusal(db.session.get_one(Order, found[0].id), Actor.operator())) in unescape(told)


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


def rows_of(page: str) -> list[int]:
    return [int(id_) for id_ in re.findall(r'<tr id="order-(\d+)"', page)]


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


def test_who_left_the_query_meanwhile_is_done_and_who_joined_it_is_not(
    browser: Browser, orders: list[Order], work: Callable[[], int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bulk, "LOOKED_AT", 2)
    first, second, third = [order.id for order in orders]
    with unit_of_work():
        db.session.execute(update(Order).where(Order.id == third).values(on_hold=True))
    form = browser.get("/orders/bulk", {"action": "comment", "all": "1", "q": "-hold"}).text
    assert "Comment: up to 2 orders" in form or "Comment: 2 orders" in form
    with unit_of_work():  # as many orders as before, but others
        db.session.execute(update(Order).where(Order.id == first).values(on_hold=True))
        db.session.execute(update(Order).where(Order.id == third).values(on_hold=False))

    told = browser.post("/orders/bulk/comment", fields_of(form) | {"text": "", "submission_key": "k1"})
    assert told.status_code == 422
    browser.post("/orders/bulk/comment", fields_of(told.text) | {"text": "Count", "submission_key": "k1"})

    work()
    assert sorted(db.session.scalars(select(OrderComment.order_id))) == [first, second]


def test_counted_orders_that_can_not_be_read_are_none(browser: Browser, orders: list[Order]) -> None:
    for counted in ("x", "eJw=", "not base64 at all", "é"):
        data = {"all": "1", "q": "sku:MUG", "counted": counted, "text": "Hello", "submission_key": "k1"}
        assert browser.post("/orders/bulk/comment", data).status_code == 422
    assert not runs_of()


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


def test_what_should_be_looked_at_first_is_said_with_its_orders(
    browser: Browser, orders: list[Order], take: Callable[..., list[Order]]
) -> None:
    numbers = [order.number for order in orders]
    with unit_of_work():
        odd = {"kind": "odd_address", "values": {"missing": ["city"]}}
        for place, changed in enumerate(({"attention": [odd]}, {"buyer_wants_cancel": True}, {"on_hold": True})):
            db.session.execute(update(Order).where(Order.id == orders[place].id).values(**changed))
    [calm] = take(incoming_order())
    for page in (
        browser.get("/orders/bulk", {"order": [*ids(orders), calm.id], "action": "comment"}).text,
        browser.post("/orders/ship-list", {"list": "\n".join(f"{number};DHL;1" for number in numbers)}).text,
    ):
        said = dict(
            re.findall(r'<li><a href="[^"]*number:(\w+)[^"]*">([^<]+)</a> <span class="muted">\(1\)', unescape(page))
        )
        assert said == dict(zip(numbers, ("Address incomplete", "The buyer asked to cancel", "On hold"), strict=True))
    links = [unescape(link) for link in re.findall(r'<li><a href="([^"]*number:[^"]*)"', page)]
    assert sorted(row for link in links for row in rows_of(browser.get(link).text)) == [order.id for order in orders]
    assert "should be looked at" not in browser.get("/orders/bulk", {"order": [calm.id], "action": "comment"}).text


def test_all_chosen_orders_are_looked_at_however_many(
    browser: Browser, orders: list[Order], monkeypatch: pytest.MonkeyPatch
) -> None:
    with unit_of_work():
        odd = {"kind": "odd_address", "values": {"missing": ["city"]}}
        changed = {"attention": [odd], "needs_attention": True, "on_hold": True}
        db.session.execute(update(Order).where(Order.id.in_([order.id for order in orders[1:]])).values(**changed))
    monkeypatch.setattr(bulk, "LOOKED_AT", 1)
    for chosen in ({"order": ids(orders)}, {"all": "1", "q": "sku:MUG", "sort": "placed"}):
        said = browser.get("/orders/bulk", chosen | {"action": "comment"}).text
        assert len(browser.queries) <= 11, "\n".join(browser.queries)
        for label in ("Address incomplete", "On hold"):
            assert f'>{label}</a> <span class="muted">(2)' in said


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
        assert "One run can have up to 2 orders." in page
        assert 'type="submit"' not in page.partition("<footer")[0]

    sent = browser.post("/orders/bulk/comment", {"all": "1", "text": "Look here"})

    assert sent.status_code == 422
    assert "more were found" in sent.text
    assert "Look here" in sent.text
    assert runs_of() == []
    monkeypatch.setattr("webapp.orders.bulk.CAP", 3)
    assert "Comment: up to 3 orders" in browser.get("/orders/bulk?all=1&action=comment").text

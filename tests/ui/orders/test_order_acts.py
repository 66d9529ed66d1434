"""Acting on an order from its page: the form, what it refuses, what it keeps, and what it changes."""

import re
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import func, select
from werkzeug.datastructures import MultiDict

from tests.ui.conftest import Browser
from webapp.audit.actor import Actor
from webapp.channels.incoming import ADDRESS_FIELDS, ChannelStage, FulfilledBy
from webapp.channels.outgoing import Refused
from webapp.clock import now
from webapp.db import db, unit_of_work
from webapp.errors import Invalid
from webapp.fulfillment.models import Shipment
from webapp.i18n import LANGUAGES, force_locale
from webapp.orders.archiving import archive
from webapp.orders.attention import in_words as troubles_in_words
from webapp.orders.inputs import input_fields
from webapp.orders.models import Order
from webapp.orders.organizing import assign, set_due, set_status, set_tags
from webapp.orders.queries import locked
from webapp.orders.services import actions, comment
from webapp.orders.statuses import make_status
from webapp.testing import FakeChannel, again, incoming_line, incoming_order
from webapp.ui.forms.actions import again as again_form, in_words
from webapp.updates.models import ChannelUpdate, UpdateState

SHIP = {"carrier": "FAKE", "tracking_number": "JD0001"}


def _form(page: str) -> dict[str, str]:
    """The hidden fields of the action's form."""
    return _hidden(page[page.index('class="chosen"') :])


def _hidden(form: str) -> dict[str, str]:
    names = ("submission_key", "order_version")
    return {name: re.search(rf'name="{name}"[^>]*value="([^"]*)"', form)[1] for name in names}  # type: ignore[index]


@pytest.fixture
def carrier(channel: FakeChannel, monkeypatch: pytest.MonkeyPatch) -> str:
    """The code of a carrier that the fake channel knows."""
    return channel.carriers("DE")[0].code


def test_shipping_shows_the_form_ships_and_shows_what_changed(
    make_order: Callable[..., Order], browser: Browser, carrier: str, work: Callable[[], int], channel: FakeChannel
) -> None:
    order = make_order(quantity=2)
    url = f"/orders/{order.number}/actions/ship"
    form = browser.get(url, htmx=True)
    assert form.status_code == 200
    assert "<html" not in form.text

    done = browser.post(url, _form(form.text) | {"carrier": carrier, "tracking_number": "JD0001"}, htmx=True)

    assert done.status_code == 200
    assert done.headers["HX-Trigger"] == '{"order-changed": null}'
    for part in ("order-actions", "order-summary", "order-packages", "order-updates", "order-timeline", "messages"):
        assert f'id="{part}"' in done.text
    assert "JD0001" in done.text
    work()
    db.session.rollback()
    assert [told["package"]["tracking_number"] for told in channel.told("shipment")] == ["JD0001"]


def test_without_javascript_the_form_is_a_page_and_leads_back(
    make_order: Callable[..., Order], browser: Browser, carrier: str
) -> None:
    order = make_order()
    url = f"/orders/{order.number}/actions/ship"
    form = browser.get(url)
    assert "<html" in form.text

    done = browser.post(url, _form(form.text) | {"carrier": carrier, "tracking_number": "JD0001"})

    assert done.status_code == 302
    assert done.location == f"/orders/{order.number}"
    assert "JD0001" in browser.get(done.location).text


def test_the_same_form_sent_twice_ships_once(make_order: Callable[..., Order], browser: Browser, carrier: str) -> None:
    order = make_order(quantity=2)
    url = f"/orders/{order.number}/actions/ship"
    data = _form(browser.get(url, htmx=True).text) | {"carrier": carrier, "tracking_number": "JD0001"}

    assert [browser.post(url, data, htmx=True).status_code for _ in range(2)] == [200, 200]

    assert db.session.scalar(select(func.count()).select_from(Shipment)) == 1


def test_what_is_missing_comes_back_with_what_was_typed(
    make_order: Callable[..., Order], browser: Browser, carrier: str
) -> None:
    order = make_order()
    url = f"/orders/{order.number}/actions/ship"
    form = _form(browser.get(url, htmx=True).text)

    for data, said in (
        ({"carrier": carrier, "tracking_number": "", "service": "Typed"}, "Enter a value."),
        ({"carrier": "", "tracking_number": "JD0001", "service": "Typed"}, "Choose one."),
        (
            {"carrier": "PIGEON", "tracking_number": "JD0001", "service": "Typed"},
            "This marketplace does not accept the carrier",
        ),
    ):
        answer = browser.post(url, form | data, htmx=True)
        assert answer.status_code == 422
        assert said in answer.text.replace("“", "")
        assert 'value="Typed"' in answer.text
        assert 'aria-invalid="true"' in answer.text
        assert answer.text.count('id="order-actions"') == 1
        whole = browser.post(url, form | data)
        assert whole.status_code == 422
        assert "<html" in whole.text
        assert 'value="Typed"' in whole.text
    assert db.session.scalar(select(func.count()).select_from(Shipment)) == 0


def test_a_refusal_that_names_a_field_stays_in_its_form(
    take: Callable[..., list[Order]], browser: Browser, carrier: str
) -> None:
    [order] = take(incoming_order([incoming_line(cancel_requested=True)]))
    url = f"/orders/{order.number}/actions/ship"
    data = _form(browser.get(url, htmx=True).text) | {"carrier": carrier, "tracking_number": "JD0001"}

    answer = browser.post(url, data, htmx=True)

    assert (answer.status_code, answer.headers["HX-Retarget"]) == (409, "#order-actions")
    assert 'id="ship-ship_anyway-error"' in answer.text
    assert 'value="JD0001"' in answer.text


def test_what_is_refused_by_a_plain_link_or_form_is_said_on_the_orders_page(
    make_order: Callable[..., Order], browser: Browser
) -> None:
    order = make_order()
    for answer in (
        browser.get(f"/orders/{order.number}/actions/release"),
        browser.post(f"/orders/{order.number}/actions/release"),
    ):
        assert answer.status_code == 409
        assert "This order is not on hold." in answer.text
        assert 'id="order-summary"' in answer.text
    browser.post(f"/orders/{order.number}/actions/hold", {"reason": "Waits"})
    again = browser.post(f"/orders/{order.number}/actions/hold", {"reason": "Waits for the mugs"})
    assert again.status_code == 409
    assert "Waits for the mugs</textarea>" in again.text


@pytest.mark.parametrize("language", LANGUAGES)
def test_no_page_calls_a_field_by_its_code(make_order: Callable[..., Order], mia: Actor, language: str) -> None:
    order, said = make_order(), []
    with force_locale(language):
        for action in actions().values():
            known = action.Input.model_json_schema()
            parts = [part.get("properties", ()) for part in known.get("$defs", {}).values()]
            inner = [f"{groups}.0.{name}" for groups in ("packages", "items") for names in parts for name in names]
            for code in (*known.get("properties", {}), *inner, "odd"):
                wrong = Invalid(field=code, problem="…")
                given = MultiDict(dict.fromkeys([one.name for one in input_fields(action, order, mia)], "x"))
                errors = again_form(action, order, given, wrong, actor=mia).form_errors
                said += [(code, error) for error in errors] + [(code, in_words(action, order, wrong.stored()))]
        for code in set(ADDRESS_FIELDS) - {"kind"}:  # which is no field of any form
            [trouble] = troubles_in_words([{"kind": "odd_address", "values": {"missing": [code]}}])
            said.append((code, trouble.cause))
        for code in ("ship_from", "ship_by", "deliver_from", "deliver_by", "shipped_at"):
            [trouble] = troubles_in_words([{"kind": "odd_time", "values": {"times": [code]}}])
            said.append((code, trouble.cause))
    assert [pair for pair in said if re.search(rf"(^|: ){pair[0].rpartition('.')[2]}\b", str(pair[1]))] == []


def test_what_is_wrong_with_a_typed_tag_is_said_where_it_was_typed(
    make_order: Callable[..., Order], browser: Browser
) -> None:
    url = f"/orders/{make_order().number}/actions/tag"
    assert "Tag: Choose at least one." in browser.post(url, htmx=True).text  # there are no boxes yet
    for _ in range(2):
        refused = browser.post(url, {"new": "x" * 41}, htmx=True)
        assert refused.status_code == 422
        assert "This text is too long." in refused.text.partition('id="tag-new-error"')[2]
        assert browser.post(url, {"new": "gift"}, htmx=True).status_code == 200


def test_a_character_that_can_not_be_kept_is_named_at_its_field(
    make_order: Callable[..., Order], browser: Browser
) -> None:
    refused = browser.post(f"/orders/{make_order().number}/actions/hold", {"reason": "a\x00b"}, htmx=True)
    assert "can&#39;t be saved" in refused.text.partition('id="hold-reason-error"')[2]


def test_a_due_date_is_taken_off_only_where_there_is_one(make_order: Callable[..., Order], browser: Browser) -> None:
    url = f"/orders/{make_order().number}/actions/due"
    refused = browser.post(url, {"due": ""}, htmx=True)
    assert refused.status_code == 422
    assert "The order has no due date to remove" in refused.text.partition('id="due-due-error"')[2]
    browser.post(url, {"due": "2031-05-05T10:00"}, htmx=True)
    assert "Due date removed" in browser.post(url, {"due": ""}, htmx=True).text


@pytest.mark.parametrize(("code", "field"), [("assign", "assignee"), ("status", "status")])
def test_nothing_chosen_is_no_act(make_order: Callable[..., Order], browser: Browser, code: str, field: str) -> None:
    order = make_order()
    with unit_of_work():
        make_status("packing", {"en": "Packing"}, state="processing", actor=Actor.operator())
        set_status(locked(db.session.get_one(Order, order.id)), "packing", actor=Actor.operator())
    refused = browser.post(f"/orders/{order.number}/actions/{code}", {field: ""}, htmx=True)
    assert refused.status_code == 422
    assert "Choose one." in refused.text.partition(f'id="{code}-{field}-error"')[2]


def test_a_form_that_grew_old_says_what_happened_and_keeps_what_was_typed(
    make_order: Callable[..., Order], browser: Browser, mia: Actor, carrier: str
) -> None:
    order = make_order()
    url = f"/orders/{order.number}/actions/ship"
    data = _form(browser.get(url, htmx=True).text) | {"carrier": carrier, "tracking_number": "JD0001"}
    with unit_of_work():
        comment(db.session.get_one(Order, order.id), "wait for me", actor=mia)

    answer = browser.post(url, data, htmx=True)

    assert answer.status_code == 409
    assert answer.headers["HX-Retarget"] == "#order-actions"
    assert "changed while you were looking" in answer.text
    assert "Comment added" in answer.text
    assert 'value="JD0001"' in answer.text
    assert "<html" in browser.post(url, data).text
    second = browser.post(url, data | _form(answer.text), htmx=True)
    assert second.status_code == 200


def test_a_comment_never_makes_another_form_wait(make_order: Callable[..., Order], browser: Browser) -> None:
    order = make_order()
    url = f"/orders/{order.number}/actions/comment"

    assert browser.post(url, {"text": "one", "order_version": "1"}, htmx=True).status_code == 200
    answer = browser.post(url, {"text": "two <b>", "order_version": "1"}, htmx=True)

    assert answer.status_code == 200
    assert "two &lt;b&gt;" in answer.text
    assert answer.text.index('id="order-comments"') < answer.text.index('id="order-timeline"')
    empty = browser.post(url, {"text": " "}, htmx=True)
    assert empty.status_code == 422
    assert 'id="order-comments"' in empty.text


def test_commenting_beside_an_open_form_makes_it_no_older(
    make_order: Callable[..., Order], browser: Browser, carrier: str
) -> None:
    order = make_order()
    url = f"/orders/{order.number}/actions/ship"
    data = _form(browser.get(url, htmx=True).text) | {"carrier": carrier, "tracking_number": "JD0001"}
    browser.post(f"/orders/{order.number}/actions/comment", {"text": "packed"}, htmx=True)

    assert browser.post(url, data, htmx=True).status_code == 200


def test_ones_own_act_makes_no_other_form_older_and_somebody_elses_does(
    make_order: Callable[..., Order], browser: Browser, make_browser: Callable[..., Browser], mia: Actor
) -> None:
    order = make_order()
    with unit_of_work():
        make_status("packing", {"en": "Packing"}, state="processing", actor=Actor.operator())
    url, clerk = f"/orders/{order.number}", make_browser(mia)
    hidden = _hidden(browser.get(url).text)
    held = _form(browser.get(f"{url}/actions/hold", htmx=True).text) | {"reason": "wait"}
    assert browser.post(f"{url}/actions/hold", held, htmx=True).status_code == 200

    own = browser.post(f"{url}/actions/comment", hidden | {"text": "On it", "status": "packing"}, htmx=True)

    assert own.status_code == 200
    seen = _hidden(browser.get(url).text)
    assert clerk.post(f"{url}/actions/release", {}, htmx=True).status_code == 200
    assert browser.post(f"{url}/actions/assign", {"assignee": "me"}, htmx=True).status_code == 200
    others = browser.post(f"{url}/actions/comment", seen | {"text": "Ready", "status": "packing"}, htmx=True)
    assert others.status_code == 409
    assert "Hold released" in others.text


def test_a_refused_act_says_why_and_touches_nothing(
    make_order: Callable[..., Order], browser: Browser, carrier: str
) -> None:
    order = make_order(fulfilled_by=FulfilledBy.CHANNEL)
    url = f"/orders/{order.number}/actions/ship"
    page = browser.get(f"/orders/{order.number}").text
    assert "Fake channel itself ships this order." in page

    shown, sent = browser.get(url, htmx=True), browser.post(url, SHIP | {"carrier": carrier}, htmx=True)

    for answer in (shown, sent):
        assert answer.status_code == 409
        assert answer.headers["HX-Retarget"] == "#messages"
        assert "Fake channel itself ships this order." in answer.text
    assert db.session.scalar(select(func.count()).select_from(Shipment)) == 0


def test_acting_needs_the_actions_right(
    make_order: Callable[..., Order], make_browser: Callable[..., Browser], make_user: Callable[..., Actor]
) -> None:
    order, reader = make_order(), make_browser(make_user("read_only", "Rita"))
    url = f"/orders/{order.number}/actions/ship"

    assert reader.get(url).status_code == 403
    assert reader.post(url, SHIP).status_code == 403
    assert "actions/ship" not in reader.get(f"/orders/{order.number}").text


def test_a_refused_update_is_sent_again_by_its_button(
    make_order: Callable[..., Order], browser: Browser, carrier: str, work: Callable[[], int], channel: FakeChannel
) -> None:
    order = make_order()
    channel.outcomes = [Refused("Tracking looks odd")]
    url = f"/orders/{order.number}/actions/ship"
    browser.post(url, _form(browser.get(url, htmx=True).text) | {"carrier": carrier, "tracking_number": "J1"})
    work()
    db.session.rollback()
    update = db.session.scalars(select(ChannelUpdate)).one()
    page = browser.get(f"/orders/{order.number}?tab=updates").text
    assert "Tracking looks odd" in page
    assert f"/updates/{update.id}/retry" in page

    answer = browser.post(f"/updates/{update.id}/retry", htmx=True)

    assert answer.status_code == 200
    assert 'id="order-updates"' in answer.text
    work()
    db.session.rollback()
    assert db.session.get_one(ChannelUpdate, update.id).state == UpdateState.SENT
    assert browser.post(f"/updates/{update.id}/retry", htmx=True).status_code == 409


def test_a_refused_update_is_closed_by_its_button_and_no_longer_keeps_the_order(
    make_order: Callable[..., Order], browser: Browser, carrier: str, work: Callable[[], int], channel: FakeChannel
) -> None:
    order = make_order()
    channel.outcomes = [Refused("Order is canceled")]
    url = f"/orders/{order.number}"
    browser.post(f"{url}/actions/ship", SHIP | {"carrier": carrier})
    work()
    page = browser.get(f"{url}?tab=updates").text
    assert "then send the update again or close it" in page
    [way] = re.findall(r'action="(/updates/\d+/close)"', page)
    assert "First send the update again or close it" in browser.post(f"{url}/actions/archive").text

    closed = browser.post(way)

    assert closed.status_code == 302
    page = browser.get(f"{url}?tab=updates").text
    assert "Order is canceled" in page
    assert "/updates/" not in page
    assert "close it" not in page
    assert browser.post(way, htmx=True).status_code == 409
    assert browser.post(f"{url}/actions/archive").status_code == 302


def test_the_timeline_tells_values_before_and_after(
    take: Callable[..., list[Order]], browser: Browser, carrier: str
) -> None:
    told = incoming_order()
    [order] = take(told)
    take(again(told, ship_by=now() + timedelta(days=9), service_level="EXPRESS"))
    page = browser.get(f"/orders/{order.number}?tab=timeline").text

    assert "News from the channel" in page
    assert "EXPRESS" in page
    assert "<dt>Ship by</dt>" in page


def test_chosen_lines_are_shipped_with_their_quantities(
    take: Callable[..., list[Order]], browser: Browser, carrier: str
) -> None:
    [order] = take(incoming_order([incoming_line("MUG", 3), incoming_line("CUP", 2)]))
    mug, cup = order.lines
    url = f"/orders/{order.number}/actions/ship"
    form = browser.get(url, htmx=True).text
    data = _form(form) | {"carrier": carrier, "tracking_number": "JD0001", "lines": "some"}
    assert "All 5 units that are left" in form
    assert re.search(r'aria-label="[^":]+\u00a0: MUG"', browser.get(url, htmx=True, Accept_Language="fr").text)

    for more, said in (
        ({}, "Choose at least one."),
        ({"lines-line": str(mug.id), f"lines-{mug.id}": "two"}, "Enter a whole number."),
        ({"lines-line": str(mug.id), f"lines-{mug.id}": "4"}, "Units of MUG left to ship: 3."),
    ):
        refused = browser.post(url, data | more, htmx=True)
        assert (refused.status_code, said in refused.text) == (422, True), said
        assert 'value="JD0001"' in refused.text
        assert 'value="some" checked' in refused.text
    again_ = _form(browser.get(url, htmx=True).text)
    done = browser.post(url, data | again_ | {"lines-line": str(mug.id), f"lines-{mug.id}": "2"}, htmx=True)

    assert done.status_code == 200
    db.session.rollback()
    assert [(line.sku, line.shipped) for line in db.session.get_one(Order, order.id).lines] == [("MUG", 2), ("CUP", 0)]
    sent = {"carrier": carrier, "tracking_number": "JD2", "lines": "all", "lines-line": str(cup.id)}
    assert browser.post(url, sent | _form(browser.get(url, htmx=True).text)).status_code == 302
    db.session.rollback()
    assert [line.open for line in db.session.get_one(Order, order.id).lines] == [0, 0]


def test_a_status_with_a_comment_is_not_set_on_an_order_that_changed(
    make_order: Callable[..., Order], browser: Browser, mia: Actor
) -> None:
    order = make_order()
    with unit_of_work():
        make_status("packing", {"en": "Packing"}, state="processing", actor=Actor.operator())
    url = f"/orders/{order.number}/actions/comment"
    data = {"text": "On it", "status": "packing", "order_version": "1", "submission_key": "k1"}
    with unit_of_work():
        assign(locked(db.session.get_one(Order, order.id)), mia.id, actor=mia)

    old = browser.post(url, data, htmx=True)

    assert old.status_code == 409
    assert old.headers["HX-Retarget"] == "#order-comments"
    assert "On it" in old.text
    assert "Assigned to Mia" in old.text
    assert browser.post(url, data | {"order_version": "2", "submission_key": "k2"}, htmx=True).status_code == 200
    db.session.rollback()
    assert db.session.get_one(Order, order.id).status == "packing"


@pytest.mark.parametrize(
    ("code", "field", "typed"),
    [
        ("hold", "reason", "typed-by-me"),
        ("assign", "assignee", "1"),
        ("tag", "new", "typed-by-me"),
        ("due", "due", "2031-05-05T10:00"),
        ("address", "line2", "typed-by-me"),
    ],
)
def test_any_form_that_grew_old_keeps_what_was_typed(
    make_order: Callable[..., Order], browser: Browser, mia: Actor, code: str, field: str, typed: str
) -> None:
    order = make_order()
    url = f"/orders/{order.number}/actions/{code}"
    address = {"name": "J", "line1": "L", "city": "C", "country": "DE", "postal_code": "10115"}
    data = {"order_version": "1", "submission_key": "k"} | (address if code == "address" else {})
    with unit_of_work():
        comment(db.session.get_one(Order, order.id), "meanwhile", actor=mia)

    old = browser.post(url, data | {field: typed}, htmx=True)

    assert old.status_code == 409, old.text
    assert typed in old.text
    assert "Comment added" in old.text
    assert old.headers["HX-Retarget"] == ("#order-addresses" if code == "address" else "#order-actions")


def test_a_corrected_address_is_shown_with_the_channels_own_beside_it(
    make_order: Callable[..., Order], browser: Browser
) -> None:
    order = make_order()
    url = f"/orders/{order.number}"
    form = browser.get(f"{url}/actions/address", htmx=True).text
    assert 'id="order-addresses"' in form
    hidden = _hidden(form)
    address = {"name": "Jane Quixelworth", "line1": "9 Corrected Row", "city": "Berlin", "postal_code": "10115"}

    done = browser.post(f"{url}/actions/address", hidden | address | {"country": "DE"}, htmx=True)

    assert done.status_code == 200, done.text
    page = browser.get(url).text
    assert page.index("9 Corrected Row") < page.index("7 Zanzibar Mews")
    assert "Corrected in Waybill on" in page
    told = browser.get(f"{url}?tab=timeline&kind=addresses").text
    assert "Before: Jane Quixelworth, 7 Zanzibar Mews" in told
    assert "After: Jane Quixelworth, 9 Corrected Row" in told
    side = browser.get(f"{url}?tab=channel").text
    assert side.index("9 Corrected Row") < side.index("7 Zanzibar Mews")


def undo_of(page: str) -> tuple[str, dict[str, str | list[str]]]:
    """Where the message's form leads, and what it posts."""
    url, form = re.search(
        r'<div class="toast".*?<form method="post" action="([^"]+)">(.*?)</form>', page, re.S
    ).groups()  # type: ignore[union-attr]
    given: dict[str, str | list[str]] = {}
    for name, value in re.findall(r'name="([^"]+)" value="([^"]*)"', form):
        given[name] = [*given[name], value] if name in given else [value]
    return url, given


@pytest.mark.parametrize(
    ("code", "given"),
    [
        ("hold", {"reason": "wait"}),
        ("archive", {}),
        ("restore", {}),
        ("assign", {"assignee": "nobody"}),
        ("due", {"due": "2031-05-05T10:00"}),
        ("status", {"status": "none"}),
        ("tag", {"remove": ["old", "older"], "new": "new, newer"}),
    ],
)
def test_the_message_of_an_act_takes_it_back(
    make_order: Callable[..., Order], browser: Browser, mia: Actor, code: str, given: dict[str, str]
) -> None:
    over, olga = code in ("archive", "restore"), Actor.operator()
    order = make_order(stage=ChannelStage.CANCELED) if over else make_order()
    with unit_of_work():
        make_status("packing", {"en": "Packing"}, state="canceled" if over else "processing", actor=olga)
    with unit_of_work():
        held = locked(db.session.get_one(Order, order.id))
        set_tags(held, ["old", "older"], [], actor=olga)
        set_status(held, "packing", actor=mia)
        assign(held, mia.id, actor=mia)
        set_due(held, now() + timedelta(days=2, seconds=1), actor=mia)
        if code == "restore":
            archive(held, actor=mia)
    had = _stands(order)

    done = browser.post(f"/orders/{order.number}/actions/{code}", given, htmx=True)

    assert _stands(order) != had
    url, posted = undo_of(done.text)
    back = browser.post(url, posted)
    assert back.location == f"/orders/{order.number}"
    assert _stands(order) == had
    assert posted.pop("csrf_token")
    assert browser.post(url, posted, token=False).status_code == 400


def _stands(order: Order) -> tuple[Any, ...]:
    db.session.rollback()
    row = db.session.get_one(Order, order.id)
    return row.on_hold, row.archived_at is None, row.assignee_id, row.due_at, row.status, sorted(row.tags)


def test_undo_is_offered_where_it_needs_nothing_more_and_follows_the_rules_of_any_act(
    make_order: Callable[..., Order], browser: Browser, make_browser: Callable[..., Browser], mia: Actor
) -> None:
    order = make_order()
    url, clerk = f"/orders/{order.number}/actions", make_browser(mia)
    held = browser.post(f"{url}/hold", {"reason": "wait", "submission_key": "k"}, htmx=True).text
    assert "wait" not in str(undo_of(held))
    assert "Undo" not in browser.post(f"{url}/hold", {"reason": "wait", "submission_key": "k"}, htmx=True).text
    assert "Undo" not in browser.post(f"{url}/assign", {"assignee": "nobody"}, htmx=True).text  # as it was
    assert clerk.post(f"{url}/assign", {"assignee": "me"}, htmx=True).status_code == 200

    late = browser.post(*undo_of(held))

    assert late.status_code == 409
    assert "Assigned to Mia" in late.text
    assert _stands(order)[0]
    released = browser.post(f"{url}/release", {}, htmx=True).text
    assert "Hold released" in released
    assert "Undo" not in released  # a hold needs its reason

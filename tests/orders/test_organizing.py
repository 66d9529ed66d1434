"""Assignee, due date, tags, status and comments: each one act with one event, and in step with its rows."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import select, update

from tests.orders.conftest import Do
from webapp.accounts.models import User
from webapp.audit.actor import Actor
from webapp.clock import iso, now
from webapp.db import db, unit_of_work
from webapp.errors import DeskError, Forbidden, Invalid, NotFound
from webapp.orders import jobs, query_keys
from webapp.orders.events import events_of, sentence_of
from webapp.orders.inputs import input_fields
from webapp.orders.models import Order, OrderEvent, OrderTag, Submission, Tag
from webapp.orders.organizing import NoTagsHere
from webapp.orders.queries import comments_of, find_order, reference
from webapp.orders.services import find_action, offers, pin, read_input, unpin
from webapp.orders.statuses import make_status
from webapp.orders.tags import UnknownTag, all_tags, change_tag, make_tag, named, offered_tags, retire_tag


@pytest.fixture
def order(make_order: Callable[..., Order]) -> Order:
    return make_order()


@pytest.fixture
def manager(make_user: Callable[..., Actor]) -> Actor:
    return make_user("manager", "Max")


def reloaded(order: Order) -> Order:
    db.session.rollback()
    return find_order(f"@{order.id}", Actor.operator())


def last_event(order: Order) -> OrderEvent:
    return events_of(reloaded(order))[0]


def carried(order: Order) -> set[str]:
    """The tags by the rows that searches use, which must equal the order's own column."""
    query = select(Tag.id, Tag.name).join(OrderTag, OrderTag.tag_id == Tag.id).where(OrderTag.order_id == order.id)
    found: dict[int, str] = dict(db.session.execute(query).all())
    assert sorted(reloaded(order).tags) == sorted(found)
    return set(found.values())


def test_an_order_is_assigned_and_taken_off_again(order: Order, mia: Actor, manager: Actor, do: Do) -> None:
    do(order, "assign", {"assignee": "me"}, mia)
    assert reloaded(order).assignee_id == mia.id
    do(order, "assign", {"assignee": "MAX@desk.test"}, mia)
    event = last_event(order)
    assert (event.code, event.data["values"]) == ("assigned", {"name": "Max"})
    assert event.data["before"]["order"] == {"assignee_id": mia.id}
    assert event.data["after"]["order"] == {"assignee_id": manager.id}
    do(order, "assign", {"assignee": str(mia.id)}, mia)
    do(order, "assign", {"assignee": None}, mia)
    assert (reloaded(order).assignee_id, last_event(order).code) == (None, "unassigned")


@pytest.mark.parametrize("told", ["nobody@desk.test", "99999", "' OR 1=1"])
def test_who_does_not_work_here_is_assigned_nothing(order: Order, mia: Actor, do: Do, told: str) -> None:
    with pytest.raises(Invalid, match="assignee: There is no user with this id"):
        do(order, "assign", {"assignee": told}, mia)


def test_who_was_let_go_is_assigned_nothing_and_keeps_their_name(
    order: Order, mia: Actor, manager: Actor, do: Do
) -> None:
    do(order, "assign", {"assignee": str(manager.id)}, mia)
    with unit_of_work():
        db.session.execute(update(User).where(User.id == manager.id).values(disabled_at=now()))
    action, left = find_action("assign"), reloaded(order)
    [assignee] = input_fields(action, left, mia)
    assert str(manager.id) not in [value for value, _label in assignee.offered.choices]
    assert assignee.offered.default == "me"
    assert action.undo(left, read_input(action, {"assignee": "me"})) is None  # which nobody could do
    assert str(query_keys._people(mia)[str(manager.id)]) == "Max (disabled)"  # so that their orders are found
    do(order, "assign", {"assignee": "me"}, mia)
    with pytest.raises(Invalid):
        do(order, "assign", {"assignee": str(manager.id)}, mia)


def test_an_operator_is_nobody_to_assign_to(order: Order, operator: Actor, do: Do) -> None:
    with pytest.raises(Invalid, match="works only for a signed-in user"):
        do(order, "assign", {"assignee": "me"}, operator)


def test_a_due_date_is_set_and_taken_off(order: Order, mia: Actor, do: Do) -> None:
    at = now().replace(microsecond=0) + timedelta(days=3)
    do(order, "due", {"due": iso(at)}, mia)
    assert reloaded(order).due_at == at
    assert last_event(order).data["values"] == {"due": iso(at)}
    do(order, "due", {"due": ""}, mia)
    assert (reloaded(order).due_at, last_event(order).code) == (None, "due_cleared")
    with pytest.raises(Invalid, match="due: Choose a date and time in the future"):
        do(order, "due", {"due": "2020-01-01"}, mia)


def test_a_day_is_due_at_its_end_in_the_shops_zone(order: Order, mia: Actor, do: Do) -> None:
    with unit_of_work():
        find_order(reference(order), mia, lock=True).shop.zone = "Asia/Tokyo"
    do(order, "due", {"due": "2030-05-01"}, mia)
    assert iso(reloaded(order).due_at) == "2030-05-01T14:59:00Z"


@pytest.mark.parametrize("given", ["9999-12-31", "9999-12-31T23:59", "0001-01-01", "0001-01-01T00:00Z"])
@pytest.mark.parametrize("zone", ["Asia/Tokyo", "America/New_York"])
def test_a_time_beyond_the_calendar_is_refused(order: Order, mia: Actor, do: Do, given: str, zone: str) -> None:
    with unit_of_work():
        find_order(reference(order), mia, lock=True).shop.zone = zone
    with pytest.raises(Invalid, match=r"due: Enter a date between 1970 and 2199\."):
        do(order, "due", {"due": given}, mia)


def test_what_changes_nothing_leaves_no_trace(order: Order, mia: Actor, manager: Actor, do: Do) -> None:
    at = iso(now() + timedelta(days=3))
    given: tuple[tuple[str, dict[str, Any]], ...] = (
        ("assign", {"assignee": "me"}),
        ("due", {"due": at}),
        ("tag", {"add": ["gift"]}),
    )
    for code, data in given:
        do(order, code, data, manager)
        done = do(order, code, data, manager)
        assert done.since == done.version
    do(order, "tag", {"remove": ["never was there"]}, manager)
    assert [event.code for event in events_of(reloaded(order))] == ["tagged", "due_set", "assigned", "placed"]


def test_tags_go_on_and_off_in_one_act(order: Order, manager: Actor, mia: Actor, do: Do) -> None:
    do(order, "tag", {"new": " Gift , fragile,,GIFT"}, manager)
    assert carried(order) == {"Gift", "fragile"}
    do(order, "tag", {"add": ["urgent"], "remove": ["gift"]}, manager)
    assert carried(order) == {"fragile", "urgent"}
    event = last_event(order)
    assert (event.code, event.data["values"]) == ("retagged", {"added": "urgent", "removed": "Gift"})
    assert sentence_of(event, {}) == "Tags added: urgent; tags removed: Gift"
    do(order, "tag", {"remove": ["URGENT", "fragile"]}, mia)
    assert carried(order) == set()
    assert last_event(order).code == "untagged"


def test_new_words_are_for_who_may_change_settings(order: Order, mia: Actor, manager: Actor, do: Do) -> None:
    [offer] = [offer for offer in offers(order, mia) if offer.code == "tag"]
    assert isinstance(offer.refusal, NoTagsHere)
    with pytest.raises(NoTagsHere):
        do(order, "tag", {"add": ["gift"]}, mia)
    do(order, "tag", {"add": ["gift"]}, manager)
    with pytest.raises(UnknownTag, match="no tag “jewel”"):
        do(order, "tag", {"add": ["jewel"]}, mia)
    do(order, "tag", {"remove": ["gift"]}, mia)
    assert [tag.name for tag in all_tags()] == ["gift"]


@pytest.mark.parametrize("name", ["x" * 41, 'a "b"', "a\u202eb"])
def test_what_is_no_tag_is_refused(order: Order, manager: Actor, do: Do, name: str) -> None:
    with pytest.raises(Invalid):
        do(order, "tag", {"add": [name]}, manager)
    with pytest.raises(Invalid, match="Choose at least one"):
        do(order, "tag", {"add": " , "}, manager)


def test_a_tag_is_renamed_everywhere(order: Order, manager: Actor, do: Do) -> None:
    do(order, "tag", {"add": ["gift"]}, manager)
    with unit_of_work():
        change_tag(all_tags()[0], "Present", tone="good", actor=manager)
        with pytest.raises(Invalid, match="Another tag has this name"):
            make_tag("PRESENT", actor=manager)
    assert carried(order) == {"Present"}


@pytest.mark.parametrize("merged", [False, True])
def test_a_tag_that_goes_leaves_its_orders_in_chunks(
    make_order: Callable[..., Order],
    manager: Actor,
    do: Do,
    work: Callable[[], int],
    monkeypatch: pytest.MonkeyPatch,
    merged: bool,
) -> None:
    monkeypatch.setattr(jobs, "CHUNK", 2)
    orders = [make_order() for _ in range(5)]
    for order in orders:
        do(order, "tag", {"add": ["old"]}, manager)
    do(orders[0], "tag", {"add": ["new"]}, manager)
    with unit_of_work():
        old, new = sorted(all_tags(), key=lambda tag: tag.name, reverse=True)
        retire_tag(old, actor=manager, heir=new if merged else None)
    assert [tag.name for tag in offered_tags()] == ["new"]
    with pytest.raises(Invalid, match="is being deleted"):
        do(orders[0], "tag", {"add": ["old"]}, manager)
    jobs.clear_leaving_tags.enqueue()  # as the schedule does, should the page's own job be lost
    work()
    assert [carried(order) for order in orders] == [{"new"}, *[{"new"} if merged else set()] * 4]
    assert [tag.name for tag in all_tags()] == ["new"]
    event = last_event(orders[1])
    assert (event.code, event.actor_kind) == ("retagged" if merged else "untagged", "job")


def test_a_tag_merged_into_one_that_is_merged_itself_ends_as_the_last(
    order: Order, manager: Actor, do: Do, work: Callable[[], int]
) -> None:
    do(order, "tag", {"add": ["first"]}, manager)
    with unit_of_work():
        first, second, third = (named([name], manager)[0] for name in ("first", "second", "third"))
        retire_tag(first, actor=manager, heir=second)
        retire_tag(second, actor=manager, heir=third)
        ids = [second.id, first.id]
    for tag_id in ids:  # no order has the second yet, so it is gone at once
        jobs.clear_tag.enqueue(tag_id)
        work()
    assert carried(order) == {"third"}
    assert [tag.name for tag in all_tags()] == ["third"]


def test_a_comment_sets_a_status_and_is_pinned_in_the_same_act(
    order: Order, mia: Actor, manager: Actor, do: Do
) -> None:
    with unit_of_work():
        make_status("packing", {"en": "Packing", "fr": "Emballage"}, state="processing", actor=manager)
    do(order, "comment", {"text": "first", "pin": True}, mia)
    do(order, "comment", {"text": "on it", "status": "packing"}, mia)
    row = reloaded(order)
    second, first = comments_of(row)
    assert (row.status, row.comments, row.version) == ("packing", 2, 3)
    assert (second.status, second.pinned_at, first.pinned_at is None) == ("packing", None, False)
    event = last_event(order)
    assert (event.code, event.data["after"]["order"]) == ("commented", {"comments": 2, "status": "packing"})


def test_a_comment_is_pinned_and_let_go(order: Order, mia: Actor, make_user: Callable[..., Actor], do: Do) -> None:
    do(order, "comment", {"text": "note"}, mia)
    [note] = comments_of(order)
    for act, code, pinned in ((pin, "pinned", True), (pin, "pinned", True), (unpin, "unpinned", False)):
        with unit_of_work():
            act(find_order(reference(order), mia, lock=True), note.id, actor=mia)
        assert (comments_of(reloaded(order))[0].pinned_at is not None) is pinned
        assert last_event(order).code == code
    assert reloaded(order).version == 4
    with pytest.raises(NotFound), unit_of_work():
        pin(find_order(reference(order), mia, lock=True), note.id + 1, actor=mia)
    rob = make_user("read_only", "Rob")
    with pytest.raises(Forbidden), unit_of_work():
        pin(find_order(reference(order), mia, lock=True), note.id, actor=rob)


def test_organizing_asks_its_right(order: Order, make_user: Callable[..., Actor], do: Do) -> None:
    packer = make_user("packer", "Pat")
    given: tuple[tuple[str, dict[str, Any]], ...] = (
        ("assign", {"assignee": "me"}),
        ("due", {}),
        ("tag", {"add": ["x"]}),
        ("status", {"status": "x"}),
        ("archive", {}),
        ("restore", {}),
        ("address", {}),
        ("comment", {"text": "x", "status": "x"}),
    )
    for code, data in given:
        with pytest.raises(Forbidden):
            do(order, code, data, packer)


def test_orders_managed_at_the_channel_take_no_act(order: Order, mia: Actor, do: Do) -> None:
    with unit_of_work():
        db.session.execute(update(Order).where(Order.id == order.id).values(number=None))
    for code, data in (("assign", {"assignee": "me"}), ("hold", {"reason": "x"}), ("comment", {"text": "x"})):
        with pytest.raises(DeskError, match="managed at the channel"):
            do(reloaded(order), code, data, mia)


def test_keys_of_forms_are_kept_for_a_month(order: Order, mia: Actor, do: Do, work: Callable[[], int]) -> None:
    for key, days in (("old", 31), ("young", 29)):
        do(order, "comment", {"text": key}, mia, key=key)
        with unit_of_work():
            aged = update(Submission).where(Submission.key == key).values(at=now() - timedelta(days=days))
            db.session.execute(aged)
    jobs.forget_submissions.enqueue()
    work()
    db.session.rollback()
    assert list(db.session.scalars(select(Submission.key))) == ["young"]

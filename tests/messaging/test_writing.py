"""Writing to the buyer by the channel's own messages."""

from collections.abc import Callable, Sequence
from datetime import timedelta
from typing import Any

import pytest
import time_machine
from sqlalchemy import select

from webapp.audit.actor import Actor
from webapp.channels.connecting import StoreAccess, Throttled
from webapp.channels.models import Store
from webapp.channels.outgoing import Batch, Effective, Refused, Unknown, Update
from webapp.clock import now
from webapp.db import db, unit_of_work
from webapp.errors import Invalid
from webapp.jobs import JobFailed
from webapp.messaging import allowed, services
from webapp.messaging.message_settings import MESSAGES as SETTINGS
from webapp.messaging.models import Message
from webapp.messaging.previewing import messages_offered
from webapp.messaging.queries import thread_of
from webapp.messaging.text_rules import address_in, advertising_in, link_in, phone_in, site_in
from webapp.orders.models import Order, OrderEvent
from webapp.orders.queries import locked
from webapp.settings.services import store_all
from webapp.sync.allowed_messages import ask_allowed, ask_now, ask_soon
from webapp.testing import FakeChannel, sync_now
from webapp.updates import deciding
from webapp.updates.models import ChannelUpdate, UpdateState
from webapp.vault import services as vault

TEXT = "Dear buyer,\nyour mug is late. 遅れます。"


@pytest.fixture
def order(make_order: Callable[..., Order]) -> Order:
    order = make_order()
    with unit_of_work():
        store_all(SETTINGS, {"message_hold": 0}, db.session.get_one(Store, order.store_id))
    ask_allowed(order.id)
    return order


def write(order: Order, text: str = TEXT, kind: str = "problem", *, actor: Actor) -> Message:
    with unit_of_work():
        return services.write_message(locked(order), kind, text, actor=actor)


def update_of(message: Message) -> ChannelUpdate:
    db.session.expire_all()
    return db.session.scalars(select(ChannelUpdate).where(ChannelUpdate.source_id == message.id)).one()


def test_a_message_goes_out_once_and_its_text_is_sealed(order: Order, mia: Actor, channel: FakeChannel) -> None:
    channel.outcomes = [Effective()]
    message = write(order, actor=mia)
    assert b"mug" not in message.sealed
    assert update_of(message).payload == {"version": 1, "message": "problem"}
    sync_now(order.store)
    sync_now(order.store)
    [sent] = [one for one in channel.delivered if one.kind == "message"]
    assert sent.private["text"] == TEXT
    assert update_of(message).state == UpdateState.EFFECTIVE
    [shown] = thread_of(order, mia) or []
    assert (shown.said, shown.message.kind) == ({"subject": "", "text": TEXT}, "problem")
    events = db.session.scalars(select(OrderEvent.code).where(OrderEvent.order_id == order.id)).all()
    assert [code for code in events if code.startswith("message")] == ["message_written", "message_sent"]


def test_only_what_the_channel_allows_is_written(order: Order, mia: Actor, channel: FakeChannel) -> None:
    channel.messages = ["details"]
    ask_allowed(order.id)
    with pytest.raises(services.NotAllowedNow):
        write(order, actor=mia)
    channel.messages = []
    ask_allowed(order.id)
    with pytest.raises(allowed.NothingAllowed):
        write(order, actor=mia)


def test_before_the_channel_was_asked_nothing_is_written(make_order: Callable[..., Order], mia: Actor) -> None:
    order = make_order()
    assert allowed.nothing_allowed(order) is None
    with pytest.raises(allowed.NotSaid):
        write(order, actor=mia)


def test_an_old_answer_no_longer_holds(order: Order, mia: Actor, channel: FakeChannel) -> None:
    channel.failures = [Throttled(seconds=5.0)]
    with time_machine.travel(now() + timedelta(minutes=50)):
        ask_allowed(order.id)
        assert write(order, actor=mia)
    with time_machine.travel(now() + timedelta(minutes=61)):
        with pytest.raises(allowed.NotAnswered) as refused:
            write(order, actor=mia)
        assert allowed.problem_of(allowed.allowed(order)) in str(refused.value)
        ask_now(order)
        assert write(order, actor=mia)
    with time_machine.travel(now() + timedelta(minutes=130)), pytest.raises(allowed.NotSaid):
        write(order, actor=mia)


@pytest.mark.parametrize("change", [{"active": False}, {"problem": Throttled(seconds=5.0).stored()}])
def test_a_store_that_is_not_read_is_not_asked(
    make_order: Callable[..., Order], change: dict[str, Any], work: Callable[[], int]
) -> None:
    order = make_order()
    with unit_of_work():
        for name, value in change.items():
            setattr(db.session.get_one(Store, order.store_id), name, value)
    ask_now(order)
    ask_soon(order)
    work()
    assert allowed.allowed(order) is None


def test_after_a_crash_the_channel_is_asked_again(
    make_order: Callable[..., Order], work: Callable[[], int], monkeypatch: pytest.MonkeyPatch
) -> None:
    order = make_order()

    def crash(*_given: object) -> None:
        raise MemoryError

    with monkeypatch.context() as broken:
        broken.setattr("webapp.sync.allowed_messages.note_allowed", crash)
        ask_soon(order)
        with pytest.raises(JobFailed):
            work()
    assert allowed.allowed(order) is None
    ask_soon(order)
    work()
    assert allowed.kinds_allowed(order)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("  ", "Enter a value"),
        ("x" * 2001, "2001"),
        ("See https://shop.example.com/a", "https://shop.example.com/a"),
        ("See WWW.shop.example", "WWW.shop.example"),
        ("Write to mia@example.com, please", "mia@example.com"),
    ],
)
def test_what_the_channel_does_not_take_is_refused_before_it_is_sent(
    order: Order, mia: Actor, text: str, said: str
) -> None:
    with pytest.raises(Invalid) as refused:
        write(order, text, actor=mia)
    assert said in str(refused.value)
    assert db.session.scalars(select(Message)).all() == []


def test_telephone_numbers_are_told_from_order_numbers() -> None:
    assert phone_in("Call 030 123456-78 or so") == "030 123456-78"
    assert advertising_in("Get a 10 % Discount with the next order") == "Discount"
    assert advertising_in("Laissez-nous un avis positif !") == "avis positif"
    assert advertising_in("Bitte 5 Sterne geben") == "5 Sterne"
    assert advertising_in("Your order of 5 starfish has left, at no discounted rate") == ""
    assert phone_in("Call +33 1 23 45 67 89.") == "+33 1 23 45 67 89"
    assert not phone_in("Your order 302-1234567-1234567, parcel JD014600003SE, of 2026-11-30")
    assert not link_in("Size 1.5, e.g. M. OK.Thanks")
    assert site_in("See amzn.to/abc.") == "amzn.to/abc."
    assert site_in("at Example.com/x or so") == "Example.com/x"
    assert not site_in("Size 1.5/2, e.g. M/L, and/or OK.Thanks, 2026/11/30")
    assert not address_in("2 @ 5.00 each")


def test_a_lost_answer_is_never_sent_again_by_itself(order: Order, mia: Actor, channel: FakeChannel) -> None:
    channel.outcomes = [Unknown("no answer")]
    message = write(order, actor=mia)
    sync_now(order.store)
    with time_machine.travel(now() + timedelta(days=2)):
        sync_now(order.store)
    assert update_of(message).state == UpdateState.UNKNOWN
    assert len(channel.told("message")) == 1
    channel.outcomes = [Effective()]
    with unit_of_work():
        deciding.retry(update_of(message), actor=mia)
    sync_now(order.store)
    assert len(channel.told("message")) == 2
    assert update_of(message).state == UpdateState.EFFECTIVE


@pytest.mark.parametrize("moment", ["before", "within"])
def test_a_worker_that_dies_sends_no_message_twice_and_loses_none(
    order: Order, mia: Actor, channel: FakeChannel, monkeypatch: pytest.MonkeyPatch, moment: str
) -> None:
    class Killed(BaseException):
        pass

    def take(updates: Sequence[Update]) -> None:
        channel.delivered += updates
        raise Killed

    def deliver(store: StoreAccess, updates: Batch) -> None:
        raise Killed

    message = write(order, actor=mia)
    with monkeypatch.context() as patched:
        patched.setattr(channel, "_take", take) if moment == "within" else patched.setattr(channel, "deliver", deliver)
        with pytest.raises(Killed):
            sync_now(order.store)
    channel.outcomes = [Effective()]
    with time_machine.travel(now() + timedelta(minutes=10)):
        sync_now(order.store)
        sync_now(order.store)
    assert len(channel.told("message")) == 1
    assert update_of(message).state == (UpdateState.EFFECTIVE if moment == "before" else UpdateState.UNKNOWN)


def test_a_refusal_shows_the_channels_sentence(order: Order, mia: Actor, channel: FakeChannel) -> None:
    channel.outcomes = [Refused("The buyer has opted out.")]
    message = write(order, actor=mia)
    sync_now(order.store)
    assert update_of(message).state == UpdateState.REFUSED
    assert [trouble["kind"] for trouble in db.session.get_one(Order, order.id).attention] == ["message_not_sent"]


def test_a_held_message_can_be_undone_and_never_leaves(order: Order, mia: Actor, channel: FakeChannel) -> None:
    with unit_of_work():
        store_all(SETTINGS, {"message_hold": 60}, db.session.get_one(Store, order.store_id))
    message = write(order, actor=mia)
    assert services.undo_message_refusals(order) == {message.id: None}
    with unit_of_work():
        services.undo_message(locked(order), actor=mia)
    with time_machine.travel(now() + timedelta(hours=1)):
        sync_now(order.store)
    assert update_of(message).state == UpdateState.WITHDRAWN
    assert channel.told("message") == []
    assert services.undo_message_refusals(order) == {}


def test_the_text_goes_with_the_buyer_and_nothing_is_written_afterwards(
    order: Order, mia: Actor, channel: FakeChannel, monkeypatch: pytest.MonkeyPatch
) -> None:
    message = write(order, actor=mia)
    with unit_of_work():
        vault.erase([order.id])
    sync_now(order.store)
    assert update_of(message).state == UpdateState.WITHDRAWN
    assert channel.told("message") == []
    [shown] = thread_of(order, mia) or []
    assert shown.said is None
    with pytest.raises(services.BuyerIsErased):
        write(order, actor=mia)
    assert messages_offered(order) == ([], str(services.BuyerIsErased()))
    monkeypatch.setattr(channel, "messages", [])
    with time_machine.travel(now() + timedelta(minutes=6)):
        ask_now(order)
    assert allowed.kinds_allowed(order)  # the channel was not asked about an erased buyer


def test_a_failed_question_says_why_and_is_asked_again(order: Order, mia: Actor, channel: FakeChannel) -> None:
    channel.failures = [Throttled(seconds=5.0)]
    ask_allowed(order.id)
    answer = allowed.allowed(order)
    assert allowed.problem_of(answer)
    assert [one.code for one in allowed.kinds_allowed(order)] == ["problem", "details"]  # what it said before
    ask_soon(order)
    with time_machine.travel(now() + timedelta(minutes=6)):
        ask_allowed(order.id)
        assert allowed.problem_of(allowed.allowed(order)) == ""


def test_who_may_not_see_buyers_sees_no_message(order: Order, mia: Actor, make_user: Callable[..., Actor]) -> None:
    write(order, actor=mia)
    assert thread_of(order, make_user("read_only", "Rita")) is None

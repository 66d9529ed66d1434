"""Drafts: one for each person and order, erased with the buyer, gone once the act is done or after a month."""

from collections.abc import Callable
from datetime import timedelta

import pytest
import time_machine
from sqlalchemy import select

from webapp.audit.actor import Actor
from webapp.clock import now
from webapp.db import db, unit_of_work
from webapp.orders import drafts, jobs
from webapp.orders.models import Order, OrderDraft
from webapp.orders.queries import find_order, locked
from webapp.orders.services import act, find_action, read_input
from webapp.sync.allowed_messages import ask_allowed
from webapp.testing import FakeChannel
from webapp.vault import services as vault

TYPED = {"kind": "problem", "text": "Your mug is late."}


def save(order: Order, actor: Actor, *, key: str = "", text: str = TYPED["text"]) -> bool:
    with unit_of_work():
        found = drafts.save_draft(locked(order), "message", TYPED | {"text": text}, key=key, actor=actor)
    return found is not None


def text_of(order: Order, actor: Actor) -> str | None:
    with unit_of_work():
        draft = drafts.draft_of(find_order(order.number or "", actor, drafts.with_draft("message", actor)))
    return draft.typed["text"] if draft else None


def test_a_draft_is_sealed_and_only_its_author_reads_it(
    make_order: Callable[..., Order], make_user: Callable[..., Actor], mia: Actor
) -> None:
    order, ben = make_order(), make_user(name="Ben")
    assert save(order, mia)
    assert save(order, mia, text="Your mug is very late.")
    assert save(order, ben, text="Ben's.")
    assert text_of(order, mia) == "Your mug is very late."
    assert text_of(order, ben) == "Ben's."
    assert text_of(order, Actor.operator()) is None
    sealed = db.session.scalars(select(OrderDraft.sealed)).all()
    assert len(sealed) == 2
    assert not any(b"mug" in one for one in sealed)
    with unit_of_work():
        vault.erase([order.id])
    assert text_of(order, mia) is None
    assert not save(order, mia)


def test_doing_the_act_deletes_the_draft_for_good(
    make_order: Callable[..., Order], mia: Actor, channel: FakeChannel
) -> None:
    order = make_order()
    ask_allowed(order.id)
    save(order, mia)
    action = find_action("message")
    with unit_of_work():
        act(action, locked(order), read_input(action, TYPED), mia, key="a-form")
    assert text_of(order, mia) is None
    assert not save(order, mia, key="a-form")  # its last request came after the form was sent
    assert save(order, mia, key="another")


def test_old_drafts_are_forgotten(make_order: Callable[..., Order], mia: Actor) -> None:
    order = make_order()
    save(order, mia)
    with time_machine.travel(now() + timedelta(days=29)):
        assert not drafts.any_old_draft()
    with time_machine.travel(now() + timedelta(days=31)):
        assert drafts.any_old_draft()
        jobs.forget_drafts()
        assert text_of(order, mia) is None


@pytest.mark.parametrize("code", ["ship", "comment"])
def test_other_acts_keep_no_drafts(channel: FakeChannel, code: str) -> None:
    assert not find_action(code).drafts

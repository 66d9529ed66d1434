"""An order of the past: rebuilt from its events it equals the rows of that moment."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

from hypothesis import HealthCheck, given, settings, strategies as st

from webapp.audit.actor import Actor
from webapp.channels.incoming import Component, IncomingAmount
from webapp.clock import now
from webapp.db import db, unit_of_work
from webapp.orders.amounts import OWN, Amounts
from webapp.orders.asof import as_of
from webapp.orders.events import LINE_COLUMNS, ORDER_COLUMNS, events_of, plain
from webapp.orders.holds import hold, release
from webapp.orders.models import Order
from webapp.orders.organizing import assign, set_due, set_tags
from webapp.orders.queries import locked
from webapp.orders.services import comment
from webapp.testing import again, incoming_line, incoming_order

ACTS = st.lists(
    st.sampled_from(["hold", "tag", "untag", "assign", "due", "comment", "news", "price", "moved"]), max_size=7
)


def _standing(order_id: int) -> tuple[dict[str, Any], list[dict[str, Any]], Amounts]:
    """The plain columns and the amounts in the tables."""
    db.session.expire_all()
    order = db.session.get_one(Order, order_id)
    lines = [{name: plain(getattr(line, name)) for name in LINE_COLUMNS} for line in order.lines]
    amounts = {(row.line_id or OWN, row.component): row.figures for row in order.amounts}
    return {name: plain(getattr(order, name)) for name in ORDER_COLUMNS}, lines, amounts


@settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(acts=ACTS)
def test_every_moment_is_rebuilt_as_it_stood(take: Callable[..., list[Order]], mia: Actor, acts: list[str]) -> None:
    told = incoming_order([incoming_line("MUG", 2), incoming_line("CUP", 1)])
    [order] = take(told)
    stood = [(now(), _standing(order.id))]
    for number, act in enumerate(acts):
        if act in ("news", "price", "moved"):
            changes: dict[str, Any] = {"service_level": f"L{number}"} if act == "news" else {"total": 5000 + number}
            if act == "moved":
                changes = {"amounts": (IncomingAmount(Component.TIP, number),)}
            take(told := again(told, **changes))
        else:
            with unit_of_work():
                _do(act, locked(db.session.get_one(Order, order.id)), mia, number)
        stood.append((now(), _standing(order.id)))

    moments = events_of(db.session.get_one(Order, order.id))

    for at, (columns, lines, amounts) in stood:
        then = as_of(moments, at)
        assert then is not None
        assert dict(then.order) == columns
        assert [dict(line) for line in then.lines.values()] == lines
        assert then.amounts == amounts
    assert as_of(moments, moments[-1].seen_at - timedelta(seconds=1)) is None


def _do(act: str, order: Order, mia: Actor, number: int) -> None:
    match act:
        case "hold":
            release(order, actor=mia) if order.on_hold else hold(order, "why", actor=mia)
        case "tag":
            set_tags(order, [f"tag{number % 2}"], [], actor=Actor.operator())
        case "untag":
            set_tags(order, [], ["tag0"], actor=Actor.operator())
        case "assign":
            assign(order, None if order.assignee_id else mia.id, actor=mia)
        case "due":
            set_due(order, now() + timedelta(days=number + 1), actor=mia)
        case "comment":
            comment(order, "noted", actor=mia)

"""Money changes with a trace: rows of amounts stay whatever a channel charges, and events rebuild them."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings, strategies as st
from sqlalchemy import event, func, select
from sqlalchemy.exc import IntegrityError

from webapp.channels.incoming import ChannelStage, Component, IncomingAmount, IncomingLine, IncomingOrder
from webapp.db import db, table_of, unit_of_work
from webapp.hooks import hookimpl, hooks
from webapp.orders.amounts import OWN, Amounts
from webapp.orders.contract import Amount, AmountChange, OrdersChange
from webapp.orders.events import amounts_of, events_of, rebuild
from webapp.orders.models import Order, OrderAmount
from webapp.reporting.models import FigureChange
from webapp.testing import again, incoming_line, incoming_order, line_again

Take = Callable[..., list[Order]]
ITEM, SHIPPING, TIP = Component.ITEM, Component.SHIPPING, Component.TIP


def charged(*amounts: IncomingAmount, **more: Any) -> IncomingLine:
    return incoming_line(amounts=amounts, total=sum(a.charged + a.tax - a.discount for a in amounts), **more)


def standing(order_id: int) -> Amounts:
    """The amounts in the table."""
    db.session.rollback()
    rows = db.session.scalars(select(OrderAmount).where(OrderAmount.order_id == order_id))
    return {(row.line_id or OWN, row.component): row.figures for row in rows}


def ceilings(order_id: int) -> dict[tuple[int, str], int]:
    rows = db.session.scalars(select(OrderAmount).where(OrderAmount.order_id == order_id))
    return {(row.line_id or OWN, row.component): row.ceiling for row in rows}


def row_ids(order_id: int) -> dict[tuple[int, str], int]:
    rows = db.session.scalars(select(OrderAmount).where(OrderAmount.order_id == order_id))
    return {(row.line_id or OWN, row.component): row.id for row in rows}


@pytest.fixture
def told() -> IncomingOrder:
    """An order of 12.00 for its item and 4.80 for its shipping, with a tip on the order itself."""
    line = charged(IncomingAmount(ITEM, 1200, 200), IncomingAmount(SHIPPING, 480, 80))
    return incoming_order([line], total=2060, amounts=(IncomingAmount(TIP, 100),))


class Listening:
    """A plugin that listens to changes and to changed amounts."""

    def __init__(self) -> None:
        self.changes: list[OrdersChange] = []
        self.amounts: list[AmountChange] = []

    @hookimpl
    def orders_changed(self, changes: list[OrdersChange]) -> None:
        self.changes += changes

    @hookimpl
    def amounts_changed(self, changes: list[AmountChange]) -> None:
        self.amounts += changes


@pytest.fixture
def heard(app: object) -> Listening:
    listening = Listening()
    hooks.manager.register(listening)
    return listening


def moved(told: IncomingOrder) -> IncomingOrder:
    """The order with 1.20 moved from shipping to the item, at the same total."""
    item, shipping = told.lines[0].amounts
    return again(told, lines=line_again(told, amounts=(replace(item, charged=1320), replace(shipping, charged=360))))


def test_what_moves_between_components_at_the_same_total_leaves_an_event(
    take: Take, told: IncomingOrder, heard: Listening
) -> None:
    [order] = take(told)
    [line] = order.lines
    rows = row_ids(order.id)

    [order] = take(moved(told))

    newest, placed = events_of(order)
    before = {(line.id, "item"): Amount(1200, 200), (line.id, "shipping"): Amount(480, 80)}
    after = {(line.id, "item"): Amount(1320, 200), (line.id, "shipping"): Amount(360, 80)}
    assert (newest.code, newest.version, order.version) == ("changed_there", 2, 2)
    assert amounts_of(newest) == (before, after)
    assert amounts_of(placed) == ({}, before | {(OWN, "tip"): Amount(100)})
    assert standing(order.id) == after | {(OWN, "tip"): Amount(100)}
    assert row_ids(order.id) == rows
    assert ceilings(order.id) == {(line.id, "item"): 1520, (line.id, "shipping"): 560, (OWN, "tip"): 100}
    [change] = heard.changes
    assert (change.code, change.changed) == ("changed_there", {})
    assert heard.amounts == [
        AmountChange(order.id, line.id, "item", Amount(1200, 200), Amount(1320, 200)),
        AmountChange(order.id, line.id, "shipping", Amount(480, 80), Amount(360, 80)),
    ]


@pytest.mark.parametrize(
    ("name", "figures"), [("tax", Amount(1200, 210)), ("discount", Amount(1200, 200, 50)), ("charged", Amount(-5, 200))]
)
def test_a_tax_or_a_discount_alone_counts_too(take: Take, told: IncomingOrder, name: str, figures: Amount) -> None:
    [order] = take(told)
    lines = line_again(told, amounts=(IncomingAmount(ITEM, *figures), told.lines[0].amounts[1]))
    [order] = take(again(told, lines=lines))
    [line] = order.lines
    before, after = amounts_of(events_of(order)[0])
    assert (before, after) == ({(line.id, "item"): Amount(1200, 200)}, {(line.id, "item"): figures})
    assert order.residual_minor == 2060 - sum(amount.net for amount in standing(order.id).values())


def test_what_is_no_longer_told_is_zero_and_comes_back_into_the_same_row(
    take: Take, told: IncomingOrder, heard: Listening
) -> None:
    [order] = take(told)
    [line] = order.lines
    rows = row_ids(order.id)

    [order] = take(again(told, amounts=(), lines=line_again(told, amounts=told.lines[0].amounts[:1]), total=1400))
    assert standing(order.id) == {
        (line.id, "item"): Amount(1200, 200),
        (line.id, "shipping"): Amount(),
        (OWN, "tip"): Amount(),
    }
    assert heard.amounts == [
        AmountChange(order.id, None, "tip", Amount(100), Amount()),
        AmountChange(order.id, line.id, "shipping", Amount(480, 80), Amount()),
    ]
    assert (order.total_minor, order.residual_minor) == (1400, 0)

    [order] = take(again(told, minutes=9))
    assert row_ids(order.id) == rows
    assert standing(order.id)[line.id, "shipping"] == Amount(480, 80)


def test_amounts_of_a_line_that_is_no_longer_listed_are_zero(take: Take) -> None:
    told = incoming_order([incoming_line("MUG", price=500), incoming_line("CUP", price=700)])
    [order] = take(told)
    mug, cup = order.lines
    had = standing(order.id)
    [order] = take(again(told, lines=told.lines[:1], total=told.lines[0].total))
    assert standing(order.id) == {(mug.id, "item"): had[mug.id, "item"], (cup.id, "item"): Amount()}
    assert order.residual_minor == 0
    assert ceilings(order.id)[cup.id, "item"] == had[cup.id, "item"].net


def test_a_ceiling_is_only_raised(take: Take) -> None:
    told = incoming_order([charged(IncomingAmount(ITEM, 1000))])
    found: list[int] = []
    for minutes, amount in enumerate((1000, 1500, 200, -300, 1400, 1501), 1):
        lines = (replace(told.lines[0], amounts=(IncomingAmount(ITEM, amount),)),)
        [order] = take(again(told, minutes=minutes, lines=lines))
        found += ceilings(order.id).values()
    assert found == [1000, 1500, 1500, 1500, 1500, 1501]


def test_a_ceiling_is_never_below_zero(take: Take) -> None:
    [order] = take(incoming_order([charged(IncomingAmount(ITEM, -300))]))
    assert list(ceilings(order.id).values()) == [0]


@pytest.mark.parametrize("withheld", [{"total": None, "currency": None}, {"missing": ("PROCEEDS",)}])
def test_what_was_charged_stays_while_the_channel_withholds_it(
    take: Take, told: IncomingOrder, withheld: dict[str, Any]
) -> None:
    [order] = take(told)
    had = standing(order.id)
    bare = line_again(told, amounts=(), unit_price=None, total=None)
    [order] = take(again(told, amounts=(), lines=bare, status="CANCELLED", **withheld))
    assert standing(order.id) == had
    assert amounts_of(events_of(order)[0]) == ({}, {})
    assert (order.total_minor, order.residual_minor) == (told.total, 0)


def test_a_total_that_was_never_told_holds_back_no_amounts(take: Take) -> None:
    told = incoming_order([charged(IncomingAmount(ITEM, 500))], total=None)
    [order] = take(told)
    [line] = order.lines
    [order] = take(again(told, lines=line_again(told, amounts=(IncomingAmount(ITEM, 700),))))
    assert standing(order.id) == {(line.id, "item"): Amount(700)}
    [order] = take(again(told, minutes=9, lines=line_again(told, amounts=())))  # nothing said is not zero
    assert standing(order.id) == {(line.id, "item"): Amount(700)}


def test_a_component_that_is_told_twice_is_added_up(take: Take) -> None:
    twice = (IncomingAmount(SHIPPING, 100, 10), IncomingAmount(SHIPPING, 50, 5, 1))
    told = incoming_order([charged(*twice)], total=328, amounts=twice)
    [order] = take(told)
    [line] = order.lines
    assert standing(order.id) == {(line.id, "shipping"): Amount(150, 15, 1), (OWN, "shipping"): Amount(150, 15, 1)}
    assert order.residual_minor == 0
    [order] = take(again(told, amounts=twice[:1]))
    assert standing(order.id)[OWN, "shipping"] == Amount(100, 10)


def test_the_same_amounts_in_other_news_write_none(take: Take, told: IncomingOrder, heard: Listening) -> None:
    [order] = take(told)
    statements: list[str] = []

    def note(connection: Any, cursor: Any, statement: str, *_: object) -> None:
        statements.append(statement)

    event.listen(db.engine, "before_cursor_execute", note)
    try:
        [order] = take(again(told, service_level="EXPRESS"))
    finally:
        event.remove(db.engine, "before_cursor_execute", note)
    touching = [text for text in statements if "order_amounts" in text]
    assert [text.split()[0] for text in touching] == ["SELECT"]
    assert heard.amounts == []
    assert "amounts" not in events_of(order)[0].data["after"]


def test_figures_follow_totals_and_not_what_moves_below_them(take: Take, told: IncomingOrder) -> None:
    take(told)
    count = select(func.count()).select_from(FigureChange)
    before = db.session.scalar(count)
    take(moved(told))
    assert db.session.scalar(count) == before
    item, _ = told.lines[0].amounts
    take(again(told, minutes=9, total=1500, amounts=(), lines=line_again(told, amounts=(replace(item, charged=1300),))))
    [figure] = db.session.scalars(select(FigureChange).order_by(FigureChange.id).offset(before))
    assert figure.total_minor == 1500 - 2060


@pytest.mark.parametrize("own", [True, False], ids=["the order's own", "a line's"])
def test_no_component_stands_twice_in_the_table(take: Take, told: IncomingOrder, own: bool) -> None:
    [order] = take(told)
    line_id = None if own else order.lines[0].id
    row = {"order_id": order.id, "line_id": line_id, "component": "tip" if own else "item", "ceiling": 0}
    with pytest.raises(IntegrityError), unit_of_work():
        db.session.execute(table_of(OrderAmount).insert(), row)


def test_what_an_order_of_before_charged_is_not_known_from_its_events(take: Take, told: IncomingOrder) -> None:
    """Events of earlier versions about new orders had no amounts: later events don't have all of them."""
    [order] = take(told)
    after = {name: part for name, part in events_of(order)[0].data["after"].items() if name != "amounts"}
    [order] = take(moved(told))
    moments = events_of(order)[::-1]
    db.session.expunge_all()
    moments[0].data = {"after": after}
    assert rebuild(moments).amounts is None


# --- Any sequence of readings -----------------------------------------------------------------------------------------

figures = st.builds(
    IncomingAmount,
    st.sampled_from(list(Component)),
    st.integers(-500, 2000),
    st.integers(0, 300),
    st.integers(0, 300),
)
several = st.lists(figures, max_size=3).map(tuple)
readings = st.lists(
    st.tuples(
        st.sampled_from(["later", "later", "later", "stale", "same", "withheld"]),
        st.lists(several, min_size=3, max_size=3),  # by line
        st.sets(st.integers(0, 2)),  # the lines that are listed
        several,  # the order's own
        st.booleans(),  # the other way around
    ),
    min_size=1,
    max_size=7,
)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(script=readings)
def test_whatever_is_read_amounts_ceilings_and_events_agree(take: Take, script: list[Any]) -> None:
    lines = [incoming_line(f"SKU-{n}", amounts=(IncomingAmount(ITEM, 100 * n),)) for n in range(3)]
    told = incoming_order(lines[:2], total=1000)
    [order] = take(told)
    expected = _sums(order, told)
    highest = {place: max(0, amount.net) for place, amount in expected.items()}
    first_rows: dict[tuple[int, str], int] = row_ids(order.id)
    for kind, amounts, listed, own, backwards in script:
        if kind == "same":
            version = order.version
            [order] = take(told)
            assert order.version == version
            continue
        seen = tuple(replace(lines[n], amounts=amounts[n]) for n in sorted(listed, reverse=backwards))
        more = {"total": None, "currency": None, "stage": ChannelStage.CANCELED} if kind == "withheld" else {}
        reading = again(told, minutes=-5 if kind == "stale" else 5, lines=seen, amounts=own[::-1], **more)
        [order] = take(reading)
        if kind == "stale":
            continue
        if kind == "later":
            now = _sums(order, reading)
            expected = {place: now.get(place, Amount()) for place in expected.keys() | now.keys()}
            for place, amount in expected.items():
                highest[place] = max(highest.get(place, 0), amount.net)
        told = reading if kind == "later" else replace(told, updated_at=reading.updated_at)
        if kind == "withheld":  # told again as it was, so that `same` is the same
            [order] = take(told := again(told))
        found = standing(order.id)
        assert found == expected
        assert ceilings(order.id) == highest
        rows = row_ids(order.id)
        assert rows.items() >= first_rows.items()  # none is ever written again
        first_rows = rows
        assert order.residual_minor == (order.total_minor or 0) - sum(amount.net for amount in found.values())
        assert rebuild(events_of(order)[::-1]).amounts == found
    _every_event_says_what_was_there(order)


def _sums(order: Order, told: IncomingOrder) -> Amounts:
    """The amounts of the reading, by place, without components that are zero everywhere."""
    ids = {line.channel_line_number: line.id for line in order.lines}
    found: Amounts = {}
    for line_id, amounts in ((OWN, told.amounts), *((ids[line.number], line.amounts) for line in told.lines)):
        for amount in amounts:
            had = found.get((line_id, amount.component.value), Amount())
            more = (amount.charged, amount.tax, amount.discount)
            found[line_id, amount.component.value] = Amount(*map(sum, zip(had, more, strict=True)))
    return {place: amount for place, amount in found.items() if any(amount)}


def _every_event_says_what_was_there(order: Order) -> None:
    known: Amounts = {}
    for entry in events_of(order)[::-1]:
        before, after = amounts_of(entry)
        if entry.code == "placed":
            known = after
            continue
        assert before == {place: known.get(place, Amount()) for place in after}
        assert all(before[place] != after[place] for place in after)
        known |= after

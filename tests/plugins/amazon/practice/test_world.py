"""Orders as a function of (seed, index): numbers lead back, times go forward, nothing is missed by arithmetic."""

from pathlib import Path

from hypothesis import given, settings, strategies as st

from plugins.amazon.practice import Practice
from plugins.amazon.practice.composing import compose
from plugins.amazon.practice.fates import Act, fate
from plugins.amazon.practice.marketplaces import MARKETPLACES
from plugins.amazon.practice.world import HOUR, LANES, Permutation, Segment, World, first_segments

NOW = 1_795_000_000_000
seeds = st.integers(0, 2**32)


def a_world(seed: int = 1, orders: int = 500, days: float = 10) -> World:
    return World(seed, NOW, tuple(first_segments(NOW, orders, days)))


@given(seeds, st.integers(0, 10**14 - 1))
def test_a_number_leads_back_to_where_it_came_from(seed: int, number: int) -> None:
    permutation = Permutation(seed, "order")

    there = permutation.forward(number)

    assert 0 <= there < 10**14
    assert permutation.backward(there) == number
    assert permutation.forward(permutation.backward(number)) == number


@given(seeds, st.integers(0, 6 * 10**10), st.sampled_from(sorted(MARKETPLACES)), st.booleans())
def test_an_order_number_looks_like_amazons_and_leads_back(
    seed: int, index: int, market: str, non_amazon: bool
) -> None:
    world = World(seed, NOW, ())

    order_id = world.order_id(index, market, non_amazon)

    assert [len(part) for part in order_id.split("-")] == [3, 7, 7]
    assert order_id.startswith("S01-") == non_amazon
    assert world.index_of(order_id) == index


def test_what_is_no_order_number_is_nobodys() -> None:
    world = a_world()

    for text in ("", "1", "111-1234567-123456", "999-1234567-1234567", "111-12345٣7-1234567", "111-1234567-1234567 "):
        assert world.index_of(text) is None


@given(seeds, st.integers(1, 3000), st.floats(0.5, 60))
@settings(max_examples=30)
def test_orders_are_placed_one_after_the_other_and_none_after_the_start(seed: int, orders: int, days: float) -> None:
    world = a_world(seed, orders, days)

    times = [world.created_ms(index) for index in range(orders)]

    assert None not in times
    assert times == sorted(times)  # type: ignore[type-var]
    assert times[-1] is not None
    assert times[-1] <= NOW
    assert world.created_ms(orders) is None


@given(seeds, st.integers(1, 400), st.integers(0, 12 * 24), st.integers(1, 48))
@settings(max_examples=40, deadline=None)
def test_arithmetic_finds_all_news_of_a_window(seed: int, orders: int, hours_ago: int, hours: int) -> None:
    world = World(seed, NOW, (*first_segments(NOW, orders, 10), Segment(orders, NOW, 1_234_567.0)))
    low = NOW - hours_ago * HOUR
    high = low + hours * HOUR
    expected = set()
    for index in range(orders + 3 * LANES):
        created = world.created_ms(index)
        assert created is not None
        if any(low <= at < high for at in (created, *(at for at, _ in world.steps(index, created)))):
            expected.add(index)

    assert expected <= set(world.news_in(low, high))


@given(seeds, st.integers(0, 10**9))
@settings(max_examples=60, deadline=None)
def test_the_same_seed_and_index_draw_the_same_order(seed: int, index: int) -> None:
    assert compose(World(seed, NOW, ()), index, NOW) == compose(World(seed, NOW, ()), index, NOW)


acts = st.lists(
    st.tuples(
        st.sampled_from(
            [
                "verify",
                "cancel",
                "ship",
                "ship_part",
                "deliver",
                "request_cancel",
                "withdraw_request",
                "touch",
                "quantity",
            ]
        ),
        st.integers(0, 5),
    ),
    max_size=12,
)


@given(seeds, st.integers(0, 5000), acts)
@settings(deadline=None)
def test_quantities_are_never_negative_whatever_happens(seed: int, index: int, happened: list[tuple[str, int]]) -> None:
    order = compose(World(seed, NOW, ()), index, NOW)
    told = [
        Act(NOW + i, kind, {"item": order.lines[0].id, "quantity": number} if kind == "quantity" else {})
        for i, (kind, number) in enumerate(happened)
    ]

    state = fate(order, told, seed)

    for line in order.lines:
        assert 0 <= state.shipped(line.id) <= state.ordered[line.id]
        assert state.left(line.id) >= 0
    assert not (state.canceled_by and state.packages)
    assert NOW <= state.updated_ms <= NOW + len(told)


def test_a_past_leaves_orders_that_are_late_and_some_that_are_due_within_each_of_two_days(tmp_path: Path) -> None:
    practice = Practice(tmp_path, seed=1, orders=300, now=lambda: NOW / 1000)
    fates = practice.fates(range(300), NOW)
    open_ = [one.order for one in fates if one.status == "UNSHIPPED" and one.order.fulfilled_by == "MERCHANT"]
    practice.close()

    left = [order.created_ms / HOUR + order.ship_within_hours - NOW / HOUR for order in open_]

    assert sum(hours < 0 for hours in left) >= 3
    assert sum(0 <= hours < 24 for hours in left) >= 3
    assert sum(24 <= hours < 48 for hours in left) >= 3

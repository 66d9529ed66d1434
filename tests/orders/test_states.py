"""The state of an order follows from channel facts and line counters alone."""

from dataclasses import dataclass, replace

from hypothesis import given, strategies as st

from webapp.channels.incoming import ChannelStage
from webapp.orders.states import OrderState, open_units, state_of


@dataclass(frozen=True)
class Line:
    ordered: int
    canceled: int = 0
    withdrawn: int = 0
    shipped: int = 0
    refunded: int = 0


@st.composite
def lines(draw: st.DrawFn) -> Line:
    """Counters that the database's CHECKs let in."""
    ordered = draw(st.integers(0, 6))
    canceled = draw(st.integers(0, ordered))
    withdrawn = draw(st.integers(0, ordered - canceled))
    shipped = draw(st.integers(0, ordered - canceled - withdrawn))
    return Line(ordered, canceled, withdrawn, shipped, draw(st.integers(withdrawn, withdrawn + shipped)))


STAGES = st.sampled_from(list(ChannelStage))
ORDERS = st.lists(lines(), max_size=4)


@given(STAGES, ORDERS)
def test_every_order_has_exactly_one_state(stage: ChannelStage, order: list[Line]) -> None:
    assert state_of(stage, order) in OrderState
    assert state_of(stage, list(reversed(order))) is state_of(stage, iter(order))


@given(STAGES, ORDERS)
def test_what_left_the_house_is_never_silently_canceled(stage: ChannelStage, order: list[Line]) -> None:
    if any(line.shipped for line in order):
        assert state_of(stage, order) in (OrderState.PROCESSING, OrderState.COMPLETE, OrderState.CLOSED)


@given(ORDERS)
def test_an_open_order_with_open_units_is_processing(order: list[Line]) -> None:
    if any(open_units(line) for line in order):
        assert state_of(ChannelStage.OPEN, order) is OrderState.PROCESSING


@given(STAGES, ORDERS)
def test_an_order_of_which_every_unit_left_is_complete_or_closed(stage: ChannelStage, order: list[Line]) -> None:
    gone = [replace(line, withdrawn=0, shipped=line.ordered - line.canceled, refunded=0) for line in order]
    if sum(line.shipped for line in gone):
        assert state_of(stage, gone) is OrderState.COMPLETE
        refunded = [replace(line, refunded=line.shipped) for line in gone]
        assert state_of(stage, refunded) is OrderState.CLOSED


@given(ORDERS)
def test_before_anything_left_the_channel_decides(order: list[Line]) -> None:
    still = [replace(line, shipped=0, withdrawn=0, refunded=0) for line in order]
    assert state_of(ChannelStage.CANCELED, still) is OrderState.CANCELED
    assert state_of(ChannelStage.AWAITING_PAYMENT, still) is OrderState.PENDING


@given(st.integers(1, 6))
def test_units_refunded_before_leaving_count_as_settled(ordered: int) -> None:
    assert state_of(ChannelStage.OPEN, [Line(ordered, withdrawn=ordered, refunded=ordered)]) is OrderState.CLOSED


def test_first_sight_follows_the_channels_word() -> None:
    wanted = [Line(2)]
    assert [state_of(stage, wanted) for stage in ChannelStage] == [
        OrderState.PENDING,
        OrderState.PROCESSING,
        OrderState.COMPLETE,
        OrderState.CANCELED,
        OrderState.PROCESSING,
    ]

"""When each order is placed, and what happens to it by itself: a function of (seed, index).

Nothing of this is stored. An index has a time (segments), an order number (a keyed permutation, so that a number leads
back to its index) and a life: a list of steps after the order was placed. Lives repeat every 64 indexes, and all steps
of one order are delayed by one small jitter; so the orders whose last news is in a window are found by arithmetic
instead of by looking at all of them. People's acts on an order are stored in `state.py`; its content is drawn in
`composing.py`.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cache, cached_property
from hashlib import blake2b
from random import Random
from typing import Final

from plugins.amazon.practice.marketplaces import MARKETPLACES

LANES: Final = 64
JITTER_MS: Final = 30_000
FILLED_FROM: Final = 20_000_000_000  # indexes of orders by which the past was filled start here
PLACED_FROM: Final = 50_000_000_000  # indexes of orders that were placed by hand start here
ENDLESS: Final = 10_000_000_000
LINES_MAX: Final = 1000
HALF: Final = 10_000_000
MINUTE: Final = 60_000
HOUR: Final = 60 * MINUTE
MARKETS: Final = tuple(code for code, market in MARKETPLACES.items() for _ in range(market.weight))
PREFIXES: Final = frozenset(prefix for market in MARKETPLACES.values() for prefix in market.prefixes) | {"S01"}


def mix(seed: int, index: int, salt: int = 0) -> int:
    """64 well-mixed bits of (seed, index, salt); cheap, since searches call it for every candidate."""
    z = (seed * 0x9E3779B97F4A7C15 + index * 0xBF58476D1CE4E5B9 + salt * 0x94D049BB133111EB + 1) & 0xFFFFFFFFFFFFFFFF
    z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & 0xFFFFFFFFFFFFFFFF
    z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & 0xFFFFFFFFFFFFFFFF
    return z ^ (z >> 31)


@dataclass(frozen=True)
class Step:
    """Something that happens by itself, at this time after the order was placed; a merchant's step only before the
    start.
    """

    kind: str
    after_ms: int
    merchant: bool = False


@dataclass(frozen=True)
class Life:
    """What happens to an order if nobody touches it."""

    fulfilled_by: str
    steps: tuple[Step, ...]
    several_lines: bool = False


def _verified(seconds: int, *steps: Step, by: str = "MERCHANT", several_lines: bool = False) -> Life:
    return Life(by, (Step("verify", seconds * 1000), *steps), several_lines)


def _shipped(hours: int, delivered: int) -> tuple[Step, ...]:
    return (Step("ship", hours * HOUR, True), Step("deliver", delivered * HOUR, True))


def _lives() -> list[Life]:
    """The 64 lives: 41 shipped in one parcel, 6 in two, 13 by Amazon, 4 that end in a cancellation."""
    lives = [
        _verified(45 + 5 * (i % 7), *_shipped((5, 9, 14, 20, 23, 27, 31, 38)[i % 8], 50 + 3 * (i % 13)))
        for i in range(36)
    ]
    lives += [_verified(60 * minutes, *_shipped(22, 71)) for minutes in (16, 21, 27)]  # the bank is slow
    lives += [
        _verified(50, Step("request_cancel", minutes * MINUTE), *_shipped(19, 66)) for minutes in (35, 50)
    ]  # the buyer asks to cancel; the merchant had shipped it already
    lives += [
        _verified(55, Step("ship_part", hours * HOUR, True), *_shipped(hours + 20, hours + 80), several_lines=True)
        for hours in (4, 7, 8, 11, 15, 21)
    ]
    lives += [_verified(40 + i, Step("ship", (3 + 2 * i) * HOUR), by="AMAZON") for i in range(13)]
    lives += [_verified(50, Step("cancel_buyer", minutes * MINUTE)) for minutes in (6, 12, 20)]
    lives += [Life("MERCHANT", (Step("cancel_unpaid", 25 * MINUTE),))]
    if len(lives) != LANES:
        raise AssertionError(f"{len(lives)} lives")
    return lives


@dataclass(frozen=True)
class Segment:
    """A stretch of time in which orders arrive evenly; for one by which the past was filled, also where, and until
    when the merchant worked there.
    """

    first: int
    start_ms: int
    step_ms: float
    count: int = ENDLESS
    until_ms: int | None = None  # None: until the world's start
    regions: tuple[str, ...] = ()  # None: wherever the seller takes part

    @property
    def end(self) -> int:
        """The index after its last one."""
        return self.first + self.count


@dataclass(frozen=True)
class World:
    """The orders that exist by themselves. `started_ms` is the end of the merchant's own past."""

    seed: int
    started_ms: int
    segments: Sequence[Segment]
    _numbers: "Permutation" = field(init=False, compare=False)
    _items: "Permutation" = field(init=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_numbers", Permutation(self.seed, "order"))
        object.__setattr__(self, "_items", Permutation(self.seed, "item"))

    @cached_property
    def lives(self) -> list[Life]:
        """The life of each lane, in an order of this seed's own."""
        lives = _lives()
        Random(self.seed).shuffle(lives)
        return lives

    @cached_property
    def orders_per_ms(self) -> float:
        """The rate of the densest stretch, by which searches choose the size of their first slice."""
        return max((1 / segment.step_ms for segment in self.segments), default=0.0)

    @cached_property
    def settled_ms(self) -> int:
        """The time until which the merchant worked in every stretch."""
        return min([self.started_ms, *(one.until_ms for one in self.segments if one.until_ms is not None)])

    def life(self, index: int) -> Life:
        """What happens to this order by itself."""
        return self.lives[index % LANES]

    def market(self, index: int) -> str:
        """The code of the marketplace where this order was placed."""
        markets = MARKETS
        if is_filled(index) and (segment := self._segment(index)):
            markets = markets_in(segment.regions)
        return markets[mix(self.seed, index, 1) % len(markets)]

    def is_non_amazon(self, index: int) -> bool:
        """Whether this is the seller's own multi-channel order (only what Amazon fulfills can be one)."""
        return not is_filled(index) and self.life(index).fulfilled_by == "AMAZON" and mix(self.seed, index, 2) % 17 == 0

    def created_ms(self, index: int) -> int | None:
        """The time at which this order was or will be placed; None: there is no such order. Never before that of the
        order before.
        """
        segment = self._segment(index)
        return None if segment is None else self._created_in(segment, index)

    def _segment(self, index: int) -> Segment | None:
        return next((segment for segment in self.segments if segment.first <= index < segment.end), None)

    def _created_in(self, segment: Segment, index: int) -> int:
        within = (mix(self.seed, index, 3) & 0xFFFF) / 0x10000 * 0.9
        return int(segment.start_ms + (index - segment.first + within) * segment.step_ms)

    def late_ms(self, index: int) -> int:
        """The delay of all steps of this order."""
        return mix(self.seed, index, 4) % JITTER_MS

    def steps(self, index: int, created_ms: int) -> Iterator[tuple[int, str]]:
        """(time, kind) of all that happens by itself, in order."""
        late, until = self.late_ms(index), self.started_ms
        if is_filled(index) and (segment := self._segment(index)) and segment.until_ms is not None:
            until = segment.until_ms
        for step in self.life(index).steps:
            at = created_ms + step.after_ms + late
            if step.merchant and at > until:
                return
            yield at, step.kind

    def placed_in(self, low: int, high: int) -> Iterator[int]:
        """Indexes of the orders placed in [low, high)."""
        for segment in self.segments:
            yield from (
                index
                for index in self._near(segment, low, high, 1, 0)
                if low <= self._created_in(segment, index) < high
            )

    def news_in(self, low: int, high: int) -> Iterator[int]:
        """Indexes of the orders to which something may have happened in [low, high), some of them twice."""
        yield from self.placed_in(low, high)
        for segment in self.segments:
            for lane, life in enumerate(self.lives):
                for step in life.steps:
                    yield from self._near(segment, low - step.after_ms - JITTER_MS, high - step.after_ms, LANES, lane)

    def newest(self, until: int, limit: int) -> list[int]:
        """Indexes of the orders placed last before a moment."""
        found: list[tuple[int, int]] = []
        for segment in self.segments:
            near = self._near(segment, segment.start_ms, until, 1, segment.first)[-limit:]
            found += [(at, index) for index in near if (at := self._created_in(segment, index)) <= until]
        return [index for _, index in sorted(found, reverse=True)[:limit]]

    def _near(self, segment: Segment, low: int, high: int, stride: int, lane: int) -> range:
        """The indexes of a lane that may have been placed in [low, high): at most one too many at each end."""
        first = segment.first + max(0, int((low - segment.start_ms) // segment.step_ms) - 1)
        last = segment.first + int((high - segment.start_ms) // segment.step_ms) + 1
        return range(first + (lane - first) % stride, min(last + 1, segment.end), stride)

    def order_id(self, index: int, market: str, non_amazon: bool = False) -> str:
        """The order number of an index, 3-7-7 digits."""
        number = self._numbers.forward(index)
        prefixes = MARKETPLACES[market].prefixes
        prefix = "S01" if non_amazon else prefixes[index % len(prefixes)]
        return f"{prefix}-{number // HALF:07}-{number % HALF:07}"

    def index_of(self, order_id: str) -> int | None:
        """The index of this number; the caller checks the prefix. None: not such a number."""
        prefix, _, rest = order_id.partition("-")
        high, _, low = rest.partition("-")
        if prefix not in PREFIXES or len(high) != 7 or len(low) != 7 or not (high + low).isascii():
            return None
        return self._numbers.backward(int(high) * HALF + int(low)) if (high + low).isdigit() else None

    def item_id(self, index: int, line: int) -> str:
        """The order item's number, 14 digits, now and then with leading zeros."""
        return f"{self._items.forward(index * LINES_MAX + line):014}"


class Permutation:
    """A keyed shuffle of the numbers below 10¹⁴ that can be undone (a Feistel network over two times seven digits)."""

    def __init__(self, seed: int, name: str) -> None:
        digest = blake2b(f"{seed}/{name}".encode(), digest_size=32).digest()
        self._keys = [int.from_bytes(digest[i : i + 8], "big") for i in range(0, 32, 8)]

    def forward(self, number: int) -> int:
        """The image of a number."""
        left, right = divmod(number, HALF)
        for key in self._keys:
            left, right = right, (left + mix(key, right)) % HALF
        return left * HALF + right

    def backward(self, number: int) -> int:
        """The number with this image."""
        left, right = divmod(number, HALF)
        for key in reversed(self._keys):
            left, right = (right - mix(key, left)) % HALF, left
        return left * HALF + right


def first_segments(started_ms: int, orders: int, days: float) -> list[Segment]:
    """The past at the start: a busier last day, and a few orders so new that they are not paid yet."""
    day = 24 * HOUR
    new = min(3, orders // 40)
    recent = min(orders - new, max(int(orders / max(days, 1)), min(60, orders * 3 // 10)))
    old = orders - recent - new
    segments = []
    if old:
        span = max(days - 1, 1) * day
        segments.append(Segment(0, int(started_ms - day - span), span / old, old))
    if recent:
        segments.append(Segment(old, started_ms - day, (day - MINUTE) / recent, recent))
    if new:
        segments.append(Segment(old + recent, started_ms - 35_000, 10_000, new))
    return segments


def is_filled(index: int) -> bool:
    """Whether this is one of the orders by which the past was filled."""
    return FILLED_FROM <= index < PLACED_FROM


@cache
def markets_in(regions: tuple[str, ...]) -> tuple[str, ...]:
    """The codes of the marketplaces of these regions (none: of all), each as often as its share."""
    return tuple(code for code in MARKETS if not regions or MARKETPLACES[code].region in regions)


def filling_segments(first: int, until_ms: int, orders: int, days: float, regions: tuple[str, ...]) -> list[Segment]:
    """Segments for a past of this many orders up to a moment: one in twenty in the last two and a quarter days, and
    nothing shipped for 30 hours, so that about one in thirty is open and some are late.
    """
    recent = orders // 20
    span = min(54 * HOUR, int(days * 24 * HOUR) // 4)
    worked_until = until_ms - span * 5 // 9
    parts = ((orders - recent, until_ms - int(days * 24 * HOUR), until_ms - span), (recent, until_ms - span, until_ms))
    segments = []
    for count, start, end in parts:
        if count:
            segments.append(Segment(first, start, (end - start) / count, count, worked_until, regions))
            first += count
    return segments

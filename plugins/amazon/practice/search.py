"""Finding orders by time, page after page, without looking at all of them.

A search sees the world as it was `edge` seconds ago. It walks slices of time in which something may have happened,
computes the state of each order found there, and keeps those whose time (of creation or of the last update) is in the
slice. An order that changes during paging leaves the window, since its new time is after the bound.
"""

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Final

from plugins.amazon.practice.fates import Fate
from plugins.amazon.practice.marketplaces import MARKETPLACES
from plugins.amazon.practice.practice import Practice
from plugins.amazon.practice.world import HOUR, PLACED_FROM, mix

OPEN_STATUSES: Final = frozenset({"PENDING_AVAILABILITY", "PENDING", "UNSHIPPED", "PARTIALLY_SHIPPED"})
STATUS_AFTER: Final = {
    "verify": "UNSHIPPED",
    "request_cancel": "UNSHIPPED",
    "ship_part": "PARTIALLY_SHIPPED",
    "ship": "SHIPPED",
    "deliver": "SHIPPED",
    "cancel_buyer": "CANCELLED",
    "cancel_unpaid": "CANCELLED",
}
MERCHANT_PAST_MS: Final = 49 * HOUR  # an order placed longer before the start needs no further act
Key = tuple[int, str]


@dataclass(frozen=True)
class Query:
    """The parameters of a search; times in milliseconds, both ends included."""

    region: str
    by_update: bool
    after_ms: int
    until_ms: int
    statuses: Collection[str] = ()
    fulfilled_by: Collection[str] = ()
    marketplaces: Collection[str] = ()  # ids
    limit: int = 100


@dataclass(frozen=True)
class Page:
    """One page of orders, and the start of the next (a key, or a count with offset paging)."""

    fates: list[Fate]
    next_key: Key | None = None
    next_offset: int | None = None


def search(practice: Practice, query: Query, view_ms: int, key: Key | None = None, offset: int = 0) -> Page:
    """The page after `key` (or `offset`), in the world as it was at `view_ms`."""
    settings = practice.settings
    if settings.shuffle:
        seed = practice.world.seed
        found = sorted((mix(seed, index, 10), str(index), index) for _, index in _walk(practice, query, view_ms, None))
        entries = iter([((at, name), index) for at, name, index in found if key is None or (at, name) > key])
    else:
        entries = _walk(practice, query, view_ms, None if settings.offset_paging else key)
    if settings.offset_paging:
        entries = islice(entries, offset, None)
    taken = list(islice(entries, query.limit + 1))
    more, taken = len(taken) > query.limit, taken[: query.limit]
    fates = practice.fates([index for _, index in taken], view_ms)
    if not more:
        return Page(fates)
    return Page(fates, None, offset + query.limit) if settings.offset_paging else Page(fates, taken[-1][0])


def _walk(practice: Practice, query: Query, view_ms: int, key: Key | None) -> Iterator[tuple[Key, int]]:
    """(key, index) of the matching orders after `key`, in order of (time, order number)."""
    world = practice.world
    low = max(query.after_ms, _earliest(practice))
    if query.statuses and OPEN_STATUSES.issuperset(query.statuses):
        # an order that is still open was placed or touched after the merchant's past
        low = max(low, min(world.settled_ms - MERCHANT_PAST_MS, _earliest_touched(practice, query)))
    if key:
        low = max(low, key[0])
    until = min(query.until_ms, view_ms)
    width = max(1000, int(query.limit / max(world.orders_per_ms, 1e-7)))
    while low <= until:
        high = min(low + width, until + 1)
        found = sorted(_slice(practice, query, view_ms, low, high))
        yield from (entry for entry in found if key is None or entry[0] > key)
        width = width * 2 if len(found) < query.limit else width
        low = high


def _earliest(practice: Practice) -> int:
    """The time before which no order was placed."""
    return min([_earliest_touch(practice), *(segment.start_ms for segment in practice.world.segments)])


def _earliest_touch(practice: Practice) -> int:
    """The time before which nobody placed an order by hand or acted on one."""
    first = practice.store.first_touch()
    return practice.now_ms() if first is None else first


def _earliest_touched(practice: Practice, query: Query) -> int:
    """The time before which no order was touched: the first touch, or (by creation) the creation of the oldest
    touched order.
    """
    earliest = _earliest_touch(practice)
    oldest = practice.store.oldest_acted()
    if query.by_update or oldest is None or oldest >= PLACED_FROM:
        return earliest
    return min(earliest, practice.world.created_ms(oldest) or earliest)


def _slice(practice: Practice, query: Query, view_ms: int, low: int, high: int) -> Iterator[tuple[Key, int]]:
    """The matching orders whose time is in [low, high), in no order."""
    world, store = practice.world, practice.store
    if query.by_update:
        candidates = set(world.news_in(low, high))
        candidates.update(store.acted_in(low, high))
    else:
        candidates = set(world.placed_in(low, high))
    candidates.update(store.placed_in(low, high))
    looked_at = []
    for index in candidates:
        if index in store.acted or index >= PLACED_FROM:
            looked_at.append(index)
            continue
        if (entry := _untouched(practice, query, view_ms, low, high, index)) is not None:
            yield entry
    for fate in practice.fates(looked_at, view_ms):
        at = fate.updated_ms if query.by_update else fate.order.created_ms
        order = fate.order
        if (
            low <= at < high
            and order.created_ms <= view_ms
            and order.market.region == query.region
            and (not query.statuses or fate.status in query.statuses)
            and (not query.fulfilled_by or order.fulfilled_by in query.fulfilled_by)
            and (not query.marketplaces or (order.market.id in query.marketplaces and not order.non_amazon))
        ):
            yield (at, order.id), order.index


def _untouched(
    practice: Practice, query: Query, view_ms: int, low: int, high: int, index: int
) -> tuple[Key, int] | None:
    """The sort key of an order that nobody touched, computed without drawing the order; None if it does not match."""
    world = practice.world
    created = world.created_ms(index)
    if created is None or created > view_ms:
        return None
    market = MARKETPLACES[world.market(index)]
    if market.region != query.region:
        return None
    if query.fulfilled_by and world.life(index).fulfilled_by not in query.fulfilled_by:
        return None
    at, status = created, "PENDING"
    if query.by_update or query.statuses:
        for step_at, kind in world.steps(index, created):
            if step_at > view_ms:
                break
            at, status = step_at, STATUS_AFTER[kind]
    if not query.by_update:
        at = created
    if not low <= at < high or (query.statuses and status not in query.statuses):
        return None
    non_amazon = world.is_non_amazon(index)
    if query.marketplaces and (market.id not in query.marketplaces or non_amazon):
        return None
    return (at, world.order_id(index, market.code, non_amazon)), index

"""The search terms of a page of orders: collected while the page is written, then written to the index at once."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from webapp.catalog.listings import ListingKey, listing_key, remember, terms_of_listings
from webapp.channels.incoming import IncomingOrder
from webapp.orders.search_words import terms_of_buyer, terms_of_number
from webapp.search import index
from webapp.search.index import Indexed
from webapp.search.terms import index_key

Lines = Collection[tuple[str, str, str]]  # SKU, product code, title


@dataclass(slots=True)
class _Move:
    """A change of an order's terms; those of listings are known once the listings are."""

    placed_at: datetime
    had: frozenset[int] = frozenset()
    has: frozenset[int] = frozenset()
    had_listings: set[ListingKey] = field(default_factory=set)
    has_listings: set[ListingKey] = field(default_factory=set)


def terms_of(order: IncomingOrder) -> frozenset[int]:
    """The terms of an order without those of its listings; needs no transaction."""
    key = index_key()
    return terms_of_buyer(order.buyer, key) | terms_of_number(order.number, key)


class PageTerms:
    """Collects a page's terms and writes them in one statement for new terms and one for those that no longer apply."""

    def __init__(self, store_id: int) -> None:
        self._store_id = store_id
        self._moves: dict[int, _Move] = {}

    def new(self, order_id: int, order: IncomingOrder, terms: frozenset[int]) -> None:
        listings = {listing_key(self._store_id, line.sku, line.product_code, line.title) for line in order.lines}
        self._moves[order_id] = _Move(order.created_at, has=terms, has_listings=listings)

    def rewrite_buyer(
        self,
        order_id: int,
        placed_at: datetime,
        had: Mapping[str, Any],
        has: Mapping[str, Any],
        corrected: Mapping[str, Any],
    ) -> None:
        """Replace the terms of a changed buyer; an address that was corrected here keeps its terms."""
        if had == has:
            return
        key = index_key()
        move = self._moves.setdefault(order_id, _Move(placed_at))
        move.has = terms_of_buyer(has, key)
        move.had = terms_of_buyer(had, key) - terms_of_buyer(corrected, key)

    def rewrite_lines(self, order_id: int, placed_at: datetime, had: Lines, has: Lines) -> None:
        """Replace the terms of lines that are new, or that have another listing now."""
        move = self._moves.setdefault(order_id, _Move(placed_at))
        move.had_listings, move.has_listings = self._listings(had), self._listings(has)

    def _listings(self, lines: Lines) -> set[ListingKey]:
        return {listing_key(self._store_id, *line) for line in lines}

    def write(self) -> None:
        if not self._moves:
            return
        ids = remember(key for move in self._moves.values() for key in move.had_listings | move.has_listings)
        key = index_key()
        gone, come = [], []
        for order_id, move in self._moves.items():
            had = move.had | terms_of_listings((ids[listing] for listing in move.had_listings), key)
            has = move.has | terms_of_listings((ids[listing] for listing in move.has_listings), key)
            gone.append(Indexed(order_id, move.placed_at, had - has))
            come.append(Indexed(order_id, move.placed_at, has - had))
        index.take_away(gone)
        index.add(come)

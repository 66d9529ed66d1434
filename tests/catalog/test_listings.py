"""Listings are noted once, and lead from words to the terms of their orders."""

from collections.abc import Callable

import pytest

from webapp.audit.actor import Actor
from webapp.catalog import listings
from webapp.catalog.models import Listing
from webapp.channels.models import Store
from webapp.db import db, unit_of_work
from webapp.errors import Stale
from webapp.orders.models import Order
from webapp.search.compiling import compile_query
from webapp.search.query import QueryMistake, parse
from webapp.testing import incoming_line, incoming_order


def test_a_listing_is_noted_once_however_often_it_sells(take: Callable[..., list[Order]]) -> None:
    take(incoming_order([incoming_line("MUG"), incoming_line("MUG")]), incoming_order([incoming_line("MUG")]))
    take(incoming_order([incoming_line("MUG"), incoming_line("CUP")]))
    assert sorted(sku for (sku,) in db.session.query(Listing.sku)) == ["CUP", "MUG"]


def note_and_fail(key: listings.ListingKey) -> None:
    with unit_of_work():
        listings.remember([key])
        raise Stale


def test_what_a_refused_page_noted_is_not_known_by_heart(store: Store) -> None:
    key = listings.listing_key(store.id, "MUG", "B0", "A mug")
    with pytest.raises(Stale):
        note_and_fail(key)
    with unit_of_work():
        assert list(listings.remember([key]).values()) == list(listings.remember([key]).values())
    assert db.session.query(Listing).count() == 1


def test_what_was_noted_before_a_savepoint_was_taken_back_is_not_known_by_heart(store: Store) -> None:
    mug, cup = (listings.listing_key(store.id, sku, "", "") for sku in ("MUG", "CUP"))
    with unit_of_work():
        with pytest.raises(Stale), db.session.begin_nested():  # noqa: PT012
            listings.remember([mug])
            raise Stale
        listings.remember([cup])
    with unit_of_work():
        listings.remember([mug])
    assert sorted(sku for (sku,) in db.session.query(Listing.sku)) == ["CUP", "MUG"]


def test_titles_of_any_length_are_kept(take: Callable[..., list[Order]]) -> None:
    [order] = take(incoming_order([incoming_line("S" * 300, title="語" * 3000)]))
    assert len(order.lines[0].title) == 3000
    assert db.session.query(Listing).count() == 1


def test_a_word_that_fits_too_many_says_so(
    take: Callable[..., list[Order]], mia: Actor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(listings, "MOST", 2)
    take(incoming_order([incoming_line(f"MUG-{number}") for number in range(3)]))
    [note] = compile_query(parse("mug"), mia).notes
    assert "more than 2 products" in note
    with pytest.raises(QueryMistake, match="more than 2 products"):
        compile_query(parse("sku:MUG*"), mia)
    assert compile_query(parse("sku:MUG-1"), mia).notes == ()

"""Listings are noted once, and lead from words to the terms of their orders."""

from collections.abc import Callable

import pytest
from hypothesis import HealthCheck, given, settings, strategies as st

from webapp.audit.actor import Actor
from webapp.catalog import listings
from webapp.catalog.models import Listing
from webapp.channels.models import Store
from webapp.db import db, unit_of_work
from webapp.errors import Stale
from webapp.orders.models import Order
from webapp.search.compiling import compile_query
from webapp.search.query import QueryMistake, parse
from webapp.search.terms import index_key
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


TEXTS = st.lists(
    st.sampled_from(["MUG", "mug-1", "Mug_1", "1", "mu", "crème brûlée", "青い急須", "青", "a|b", "%", "/", "x" * 50]),
    min_size=1,
    max_size=3,
).map(" ".join)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(products=st.lists(st.tuples(TEXTS, TEXTS), max_size=6), sought=st.lists(TEXTS, min_size=8, unique=True))
def test_many_words_find_what_each_of_them_finds_alone(
    store: Store, products: list[tuple[str, str]], sought: list[str]
) -> None:
    with unit_of_work():
        listings.remember([listings.listing_key(store.id, sku, "B0MUG", title) for sku, title in products])
    for find in (listings.SOURCES[0].find, listings.by_title):
        together = find(sought)
        apart = [find([text]) for text in sought]
        assert together == {text: found[text] for text, found in zip(sought, apart, strict=True) if text in found}


def test_a_word_among_many_that_fits_too_many_says_so(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(listings, "MOST", 2)
    monkeypatch.setattr(listings, "_READ", 2)
    with unit_of_work():
        listings.remember([listings.listing_key(store.id, f"MUG-{number}", "", "a cup") for number in range(3)])
    found = listings.SOURCES[0].find(["mug", "cup", "b-cup", "mug-0", "mug-1", "mug-2"])
    assert [bool(found[text].note) for text in found] == [True, True, False, False, False, False]
    assert [len(found[text].terms) for text in found] == [0, 0, 0, 1, 1, 1]


def test_codes_are_found_whole_and_by_their_beginning(store: Store) -> None:
    skus = ["Mug-1", "MUG-1", "mug-10", "A_B", "AxB", "É-1"]
    keys = {sku: listings.listing_key(store.id, sku, "", "") for sku in skus}
    with unit_of_work():
        ids = listings.remember(keys.values())
    found = listings.by_code(Listing.sku)(["mug-1", "MUG-1*", "a_b", "É-1", "none", "*", "m*0"])
    expected = {
        "mug-1": ["Mug-1", "MUG-1"],
        "MUG-1*": ["Mug-1", "MUG-1", "mug-10"],
        "a_b": ["A_B"],
        "É-1": ["É-1"],
        "none": [],
        "m*0": ["mug-10"],
    }
    assert {value: one.terms for value, [one] in found.items()} == {
        value: listings.terms_of_listings([ids[keys[sku]] for sku in those], index_key())
        for value, those in expected.items()
    }

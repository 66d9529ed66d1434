"""The language of the query bar: how text is parsed, how it is written again, and what no URL may contain."""

from datetime import timedelta

import pytest
from flask import Flask
from hypothesis import HealthCheck, given, settings, strategies as st
from sqlalchemy import update

from webapp.audit.actor import Actor
from webapp.clock import now
from webapp.db import db, unit_of_work
from webapp.search.compiling import compile_query
from webapp.search.models import SealedQuery
from webapp.search.query import Query, QueryMistake, WordsForgotten, keep, parse, reopen
from webapp.search.registered import query_keys
from webapp.search.terms import words

pytestmark = [  # reading a text asks no database
    pytest.mark.usefixtures("app"),
    pytest.mark.parametrize("database", ["sqlite"], indirect=True),
]
ANY_APP = settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=300, deadline=None)
PIECES = st.sampled_from(
    ['"', "\\", ",", ":", "-", "*", "..", "<", ">=", " ", "\t", "\u00a0", "\u200e", "\0", "hold", "due", "buyer",
     "jane", "state", "4h", "山田", "x", "😀", "_", "-hold", 'sku:"A B"*', "buyer:x"]
)  # fmt: skip
TEXTS = st.one_of(st.text(max_size=30), st.lists(PIECES, max_size=12).map("".join))


def read(text: str) -> Query | None:
    try:
        return parse(text)
    except QueryMistake as mistake:
        pointed = 0 <= mistake.start < mistake.end <= len(text) and str(mistake)
    assert pointed
    return None


@ANY_APP
@given(TEXTS)
def test_any_text_is_a_query_or_a_mistake_in_it(text: str) -> None:
    read(text)


@ANY_APP
@given(TEXTS)
def test_a_query_is_written_out_in_one_way(text: str) -> None:
    if (query := read(text)) is not None:
        assert str(parse(str(query))) == str(query)
        assert [(c.key, c.values, c.negated) for c in parse(str(query)).clauses] == [
            (c.key, c.values, c.negated) for c in query.clauses
        ]


@ANY_APP
@given(TEXTS)
def test_both_parts_together_mean_the_same(text: str) -> None:
    if (query := read(text)) is not None:
        again = parse(f"{query.structured} {query.words}")
        assert sorted(clause.text for clause in again.clauses) == sorted(clause.text for clause in query.clauses)


@ANY_APP
@given(TEXTS)
def test_nothing_personal_stands_in_the_structured_part(text: str) -> None:
    if (query := read(text)) is not None:
        keys = query_keys()
        assert all(clause.key and not keys[clause.key].personal for clause in parse(query.structured).clauses)


@ANY_APP
@given(TEXTS)
def test_no_query_with_words_lists_everything(operator: Actor, text: str) -> None:
    """Text without a word is ignored beside words and is a mistake alone, whatever keys there are."""
    query = read(text)
    if query is None or not (said := [clause for clause in query.clauses if not clause.key]):
        return
    try:
        compiled = compile_query(query, operator)
    except QueryMistake:
        return
    assert all(words(clause.values[0]) for clause in said if clause.negated)
    assert any(words(clause.values[0]) for clause in said)
    assert compiled.words or compiled.conditions


def test_the_example_reads_as_it_is_meant() -> None:
    query = parse('due:<4h store:amazon sku:AB*,CD -hold buyer-cancel:yes total:>100 "jane doe"')
    assert [(c.key, c.values, c.negated) for c in query.clauses] == [
        ("due", ("<4h",), False),
        ("store", ("amazon",), False),
        ("sku", ("AB*", "CD"), False),
        ("hold", ("yes",), True),
        ("buyer-cancel", ("yes",), False),
        ("total", (">100",), False),
        ("", ("jane doe",), False),
    ]
    assert query.structured == "due:<4h store:amazon sku:AB*,CD -hold buyer-cancel:yes total:>100"
    assert query.words == '"jane doe"'


@pytest.mark.parametrize(
    ("text", "written"),
    [
        ("HOLD", "hold"),
        ("on-hold:yes", "hold"),
        ("hold:no", "hold:no"),
        ('"hold"', '"hold"'),
        ('store:"My store"', 'store:"My store"'),
        ('sku:"A B"*', 'sku:"A B*"'),
        ('"12:30"', "12:30"),
        ('"due:x"', '"due:x"'),
        ('"jane"', "jane"),
        ('-"jane doe"', '-"jane doe"'),
        ("jane,doe", "jane,doe"),
        ('14"', '14"'),
        ("  a   b ", "a b"),
        ("-", '"-"'),
    ],
)
def test_each_is_written_as_briefly_as_it_can_be(text: str, written: str) -> None:
    assert str(parse(text)) == written


@pytest.mark.parametrize(
    ("text", "start", "end", "says"),
    [
        ("jane due:", 5, 9, "Enter a value directly after"),
        ("jane stat:x", 5, 10, "state:, status:"),
        ("zzzzz:1", 0, 6, "put them in quotation marks"),
        ('state:open "jane', 11, 16, "closing quotation mark"),
        ("x sku:,", 2, 7, "Enter a value directly after"),
    ],
)
def test_a_mistake_is_pointed_at(text: str, start: int, end: int, says: str) -> None:
    with pytest.raises(QueryMistake) as caught:
        parse(text)
    assert (caught.value.start, caught.value.end) == (start, end)
    assert says in str(caught.value)
    assert caught.value.status == 422


def test_clauses_are_taken_away_and_added() -> None:
    query = parse("state:open jane")
    assert str(query.without(query.clauses[0])) == "jane"
    assert str(query.adding("hold state:open")) == "state:open jane hold"
    assert query.names("state")
    assert not query.names("hold")


def test_words_come_back_to_whoever_searched_and_nobody_else(app: Flask, make_user) -> None:
    mia, tom = make_user(), make_user(name="Tom")
    with unit_of_work():
        structured, token = keep(parse('state:open buyer:doe "jane doe"'), mia)
    assert structured == "state:open"
    assert str(reopen(structured, token, mia)) == 'state:open buyer:doe "jane doe"'
    stored = db.session.query(SealedQuery).one()
    assert b"jane" not in stored.sealed
    with pytest.raises(WordsForgotten):
        reopen(structured, token, tom)
    with pytest.raises(WordsForgotten):
        reopen(structured, "unknown", mia)


def test_words_are_forgotten_after_a_day(app: Flask, mia: Actor) -> None:
    with unit_of_work():
        structured, token = keep(parse("jane"), mia)
        db.session.execute(update(SealedQuery).values(at=now() - timedelta(days=1, minutes=1)))
    with pytest.raises(WordsForgotten):
        reopen(structured, token, mia)


def test_a_query_without_words_needs_no_token(app: Flask, mia: Actor) -> None:
    assert keep(parse("state:open"), mia) == ("state:open", "")
    assert str(reopen("state:open", "", mia)) == "state:open"

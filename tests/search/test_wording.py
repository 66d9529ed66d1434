"""The query language in French: typed, shown and suggested in French, stored in English."""

import re
from collections.abc import Iterator

import pytest
from flask import Flask
from hypothesis import HealthCheck, given, settings, strategies as st

from webapp.audit.actor import Actor
from webapp.channels.models import Store
from webapp.i18n import LANGUAGES, LazyString, spoken
from webapp.lists.subjects import subjects as list_subjects
from webapp.search.compiling import check_query
from webapp.search.completion import complete
from webapp.search.contract import KeyKind, QueryKey
from webapp.search.query import QueryMistake, parse, written
from webapp.search.registered import choices_of, query_keys, subjects
from webapp.search.values import choice_words, in_codes, in_words, shown
from webapp.search.wording import KEY, find_key, folded, name_of

pytestmark = pytest.mark.parametrize("database", ["sqlite"], indirect=True)  # what is read depends on no database
ANY_QUERY = settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=200, deadline=None)
DAYS = st.sampled_from(["today", "tomorrow", "late", "2026-11-20", "2026-11", "-7d", "4h", "2w", "30min", "5m", "x"])
TIMES = st.one_of(DAYS, st.builds("{}{}".format, st.sampled_from(["<", ">=", "..", ">"]), DAYS))
TIMES |= st.builds("{}..{}".format, DAYS, DAYS)
_EXAMPLE = re.compile(r"(?<=[ :])[\w-]+:[<\w][^\s,]*")
WORDS = st.sampled_from(
    ["jane", "état", "etat", "transporteur", "suspendue", "état:ouverte", "aujourd’hui", "-x", "oui"]
)


@pytest.fixture
def french(app: Flask) -> Iterator[None]:
    with app.test_request_context(), spoken("fr"):
        yield


def offered(text: str, actor: Actor) -> list[str]:
    return [text[: one.start] + one.insert + text[one.end :] for one in complete(text, len(text), actor)]


@pytest.mark.usefixtures("french")
def test_french_is_read_with_and_without_accents_and_english_always(mia: Actor) -> None:
    for typed, meant in {
        "état:ouverte": "state:open",
        "ETAT:Ouverte,en-cours -transporteur:DHL*": "state:open,processing -carrier:DHL*",
        'état:"en cours"': "state:processing",
        "e\u0301tat:suspendue": "state:on_hold",
        "expedier-avant:<=aujourd'hui": "due:<=today",
        "expédier-avant:en-retard": "due:late",
        "passée:hier..aujourd’hui modifiee:-7j": "placed:yesterday..today updated:-7d",
        "commande:302-* total:>=99.50": "number:302-* total:>=99.50",
        "cadeau:OUI -suspendue:oui facturée:non": "gift:yes -hold invoiced:no",
        "archivée:toutes": "archived:any",
        "state:open carrier:dhl due:<=today hold": "state:open carrier:dhl due:<=today hold",
    }.items():
        assert str(in_codes(parse(typed), mia)) == meant


@pytest.mark.usefixtures("french")
def test_french_words_without_a_colon_are_words() -> None:
    assert [clause.key for clause in parse('transporteur suspendue -état oui "état:ouverte"').clauses] == [""] * 5
    assert str(parse('"état:ouverte"')) == '"état:ouverte"'


def test_one_stored_query_is_shown_in_each_language(app: Flask, mia: Actor, store: Store) -> None:
    stored = f"state:open,on_hold -hold due:<4h placed:>=-30d store:{store.id} archived:any"
    with app.test_request_context(), spoken("fr"):
        assert shown(stored, mia) == (
            f"état:ouverte,suspendue -suspendue:oui expédier-avant:<4h passée:>=-30j compte:{store.id} archivée:toutes"
        )
        assert shown("nokey:x", mia) == "nokey:x"
    with app.test_request_context(), spoken("en"):
        assert shown(stored, mia) == stored


def values_of(key: QueryKey, actor: Actor) -> st.SearchStrategy[str]:
    """Values of a key, and some that it doesn't know."""
    match key.kind:
        case KeyKind.CHOICE:
            return st.sampled_from([*map(str, choices_of(key, actor)), "oddity", "Autre chose"])
        case KeyKind.YES_NO:
            return st.sampled_from(["yes", "no", "perhaps"])
        case KeyKind.DATE | KeyKind.DEADLINE:
            return TIMES
        case _:
            return st.one_of(WORDS, st.text(min_size=1, max_size=8))


@ANY_QUERY
@given(
    data=st.data(), language=st.sampled_from(sorted(LANGUAGES)), subject=st.sampled_from(["orders", "returns", "calls"])
)
def test_what_is_shown_is_read_as_what_is_stored(
    app: Flask, mia: Actor, store: Store, data: st.DataObject, language: str, subject: str
) -> None:
    keys = query_keys(subject)
    parts = []
    for key in data.draw(st.lists(st.sampled_from([None, *keys.values()]), max_size=4)):
        values = data.draw(st.lists(values_of(key, mia), min_size=1, max_size=3)) if key else []
        parts.append(written(key, tuple(values), data.draw(st.booleans())) if key else data.draw(WORDS))
    with app.test_request_context():
        with spoken("en"):
            try:
                query = in_codes(parse(" ".join(parts), subject), mia)
            except QueryMistake:
                return
        with spoken(language):
            again = in_codes(parse(in_words(query, mia), subject), mia)
            assert str(again) == str(query)
            assert [(c.key, c.values, c.negated, c.personal) for c in again.clauses] == [
                (c.key, c.values, c.negated, c.personal) for c in query.clauses
            ]


@pytest.mark.parametrize("language", [code for code in LANGUAGES if code != "en"])
def test_no_word_of_a_language_means_something_else_in_english(app: Flask, mia: Actor, language: str) -> None:
    with app.test_request_context(), spoken(language):
        for subject in subjects():
            keys = query_keys(subject)
            named = [key for key in keys.values() if key.name]
            assert len({folded(str(key.name)) for key in named}) == len(named)
            for key in named:
                assert KEY.fullmatch(str(key.name)), key.name
                assert find_key(keys, folded(str(key.name))) is key
                assert name_of(key, keys) == str(key.name)
            for key in keys.values():
                choices = choices_of(key, mia)
                translated = [code for code, label in choices.items() if isinstance(label, LazyString)]
                assert set(translated) <= set(choice_words(choices, key.words)), key.code


@pytest.mark.usefixtures("french")
def test_french_is_suggested(mia: Actor, store: Store) -> None:
    assert offered("trans", mia)[0] == "transporteur:"
    assert offered("eta", mia)[0] == "état:"
    assert "état:" in offered("state", mia)
    assert "suspendue:oui" in offered("suspe", mia)
    assert offered("etat:ouv", mia) == ["etat:ouverte"]
    assert offered("state:op", mia) == ["state:ouverte"]
    assert "expédier-avant:<=aujourd’hui" in offered("expédier-avant:", mia)
    assert offered("cadeau:", mia) == ["cadeau:oui", "cadeau:non"]
    for typed in ("état:", "compte:", "échéance:", "passée:", "archivée:", "à-vérifier:"):
        for made in offered(typed, mia):
            check_query(parse(made), mia)


@pytest.mark.usefixtures("french")
def test_mistakes_are_told_in_french(mia: Actor) -> None:
    def mistake(text: str) -> str:
        with pytest.raises(QueryMistake) as caught:
            check_query(parse(text), mia)
        return str(caught.value)

    assert "transporteur:" in mistake("transporter:dhl")
    assert "état:" in mistake("etatt:x")
    assert "« transporteur" in mistake("carrier:").replace("\u00a0", " ")
    assert "ouverte, en-attente, en-cours" in mistake("état:rien")
    assert "« cadeau" in mistake("gift:perhaps").replace("\u00a0", " ")


@pytest.mark.parametrize("language", LANGUAGES)
def test_what_search_boxes_give_as_examples_is_found(app: Flask, mia: Actor, language: str) -> None:
    with app.test_request_context(), spoken(language):
        for code, subject in list_subjects().items():
            examples = re.findall(r"[\w-]+:[^\s,]+", str(subject.words.placeholder))
            examples += [
                one.rstrip(".") for key in query_keys(code).values() for one in _EXAMPLE.findall(str(key.help))
            ]
            for example in examples:
                check_query(parse(example, code), mia)

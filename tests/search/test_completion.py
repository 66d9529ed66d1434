"""The completions of the query bar while somebody types."""

from collections import Counter
from dataclasses import replace

import pytest
from flask import Flask

from webapp.audit.actor import Actor
from webapp.audit.rights import rights_of_built_in
from webapp.channels.models import Store
from webapp.db import db, unit_of_work
from webapp.orders.models import Tag
from webapp.search.completion import complete
from webapp.search.query import parse
from webapp.search.registered import query_keys


def offered(text: str, actor: Actor, position: int | None = None) -> list[str]:
    """The texts after each offered completion."""
    position = len(text) if position is None else position
    return [text[: one.start] + one.insert + text[one.end :] for one in complete(text, position, actor)]


def test_keys_are_completed_by_code_and_by_label(mia: Actor, store: Store) -> None:
    assert offered("sta", mia)[:2] == ["state:", "status:"]
    assert "buyer-cancel:" in offered("buyer w", mia) or "buyer:" in offered("buyer", mia)
    assert offered("state:open -ho", mia) == ["state:open -hold"]  # which says all by itself
    assert offered("sta jane", mia, 2)[0] == "state: jane"
    assert offered("", mia) == offered("jane ", mia) == offered('"sta', mia) == []


def test_keys_whose_name_says_yes_are_completed_without_a_colon(mia: Actor) -> None:
    bare = [key.code for key in query_keys().values() if key.bare]
    assert bare
    for code in bare:
        for typed in (code[:3], f"-{code[:3]}"):
            [made] = [text for text in offered(typed, mia) if text.strip("-") == code]
            [clause] = parse(made).clauses
            assert (clause.key, clause.negated) == (code, typed.startswith("-"))


def test_no_two_keys_are_called_the_same(app: Flask) -> None:
    labels = Counter(str(key.label) for key in query_keys().values())
    assert labels.most_common(1)[0][1] == 1


def test_values_are_completed(mia: Actor, store: Store) -> None:
    with unit_of_work():
        db.session.add(Tag(name="Fragile things"))
    assert offered("state:pro", mia) == ["state:processing", "state:open"]  # prefixes first
    assert offered("state:open,comp", mia) == ["state:open,complete"]
    assert offered("store:fa", mia) == ['store:"Fake store"']
    assert offered('store:"Fake', mia) == ['store:"Fake store"']
    assert offered("tag:fra", mia) == ['tag:"Fragile things"']
    assert offered("hold:", mia) == ["hold:yes", "hold:no"]
    assert "due:<4h" in offered("due:", mia)
    assert "assignee:me" in offered("assignee:", mia)
    assert "assignee:Mia" in offered("assignee:mi", mia)
    assert offered("total:", mia) == offered("nokey:", mia) == []


def test_what_is_offered_can_be_read(mia: Actor, store: Store) -> None:
    for text in ("state:", "store:", "due:", "placed:", "hold:", "archived:", "channel:", "attention:"):
        for made in offered(text, mia):
            assert len(parse(made).clauses) == 1


@pytest.mark.parametrize("key", ["buyer", "email", "phone", "postcode", "comment"])
def test_keys_of_buyers_are_offered_to_who_may_see_buyers(mia: Actor, key: str) -> None:
    assert f"{key}:" in offered(key, mia)
    assert f"{key}:" not in offered(key, replace(mia, rights=rights_of_built_in("read_only")))

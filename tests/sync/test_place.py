"""A copy of a desk sends nothing until a person lets it."""

from collections.abc import Callable

import pytest
from flask import Flask
from sqlalchemy import select

from webapp.audit.actor import Actor
from webapp.audit.models import AuditEntry
from webapp.channels.models import Store
from webapp.channels.services import add_store
from webapp.db import db, unit_of_work
from webapp.errors import Forbidden, sentence_of
from webapp.sync import activity, place
from webapp.sync.models import DeskPlace


@pytest.fixture
def practice(store: Store) -> Store:
    with unit_of_work():
        return add_store("fake", "To practice", {"key": "secret"}, actor=Actor.operator(), practice=True)


@pytest.fixture(autouse=True)
def _known(app: Flask) -> None:
    assert not place.check_place()
    assert not place.check_place()


def moved_from(**fields: str) -> None:
    """The database was used last at another place."""
    with unit_of_work():
        row = db.session.scalars(select(DeskPlace)).one()
        for name, value in fields.items():
            setattr(row, name, value)


def test_another_database_stops_sending_once_and_a_person_lets_it_again(
    store: Store, practice: Store, make_user: Callable[..., Actor]
) -> None:
    olga = make_user("owner", "Olga")
    moved_from(database="elsewhere")
    assert place.check_place()
    assert not place.check_place()
    db.session.expire_all()
    assert "another place" in (sentence_of(store.read_only) or "")
    assert practice.read_only is None
    assert "another_place" in db.session.scalars(select(AuditEntry.code)).all()
    with unit_of_work():
        activity.let_send(db.session.get_one(Store, store.id), actor=olga)
    assert not place.check_place()
    assert db.session.get_one(Store, store.id).read_only is None


def test_another_address_stops_sending_and_a_first_one_does_not(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    here = place.configuration()
    monkeypatch.setattr(place, "configuration", lambda: here.model_copy(update={"url": "https://desk.example"}))
    assert not place.check_place()
    monkeypatch.setattr(place, "configuration", lambda: here.model_copy(update={"url": "https://staging.example"}))
    assert place.check_place()
    db.session.expire_all()
    assert store.read_only is not None
    monkeypatch.setattr(place, "configuration", lambda: here)  # a command without the variable
    assert not place.check_place()


def test_what_is_read_only_for_another_reason_stays_so(store: Store) -> None:
    with unit_of_work():
        db.session.get_one(Store, store.id).read_only = activity.OlderDatabase().stored()
    moved_from(database="elsewhere")
    assert place.check_place()
    db.session.expire_all()
    assert store.read_only == activity.OlderDatabase().stored()


def test_a_person_stops_sending_and_lets_it_again(store: Store, make_user: Callable[..., Actor]) -> None:
    olga, carl = make_user("owner", "Olga"), make_user("clerk", "Carl")
    with pytest.raises(Forbidden), unit_of_work():
        activity.stop_sending(db.session.get_one(Store, store.id), actor=carl)
    for _ in range(2):
        with unit_of_work():
            activity.stop_sending(db.session.get_one(Store, store.id), actor=olga)
    assert sentence_of(db.session.get_one(Store, store.id).read_only)
    codes = [code for code in db.session.scalars(select(AuditEntry.code)) if code == "store_sending_stopped"]
    assert codes == ["store_sending_stopped"]
    with unit_of_work():
        activity.archive(db.session.get_one(Store, store.id), actor=olga)
    with pytest.raises(activity.StoreArchived), unit_of_work():
        activity.stop_sending(db.session.get_one(Store, store.id), actor=olga)

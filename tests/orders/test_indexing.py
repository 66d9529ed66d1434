"""The run that puts orders into the search index: never against an erasure."""

from collections.abc import Callable
from threading import Event, Thread
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import func, select

from webapp.audit.actor import Actor
from webapp.db import db, unit_of_work
from webapp.jobs import runs
from webapp.orders import indexing
from webapp.orders.models import Order
from webapp.orders.search_words import terms_of_buyer
from webapp.search.models import SearchTerm
from webapp.search.terms import index_key
from webapp.testing import incoming_order
from webapp.vault import services as vault


def test_whoever_is_erased_meanwhile_is_not_indexed_again(
    app: Flask, take: Callable[..., list[Order]], monkeypatch: pytest.MonkeyPatch
) -> None:
    told = incoming_order()
    [order] = take(told)
    order_id, theirs = order.id, terms_of_buyer(told.buyer, index_key())
    known = select(func.count()).select_from(SearchTerm).where(SearchTerm.term.in_(theirs))
    assert db.session.scalar(known)
    with unit_of_work():
        run_id = runs.begin(indexing.KIND, actor=Actor.operator(), total=1).id
    read, erased = Event(), Event()
    whole = indexing._personal_terms

    def slowly(*given: Any) -> dict[int, frozenset[int]]:
        found = whole(*given)
        if not read.is_set():
            read.set()
            erased.wait(1)  # an erasure that did not wait would be finished by then
        return found

    def erase() -> None:
        with app.app_context():
            read.wait(60)
            with unit_of_work():
                vault.erase([order_id])
            erased.set()

    monkeypatch.setattr(indexing, "_personal_terms", slowly)
    eraser = Thread(target=erase)
    eraser.start()
    indexing.index_orders(run_id, 0)
    eraser.join(60)
    assert erased.is_set()
    db.session.rollback()
    assert db.session.scalar(known) == 0

"""Saved views belong to the person who saved them; their words are sealed; a layout only has columns of the list."""

from collections.abc import Callable, Sequence
from datetime import timedelta

import pytest
import time_machine
from sqlalchemy import select

from webapp.accounts.models import User
from webapp.audit.actor import Actor
from webapp.clock import now
from webapp.db import db, unit_of_work
from webapp.errors import Forbidden, Invalid, NotFound
from webapp.lists.jobs import renew_views
from webapp.lists.models import SavedView
from webapp.lists.saved_views import (
    Layout,
    View,
    change_view,
    delete_view,
    forget_layout,
    list_state,
    move_view,
    remember_layout,
    remember_sort,
    rename_value,
    save_view,
    set_start_view,
    shown_columns,
)
from webapp.search.query import open_words, parse
from webapp.search.registered import list_columns
from webapp.vault.key_file import key_file, period_of


@pytest.fixture
def saved(mia: Actor) -> str:
    """The code of a view that Mia saved."""
    with unit_of_work():
        return str(save_view("  My   work ", parse("state:open -hold"), actor=mia, sort="ship_by").id)


def names(actor: Actor) -> list[str]:
    return [str(view.name) for view in list_state(actor).views]


def test_a_view_is_its_owners_alone_until_it_is_shared(saved: str, mia: Actor, make_user: Callable[..., Actor]) -> None:
    manager = make_user("manager", "Max")
    assert names(mia) == ["My work"]
    assert names(manager) == []
    with unit_of_work(), pytest.raises(Forbidden):
        change_view(saved, actor=mia, shared=True)
    for act in (change_view, delete_view):
        with unit_of_work(), pytest.raises(NotFound):
            act(saved, actor=manager)
    with unit_of_work():
        save_view("Team", parse("attention:yes"), actor=manager, shared=True)
    [own, team] = list_state(mia).views
    assert (own.own, team.own, team.shared, team.query) == (True, False, True, "attention:yes")


def test_words_of_a_view_are_sealed_and_shown_only_to_who_may_see_buyers(
    mia: Actor, make_user: Callable[..., Actor]
) -> None:
    owner, reader = make_user("owner", "Olga"), make_user("read_only", "Rita")
    with unit_of_work():
        save_view("Jane", parse('state:open "jane quixelworth"'), actor=owner, shared=True)
    row = db.session.scalars(select(SavedView)).one()
    assert row.query == "state:open"
    assert row.sealed is not None
    assert b"quixelworth" not in row.sealed.lower()

    [view] = list_state(mia).views
    assert view.text == 'state:open "jane quixelworth"'
    assert "quixelworth" not in repr(view)
    assert list_state(reader).views == ()


@pytest.mark.parametrize("name", ["", "   ", "x" * 61, "a\0b", "my WORK"])
def test_a_view_needs_a_name_of_its_own(saved: str, mia: Actor, name: str) -> None:
    with unit_of_work(), pytest.raises(Invalid):
        save_view(name, parse(""), actor=mia)


def test_views_are_moved_renamed_and_deleted(saved: str, mia: Actor) -> None:
    with unit_of_work():
        second = str(save_view("Second", parse(""), actor=mia).id)
        third = str(save_view("Third", parse(""), actor=mia).id)
    with unit_of_work():
        move_view(third, -1, actor=mia)
        change_view(second, actor=mia, name="Last", query=parse("attention:yes"))
        set_start_view(saved, actor=mia)
    assert names(mia) == ["My work", "Third", "Last"]
    assert list_state(mia).start_view == saved
    with unit_of_work():
        delete_view(saved, actor=mia)
    assert names(mia) == ["Third", "Last"]
    assert db.session.get_one(User, mia.id).start_view == ""


def test_a_layout_is_remembered_within_reason(mia: Actor) -> None:
    assert list_state(mia).layout == Layout()
    with unit_of_work():
        remember_layout(mia, [("total", 9000), ("gone", None), ("number", 2), ("state", None)], dense=True)
        remember_sort(mia, "-total")

    layout = list_state(mia).layout

    assert layout == Layout((("total", 800), ("gone", None), ("number", 48), ("state", None)), "-total", True)
    shown = shown_columns(layout, list_columns(), mia)
    assert [(column.code, width) for column, width in shown] == [("number", 48), ("total", 800), ("state", 160)]
    with unit_of_work():
        forget_layout(mia)
    assert list_state(mia).layout == Layout()


def test_the_number_is_shown_first_whatever_was_chosen(mia: Actor) -> None:
    """Without the number, no order could be opened from the list."""
    chosen: Sequence[Sequence[tuple[str, int | None]]] = ([("total", None)], [("total", None), ("number", 90)])
    for columns_ in chosen:
        layout = Layout(tuple(columns_))
        view = View("1", "Money", "", columns=[{"code": code, "width": width} for code, width in columns_])
        for shown in (shown_columns(layout, list_columns(), mia), shown_columns(Layout(), list_columns(), mia, view)):
            assert [(column.code, width) for column, width in shown] == [
                ("number", dict(columns_).get("number") or 172),
                ("total", 115),
            ]


def test_columns_of_buyers_are_left_out_for_who_may_not_see_them(make_user: Callable[..., Actor]) -> None:
    reader = make_user("read_only", "Rita")
    shown = shown_columns(Layout((("number", None), ("address", None))), list_columns(), reader)
    assert [column.code for column, _ in shown] == ["number"]
    assert "buyer" not in [column.code for column, _ in shown_columns(Layout(), list_columns(), reader)]


def test_only_people_have_views(operator: Actor, saved: str) -> None:
    assert list_state(operator).views == ()


def test_words_of_a_view_need_no_past_weeks_key(mia: Actor) -> None:
    with unit_of_work():
        code = save_view("Jane", parse("Quixelworth state:open"), actor=mia).id
    week = db.session.get_one(SavedView, code).period
    with time_machine.travel(now() + timedelta(days=8)):
        renew_views()
        db.session.expire_all()
        row = db.session.get_one(SavedView, code)
        assert (week, row.period) == (period_of(now() - timedelta(days=8)), period_of(now()))
        key_file().destroy(str(week))
        assert open_words(str(row.period), row.sealed or b"").strip() == "Quixelworth"


def test_a_value_is_renamed_in_views_whatever_became_of_the_subjects_of_others(mia: Actor) -> None:
    with unit_of_work():
        for name, subject in (("Gone", "seals"), ("Mine", "orders")):
            row = SavedView(user_id=mia.id, name=name, subject=subject, query="tag:VIP", created_at=now())
            db.session.add(row)
    with unit_of_work():
        rename_value("tag", "VIP", "Best")
    queries = {row.name: row.query for row in db.session.scalars(select(SavedView))}
    assert queries == {"Gone": "tag:VIP", "Mine": "tag:Best"}

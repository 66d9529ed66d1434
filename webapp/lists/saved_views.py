"""Saved views and layouts: lists that people saved under a name, and each person's layout of a list.

A view belongs to the person who saved it; a shared view is shown to everybody. Its words may name a buyer, so they are
sealed, and a shared view with words is shown only to people who may see buyers. Choices are stored by their codes, so
that a view can be read in every language. Each change of a layout is saved.
"""

import secrets
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from sqlalchemy import ColumnElement, and_, delete, func, or_, select

from webapp.accounts.models import User
from webapp.audit.actor import Actor, ActorKind
from webapp.clock import now
from webapp.db import db
from webapp.errors import Invalid, NotFound
from webapp.i18n import LazyString, lazy_gettext as _l
from webapp.lists.models import ListLayout, SavedView
from webapp.search.contract import ORDERS, Column
from webapp.search.models import SealedQuery
from webapp.search.query import SEALED, Query, open_words, renamed, seal_words, under
from webapp.search.values import in_codes
from webapp.vault import services as vault
from webapp.vault.key_file import period_of

EVERYTHING = "all"  # the view of all rows
NARROWEST, WIDEST = 48, 800
_LONGEST_NAME = 60
_DELETED = "deleted view"
_RESTORED = ("name", "subject", "shared", "query", "period", "sort", "columns", "position")


@dataclass(frozen=True, slots=True)
class View:
    """A list under a name: a predefined view, which every desk has, or one that a person saved."""

    code: str
    name: LazyString | str
    query: str  # without the words that may name a buyer
    sort: str = ""
    shared: bool = False
    own: bool = False
    sealed: tuple[str, bytes] | None = field(default=None, repr=False)
    columns: Sequence[Mapping[str, Any]] | None = None
    adds: Sequence[str] = ()  # codes of columns that a predefined view shows before the person's own
    tone: str = ""  # of its count; a tab with the tone warn or bad is shown only if there are such rows

    @property
    def saved(self) -> bool:
        return self.code.isdigit()

    @property
    def words(self) -> str:
        """The words that may name a buyer. Raises `WordsForgotten` once the key that sealed them is destroyed."""
        return open_words(*self.sealed) if self.sealed else ""

    @property
    def text(self) -> str:
        """The whole query, words included."""
        return " ".join(filter(None, (self.query, self.words)))


@dataclass(frozen=True, slots=True)
class Layout:
    """The columns of a list in their order, with their widths; a width of None is the column's default width."""

    columns: tuple[tuple[str, int | None], ...] = ()
    sort: str = ""
    dense: bool = False


@dataclass(frozen=True, slots=True)
class ListState:
    """What the desk stores for a person's list: the start view, the layout, the saved views that they may see, and the
    sealed words of a token.
    """

    start_view: str = ""
    layout: Layout = Layout()
    views: tuple[View, ...] = ()
    sealed: tuple[str, bytes] | None = field(default=None, repr=False)
    starts_with: str = ""  # the code of another subject whose list has the view to begin with


def list_state(actor: Actor, token: str = "", subject: str = ORDERS) -> ListState:
    """Read what is stored for the actor's list of this subject, in one query; empty if the actor is not a person."""
    if actor.kind is not ActorKind.PERSON:
        return ListState()
    query = (
        select(User.start_view, SealedQuery.period, SealedQuery.sealed, ListLayout, SavedView)
        .outerjoin(ListLayout, (ListLayout.user_id == User.id) & (ListLayout.name == subject))
        .outerjoin(SealedQuery, and_(under(token), SealedQuery.user_id == User.id))
        .outerjoin(SavedView, and_(SavedView.subject == subject, or_(SavedView.user_id == User.id, SavedView.shared)))
        .where(User.id == actor.id)
        .order_by(SavedView.position, SavedView.id)
    )
    rows: list[Any] = list(db.session.execute(query))  # outer joins: layout and view may be None
    if not rows:
        return ListState()
    start_view, period, sealed, layout, _ = rows[0]
    views = [_view(saved, actor) for *_, saved in rows if saved is not None and _may_see(saved, actor)]
    its_subject, code = split_start_view(start_view)
    begins, other = (code, "") if its_subject == subject else ("", its_subject)
    return ListState(begins, _layout(layout), tuple(views), (period, sealed) if period else None, other if code else "")


def views_by_subject(actor: Actor) -> dict[str, list[View]]:
    """The saved views that a person has in all lists, by the subject's code, in one query."""
    query = select(SavedView).where(or_(SavedView.user_id == actor.id, SavedView.shared))
    found: dict[str, list[View]] = {}
    for saved in db.session.scalars(query.order_by(SavedView.position, SavedView.id)):
        if _may_see(saved, actor):
            found.setdefault(saved.subject, []).append(_view(saved, actor))
    return found


def _may_see(view: SavedView, actor: Actor) -> bool:
    return view.user_id == actor.id or (view.shared and (view.sealed is None or actor.may("buyers.see")))


def _view(saved: SavedView, actor: Actor) -> View:
    return View(
        code=str(saved.id),
        name=saved.name,
        query=saved.query,
        sort=saved.sort,
        shared=saved.shared,
        own=saved.user_id == actor.id,
        sealed=(saved.period, saved.sealed) if saved.sealed is not None and saved.period else None,
        columns=saved.columns,
    )


# --- Views ------------------------------------------------------------------------------------------------------------


def save_view(
    name: str,
    query: Query,
    *,
    actor: Actor,
    sort: str = "",
    columns: Iterable[tuple[str, int | None]] | None = None,
    shared: bool = False,
) -> SavedView:
    """Save a list of the query's subject under a name, as the person's last view; with `columns`, everybody who opens
    the view sees these. `shared` needs the right `views.share`.
    """
    if shared:
        actor.needs("views.share")
    last = select(func.coalesce(func.max(SavedView.position), 0)).where(*_own_views(actor, query.subject))
    row = SavedView(
        user_id=actor.id,
        name=_checked_name(name, actor, query.subject),
        subject=query.subject,
        shared=shared,
        position=(db.session.scalar(last) or 0) + 1,
        created_at=now(),
        sort=sort,
        columns=_kept_columns(columns) if columns is not None else None,
        query="",
    )
    _set_query(row, query, actor)
    db.session.add(row)
    db.session.flush()
    return row


def change_view(
    code: str,
    *,
    actor: Actor,
    name: str | None = None,
    query: Query | None = None,
    sort: str | None = None,
    shared: bool | None = None,
) -> SavedView:
    """Rename or share a view, or replace its query or its sorting; only the person who saved it may."""
    row = own_view(code, actor)
    if name is not None:
        row.name = _checked_name(name, actor, row.subject, row.id)
    if shared is not None and shared is not row.shared:
        actor.needs("views.share")
        row.shared = shared
    if query is not None:
        _set_query(row, query, actor)
    if sort is not None:
        row.sort = sort
    return row


def keep_columns(code: str, columns: Iterable[tuple[str, int | None]] | None, *, actor: Actor) -> None:
    """Set the columns that a view shows to everybody; with None, it shows the columns of each person's layout."""
    own_view(code, actor).columns = _kept_columns(columns) if columns is not None else None


def move_view(code: str, by: int, *, actor: Actor) -> None:
    """Move a view by this many places among the person's own views."""
    row = own_view(code, actor)
    own = list(
        db.session.scalars(
            select(SavedView).where(*_own_views(actor, row.subject)).order_by(SavedView.position, SavedView.id)
        )
    )
    at = own.index(row)
    own.insert(max(0, at + by), own.pop(at))
    for position, view in enumerate(own, start=1):
        view.position = position


def delete_view(code: str, *, actor: Actor) -> str:
    """Delete a view, also as a start view. Returns a token with which the same person can restore it for a day.

    Until then the whole view is kept with the sealed queries, sealed with the week's key.
    """
    row = own_view(code, actor)
    begun = list(db.session.scalars(select(User).where(User.start_view == _start_view(row.subject, str(row.id)))))
    for user in begun:
        user.start_view = ""
    params = {name: getattr(row, name) for name in _RESTORED}
    params |= {"sealed": row.sealed.hex() if row.sealed else None, "begun": [user.id for user in begun]}
    period, sealed = vault.seal_apart(_DELETED, params)
    kept = SealedQuery(token=secrets.token_urlsafe(16), user_id=actor.id, period=period, sealed=sealed, at=now())
    db.session.add(kept)
    db.session.delete(row)
    return kept.token


def restore_view(token: str, *, actor: Actor) -> SavedView:
    """Restore a deleted view, also as the start view of the people who had it and have chosen no other since.

    Raises `NotFound` if it is no longer kept, and `Invalid` if another view has its name.
    """
    kept = db.session.scalar(select(SealedQuery).where(under(token), SealedQuery.user_id == actor.id))
    params = vault.open_apart(_DELETED, kept.period, kept.sealed) if kept else None
    if params is None:
        raise NotFound(name=token)
    params.setdefault("subject", ORDERS)  # missing if an earlier version deleted it
    _checked_name(params["name"], actor, params["subject"])
    sealed = bytes.fromhex(params["sealed"]) if params["sealed"] else None
    row = SavedView(**{name: params[name] for name in _RESTORED}, sealed=sealed, user_id=actor.id, created_at=now())
    db.session.add(row)
    db.session.delete(kept)
    db.session.flush()
    for user in db.session.scalars(select(User).where(User.id.in_(params["begun"]), User.start_view == "")):
        user.start_view = _start_view(row.subject, str(row.id))
    return row


def rename_value(key: str, old: str, new: str) -> None:
    """Rename a value of a key in everybody's views, of all subjects; called when the thing of that name is renamed."""
    for row in db.session.scalars(select(SavedView).where(SavedView.query.contains(f"{key}:", autoescape=True))):
        row.query = renamed(row.query, key, old, new, row.subject)


def seal_again() -> None:
    """Seal words of earlier weeks again with this week's key; words that can't be opened stay as they are."""
    week = period_of(now())
    for row in db.session.scalars(select(SavedView).where(SavedView.period != week).with_for_update()):
        words = vault.open_apart(SEALED, row.period, row.sealed) if row.period and row.sealed else None
        if words is not None:
            row.period, row.sealed = seal_words(words)


def own_view(code: str, actor: Actor) -> SavedView:
    """The view of this code, if the actor saved it. Raises `NotFound` for other people's views."""
    row = db.session.get(SavedView, int(code)) if code.isdecimal() and len(code) < 10 else None
    if row is None or row.user_id != actor.id:
        raise NotFound(name=code)
    return row


def set_start_view(code: str, *, actor: Actor, subject: str = ORDERS) -> None:
    """Make this view the person's start view; with an empty code, the desk opens with the dashboard."""
    db.session.get_one(User, actor.id).start_view = _start_view(subject, code)


def split_start_view(start_view: str) -> tuple[str, str]:
    """The subject and the code of a stored start view."""
    subject, _, code = start_view.rpartition(":")
    return subject or ORDERS, code


def _start_view(subject: str, code: str) -> str:
    return code if subject == ORDERS or not code else f"{subject}:{code}"


def _set_query(row: SavedView, query: Query, actor: Actor) -> None:
    query = in_codes(query, actor)
    row.query = query.structured
    row.period, row.sealed = seal_words(query.words) if query.words else (None, None)


def _own_views(actor: Actor, subject: str) -> tuple[ColumnElement[bool], ...]:
    """The views of this subject that the person saved."""
    return SavedView.user_id == actor.id, SavedView.subject == subject


def _checked_name(name: str, actor: Actor, subject: str, own: int | None = None) -> str:
    name = " ".join(name.split())
    if not name:
        raise Invalid(field="name", problem=_l("Enter a value."))
    if len(name) > _LONGEST_NAME or not name.isprintable():
        raise Invalid(field="name", problem=_l("This text is too long. Shorten it."))
    taken = select(SavedView.id).where(*_own_views(actor, subject), func.lower(SavedView.name) == name.lower())
    if any(id_ != own for id_ in db.session.scalars(taken)):
        raise Invalid(field="name", problem=_l("Another of your views has this name. Choose another name."))
    return name


# --- Layouts ----------------------------------------------------------------------------------------------------------


def remember_layout(
    actor: Actor, columns: Iterable[tuple[str, int | None]], *, dense: bool, subject: str = ORDERS
) -> Layout:
    """Save the person's layout of the list; widths are limited to a usable range."""
    row = _own_layout(actor, subject)
    row.columns = _kept_columns(columns)
    row.dense = dense
    return _layout(row)


def remember_sort(actor: Actor, sort: str, subject: str = ORDERS) -> None:
    """Save the person's default sorting of the list."""
    _own_layout(actor, subject).sort = sort


def forget_layout(actor: Actor, subject: str = ORDERS) -> None:
    """Delete the person's layout of the list, which then has the desk's default columns."""
    db.session.execute(delete(ListLayout).where(ListLayout.user_id == actor.id, ListLayout.name == subject))


def layout_in(layout: Layout, view: View | None) -> Layout:
    """The person's layout in this view: with the view's columns if it has its own."""
    return layout if view is None or view.columns is None else replace(layout, columns=_pairs(view.columns))


def shown_columns(
    layout: Layout, known: Mapping[str, Column], actor: Actor, view: View | None = None
) -> list[tuple[Column, int]]:
    """The columns that a list shows, with their widths: the view's, or else the person's, or else the default ones.

    Columns that are always shown come first, then those that the view adds. Columns that are no longer registered, or
    that the actor may not see, are left out.
    """
    chosen = _own_columns(layout, known, view)
    first = [code for code, column in known.items() if column.always]
    codes = dict.fromkeys([*first, *added_columns(layout, known, view), *chosen])
    found = [(known[code], chosen.get(code)) for code in codes if code in known]
    return [(column, width or column.width) for column, width in found if may_show(column, actor)]


def added_columns(layout: Layout, known: Mapping[str, Column], view: View | None) -> list[str]:
    """The codes of the columns that the view adds to the person's own; they are not part of any layout."""
    own = _own_columns(layout, known, view)
    return [code for code in (view.adds if view else ()) if code not in own]


def _own_columns(layout: Layout, known: Mapping[str, Column], view: View | None) -> dict[str, int | None]:
    chosen = dict(layout_in(layout, view).columns)
    return chosen or {code: None for code, column in known.items() if column.default}


def may_show(column: Column, actor: Actor) -> bool:
    """Whether this person may see what the column shows."""
    return not column.personal or actor.may("buyers.see")


def _own_layout(actor: Actor, subject: str) -> ListLayout:
    row = db.session.get(ListLayout, (actor.id, subject))
    if row is None:
        row = ListLayout(user_id=actor.id, name=subject, columns=[], sort="", dense=False)
        db.session.add(row)
    return row


def _layout(row: ListLayout | None) -> Layout:
    return Layout(_pairs(row.columns), row.sort, row.dense) if row else Layout()


def _kept_columns(columns: Iterable[tuple[str, int | None]]) -> list[dict[str, Any]]:
    return [
        {"code": code} if width is None else {"code": code, "width": min(max(width, NARROWEST), WIDEST)}
        for code, width in dict(columns).items()
    ]


def _pairs(columns: Sequence[Mapping[str, Any]]) -> tuple[tuple[str, int | None], ...]:
    return tuple((str(column["code"]), column.get("width")) for column in columns)

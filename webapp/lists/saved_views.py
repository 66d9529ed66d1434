"""Saved views and layouts: the lists that people named, and how each person laid out theirs.

A view belongs to whoever saved it; sharing shows it to everybody. Its words may name a buyer: they are sealed, and a
shared view that has any is shown only to who may see buyers. Choices stand in it by their codes, so that it is read in
every language. A layout is remembered without anybody asking for it.
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

EVERYTHING = "all"  # the view that shows all there is
NARROWEST, WIDEST = 48, 800
_LONGEST_NAME = 60
_DELETED = "deleted view"
_RESTORED = ("name", "subject", "shared", "query", "period", "sort", "columns", "position")


@dataclass(frozen=True, slots=True)
class View:
    """A list with a name: one that every desk has, or one that somebody saved."""

    code: str
    name: LazyString | str
    query: str  # without the words that may name a buyer
    sort: str = ""
    shared: bool = False
    own: bool = False
    sealed: tuple[str, bytes] | None = field(default=None, repr=False)
    columns: Sequence[Mapping[str, Any]] | None = None

    @property
    def saved(self) -> bool:
        return self.code.isdigit()

    @property
    def words(self) -> str:
        """The words that may name a buyer. Raises `WordsForgotten` once the key that sealed them is destroyed."""
        return open_words(*self.sealed) if self.sealed else ""

    @property
    def text(self) -> str:
        """The whole query."""
        return " ".join(filter(None, (self.query, self.words)))


@dataclass(frozen=True, slots=True)
class Layout:
    """Which columns a list shows, in which order and how wide; a width of None is the column's own."""

    columns: tuple[tuple[str, int | None], ...] = ()
    sort: str = ""
    dense: bool = False


@dataclass(frozen=True, slots=True)
class Kept:
    """What the desk keeps of a person's list: the view to begin with, the layout, the views saved, and the words that
    stand under a token.
    """

    start_view: str = ""
    layout: Layout = Layout()
    views: tuple[View, ...] = ()
    sealed: tuple[str, bytes] | None = field(default=None, repr=False)


def kept_for(actor: Actor, token: str = "", subject: str = ORDERS) -> Kept:
    """All of it for lists of this subject, in one query; nothing for who is no person."""
    if actor.kind is not ActorKind.PERSON:
        return Kept()
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
        return Kept()
    start_view, period, sealed, layout, _ = rows[0]
    views = [_view(saved, actor) for *_, saved in rows if saved is not None and _may_see(saved, actor)]
    its_subject, code = started(start_view)
    begins = code if its_subject == subject else ""
    return Kept(begins, _layout(layout), tuple(views), (period, sealed) if period else None)


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
    """Keep a list of the query's subject under a name, behind the person's others; with columns, whoever opens it sees
    those. Sharing needs its right.
    """
    if shared:
        actor.needs("views.share")
    last = select(func.coalesce(func.max(SavedView.position), 0)).where(*_own(actor, query.subject))
    row = SavedView(
        user_id=actor.id,
        name=_name(name, actor, query.subject),
        subject=query.subject,
        shared=shared,
        position=(db.session.scalar(last) or 0) + 1,
        created_at=now(),
        sort=sort,
        columns=_kept_columns(columns) if columns is not None else None,
        query="",
    )
    _fill(row, query, actor)
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
    """Rename, share, or keep another list under a view's name; only whoever saved it may."""
    row = own_view(code, actor)
    if name is not None:
        row.name = _name(name, actor, row.subject, row.id)
    if shared is not None and shared is not row.shared:
        actor.needs("views.share")
        row.shared = shared
    if query is not None:
        _fill(row, query, actor)
    if sort is not None:
        row.sort = sort
    return row


def keep_columns(code: str, columns: Iterable[tuple[str, int | None]] | None, *, actor: Actor) -> None:
    """Let a view show these columns to whoever opens it; None: the columns of each person's own list."""
    own_view(code, actor).columns = _kept_columns(columns) if columns is not None else None


def move_view(code: str, by: int, *, actor: Actor) -> None:
    """Put a view before or behind its neighbor among the person's own."""
    row = own_view(code, actor)
    own = list(
        db.session.scalars(
            select(SavedView).where(*_own(actor, row.subject)).order_by(SavedView.position, SavedView.id)
        )
    )
    at = own.index(row)
    own.insert(max(0, at + by), own.pop(at))
    for position, view in enumerate(own, start=1):
        view.position = position


def delete_view(code: str, *, actor: Actor) -> str:
    """Take a view away, and that anybody begins with it; the token brings it back, for a day and to whoever deleted it.

    Until then it is kept where sealed queries are, all of it under the week's key.
    """
    row = own_view(code, actor)
    begun = list(db.session.scalars(select(User).where(User.start_view == _start(row.subject, str(row.id)))))
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
    """Bring a deleted view back as it was, for those who began with it too, unless they begin elsewhere by now.

    Raises `NotFound` once it is forgotten, `Invalid` where another view has its name.
    """
    kept = db.session.scalar(select(SealedQuery).where(under(token), SealedQuery.user_id == actor.id))
    params = vault.open_apart(_DELETED, kept.period, kept.sealed) if kept else None
    if params is None:
        raise NotFound(name=token)
    params.setdefault("subject", ORDERS)  # of a view that an earlier version deleted
    _name(params["name"], actor, params["subject"])
    sealed = bytes.fromhex(params["sealed"]) if params["sealed"] else None
    row = SavedView(**{name: params[name] for name in _RESTORED}, sealed=sealed, user_id=actor.id, created_at=now())
    db.session.add(row)
    db.session.delete(kept)
    db.session.flush()
    for user in db.session.scalars(select(User).where(User.id.in_(params["begun"]), User.start_view == "")):
        user.start_view = _start(row.subject, str(row.id))
    return row


def rename_value(key: str, old: str, new: str) -> None:
    """Call a value of a key otherwise in everybody's views, of any subject; for whoever renames what they name."""
    for row in db.session.scalars(select(SavedView).where(SavedView.query.contains(f"{key}:", autoescape=True))):
        row.query = renamed(row.query, key, old, new, row.subject)


def seal_again() -> None:
    """Seal the words of views that were sealed in an earlier week under this week's key; those that don't open stay."""
    week = period_of(now())
    for row in db.session.scalars(select(SavedView).where(SavedView.period != week).with_for_update()):
        words = vault.open_apart(SEALED, row.period, row.sealed) if row.period and row.sealed else None
        if words is not None:
            row.period, row.sealed = seal_words(words)


def own_view(code: str, actor: Actor) -> SavedView:
    """A view that this person saved; raises `NotFound` for anybody else's."""
    row = db.session.get(SavedView, int(code)) if code.isdecimal() and len(code) < 10 else None
    if row is None or row.user_id != actor.id:
        raise NotFound(name=code)
    return row


def begin_with(code: str, *, actor: Actor, subject: str = ORDERS) -> None:
    """Open the desk with this view from now on; empty for the dashboard."""
    db.session.get_one(User, actor.id).start_view = _start(subject, code)


def started(start_view: str) -> tuple[str, str]:
    """The subject and the code of the view that a person begins with."""
    subject, _, code = start_view.rpartition(":")
    return subject or ORDERS, code


def _start(subject: str, code: str) -> str:
    return code if subject == ORDERS else f"{subject}:{code}"


def _fill(row: SavedView, query: Query, actor: Actor) -> None:
    query = in_codes(query, actor)
    row.query = query.structured
    row.period, row.sealed = seal_words(query.words) if query.words else (None, None)


def _own(actor: Actor, subject: str) -> tuple[ColumnElement[bool], ...]:
    """The views of this subject that the person saved."""
    return SavedView.user_id == actor.id, SavedView.subject == subject


def _name(name: str, actor: Actor, subject: str, own: int | None = None) -> str:
    name = " ".join(name.split())
    if not name:
        raise Invalid(field="name", problem=_l("is needed."))
    if len(name) > _LONGEST_NAME or not name.isprintable():
        raise Invalid(field="name", problem=_l("is too long."))
    taken = select(SavedView.id).where(*_own(actor, subject), func.lower(SavedView.name) == name.lower())
    if any(id_ != own for id_ in db.session.scalars(taken)):
        raise Invalid(field="name", problem=_l("is the name of another of your views."))
    return name


# --- Layouts ----------------------------------------------------------------------------------------------------------


def remember_layout(
    actor: Actor, columns: Iterable[tuple[str, int | None]], *, dense: bool, subject: str = ORDERS
) -> Layout:
    """Keep how this person wants the list; widths are held within reason."""
    row = _own_layout(actor, subject)
    row.columns = _kept_columns(columns)
    row.dense = dense
    return _layout(row)


def remember_sort(actor: Actor, sort: str, subject: str = ORDERS) -> None:
    """Sort the list that way from now on, where nothing else is said."""
    _own_layout(actor, subject).sort = sort


def forget_layout(actor: Actor, subject: str = ORDERS) -> None:
    """Back to the desk's own columns."""
    db.session.execute(delete(ListLayout).where(ListLayout.user_id == actor.id, ListLayout.name == subject))


def layout_in(layout: Layout, view: View | None) -> Layout:
    """The person's layout as this view shows it: with the columns that the view brings along."""
    return layout if view is None or view.columns is None else replace(layout, columns=_pairs(view.columns))


def shown_columns(
    layout: Layout, known: Mapping[str, Column], actor: Actor, view: View | None = None
) -> list[tuple[Column, int]]:
    """The columns that a list shows with their widths: the view's, else the person's, else the desk's own.

    Those that are always shown come first. Those that are no longer registered, or that the actor may not see, are
    left out.
    """
    chosen = dict(layout_in(layout, view).columns) or {code: None for code, column in known.items() if column.default}
    first = [code for code, column in known.items() if column.always]
    found = [(known[code], chosen.get(code)) for code in dict.fromkeys([*first, *chosen]) if code in known]
    return [(column, width or column.width) for column, width in found if may_show(column, actor)]


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

"""What finding orders keeps: terms, queries that no URL may hold, saved views, and how each person laid out a list.

Terms say nothing to whoever copies them; a query with words about buyers is sealed and known by its token.
"""

from datetime import datetime
from typing import Any

from sqlalchemy import BigInteger, ForeignKey, LargeBinary
from sqlalchemy.orm import Mapped, mapped_column

from webapp.db import Model
from webapp.vault.models import PeriodName


class SearchTerm(Model):
    """One form under which an order is found. Newest first comes free with the key's order.

    No foreign key and no second index: either would cost the import more than all else it writes. An order's terms are
    taken away by computing them again from what it holds.
    """

    __tablename__ = "search_terms"
    __table_args__ = {"sqlite_with_rowid": False}

    term: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
    placed: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False)  # seconds since 1970
    order_id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)


class SealedQuery(Model):
    """The words of a query that may name a buyer, kept for whoever searched; the URL carries the token.

    A deleted view lies here too, until nobody will want it back.
    """

    __tablename__ = "sealed_queries"

    id: Mapped[int] = mapped_column(primary_key=True)
    token: Mapped[str] = mapped_column(unique=True)
    user_id: Mapped[int] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"), index=True)
    period: Mapped[str] = mapped_column(PeriodName)
    sealed: Mapped[bytes] = mapped_column(LargeBinary)
    at: Mapped[datetime] = mapped_column(index=True)


class SavedView(Model):
    """A list that somebody named: its query, order and columns. Personal, or shared with everybody."""

    __tablename__ = "saved_views"

    id: Mapped[int] = mapped_column(primary_key=True)
    user_id: Mapped[int] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"), index=True)
    name: Mapped[str]
    shared: Mapped[bool] = mapped_column(default=False)
    query: Mapped[str]  # structured keys only
    period: Mapped[str | None] = mapped_column(PeriodName)
    sealed: Mapped[bytes | None] = mapped_column(LargeBinary)  # the words that may name a buyer
    sort: Mapped[str] = mapped_column(default="")
    columns: Mapped[list[Any] | None]  # [{"code", "width"}]; None: as each person laid out the list
    position: Mapped[int] = mapped_column(default=0)
    created_at: Mapped[datetime]


class ListLayout(Model):
    """How one person laid out a list: which columns, in which order, how wide; remembered without being asked."""

    __tablename__ = "list_layouts"

    user_id: Mapped[int] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"), primary_key=True)
    name: Mapped[str] = mapped_column(primary_key=True)  # of the list: `orders`
    columns: Mapped[list[Any]]  # [{"code", "width"}]
    sort: Mapped[str] = mapped_column(default="")
    dense: Mapped[bool] = mapped_column(default=False)  # rows close together

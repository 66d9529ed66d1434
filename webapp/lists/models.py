"""The tables of lists: saved views, each person's layout of a list, and exports."""

from datetime import datetime
from typing import Any

from sqlalchemy import ForeignKey, LargeBinary
from sqlalchemy.orm import Mapped, mapped_column

from webapp.db import Model
from webapp.search.contract import ORDERS
from webapp.vault.models import PeriodName


class SavedView(Model):
    """A list that a person saved under a name: its query, sorting and columns. Personal, or shared with everybody."""

    __tablename__ = "saved_views"

    id: Mapped[int] = mapped_column(primary_key=True)
    user_id: Mapped[int] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"), index=True)
    name: Mapped[str]
    subject: Mapped[str] = mapped_column(default=ORDERS)  # the code of the list's subject
    shared: Mapped[bool] = mapped_column(default=False)
    query: Mapped[str]  # structured keys only
    period: Mapped[str | None] = mapped_column(PeriodName)
    sealed: Mapped[bytes | None] = mapped_column(LargeBinary)  # the words that may name a buyer
    sort: Mapped[str] = mapped_column(default="")
    columns: Mapped[list[Any] | None]  # [{"code", "width"}]; None: the columns of each person's layout
    position: Mapped[int] = mapped_column(default=0)
    created_at: Mapped[datetime]


class ListLayout(Model):
    """One person's layout of a list: columns, their order and widths, sorting and density. Each change is saved."""

    __tablename__ = "list_layouts"

    user_id: Mapped[int] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"), primary_key=True)
    name: Mapped[str] = mapped_column(primary_key=True)  # the code of the list's subject
    columns: Mapped[list[Any]]  # [{"code", "width"}]
    sort: Mapped[str] = mapped_column(default="")
    dense: Mapped[bool] = mapped_column(default=False)  # rows close together


class Export(Model):
    """A file of a list, written by a run. The person who started the run can fetch it; it is deleted after a day."""

    __tablename__ = "exports"

    run_id: Mapped[int] = mapped_column(ForeignKey("runs.id", ondelete="CASCADE"), primary_key=True)
    subject: Mapped[str] = mapped_column(default=ORDERS)  # the code of the list's subject
    format: Mapped[str]  # csv, xlsx
    rows: Mapped[str]  # what a row of the file is: the code of the subject, or of an expansion
    columns: Mapped[list[str]]
    query: Mapped[str]
    sort: Mapped[str]
    period: Mapped[str | None] = mapped_column(PeriodName)
    sealed: Mapped[bytes | None] = mapped_column(LargeBinary)  # words of the query that may name a buyer
    chosen: Mapped[list[Any] | None]  # ids, if a selection is exported
    place: Mapped[str] = mapped_column(default="")  # how far the writing is
    file: Mapped[str] = mapped_column(default="")  # its name in the vault
    expires_at: Mapped[datetime]

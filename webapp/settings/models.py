"""Stored values of settings; a default is not stored."""

from typing import Any

from sqlalchemy import UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from webapp.db import Json, Model


class StoredSetting(Model):
    """One value of one scope: `desk` (id 0), `shop` or `store`. A secret's value is sealed text."""

    __tablename__ = "settings"
    __table_args__ = (UniqueConstraint("scope", "scope_id", "group", "name"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    scope: Mapped[str]
    scope_id: Mapped[int] = mapped_column(default=0)
    group: Mapped[str] = mapped_column(default="")
    name: Mapped[str]
    value: Mapped[Any] = mapped_column(Json)

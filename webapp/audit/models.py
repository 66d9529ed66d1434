"""The record of acts that concern no order: signing in, changing stores and settings, seeing buyer data.
Append-only.
"""

from datetime import datetime
from typing import Any

from sqlalchemy import Index
from sqlalchemy.orm import Mapped, mapped_column

from webapp.db import Model


class AuditEntry(Model):
    """Who did what when; ids and codes only, never buyer data or a secret."""

    __tablename__ = "audit_entries"
    __table_args__ = (Index("ix_audit_entries_code_at", "code", "at"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    at: Mapped[datetime]
    actor_kind: Mapped[str]
    actor_id: Mapped[int | None]
    code: Mapped[str]
    data: Mapped[dict[str, Any]] = mapped_column(default=dict)

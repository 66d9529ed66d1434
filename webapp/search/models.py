"""What searching stores: terms, and queries that must not be in a URL.

A copy of the terms reveals no word; a query with words about buyers is sealed and identified by a token.
"""

from datetime import datetime

from sqlalchemy import BigInteger, ForeignKey, LargeBinary
from sqlalchemy.orm import Mapped, mapped_column

from webapp.db import Model
from webapp.vault.models import PeriodName


class SearchTerm(Model):
    """One form by which an order is found. The order of the key gives rows newest first.

    The table has no foreign key and no second index: either would cost the import more than all its other writing. To
    remove an order's terms, they are computed again from the order's data.
    """

    __tablename__ = "search_terms"
    __table_args__ = {"sqlite_with_rowid": False}

    term: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
    placed: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False)  # seconds since 1970
    order_id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)


class SealedQuery(Model):
    """The words of a query that may name a buyer, kept for the person who searched; the URL carries the token.

    A deleted view is kept here too, as long as somebody may want to restore it.
    """

    __tablename__ = "sealed_queries"

    id: Mapped[int] = mapped_column(primary_key=True)
    token: Mapped[str] = mapped_column(unique=True)
    user_id: Mapped[int] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"), index=True)
    period: Mapped[str] = mapped_column(PeriodName)
    sealed: Mapped[bytes] = mapped_column(LargeBinary)
    at: Mapped[datetime] = mapped_column(index=True)

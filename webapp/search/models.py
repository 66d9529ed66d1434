"""What finding orders keeps: terms, and queries that no URL may hold.

Terms say nothing to whoever copies them; a query with words about buyers is sealed and known by its token.
"""

from datetime import datetime

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

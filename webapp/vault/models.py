"""The tables of the vault: wrapped data keys in a table of their own, and the records sealed under them.

Whatever is sealed under a week's key, here or in a table of another floor, names the week in a column of the type
`PeriodName`. By these columns `periods` knows which keys are still needed. Plugins can't seal anything under it.
"""

from datetime import datetime

from sqlalchemy import BigInteger, ForeignKey, Index, LargeBinary, String
from sqlalchemy.orm import Mapped, mapped_column
from sqlalchemy.types import TypeDecorator

from webapp.db import Model


class PeriodName(TypeDecorator[str]):
    """The week whose key seals a value in the same row; empty if nothing is sealed there any more."""

    impl = String
    cache_ok = True


class MonthName(TypeDecorator[str]):
    """The month whose key wraps the data key of a document in the same row."""

    impl = String
    cache_ok = True


class VaultPeriod(Model):
    """A week, or a month of documents, under whose key this database has sealed something; only these keys may be
    destroyed by this desk.
    """

    __tablename__ = "vault_periods"

    period: Mapped[str] = mapped_column(primary_key=True)


class VaultKey(Model):
    """An order's data key, wrapped by a period key; without this row nothing that is sealed of the order can be
    opened.
    """

    __tablename__ = "vault_keys"

    order_id: Mapped[int] = mapped_column(ForeignKey("orders.id", ondelete="CASCADE"), primary_key=True)
    period: Mapped[str] = mapped_column(PeriodName)
    wrapped: Mapped[bytes] = mapped_column(LargeBinary)


class VaultErasure(Model):
    """An order whose buyer was erased. A later key seals only the desk's own texts about it, never data from
    channels.
    """

    __tablename__ = "vault_erasures"

    order_id: Mapped[int] = mapped_column(ForeignKey("orders.id", ondelete="CASCADE"), primary_key=True)


class VaultRecord(Model):
    """One sealed body: `buyer` is small and read by lists, `raw` is the channel's last answer, compressed."""

    __tablename__ = "vault_records"

    order_id: Mapped[int] = mapped_column(ForeignKey("orders.id", ondelete="CASCADE"), primary_key=True)
    kind: Mapped[str] = mapped_column(primary_key=True)
    sealed_at: Mapped[datetime]
    body: Mapped[bytes] = mapped_column(LargeBinary)


class VaultFile(Model):
    """A sealed file in the data directory. Only this row holds its key: a file without a row can't be opened."""

    __tablename__ = "vault_files"
    __table_args__ = (Index("ix_vault_files_subject", "kind", "subject_id", "position"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(unique=True)  # its name on the disk; every chunk is bound to it
    kind: Mapped[str]
    subject_id: Mapped[int]  # the subject that it belongs to: a kind and an id, such as a run
    position: Mapped[int]  # among the files of its subject
    whole_id: Mapped[int | None] = mapped_column(ForeignKey("vault_files.id", ondelete="CASCADE"), index=True)
    period: Mapped[str] = mapped_column(PeriodName)
    wrapped: Mapped[bytes] = mapped_column(LargeBinary)
    size: Mapped[int] = mapped_column(BigInteger)  # size of its content
    expires_at: Mapped[datetime] = mapped_column(index=True)


class VaultFileOrder(Model):
    """An order that a sealed file is about: the file is deleted when the order's buyer is erased."""

    __tablename__ = "vault_file_orders"
    __table_args__ = (Index("ix_vault_file_orders_order", "order_id"), {"sqlite_with_rowid": False})

    file_id: Mapped[int] = mapped_column(ForeignKey("vault_files.id", ondelete="CASCADE"), primary_key=True)
    order_id: Mapped[int] = mapped_column(ForeignKey("orders.id", ondelete="CASCADE"), primary_key=True)

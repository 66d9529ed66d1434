"""What lies in the vault: wrapped data keys in a table of their own, and the records sealed under them.

Whatever is sealed under a week's key, here or in a table of another floor, names the week in a column of the type
`PeriodName`. By these columns `periods` knows which keys are still needed. Plugins can seal nothing under it.
"""

from datetime import datetime

from sqlalchemy import BigInteger, ForeignKey, Index, LargeBinary, String
from sqlalchemy.orm import Mapped, mapped_column
from sqlalchemy.types import TypeDecorator

from webapp.db import Model


class PeriodName(TypeDecorator[str]):
    """The week whose key seals something in the same row; empty where nothing is sealed there any more."""

    impl = String
    cache_ok = True


class VaultPeriod(Model):
    """A week under whose key this database has sealed something; the key of any other week is not its to destroy."""

    __tablename__ = "vault_periods"

    period: Mapped[str] = mapped_column(primary_key=True)


class VaultKey(Model):
    """An order's data key, wrapped by a period key; without this row nothing sealed of the order opens again."""

    __tablename__ = "vault_keys"

    order_id: Mapped[int] = mapped_column(ForeignKey("orders.id", ondelete="CASCADE"), primary_key=True)
    period: Mapped[str] = mapped_column(PeriodName)
    wrapped: Mapped[bytes] = mapped_column(LargeBinary)


class VaultErasure(Model):
    """An order whose buyer was erased: a key made since seals what we say of it, and never again what channels tell."""

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
    """A sealed file in the data directory. Its key stands here alone, so what has no row never opens again."""

    __tablename__ = "vault_files"
    __table_args__ = (Index("ix_vault_files_subject", "kind", "subject_id", "position"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(unique=True)  # on the disk; every chunk is bound to it
    kind: Mapped[str]
    subject_id: Mapped[int]  # what it belongs to, by its kind: a run
    position: Mapped[int]  # among the files of its subject
    whole_id: Mapped[int | None] = mapped_column(ForeignKey("vault_files.id", ondelete="CASCADE"), index=True)
    period: Mapped[str] = mapped_column(PeriodName)
    wrapped: Mapped[bytes] = mapped_column(LargeBinary)
    size: Mapped[int] = mapped_column(BigInteger)  # bytes of its content
    expires_at: Mapped[datetime] = mapped_column(index=True)


class VaultFileOrder(Model):
    """An order that a sealed file tells of: with its buyer the file goes."""

    __tablename__ = "vault_file_orders"
    __table_args__ = (Index("ix_vault_file_orders_order", "order_id"), {"sqlite_with_rowid": False})

    file_id: Mapped[int] = mapped_column(ForeignKey("vault_files.id", ondelete="CASCADE"), primary_key=True)
    order_id: Mapped[int] = mapped_column(ForeignKey("orders.id", ondelete="CASCADE"), primary_key=True)

"""What lies in the vault: wrapped data keys in a table of their own, and the records sealed under them."""

from datetime import datetime

from sqlalchemy import ForeignKey, LargeBinary
from sqlalchemy.orm import Mapped, mapped_column

from webapp.db import Model


class VaultKey(Model):
    """An order's data key, wrapped by a period key; without this row nothing sealed of the order opens again."""

    __tablename__ = "vault_keys"

    order_id: Mapped[int] = mapped_column(ForeignKey("orders.id", ondelete="CASCADE"), primary_key=True)
    period: Mapped[str]
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

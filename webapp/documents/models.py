"""The orders whose documents may have to be uploaded to their channels."""

from datetime import datetime

from sqlalchemy import ForeignKey, Index
from sqlalchemy.orm import Mapped, mapped_column

from webapp.db import Model


class UploadDue(Model):
    """An order at which the job of uploads looks once `next_at` has come: a document was issued, the store's settings
    changed, or an attempt failed `tries` times. What is to be uploaded is not in the row: the job finds it in the
    order's documents.
    """

    __tablename__ = "upload_dues"
    __table_args__ = (Index("ix_upload_dues_next", "next_at", "order_id"),)

    order_id: Mapped[int] = mapped_column(ForeignKey("orders.id", ondelete="CASCADE"), primary_key=True)
    next_at: Mapped[datetime]
    tries: Mapped[int] = mapped_column(default=0)

"""The rows of the merchant's own statuses and tags: two small tables, read with one query.

Every page of an order needs both. What a status or a tag is, and who may change it, is in `statuses` and `tags`.
"""

from sqlalchemy import LABEL_STYLE_TABLENAME_PLUS_COL, Select, false, select, union_all

from webapp.db import db, forget_read, once_a_transaction
from webapp.orders.models import OrderStatus, Tag

_KEPT = "statuses_and_tags"


def statuses_and_tags() -> tuple[list[OrderStatus], list[Tag]]:
    """Every status and every tag, in no particular order; read once per transaction."""
    return once_a_transaction(_KEPT, _read)


def forget_statuses_and_tags() -> None:
    """Discard what was read, since a row was just changed."""
    forget_read(_KEPT)


def _read() -> tuple[list[OrderStatus], list[Tag]]:
    both: Select[OrderStatus, Tag] = select(OrderStatus, Tag).set_label_style(LABEL_STYLE_TABLENAME_PLUS_COL)
    statuses = both.join_from(OrderStatus, Tag, false(), isouter=True)  # joined with nothing
    tags = both.join_from(Tag, OrderStatus, false(), isouter=True)
    rows = list(db.session.execute(both.from_statement(union_all(statuses, tags))))
    return [status for status, _ in rows if status is not None], [tag for _, tag in rows if tag is not None]

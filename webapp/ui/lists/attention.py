"""What should be looked at before an act on many orders, with links to the orders."""

from collections.abc import Iterable, Sequence

from flask import url_for

from webapp.orders import bulk
from webapp.orders.bulk import Found
from webapp.search.query import MOST, value_text


def attention_of(orders: Iterable[Found]) -> list[tuple[str, int, str]]:
    """The label of each thing to look at, the number of the orders that it is about, and the URL of their list."""
    return [(label, len(some), _list_url(some)) for label, some in bulk.attention_of(orders).items()]


def _list_url(orders: Sequence[Found]) -> str:
    numbers = [order.number or order.channel_order_number for order in orders[: MOST - 1]]
    query = "number:" + ",".join(map(value_text, numbers))
    return url_for("orders.index", q=f"{query} archived:any")

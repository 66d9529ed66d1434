"""Lists that are sorted by text: rows with an empty text or without one are found, too."""

from collections.abc import Callable
from dataclasses import replace

import pytest
from sqlalchemy import update

from webapp.audit.actor import Actor
from webapp.db import db, unit_of_work
from webapp.errors import Invalid
from webapp.lists.contract import Walk
from webapp.lists.listing import list_page
from webapp.orders.listing import ORDER_LIST
from webapp.orders.models import Order
from webapp.testing import incoming_order

Take = Callable[..., list[Order]]
# The channel status may be missing. Like a name in a plugin's rows, it is text.
BY_TEXT = replace(ORDER_LIST, sorts={"status": Order.status}, usual="status", walk=Walk())


@pytest.mark.parametrize("sort", ["status", "-status"])
def test_pages_walk_over_every_text_once(take: Take, mia: Actor, sort: str) -> None:
    orders = take(*[incoming_order() for _ in range(7)])
    with unit_of_work():
        for order, status in zip(orders, ["b", None, "", "a~1", "", None, "=b"], strict=True):
            db.session.execute(update(Order).where(Order.id == order.id).values(status=status))
    every = list_page(BY_TEXT, mia, sort=sort, limit=0).rows
    assert [row.status for row in every][-2:] == [None, None]
    walked, page = [], list_page(BY_TEXT, mia, sort=sort, limit=2)
    while True:
        walked += [row.id for row in page.rows]
        if page.older is None:
            break
        page = list_page(BY_TEXT, mia, sort=sort, after=page.older, limit=2)
    assert walked == [row.id for row in every]
    back = list_page(BY_TEXT, mia, sort=sort, before=page.newer, limit=2).rows
    assert [row.id for row in back] == walked[4:6]


@pytest.mark.parametrize("key", ["b~1", "=\0~1", "=b", "=b~x"])
def test_what_is_no_key_of_a_text_is_refused(mia: Actor, key: str) -> None:
    with pytest.raises(Invalid):
        list_page(BY_TEXT, mia, after=key)

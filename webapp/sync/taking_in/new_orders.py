"""Writing the orders of a page that the desk has never seen: all their rows, table by table."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any, cast

from sqlalchemy import CursorResult, select

from webapp.channels.incoming import IncomingOrder
from webapp.channels.models import ChannelLine, ChannelOrder
from webapp.channels.services import take_number
from webapp.db import db, insert_into, reserve_ids, write_rows
from webapp.orders.amounts import pack_amounts
from webapp.orders.events import line_begun, order_begun
from webapp.orders.models import Order, OrderAmount, OrderLine
from webapp.orders.states import OrderState, state_of
from webapp.sync.taking_in import facts
from webapp.sync.taking_in.facts import LineFacts
from webapp.sync.taking_in.page_rows import PageRows
from webapp.sync.taking_in.prepared import PreparedOrder, known_orders
from webapp.sync.taking_in.rows import (
    NEW_LINE,
    NEW_ORDER,
    amount_row,
    amounts_of,
    channel_line_rows,
    channel_order_columns,
    line_columns,
    order_columns,
)
from webapp.vault import services as vault
from webapp.vault.models import VaultRecord
from webapp.vault.services import BUYER, RAW, DataKeys


class NewOrders:
    """The new orders of one page."""

    def __init__(self, page: PageRows, numbers: dict[int, list[str]]) -> None:
        self.page = page
        self.numbers = numbers  # numbers that are used stay used when the page is repeated order by order

    def claim(self, entries: Sequence[PreparedOrder]) -> dict[str, int]:
        """Mirror the orders; returns those that no other worker mirrored at the same moment."""
        if not entries:
            return {}
        ids = reserve_ids(ChannelOrder, len(entries))
        rows = [
            {
                "id": channel_id,
                "store_id": self.page.store.id,
                **channel_order_columns(entry.order, entry.fingerprint, self.page.at),
            }
            for channel_id, entry in zip(ids, entries, strict=True)
        ]
        inserted = db.session.execute(
            insert_into(ChannelOrder).on_conflict_do_nothing(index_elements=["store_id", "number"]),
            rows,
            execution_options={"preserve_rowcount": True},
        )
        created = {entry.order.number: channel_id for channel_id, entry in zip(ids, entries, strict=True)}
        if cast(CursorResult[Any], inserted).rowcount < len(rows):  # another worker took some of them in meanwhile
            known = known_orders(self.page.store.id, created)
            created = {number: channel_id for number, channel_id in created.items() if known[number].id == channel_id}
        return created

    def write(self, entries: Sequence[PreparedOrder], ids: Mapping[str, int]) -> list[int]:
        """Write all rows of the orders whose mirrors have these ids; returns the ids of those that are sales."""
        line_ids = self._insert_channel_lines((ids[e.order.number], e.order) for e in entries)
        self.page.write_channel_packages((ids[e.order.number], e.order) for e in entries)
        sales = [entry for entry in entries if entry.order.is_sale]
        if not sales:
            return []
        counters = {
            e.order.number: [facts.read_line(LineFacts(), line, e.order.stage) for line in e.order.lines] for e in sales
        }
        taken = self._taken_numbers(sales)
        rows = [self._new_order_row(e.order, ids[e.order.number], counters[e.order.number], taken) for e in sales]
        order_ids = {}
        for row, order_id in zip(rows, reserve_ids(Order, len(rows)), strict=True):
            row["id"] = order_ids[row["channel_order_id"]] = order_id
        write_rows(Order, rows)
        line_rows, owners = [], []
        for entry in sales:
            channel_id = ids[entry.order.number]
            for position, (line, counts) in enumerate(
                zip(entry.order.lines, counters[entry.order.number], strict=True)
            ):
                line_rows.append(
                    {
                        "order_id": order_ids[channel_id],
                        "channel_line_id": line_ids[channel_id, line.number],
                        "channel_line_number": line.number,
                        "position": position,
                        **NEW_LINE,
                        **line_columns(entry.order, line, counts),
                    }
                )
                owners.append((channel_id, line.number))
        for row, line_id in zip(line_rows, reserve_ids(OrderLine, len(line_rows)), strict=True):
            row["id"] = line_id
        write_rows(OrderLine, line_rows)
        lines_of = {owner: row["id"] for owner, row in zip(owners, line_rows, strict=True)}
        self._seal([(order_ids[ids[e.order.number]], e) for e in sales])
        lines_by_order: dict[int, dict[str, Any]] = {}
        for row in line_rows:
            lines_by_order.setdefault(row["order_id"], {})[str(row["id"])] = line_begun(row)
        amounts = []
        for row, entry in zip(rows, sales, strict=True):
            order_id = order_ids[row["channel_order_id"]]
            own_lines = {number: lines_of[row["channel_order_id"], number] for number in _numbers(entry.order)}
            units = facts.units_elsewhere(entry.order, counters[entry.order.number])
            self.page.elsewhere.add(
                order_id, entry.order, facts.foreign_packages(entry.order, (), units), own_lines, {}
            )
            charged = amounts_of(entry.order, own_lines)
            amounts += [amount_row(order_id, place, amount) for place, amount in charged.items()]
            lines_begun = lines_by_order.get(order_id, {})
            after = {"order": order_begun(row), "lines": lines_begun, "amounts": pack_amounts(charged)}
            self.page.event(order_id, "placed", entry.order.created_at, 1, {"after": after})
        write_rows(OrderAmount, amounts)
        return list(order_ids.values())

    def _new_order_row(
        self, order: IncomingOrder, channel_order_id: int, lines: Sequence[LineFacts], taken: Collection[str | None]
    ) -> dict[str, Any]:
        shop_id = self.page.treatment.shop_for(order.marketplace)
        attention = facts.attention_of(order, lines, had_shipped=False)
        state = state_of(order.stage, lines)
        return {
            "number": self._number(order, shop_id, taken),
            "channel_order_id": channel_order_id,
            "shop_id": shop_id,
            "store_id": self.page.store.id,
            "version": 1,
            "on_hold": False,
            "canceling": False,
            "arrived_complete": state in (OrderState.COMPLETE, OrderState.CANCELED),
            "updated_at": self.page.at,
            "status": None,
            "assignee_id": None,
            "due_at": None,
            "tags": [],
            "comments": 0,
            "unread": 0,
            **NEW_ORDER,
            "archived_at": None,
            **order_columns(order, lines, state, attention),
        }

    def _taken_numbers(self, sales: Sequence[PreparedOrder]) -> Collection[str | None]:
        """Those of the channel's numbers that an order of the desk already has."""
        if not self.page.treatment.import_orders or self.page.treatment.own_numbers:
            return ()
        return set(db.session.scalars(select(Order.number).where(Order.number.in_([e.order.number for e in sales]))))

    def _number(self, order: IncomingOrder, shop_id: int, taken: Collection[str | None]) -> str | None:
        if not self.page.treatment.imports(order.marketplace):
            return None
        if not self.page.treatment.own_numbers and order.number not in taken:
            return order.number
        if not self.numbers.get(shop_id):  # first seen as known, or a channel number used by another store
            return take_number(shop_id)
        return self.numbers[shop_id].pop(0)

    def _insert_channel_lines(self, orders: Iterable[tuple[int, IncomingOrder]]) -> dict[tuple[int, str], int]:
        rows = [row for channel_id, order in orders for row in channel_line_rows(channel_id, order)]
        for row, line_id in zip(rows, reserve_ids(ChannelLine, len(rows)), strict=True):
            row["id"] = line_id
        write_rows(ChannelLine, rows)
        return {(row["channel_order_id"], row["number"]): row["id"] for row in rows}

    def _seal(self, entries: Sequence[tuple[int, PreparedOrder]]) -> None:
        keys = DataKeys([])
        keys.make(order_id for order_id, _ in entries)
        rows = []
        for order_id, entry in entries:
            self.page.terms.new(order_id, entry.order, entry.terms)
            for kind, body in ((RAW, entry.raw), (BUYER, entry.buyer)):
                rows.append(vault.record_row(keys, order_id, kind, body))
        write_rows(VaultRecord, rows)


def _numbers(order: IncomingOrder) -> list[str]:
    return [line.number for line in order.lines]

"""Writing the known orders of a page: changes are applied, with one event for each changed order."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

from sqlalchemy import bindparam, delete, select, update

from webapp.channels.incoming import ChannelStage, FulfilledBy, IncomingOrder
from webapp.channels.models import ChannelLine, ChannelOrder, ChannelPackage
from webapp.db import db, table_of, write_rows
from webapp.fulfillment.models import ELSEWHERE
from webapp.orders import addresses
from webapp.orders.amounts import amount_changes, pack_amounts
from webapp.orders.contract import AmountChange, OrdersChange, UnitsMoved
from webapp.orders.events import ORDER_COLUMNS, line_begun, plain
from webapp.orders.models import Order, OrderLine
from webapp.orders.moves import moves_of
from webapp.orders.states import follows_from, state_of
from webapp.sync.taking_in import facts
from webapp.sync.taking_in.amounts import MirroredAmounts
from webapp.sync.taking_in.facts import LineFacts
from webapp.sync.taking_in.page_rows import PageRows
from webapp.sync.taking_in.prepared import PreparedOrder
from webapp.sync.taking_in.rows import (
    NEW_LINE,
    amounts_of,
    channel_order_columns,
    line_columns,
    order_columns,
    without_withheld,
)
from webapp.sync.taking_in.shipped_elsewhere import Parcel, correct_tracking, known_parcels
from webapp.vault import services as vault
from webapp.vault.models import VaultRecord
from webapp.vault.services import ADDRESS, BUYER, RAW, DataKeys


class KnownOrders:
    """The known orders of one page."""

    def __init__(self, page: PageRows) -> None:
        self.page = page
        self.moves: list[UnitsMoved] = []  # moves of units at the channel
        self.charged: list[AmountChange] = []  # amounts that the channel charges otherwise than before
        self._doubted: list[int] = []  # channel orders with cancellations that the next reading has to confirm
        self.readings: dict[int, IncomingOrder] = {}  # the reading of each order, for updates that wait for it

    def write(self, entries: Sequence[tuple[int, PreparedOrder]]) -> list[OrdersChange]:
        """Apply the changes, with one event for each changed order; returns the changed columns by order."""
        if not entries:
            return []
        ids = [channel_id for channel_id, _ in entries]
        orders = {
            row.channel_order_id: row
            for row in db.session.scalars(
                select(Order)
                .where(Order.channel_order_id.in_(ids))
                .order_by(Order.id)
                .with_for_update(of=Order)
                .execution_options(populate_existing=True)
            )
        }
        entries = self._with_what_is_withheld(entries)
        self._update_channel_orders(entries)
        channel_lines = self._update_channel_lines(entries)
        self._replace_channel_packages(entries)
        own_lines = _grouped(
            db.session.scalars(
                select(OrderLine)
                .where(OrderLine.order_id.in_([row.id for row in orders.values()]))
                .order_by(OrderLine.position)
                .execution_options(populate_existing=True)
            )
        )
        changed: list[OrdersChange] = []
        known = [(orders[channel_id], entry) for channel_id, entry in entries if channel_id in orders]
        parcels = known_parcels([order.id for order, _ in known])
        amounts = MirroredAmounts([order.id for order, _ in known])
        corrected = addresses.corrected({order.id: _address(entry.order) for order, entry in known})
        for order, entry in known:
            lines = {line.channel_line_number: line for line in own_lines.get(order.id, [])}
            sold = _sold(lines.values())
            change = self._apply(
                order, lines, channel_lines, entry, parcels.get(order.id, {}), corrected.get(order.id), amounts
            )
            if sold != (sells := _sold(lines.values())):
                self.page.terms.rewrite_lines(order.id, order.placed_at, sold, sells)
            if change is not None:
                changed.append(change)
        db.session.flush()
        self._read_again()
        amounts.write()
        self._seal([(order.id, entry) for order, entry in known])
        db.session.info.pop("order_changes", None)  # with the events of this page
        self.readings = {order.id: entry.order for order, entry in known}
        return changed

    def _apply(
        self,
        order: Order,
        lines: dict[str, OrderLine],
        channel_lines: Mapping[tuple[int, str], tuple[int, int, int | None]],
        entry: PreparedOrder,
        parcels: Mapping[str, Parcel],
        address_changed: bool | None,
        amounts: MirroredAmounts,
    ) -> OrdersChange | None:
        """What the reading changes of one order; None if nothing."""
        incoming = entry.order
        had_columns = {name: getattr(order, name) for name in ORDER_COLUMNS}
        withheld_parts = _withheld_parts(incoming)
        if incoming.total is None and order.total_minor is not None:
            withheld_parts.add("proceeds")  # withheld of canceled orders; what was charged stays
        withheld = "proceeds" in withheld_parts or (incoming.total is None and not _has_amounts(incoming))
        counts: list[LineFacts] = []
        line_changes: dict[str, dict[str, Any]] = {}
        had_shipped = any(line.shipped for line in lines.values())
        for line in incoming.lines:
            line_id, first, canceled_there = channel_lines[order.channel_order_id, line.number]
            row = lines.get(line.number)
            had = LineFacts(first_ordered=first) if row is None else _facts_of(row, first, canceled_there)
            now_ = facts.read_line(had, line, incoming.stage)
            counts.append(now_)
            if now_.doubted:
                self._doubted.append(order.channel_order_id)
            columns = line_columns(incoming, line, now_)
            if row is None:
                last = 1 + max((known.position for known in lines.values()), default=-1)
                row = OrderLine(
                    order_id=order.id, channel_line_id=line_id, channel_line_number=line.number, position=last
                )
                for name, value in columns.items():
                    setattr(row, name, value)
                db.session.add(row)
                db.session.flush()
                lines[line.number] = row
                columns |= NEW_LINE | {
                    "channel_line_id": line_id,
                    "channel_line_number": line.number,
                    "position": last,
                }
                line_changes[str(row.id)] = line_begun(columns)
            elif difference := _set(row, without_withheld(columns, row, withheld_parts)):
                line_changes[str(row.id)] = difference
            self.moves += moves_of(order.id, row.id, _counted(had), _counted(now_), ELSEWHERE)
        listed = {line.number for line in incoming.lines}
        counts += [_facts_of(row, row.ordered) for number, row in lines.items() if number not in listed]
        kept = [trouble for trouble in order.attention if trouble["kind"] not in facts.IMPORT_KINDS]
        attention = facts.attention_of(incoming, counts[: len(incoming.lines)], had_shipped) + kept
        if address_changed is not None:  # the address was corrected here, and the correction stays
            marked = any(trouble["kind"] == addresses.CHANGED for trouble in order.attention)
            withheld_parts.add("recipient")
            attention = addresses.attention_beside(attention, address_changed or (marked and not _address(incoming)))
        facts_now = order_columns(incoming, counts, state_of(incoming.stage, counts), attention)
        difference = _set(order, without_withheld(facts_now, order, withheld_parts))
        if "state" in difference:
            difference |= _set(order, follows_from(order.state))
        foreign = facts.foreign_packages(incoming, parcels, facts.units_elsewhere(incoming, counts))
        own = {number: row.id for number, row in lines.items()}
        self.page.elsewhere.add(order.id, incoming, foreign, own, parcels)
        correct_tracking(incoming, parcels)
        charged_before, charged = ({}, {}) if withheld else amounts.follow(order.id, amounts_of(incoming, own))
        parts = {"order": difference, "lines": line_changes, "amounts": pack_amounts(charged)}
        after = {name: part for name, part in parts.items() if part}
        if not after:
            return None
        order.version += 1
        order.updated_at = self.page.at
        data: dict[str, Any] = {"after": after}
        if charged:
            data["before"] = {"amounts": pack_amounts(charged_before)}
        if foreign:
            data["values"] = {"shipped_elsewhere": sum(sum(package.units.values()) for package in foreign)}
        self.page.event(order.id, "changed_there", incoming.updated_at, order.version, data)
        before = {name: plain(had_columns[name]) for name in difference}
        self.charged += amount_changes(order.id, charged_before, charged)
        return OrdersChange(order.id, "changed_there", difference, before)

    def _read_again(self) -> None:
        """Let the next reading of doubted orders count as another one, even if it has not changed."""
        if self._doubted:
            doubted = update(ChannelOrder).where(ChannelOrder.id.in_(self._doubted))
            db.session.execute(doubted.values(content_hash=b""), execution_options={"synchronize_session": False})

    def _with_what_is_withheld(
        self, entries: Sequence[tuple[int, PreparedOrder]]
    ) -> Sequence[tuple[int, PreparedOrder]]:
        """Fill in what the answer withholds. An answer without its fulfillment part has no status: the order keeps
        its former one. Facts of the channel's own that an incomplete answer does not name stay, too.
        """
        partly = [channel_id for channel_id, entry in entries if entry.order.missing or entry.order.odd_extra]
        if not partly:
            return entries
        had = {row.id: row for row in db.session.scalars(select(ChannelOrder).where(ChannelOrder.id.in_(partly)))}
        whole = []
        for channel_id, entry in entries:
            if row := had.get(channel_id):
                order = replace(entry.order, extra=row.extra | dict(entry.order.extra))
                if "fulfillment" in _withheld_parts(order):
                    order = replace(
                        order,
                        stage=ChannelStage(row.stage),
                        status=row.status,
                        fulfilled_by=FulfilledBy(row.fulfilled_by),
                        service_level=row.service_level,
                    )
                entry = replace(entry, order=order)
            whole.append((channel_id, entry))
        return whole

    def _update_channel_orders(self, entries: Sequence[tuple[int, PreparedOrder]]) -> None:
        table = table_of(ChannelOrder)
        rows = [
            {"row_id": channel_id, **channel_order_columns(entry.order, entry.fingerprint, self.page.at)}
            for channel_id, entry in entries
        ]
        columns: dict[str, Any] = {name: bindparam(name) for name in rows[0] if name not in ("row_id", "number")}
        db.session.connection().execute(table.update().where(table.c.id == bindparam("row_id")).values(columns), rows)

    def _update_channel_lines(
        self, entries: Sequence[tuple[int, PreparedOrder]]
    ) -> dict[tuple[int, str], tuple[int, int, int | None]]:
        """Mirror the lines; returns by order and line number the id, the first ordered quantity, and the units that
        were canceled by the reading before.
        """
        ids = [channel_id for channel_id, _ in entries]
        rows = db.session.scalars(
            select(ChannelLine).where(ChannelLine.channel_order_id.in_(ids)).execution_options(populate_existing=True)
        )
        had = {(row.channel_order_id, row.number): row for row in rows}
        canceled = {key: _canceled_there(row) for key, row in had.items()}
        for channel_id, entry in entries:
            for position, line in enumerate(entry.order.lines):
                row = had.get((channel_id, line.number))
                first = row.first_ordered if row is not None else line.ordered
                if row is None:
                    row = ChannelLine(
                        channel_order_id=channel_id, number=line.number, position=position, first_ordered=line.ordered
                    )
                    db.session.add(row)
                row.first_ordered = max(first, line.ordered)
                row.ordered, row.fulfilled, row.unfulfilled = line.ordered, line.fulfilled, line.unfulfilled
                kept = facts.of_tax(row.facts or {}) if "tax" in _withheld_parts(entry.order) else {}
                row.facts = facts.channel_line_facts(line) | kept
                had[channel_id, line.number] = row
        db.session.flush()
        return {key: (row.id, row.first_ordered, canceled.get(key)) for key, row in had.items()}

    def _replace_channel_packages(self, entries: Sequence[tuple[int, PreparedOrder]]) -> None:
        with_packages = [(channel_id, entry.order) for channel_id, entry in entries if entry.order.packages]
        if with_packages:
            ids = [channel_id for channel_id, _ in with_packages]
            had = delete(ChannelPackage).where(ChannelPackage.channel_order_id.in_(ids))
            columns = (ChannelPackage.channel_order_id, ChannelPackage.number, ChannelPackage.delivered_at)
            arrived: dict[int, dict[str, datetime]] = {}
            for channel_id, number, at in db.session.execute(had.returning(*columns)):
                if at is not None:
                    arrived.setdefault(channel_id, {})[number] = at
            self.page.write_channel_packages(with_packages, arrived)

    def _seal(self, entries: Sequence[tuple[int, PreparedOrder]]) -> None:
        ids = [order_id for order_id, _ in entries]
        keys, erased = DataKeys(ids, (BUYER, ADDRESS)), vault.erased(ids)
        keys.renew(order_id for order_id in ids if order_id not in erased)
        bodies: dict[str, dict[int, bytes]] = {RAW: {}, BUYER: {}}
        for order_id, entry in entries:
            if order_id in keys and order_id not in erased:
                bodies[RAW][order_id] = entry.raw
                bodies[BUYER][order_id] = self._follow_buyer(order_id, entry, keys)
        for kind, of_kind in bodies.items():
            db.session.execute(delete(VaultRecord).where(VaultRecord.kind == kind, VaultRecord.order_id.in_(of_kind)))
            write_rows(
                VaultRecord, [vault.record_row(keys, order_id, kind, body) for order_id, body in of_kind.items()]
            )

    def _follow_buyer(self, order_id: int, entry: PreparedOrder, keys: DataKeys) -> bytes:
        """Update the buyer in the vault; what the answer withholds stays as it is."""
        had, buyer = keys.opened(BUYER).get(order_id) or {}, dict(entry.order.buyer)
        partly = had and _withheld_parts(entry.order) & {"buyer", "recipient", "tax"}
        has = had | {name: value for name, value in buyer.items() if value} if partly else buyer
        self.page.terms.rewrite_buyer(
            order_id, entry.order.created_at, had, has, keys.opened(ADDRESS).get(order_id) or {}
        )
        return vault.pack(BUYER, has) if partly else entry.buyer


def _facts_of(row: OrderLine, first_ordered: int, canceled_there: int | None = None) -> LineFacts:
    return LineFacts(row.ordered, row.canceled, row.withdrawn, row.shipped, row.refunded, first_ordered, canceled_there)


def _canceled_there(row: ChannelLine) -> int:
    """The units of a line that were canceled by the last reading."""
    return row.first_ordered - (row.ordered if row.unfulfilled is None else row.fulfilled + row.unfulfilled)


def _counted(counts: LineFacts) -> dict[str, int]:
    return {name: getattr(counts, name) for name in ("shipped", "canceled")}  # all columns that a reading changes


def _set(row: Any, columns: Mapping[str, Any]) -> dict[str, Any]:
    """Set the columns that differ; returns them in the form of an event."""
    difference = {}
    for name, value in columns.items():
        if getattr(row, name) != value:
            setattr(row, name, value)
            difference[name] = plain(value)
    return difference


def _withheld_parts(order: IncomingOrder) -> set[str]:
    """The parts of the answer that are withheld. Channels withhold the buyer of a canceled order; the known buyer
    stays, since a parcel may have to be called back.
    """
    nobody = not order.buyer.get("name") and not order.buyer.get("address")
    withheld = {"recipient", "buyer"} if order.stage is ChannelStage.CANCELED and nobody else set()
    return withheld | {part.lower() for part in order.missing}


def _has_amounts(order: IncomingOrder) -> bool:
    return any((order.amounts, *(line.amounts for line in order.lines)))


def _address(order: IncomingOrder) -> Mapping[str, Any]:
    return order.buyer.get("address") or {}


def _sold(lines: Iterable[OrderLine]) -> set[tuple[str, str, str]]:
    return {(line.sku, line.product_code, line.title) for line in lines}


def _grouped(lines: Iterable[OrderLine]) -> dict[int, list[OrderLine]]:
    groups: dict[int, list[OrderLine]] = {}
    for line in lines:
        groups.setdefault(line.order_id, []).append(line)
    return groups

"""Writing a page of orders: set-based, per table, in the open unit of work.

What is new is inserted, what changed is applied with one event per order, and what another worker wrote at the same
moment counts as known. `importing` decides which orders come here; `incoming` what a reading means.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from sqlalchemy import bindparam, delete, select
from sqlalchemy.dialects import postgresql, sqlite

from webapp import live
from webapp.audit.actor import ActorKind
from webapp.channels.contract import ChannelStage, FulfilledBy, IncomingOrder
from webapp.channels.models import ChannelLine, ChannelOrder, ChannelPackage, Store
from webapp.channels.services import shop_for, take_number
from webapp.clock import now
from webapp.db import db, reserve_ids, table_of
from webapp.hooks import hooks
from webapp.orders import addresses
from webapp.orders.contract import OrdersChange
from webapp.orders.events import ORDER_COLUMNS, plain
from webapp.orders.models import Order, OrderAmount, OrderEvent, OrderLine
from webapp.orders.states import OrderState, follows_from, state_of
from webapp.sync import incoming as facts
from webapp.sync.columns import (
    NEW_LINE,
    amount_rows,
    channel_line_rows,
    channel_order_columns,
    channel_package_rows,
    line_columns,
    order_columns,
    without_untold,
)
from webapp.sync.elsewhere import ElsewhereShipments, Parcel, correct_tracking, known_parcels
from webapp.sync.incoming import LineFacts
from webapp.sync.models import Aside
from webapp.sync.terms import PageTerms
from webapp.sync.updates import settle_by_reading
from webapp.vault import services as vault
from webapp.vault.models import VaultRecord
from webapp.vault.services import ADDRESS, BUYER, RAW, DataKeys


@dataclass(slots=True)
class Taken:
    """What became of a page."""

    seen: int = 0
    new: int = 0
    changed: int = 0
    aside: int = 0

    def __iadd__(self, other: "Taken") -> "Taken":
        self.seen += other.seen
        self.new += other.new
        self.changed += other.changed
        self.aside += other.aside
        return self


@dataclass(slots=True)
class PreparedOrder:
    """An order ready to be written: everything computed that needs no transaction."""

    order: IncomingOrder
    fingerprint: bytes
    buyer: bytes
    raw: bytes
    terms: frozenset[int]


@dataclass(frozen=True, slots=True)
class KnownOrder:
    id: int
    updated_at: datetime
    content_hash: bytes


def known_orders(store_id: int, numbers: Iterable[str]) -> dict[str, KnownOrder]:
    rows = db.session.execute(
        select(ChannelOrder.number, ChannelOrder.id, ChannelOrder.updated_at, ChannelOrder.content_hash).where(
            ChannelOrder.store_id == store_id, ChannelOrder.number.in_(list(numbers))
        )
    )
    return {number: KnownOrder(id_, updated_at, content_hash) for number, id_, updated_at, content_hash in rows}


def same_or_stale(known: KnownOrder, order: IncomingOrder, print_: bytes) -> bool:
    """Equal times with other content are taken: a permission changed, or the channel mended its answer."""
    return known.content_hash == print_ or order.updated_at < known.updated_at


class PageWriter:
    """One page being written; holds what the rows have in common."""

    def __init__(self, store: Store, numbers: dict[int, list[str]]) -> None:
        self.store = store
        self.numbers = numbers  # spent ones stay spent when the page is repeated order by order
        self.at = now()
        self.events: list[dict[str, Any]] = []
        self.readings: dict[int, IncomingOrder] = {}
        self.elsewhere = ElsewhereShipments(store.id)
        self.terms = PageTerms(store.id)

    def write(self, entries: Sequence[PreparedOrder]) -> Taken:
        """Insert what is new, apply what changed; what another worker wrote meanwhile counts as known."""
        if not entries:
            return Taken()
        by_number = {entry.order.number: entry for entry in entries}
        known = known_orders(self.store.id, by_number)
        fresh = [entry for number, entry in by_number.items() if number not in known]
        created = self._insert_channel_orders(fresh)
        if len(created) < len(fresh):  # somebody else took some of them in at this very moment
            known = known_orders(self.store.id, by_number)
        changed = [
            (known[number].id, entry)
            for number, entry in by_number.items()
            if number in known
            and number not in created
            and not same_or_stale(known[number], entry.order, entry.fingerprint)
        ]
        new = self._write_new([entry for entry in fresh if entry.order.number in created], created)
        touched = self._write_changed(changed)
        self.elsewhere.write()
        self.terms.write()
        db.session.execute(delete(Aside).where(Aside.store_id == self.store.id, Aside.number.in_(list(by_number))))
        if self.events:
            db.session.execute(table_of(OrderEvent).insert(), self.events)
        settle_by_reading(self.readings)
        self._announce(new, touched)
        return Taken(new=len(new), changed=len(touched))

    def _announce(self, new: list[int], touched: Sequence[OrdersChange]) -> None:
        if new:
            hooks.orders_placed(orders=new)
            hooks.orders_imported(orders=new)
        if touched:
            hooks.orders_changed(changes=list(touched))
        if new or touched:
            live.publish("orders", [*new, *(change.order_id for change in touched)])

    # --- New orders ---

    def _insert_channel_orders(self, entries: Sequence[PreparedOrder]) -> dict[str, int]:
        if not entries:
            return {}
        table = table_of(ChannelOrder)
        insert = sqlite.insert(table) if db.engine.dialect.name == "sqlite" else postgresql.insert(table)
        rows = [
            {"store_id": self.store.id, **channel_order_columns(entry.order, entry.fingerprint, self.at)}
            for entry in entries
        ]
        statement = insert.on_conflict_do_nothing(index_elements=["store_id", "number"]).returning(
            table.c.number, table.c.id
        )
        return {row.number: row.id for row in db.session.execute(statement, rows)}

    def _write_new(self, entries: Sequence[PreparedOrder], ids: Mapping[str, int]) -> list[int]:
        line_ids = self._insert_channel_lines((ids[e.order.number], e.order) for e in entries)
        self._insert_channel_packages((ids[e.order.number], e.order) for e in entries)
        sales = [entry for entry in entries if entry.order.is_sale]
        if not sales:
            return []
        counters = {
            e.order.number: [facts.read_line(LineFacts(), line, e.order.stage) for line in e.order.lines] for e in sales
        }
        rows = [self._new_order_row(e.order, ids[e.order.number], counters[e.order.number]) for e in sales]
        order_ids = {}
        for row, order_id in zip(rows, reserve_ids(Order, len(rows)), strict=True):
            row["id"] = order_ids[row["channel_order_id"]] = order_id
        db.session.execute(table_of(Order).insert(), rows)
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
        if line_rows:
            db.session.execute(table_of(OrderLine).insert(), line_rows)
        lines_of = {owner: row["id"] for owner, row in zip(owners, line_rows, strict=True)}
        self._write_amounts(
            (order_ids[ids[e.order.number]], e.order, {n: lines_of[ids[e.order.number], n] for n in _numbers(e.order)})
            for e in sales
        )
        self._seal([(order_ids[ids[e.order.number]], e) for e in sales], fresh=True)
        lines_by_order: dict[int, dict[str, Any]] = {}
        for row in line_rows:
            recorded = {name: plain(value) for name, value in row.items() if name not in ("id", "order_id")}
            lines_by_order.setdefault(row["order_id"], {})[str(row["id"])] = recorded
        for row, entry in zip(rows, sales, strict=True):
            order_id = order_ids[row["channel_order_id"]]
            own_lines = {number: lines_of[row["channel_order_id"], number] for number in _numbers(entry.order)}
            units = _units_elsewhere(entry.order, counters[entry.order.number])
            self.elsewhere.add(order_id, entry.order, facts.foreign_packages(entry.order, (), units), own_lines, {})
            recorded = {
                name: plain(value) for name, value in row.items() if name not in ("id", "version", "updated_at")
            }
            after = {"order": recorded, "lines": lines_by_order.get(order_id, {})}
            self._event(order_id, "placed", entry.order.created_at, 1, {"after": after})
        return list(order_ids.values())

    def _new_order_row(self, order: IncomingOrder, channel_order_id: int, lines: Sequence[LineFacts]) -> dict[str, Any]:
        shop_id = shop_for(self.store, order.marketplace)
        attention = facts.attention_of(order, lines, had_shipped=False)
        state = state_of(order.stage, lines)
        return {
            "number": self._number(order, shop_id),
            "channel_order_id": channel_order_id,
            "shop_id": shop_id,
            "store_id": self.store.id,
            "version": 1,
            "on_hold": False,
            "canceling": False,
            "arrived_complete": state in (OrderState.COMPLETE, OrderState.CANCELED),
            "updated_at": self.at,
            "status": None,
            "assignee_id": None,
            "due_at": None,
            "tags": [],
            "comments": 0,
            "archived_at": None,
            **order_columns(order, lines, state, attention),
        }

    def _number(self, order: IncomingOrder, shop_id: int) -> str | None:
        if not self.store.import_orders:
            return None
        if not self.store.own_numbers and not db.session.scalar(select(Order.id).where(Order.number == order.number)):
            return order.number
        if not self.numbers.get(shop_id):  # first seen as known, or a channel number that another store gave already
            return take_number(shop_id)
        return self.numbers[shop_id].pop(0)

    def _insert_channel_lines(self, orders: Iterable[tuple[int, IncomingOrder]]) -> dict[tuple[int, str], int]:
        rows = [row for channel_id, order in orders for row in channel_line_rows(channel_id, order)]
        if not rows:
            return {}
        for row, line_id in zip(rows, reserve_ids(ChannelLine, len(rows)), strict=True):
            row["id"] = line_id
        db.session.execute(table_of(ChannelLine).insert(), rows)
        return {(row["channel_order_id"], row["number"]): row["id"] for row in rows}

    def _insert_channel_packages(self, orders: Iterable[tuple[int, IncomingOrder]]) -> None:
        rows = [row for channel_id, order in orders for row in channel_package_rows(channel_id, order)]
        if rows:
            db.session.execute(table_of(ChannelPackage).insert(), rows)

    def _write_amounts(self, orders: Iterable[tuple[int, IncomingOrder, Mapping[str, int]]]) -> None:
        rows = []
        for order_id, order, lines in orders:
            rows += amount_rows(order_id, None, order.amounts)
            for line in order.lines:
                rows += amount_rows(order_id, lines[line.number], line.amounts)
        if rows:
            db.session.execute(table_of(OrderAmount).insert(), rows)

    def _seal(self, entries: Sequence[tuple[int, PreparedOrder]], *, fresh: bool) -> None:
        keys = DataKeys([] if fresh else [order_id for order_id, _ in entries], () if fresh else (BUYER, ADDRESS))
        if fresh:
            keys.make(order_id for order_id, _ in entries)
        rows = []
        for order_id, entry in entries:
            if order_id not in keys:  # an erased order stays erased
                continue
            if fresh:
                self.terms.new(order_id, entry.order, entry.terms)
            packed = entry.buyer if fresh else self._follow_buyer(order_id, entry, keys)
            for kind, body in ((RAW, entry.raw), (BUYER, packed)):
                rows.append(vault.record_row(keys, order_id, kind, body))
        if not rows:
            return
        if not fresh:
            for kind in {row["kind"] for row in rows}:
                of_kind = [row["order_id"] for row in rows if row["kind"] == kind]
                db.session.execute(
                    delete(VaultRecord).where(VaultRecord.kind == kind, VaultRecord.order_id.in_(of_kind))
                )
        db.session.execute(table_of(VaultRecord).insert(), rows)

    def _follow_buyer(self, order_id: int, entry: PreparedOrder, keys: DataKeys) -> bytes:
        """The buyer as the vault keeps it now: of what the answer told only in part, or not at all, the rest stays."""
        had, told = keys.opened(BUYER).get(order_id) or {}, dict(entry.order.buyer)
        partly = had and _untold(entry.order) & {"buyer", "recipient"}
        has = had | {name: value for name, value in told.items() if value} if partly else told
        self.terms.rewrite_buyer(order_id, entry.order.created_at, had, has, keys.opened(ADDRESS).get(order_id) or {})
        return vault.pack(BUYER, has) if partly else entry.buyer

    def _event(self, order_id: int, code: str, at: datetime, version: int, data: dict[str, Any]) -> None:
        self.events.append(
            {
                "order_id": order_id,
                "at": at,
                "seen_at": self.at,
                "actor_kind": ActorKind.CHANNEL,
                "actor_id": self.store.id,
                "cause": "import",
                "code": code,
                "version": version,
                "data": data,
                "sealed": None,
            }
        )

    # --- Known orders ---

    def _write_changed(self, entries: Sequence[tuple[int, PreparedOrder]]) -> list[OrdersChange]:
        """Apply what changed, one event per order that did; returns the changed columns by order."""
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
        entries = self._with_what_stood_untold(entries)
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
        corrected = addresses.corrected({order.id: _address(entry.order) for order, entry in known})
        for order, entry in known:
            lines = {line.channel_line_number: line for line in own_lines.get(order.id, [])}
            had = {name: getattr(order, name) for name in ORDER_COLUMNS}
            sold = _sold(lines.values())
            after = self._apply(order, lines, channel_lines, entry, parcels.get(order.id, {}), corrected.get(order.id))
            if sold != (sells := _sold(lines.values())):
                self.terms.rewrite_lines(order.id, order.placed_at, sold, sells)
            if after:
                columns = after.get("order", {})
                before = {name: plain(had[name]) for name in columns}
                changed.append(OrdersChange(order.id, "changed_there", columns, before))
        db.session.flush()
        self._rewrite_amounts([(order, entry.order) for order, entry in known])
        self._seal([(order.id, entry) for order, entry in known], fresh=False)
        db.session.info.pop("order_changes", None)  # this page's events hold them
        self.readings = {order.id: entry.order for order, entry in known}
        return changed

    def _apply(
        self,
        order: Order,
        lines: dict[str, OrderLine],
        channel_lines: Mapping[tuple[int, str], tuple[int, int]],
        entry: PreparedOrder,
        parcels: Mapping[str, Parcel],
        address_changed: bool | None,
    ) -> dict[str, Any]:
        incoming = entry.order
        untold = _untold(incoming)
        if incoming.total is None and order.total_minor is not None:
            untold.add("proceeds")  # withheld of a canceled order; what was charged is still what was charged
        counts: list[LineFacts] = []
        line_changes: dict[str, dict[str, Any]] = {}
        had_shipped = any(line.shipped for line in lines.values())
        for line in incoming.lines:
            line_id, first = channel_lines[order.channel_order_id, line.number]
            row = lines.get(line.number)
            had = LineFacts(first_ordered=first) if row is None else _facts_of(row, first)
            now_ = facts.read_line(had, line, incoming.stage)
            counts.append(now_)
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
                line_changes[str(row.id)] = {name: plain(value) for name, value in columns.items()}
            elif difference := _set(row, without_untold(columns, row, untold)):
                line_changes[str(row.id)] = difference
        listed = {line.number for line in incoming.lines}
        counts += [_facts_of(row, row.ordered) for number, row in lines.items() if number not in listed]
        kept = [trouble for trouble in order.attention if trouble["kind"] not in facts.IMPORT_KINDS]
        attention = facts.attention_of(incoming, counts[: len(incoming.lines)], had_shipped) + kept
        if address_changed is not None:  # it was corrected here, and the desk's own stands
            marked = any(trouble["kind"] == addresses.CHANGED for trouble in order.attention)
            untold.add("recipient")
            attention = addresses.attention_beside(attention, address_changed or (marked and not _address(incoming)))
        facts_now = order_columns(incoming, counts, state_of(incoming.stage, counts), attention)
        difference = _set(order, without_untold(facts_now, order, untold))
        if "state" in difference:
            difference |= _set(order, follows_from(order.state))
        foreign = facts.foreign_packages(incoming, parcels, _units_elsewhere(incoming, counts))
        own = {number: row.id for number, row in lines.items()}
        self.elsewhere.add(order.id, incoming, foreign, own, parcels)
        correct_tracking(incoming, parcels)
        after = {name: part for name, part in (("order", difference), ("lines", line_changes)) if part}
        if not after:
            return {}
        order.version += 1
        order.updated_at = self.at
        data: dict[str, Any] = {"after": after}
        if foreign:
            data["values"] = {"shipped_elsewhere": sum(sum(package.units.values()) for package in foreign)}
        self._event(order.id, "changed_there", incoming.updated_at, order.version, data)
        return after

    def _with_what_stood_untold(
        self, entries: Sequence[tuple[int, PreparedOrder]]
    ) -> Sequence[tuple[int, PreparedOrder]]:
        """Without its fulfillment part an answer has no status: such an order keeps the one that it had."""
        bare = [channel_id for channel_id, entry in entries if "fulfillment" in _untold(entry.order)]
        if not bare:
            return entries
        had = {row.id: row for row in db.session.scalars(select(ChannelOrder).where(ChannelOrder.id.in_(bare)))}
        whole = []
        for channel_id, entry in entries:
            if row := had.get(channel_id):
                order = replace(
                    entry.order,
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
            {"row_id": channel_id, **channel_order_columns(entry.order, entry.fingerprint, self.at)}
            for channel_id, entry in entries
        ]
        columns: dict[str, Any] = {name: bindparam(name) for name in rows[0] if name not in ("row_id", "number")}
        db.session.connection().execute(table.update().where(table.c.id == bindparam("row_id")).values(columns), rows)

    def _update_channel_lines(
        self, entries: Sequence[tuple[int, PreparedOrder]]
    ) -> dict[tuple[int, str], tuple[int, int]]:
        """Mirror the lines; returns id and first ordered quantity by order and line number."""
        ids = [channel_id for channel_id, _ in entries]
        rows = db.session.scalars(
            select(ChannelLine).where(ChannelLine.channel_order_id.in_(ids)).execution_options(populate_existing=True)
        )
        had = {(row.channel_order_id, row.number): row for row in rows}
        known: dict[tuple[int, str], tuple[int, int]] = {}
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
                row.facts = facts.channel_line_facts(line)
                had[channel_id, line.number] = row
        db.session.flush()
        for key, row in had.items():
            known[key] = (row.id, row.first_ordered)
        return known

    def _replace_channel_packages(self, entries: Sequence[tuple[int, PreparedOrder]]) -> None:
        told = [(channel_id, entry.order) for channel_id, entry in entries if entry.order.packages]
        if told:
            ids = [channel_id for channel_id, _ in told]
            db.session.execute(delete(ChannelPackage).where(ChannelPackage.channel_order_id.in_(ids)))
            self._insert_channel_packages(told)

    def _rewrite_amounts(self, orders: Sequence[tuple[Order, IncomingOrder]]) -> None:
        """Amounts are what the channel sent last; while it withholds the total, they stay as they were."""
        told = [(order, incoming) for order, incoming in orders if incoming.total is not None]
        if not told:
            return
        ids = [order.id for order, _ in told]
        had = db.session.execute(
            select(
                OrderAmount.order_id,
                OrderAmount.line_id,
                OrderAmount.component,
                OrderAmount.charged,
                OrderAmount.tax,
                OrderAmount.discount,
            ).where(OrderAmount.order_id.in_(ids))
        )
        stored: dict[int, set[tuple[Any, ...]]] = {}
        for order_id, *row in had:
            stored.setdefault(order_id, set()).add(tuple(row))
        lines = _grouped(db.session.scalars(select(OrderLine).where(OrderLine.order_id.in_(ids))))
        differ = []
        for order, incoming in told:
            own = {line.channel_line_number: line.id for line in lines.get(order.id, [])}
            rows = amount_rows(order.id, None, incoming.amounts)
            for line in incoming.lines:
                rows += amount_rows(order.id, own[line.number], line.amounts)
            wanted = {(r["line_id"], r["component"], r["charged"], r["tax"], r["discount"]) for r in rows}
            if wanted != stored.get(order.id, set()):
                differ.append((order, incoming, own))
        if differ:
            db.session.execute(
                delete(OrderAmount).where(OrderAmount.order_id.in_([order.id for order, _, _ in differ]))
            )
            self._write_amounts((order.id, incoming, own) for order, incoming, own in differ)


def _facts_of(row: OrderLine, first_ordered: int) -> LineFacts:
    return LineFacts(row.ordered, row.canceled, row.withdrawn, row.shipped, row.refunded, first_ordered)


def _set(row: Any, columns: Mapping[str, Any]) -> dict[str, Any]:
    """Set the columns that differ; returns them as an event keeps them."""
    difference = {}
    for name, value in columns.items():
        if getattr(row, name) != value:
            setattr(row, name, value)
            difference[name] = plain(value)
    return difference


def _untold(order: IncomingOrder) -> set[str]:
    """The parts of the answer that say nothing. Of a canceled order channels withhold the buyer; what was known stays,
    since there may be a parcel to call back.
    """
    nobody = not order.buyer.get("name") and not order.buyer.get("address")
    withheld = {"recipient", "buyer"} if order.stage is ChannelStage.CANCELED and nobody else set()
    return withheld | {part.lower() for part in order.missing}


def _address(order: IncomingOrder) -> Mapping[str, Any]:
    return order.buyer.get("address") or {}


def _sold(lines: Iterable[OrderLine]) -> set[tuple[str, str, str]]:
    return {(line.sku, line.asin, line.title) for line in lines}


def _units_elsewhere(order: IncomingOrder, lines: Sequence[LineFacts]) -> dict[str, int]:
    return {line.number: counts.shipped_elsewhere for line, counts in zip(order.lines, lines, strict=False)}


def _numbers(order: IncomingOrder) -> list[str]:
    return [line.number for line in order.lines]


def _grouped(lines: Iterable[OrderLine]) -> dict[int, list[OrderLine]]:
    groups: dict[int, list[OrderLine]] = {}
    for line in lines:
        groups.setdefault(line.order_id, []).append(line)
    return groups

"""Sealing and revealing. Buyer data leaves the vault in plain text through `reveal` only: by right, with a purpose,
recorded.
"""

import json
import secrets
import zlib
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from types import NoneType
from typing import Any

from cryptography.exceptions import InvalidTag
from sqlalchemy import and_, delete, select

from webapp.audit.actor import Actor
from webapp.audit.services import audit_reading
from webapp.clock import now
from webapp.db import among, db, write_rows
from webapp.hooks.asking import ask_listeners
from webapp.vault import files, periods
from webapp.vault.key_file import decrypt, encrypt, key_file
from webapp.vault.models import VaultErasure, VaultKey, VaultRecord

BUYER, RAW, ADDRESS = "buyer", "raw", "address"


def pack(kind: str, body: Any) -> bytes:
    """A body as the bytes that are sealed; the channel's raw answers are compressed.

    Half of a surrogate pair, at the end of a text that was cut off, is kept: json reads it back.
    """
    plain = json.dumps(body, ensure_ascii=False, separators=(",", ":"), default=str).encode(errors="surrogatepass")
    return zlib.compress(plain, 1) if kind == RAW else plain


class DataKeys:
    """The data keys of some orders, unwrapped while this object exists; created for orders that have none yet.

    Records of the `kinds` named are read in the same query. `opened` gives their contents, `sealed_at` the time at
    which the newest record of an order was sealed.
    """

    def __init__(self, order_ids: Iterable[int], kinds: Sequence[str] = ()) -> None:
        ids = list(order_ids)
        self._keys: dict[int, bytes] = {}
        self._records: dict[str, dict[int, bytes]] = {kind: {} for kind in kinds}
        self._opened: dict[str, dict[int, Any]] = {}
        self.sealed_at: dict[int, datetime] = {}
        query = select(VaultKey.order_id, VaultKey.period, VaultKey.wrapped).where(among(VaultKey.order_id, ids))
        if kinds:
            beside = and_(VaultRecord.order_id == VaultKey.order_id, VaultRecord.kind.in_(kinds))
            query = query.outerjoin(VaultRecord, beside).add_columns(
                VaultRecord.kind, VaultRecord.body, VaultRecord.sealed_at
            )
        periods: dict[str, bytes | None] = {}
        self._lost: dict[int, str] = {}  # orders whose key exists but can't be unwrapped, with its period
        rows: Iterable[Any] = db.session.connection().execute(query)
        for row in rows:
            order_id, period, wrapped = row[:3]
            if kinds and row[3] is not None:
                self._records[row[3]][order_id] = row[4]
                self.sealed_at[order_id] = max(row[5], self.sealed_at.get(order_id, row[5]))
            if order_id in self._keys or order_id in self._lost:
                continue
            if period not in periods:
                periods[period] = key_file().key(period)
            try:
                self._keys[order_id] = decrypt(periods[period] or b"", wrapped, f"key:{order_id}")
            except (InvalidTag, ValueError):
                self._lost[order_id] = period

    def make(self, order_ids: Iterable[int]) -> None:
        """Create a data key for each of these orders, which have none that opens.

        Raises `KeyProblem` rather than replace a key that the newer copy of the key file would open.
        """
        order_ids = list(order_ids)
        if lost := self._lost.keys() & set(order_ids):
            for period in {self._lost[order_id] for order_id in lost}:
                key_file().check_known(period)
            db.session.execute(delete(VaultKey).where(VaultKey.order_id.in_(lost)))
        period, period_key = key_file().current()
        rows = []
        for order_id in order_ids:
            key = secrets.token_bytes(32)
            self._keys[order_id] = key
            wrapped = encrypt(period_key, key, f"key:{order_id}")
            rows.append({"order_id": order_id, "period": period, "wrapped": wrapped})
        write_rows(VaultKey, rows)

    def renew(self, order_ids: Iterable[int]) -> None:
        """Create new keys for those of these orders whose week's key was destroyed, for data that will still arrive."""
        self.make([order_id for order_id in order_ids if key_file().is_destroyed(self._lost.get(order_id, ""))])

    def __contains__(self, order_id: int) -> bool:
        return order_id in self._keys

    def opened(self, kind: str) -> dict[int, Any]:
        """The contents of the records of a kind, by order; records that can't be opened are left out."""
        if kind not in self._opened:
            bodies = {order_id: self.open(order_id, kind, sealed) for order_id, sealed in self._records[kind].items()}
            self._opened[kind] = {order_id: body for order_id, body in bodies.items() if body is not None}
        return self._opened[kind]

    def seal(self, order_id: int, kind: str, packed: bytes) -> bytes:
        return encrypt(self._keys[order_id], packed, f"{kind}:{order_id}")

    def open(self, order_id: int, kind: str, sealed: bytes) -> Any:
        """The body; None if the order's key is gone or the seal is not valid."""
        if order_id not in self._keys:
            return None
        try:
            plain = decrypt(self._keys[order_id], sealed, f"{kind}:{order_id}")
        except InvalidTag:
            return None
        return json.loads(zlib.decompress(plain) if kind == RAW else plain)


def reveal(actor: Actor, order_ids: Sequence[int], *, purpose: str, kind: str = BUYER) -> dict[int, Mapping[str, Any]]:
    """The buyer data of these orders, in one query; erased orders are left out. Each call writes one access record,
    with ids.

    Raises `Forbidden` without the right to see buyers.
    """
    if not order_ids:
        actor.needs("buyers.see")
        return {}
    return reveal_kinds(actor, order_ids, purpose=purpose, kinds=(kind,)).opened(kind)


def reveal_kinds(actor: Actor, order_ids: Sequence[int], *, purpose: str, kinds: Sequence[str]) -> DataKeys:
    """Reveal records of several kinds, with one access record; returns the data keys too, so that callers can open
    more.
    """
    actor.needs("buyers.see")
    keys = DataKeys(order_ids, kinds)
    seen = sorted(set().union(*(keys.opened(kind) for kind in kinds)))
    audit_reading("buyers_seen", actor=actor, purpose=purpose, kind=",".join(kinds), orders=seen)
    return keys


def put(order_id: int, kind: str, body: Any) -> None:
    """Seal a record of an order; it replaces the order's record of that kind."""
    keys = DataKeys([order_id])
    if order_id not in keys:
        keys.make([order_id])
    row = record_row(keys, order_id, kind, pack(kind, body))
    db.session.execute(delete(VaultRecord).where(VaultRecord.order_id == order_id, VaultRecord.kind == kind))
    write_rows(VaultRecord, [row])


def seal(order_id: int, kind: str, body: Any) -> bytes:
    """Seal one value under the order's key, for a column of another table; `open_sealed` opens it."""
    keys = DataKeys([order_id])
    if order_id not in keys:
        keys.make([order_id])
    return keys.seal(order_id, kind, pack(kind, body))


def open_sealed(values: Iterable[tuple[int, str, bytes]], keys: DataKeys | None = None) -> list[Any]:
    """Open values that `seal` made, in order; None if the key is gone. For the desk's own texts, not for buyer data.

    `keys` that the caller already has save a query.
    """
    values = list(values)
    keys = keys or DataKeys({order_id for order_id, _, _ in values})
    return [keys.open(order_id, kind, sealed) for order_id, kind, sealed in values]


def reveal_sealed(
    actor: Actor, values: Iterable[tuple[int, str, bytes]], *, purpose: str, keys: DataKeys | None = None
) -> list[Any]:
    """Open values about buyers, such as reasons and earlier addresses: by right, with an access record."""
    actor.needs("buyers.see")
    values = list(values)
    opened = open_sealed(values, keys)
    seen = {order_id for (order_id, _, _), body in zip(values, opened, strict=True) if body is not None}
    kinds = ",".join(sorted({kind for _, kind, _ in values}))
    audit_reading("buyers_seen", actor=actor, purpose=purpose, kind=kinds, orders=sorted(seen))
    return opened


def erase(order_ids: Sequence[int]) -> None:
    """Destroy the keys of these orders and the files about them: nothing sealed of them can be opened, here or in a
    copy made from now on. Later answers of their channels don't restore the buyer.
    """
    ask_listeners("buyers_erasing", list(order_ids), gives=NoneType)  # locks the orders
    files.forget_about(order_ids)
    keys = select(VaultKey.period).where(among(VaultKey.order_id, order_ids)).distinct()
    periods.note(set(db.session.scalars(keys)))
    db.session.execute(delete(VaultRecord).where(VaultRecord.order_id.in_(order_ids)))
    db.session.execute(delete(VaultKey).where(VaultKey.order_id.in_(order_ids)))
    write_rows(VaultErasure, [{"order_id": order_id} for order_id in sorted(set(order_ids) - erased(order_ids))])


def erased(order_ids: Sequence[int]) -> set[int]:
    """Those of the orders whose buyers were erased, also if something was sealed of them afterwards."""
    return set(db.session.scalars(select(VaultErasure.order_id).where(among(VaultErasure.order_id, order_ids))))


def record_row(keys: DataKeys, order_id: int, kind: str, packed: bytes) -> dict[str, Any]:
    """A row of the records table for a packed body; the import writes many rows in one statement."""
    return {"order_id": order_id, "kind": kind, "sealed_at": now(), "body": keys.seal(order_id, kind, packed)}


def seal_quarantined(body: Any) -> tuple[str, bytes]:
    """Seal data that belongs to no order yet, under this week's key; returns the period's name and the sealed bytes."""
    period, key = key_file().current()
    return period, encrypt(key, pack(RAW, body), f"aside:{period}")


def seal_apart(kind: str, body: Any) -> tuple[str, bytes]:
    """Seal data that belongs to no single order, such as the words of a search; returns the week's name and the
    sealed bytes.
    """
    period, key = key_file().current()
    return period, encrypt(key, pack(kind, body), f"{kind}:{period}")


def reveal_apart(actor: Actor, values: Iterable[tuple[str, str, bytes]], *, purpose: str) -> list[Any]:
    """Open values that `seal_apart` made of buyers (kind, week, sealed), in order: by right, with one access record;
    None for what is gone.
    """
    actor.needs("buyers.see")
    values = list(values)
    opened = [open_apart(kind, period, sealed) if period else None for kind, period, sealed in values]
    if values:
        kinds = ",".join(sorted({kind for kind, _period, _sealed in values}))
        audit_reading("buyers_seen", actor=actor, purpose=purpose, kind=kinds, orders=[])
    return opened


def open_apart(kind: str, period: str, sealed: bytes) -> Any:
    """Open what `seal_apart` sealed; None once the week's key is destroyed."""
    try:
        plain = decrypt(key_file().key(period) or b"", sealed, f"{kind}:{period}")
    except (InvalidTag, ValueError):
        return None
    return json.loads(zlib.decompress(plain) if kind == RAW else plain)

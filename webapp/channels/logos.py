"""The logos of shops: a small picture each, kept in the database, so that backups have them and every machine can read
them.

PNG and JPEG are accepted, which every browser draws and every document can hold. SVG is not, since it may hold scripts.
The type of a file is read from its content, not from its name; a PNG with data behind its end is refused, and so is a
truncated one.
"""

import hashlib
import zlib
from dataclasses import dataclass

from sqlalchemy import delete, select

from webapp.audit.actor import Actor
from webapp.audit.services import audit
from webapp.channels.models import Shop, ShopLogo
from webapp.clock import now
from webapp.db import db, forget_read, insert_into, once_a_transaction
from webapp.errors import Invalid, NotFound
from webapp.i18n import lazy_gettext as _l

LARGEST = 500_000  # bytes
PIXELS = range(16, 4001)  # wide, and high
TYPES = {"png": "image/png", "jpeg": "image/jpeg"}
_PNG, _JPEG, _JPEG_END = b"\x89PNG\r\n\x1a\n", b"\xff\xd8", b"\xff\xd9"
_JPEG_SIZES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}  # the markers of frames: baseline, progressive …
_KEPT = "logos of shops"


@dataclass(frozen=True, slots=True)
class Logo:
    """What a page needs for drawing a shop's logo; the digest distinguishes one picture from the next."""

    shop_id: int
    kind: str
    width: int
    height: int
    digest: str


def logo_of(shop_id: int) -> Logo | None:
    """The shop's logo, without its content; the logos of all shops are read at once, once per transaction."""

    def read() -> dict[int, Logo]:
        table = ShopLogo.__table__.c
        rows = db.session.execute(select(table.shop_id, table.kind, table.width, table.height, table.digest))
        return {row.shop_id: Logo(*row) for row in rows}

    return once_a_transaction(_KEPT, read).get(shop_id)


def logo_content(shop_id: int, actor: Actor) -> tuple[bytes, str]:
    """The picture and its type, for people who may see the shop's orders. Raises `NotFound`."""
    actor.needs("orders.view")
    table = ShopLogo.__table__.c
    row = db.session.execute(select(table.content, table.kind).where(table.shop_id == shop_id)).first()
    if row is None or not actor.serves([shop_id]):
        raise NotFound(name=shop_id)
    return bytes(row.content), TYPES[row.kind]


def picture_of(logo: Logo, actor: Actor) -> bytes | None:
    """The content of a logo; None if the shop no longer has it, or if this actor may not see it."""
    try:
        return logo_content(logo.shop_id, actor)[0]
    except NotFound:
        return None


def set_logo(shop: Shop, content: bytes, *, actor: Actor) -> None:
    """Give the shop a logo, in place of an earlier one. Raises `Invalid` if the content is not an accepted picture."""
    actor.needs("settings.edit")
    actor.needs_shops([shop.id])
    kind, width, height = _read(content)
    values = {
        "kind": kind,
        "width": width,
        "height": height,
        "digest": hashlib.sha256(content).hexdigest()[:16],
        "content": content,
        "at": now(),
    }
    insert = insert_into(ShopLogo).values(shop_id=shop.id, **values)
    db.session.execute(insert.on_conflict_do_update(index_elements=["shop_id"], set_=values))
    forget_read(_KEPT)
    audit("shop_logo_changed", actor=actor, shop=shop.id, digest=values["digest"])


def remove_logo(shop: Shop, *, actor: Actor) -> None:
    """Remove the shop's logo; if it has none, nothing happens."""
    actor.needs("settings.edit")
    actor.needs_shops([shop.id])
    gone = db.session.execute(delete(ShopLogo).where(ShopLogo.shop_id == shop.id).returning(ShopLogo.shop_id))
    forget_read(_KEPT)
    if gone.all():
        audit("shop_logo_removed", actor=actor, shop=shop.id)


def _read(content: bytes) -> tuple[str, int, int]:
    """The type of a picture, its width and its height."""
    if not content:
        raise Invalid(field="logo", problem=_l("Choose a file."))
    if len(content) > LARGEST:
        raise Invalid(field="logo", problem=_l("The file is larger than 500 KB. Choose a smaller one."))
    kind = "png" if content.startswith(_PNG) else "jpeg"
    size = _size_of_png(content) if kind == "png" else _size_of_jpeg(content)
    if size is None:
        raise Invalid(field="logo", problem=_l("The file is not a complete PNG or JPEG image. Choose another one."))
    if not all(length in PIXELS for length in size):
        raise Invalid(
            field="logo", problem=_l("The image must be 16 to 4000 pixels wide and high. Choose another one.")
        )
    return kind, *size


def _size_of_png(content: bytes) -> tuple[int, int] | None:
    """The size of a PNG whose chunks are complete, undamaged and followed by nothing; None for any other content."""
    at, size, drawn = len(_PNG), None, False
    while at + 12 <= len(content):
        end = at + 12 + int.from_bytes(content[at : at + 4], "big")
        kind, body = content[at + 4 : at + 8], content[at + 8 : end - 4]
        if end > len(content) or zlib.crc32(kind + body) != int.from_bytes(content[end - 4 : end], "big"):
            return None
        if size is None:
            if kind != b"IHDR" or len(body) != 13:
                return None
            size = int.from_bytes(body[:4], "big"), int.from_bytes(body[4:8], "big")
        drawn = drawn or kind == b"IDAT"
        if kind == b"IEND":
            return size if drawn and end == len(content) else None
        at = end
    return None


def _size_of_jpeg(content: bytes) -> tuple[int, int] | None:
    """The size of a JPEG that has a frame before its data, and an end; None for any other content."""
    if not (content.startswith(_JPEG) and content.endswith(_JPEG_END)):
        return None
    at, size = len(_JPEG), None
    while at + 4 <= len(content) and content[at] == 0xFF:
        marker = content[at + 1]
        if marker == 0xFF:  # a fill byte
            at += 1
            continue
        if marker == 0xDA:  # the image data
            return size
        length = int.from_bytes(content[at + 2 : at + 4], "big")
        part = content[at + 4 : at + 2 + length]
        if marker in _JPEG_SIZES and len(part) >= 6:
            size = int.from_bytes(part[3:5], "big"), int.from_bytes(part[1:3], "big")
        at += 2 + max(length, 2)
    return None

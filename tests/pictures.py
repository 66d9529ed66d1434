"""Small pictures, generated here."""

import struct
import zlib


def png(width: int = 32, height: int = 20, *, kind: bytes = b"IHDR") -> bytes:
    """A PNG of one color."""
    rows = (b"\0" + b"\x30\x60\xa0" * width) * height if width * height < 10**6 else b""
    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    parts = [(kind, head), (b"IDAT", zlib.compress(rows)), (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(part(name, body) for name, body in parts)


def part(name: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))


def jpeg(width: int = 32, height: int = 20) -> bytes:
    """The beginning of a JPEG up to its size, without an image."""
    start = b"\xff\xd8\xff\xe0" + struct.pack(">H", 16) + b"JFIF\0" + b"\1\1\0\0\1\0\1\0\0"
    frame = b"\xff\xc2" + struct.pack(">HBHHB", 11, 8, height, width, 1) + b"\1\x11\0"
    return start + frame + b"\xff\xda\x00\x08\1\1\0\0\x3f\0" + b"\x12\x34" + b"\xff\xd9"

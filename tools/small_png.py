"""Makes a PNG small: a page has only a few hundred important colors, and a palette of 256 of them looks the same.

A screenshot of Chromium stores every pixel's color in full. Here the most frequent colors become a palette, and the
others (edges of letters) are replaced by the nearest of them; the file becomes a third as large.
"""

from __future__ import annotations

import struct
import zlib
from collections import Counter

_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_CHANNELS = {2: 3, 6: 4}  # by color type: with or without transparency
_COLORS = 256


def small(png: bytes) -> bytes:
    """A picture reduced to 256 colors; it must be a screenshot: eight bits a channel and nothing transparent."""
    chunks = list(_chunks(png))
    width, height, _, kind = struct.unpack(">IIBB", chunks[0][1][:10])
    size = _CHANNELS[kind]
    pixels = _pixels(zlib.decompress(b"".join(body for name, body in chunks if name == b"IDAT")), width * size, size)
    colors = Counter(row[at : at + 3] for row in pixels for at in range(0, len(row), size))
    palette = [color for color, _ in colors.most_common(_COLORS)]
    places = {color: place for place, color in enumerate(palette)}
    for color in colors:
        if color not in places:
            places[color] = min(range(len(palette)), key=lambda place: _distance(palette[place], color))
    rows = (b"\0" + bytes(places[row[at : at + 3]] for at in range(0, len(row), size)) for row in pixels)
    head = struct.pack(">IIBBBBB", width, height, 8, 3, 0, 0, 0)
    parts = [(b"IHDR", head), (b"PLTE", b"".join(palette)), (b"IDAT", zlib.compress(b"".join(rows), 9)), (b"IEND", b"")]
    return _SIGNATURE + b"".join(_chunk(name, body) for name, body in parts)


def _chunks(png: bytes) -> list[tuple[bytes, bytes]]:
    found, at = [], len(_SIGNATURE)
    while at < len(png):
        length, name = struct.unpack(">I4s", png[at : at + 8])
        found.append((name, png[at + 8 : at + 8 + length]))
        at += 12 + length
    return found


def _chunk(name: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))


def _pixels(raw: bytes, stride: int, size: int) -> list[bytes]:
    """The rows with their filters undone: in the format each byte is stored as its difference to a neighbor."""
    rows, above = [], bytes(stride)
    for start in range(0, len(raw), stride + 1):
        line = bytearray(raw[start + 1 : start + 1 + stride])
        way = raw[start]
        for at in range(stride if way else 0):
            left = line[at - size] if at >= size else 0
            corner = above[at - size] if at >= size else 0
            guess = (0, left, above[at], (left + above[at]) // 2, _paeth(left, above[at], corner))[way]
            line[at] = (line[at] + guess) & 255
        above = bytes(line)
        rows.append(above)
    return rows


def _paeth(left: int, above: int, corner: int) -> int:
    guess = left + above - corner
    return min((left, above, corner), key=lambda one: abs(guess - one))


def _distance(one: bytes, other: bytes) -> int:
    return sum((a - b) ** 2 for a, b in zip(one, other, strict=True))

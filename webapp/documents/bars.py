"""Code 128: a text as bars that every scanner reads. Both drawings take the widths of the bars from here."""

from functools import lru_cache

MILLIMETERS = (0.375, 0.25)  # of the thinnest bar: three dots of a label printer, or two
QUIET = 10  # thinnest bars of empty paper on both sides, without which scanners don't find the code
HEIGHT = 12  # millimeters


@lru_cache(maxsize=1024)
def widths(text: str) -> tuple[int, ...]:
    """Bars and the spaces between them by turns, in thinnest bars; empty for a text that Code 128 does not carry."""
    from reportlab.graphics.barcode.code128 import Code128Auto  # takes a third of a second once

    if not text or not (text.isascii() and text.isprintable()):
        return ()
    code = Code128Auto(text)
    for step in (code.validate, code.encode, code.decompose):
        step()
    return tuple(ord(letter.lower()) - ord("a") + 1 for letter in code.decomposed)


def thinnest(text: str, room: float) -> float:
    """How many millimeters wide the thinnest bar is where the code has so much room; 0 where there is none to draw."""
    found = widths(text)
    modules = sum(found) + 2 * QUIET
    return next((wide for wide in MILLIMETERS if found and modules * wide <= room), 0.0)

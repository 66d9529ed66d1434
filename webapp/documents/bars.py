"""Code 128: a text as a bar code for every scanner. The drawings for the page and for PDF both get the bars' widths
here.
"""

from functools import lru_cache

MILLIMETERS = (0.375, 0.25)  # of the narrowest bar: three dots of a label printer, or two
QUIET = 10  # empty paper on both sides, in widths of the narrowest bar; without it scanners don't find the code
HEIGHT = 12  # millimeters


@lru_cache(maxsize=1024)
def widths(text: str) -> tuple[int, ...]:
    """The widths of bars and spaces in turn, as multiples of the narrowest bar; empty for a text that Code 128 can't
    encode.
    """
    from reportlab.graphics.barcode.code128 import Code128Auto  # the import takes a third of a second

    if not text or not (text.isascii() and text.isprintable()):
        return ()
    code = Code128Auto(text)
    for step in (code.validate, code.encode, code.decompose):
        step()
    return tuple(ord(letter.lower()) - ord("a") + 1 for letter in code.decomposed)


def thinnest(text: str, room: float) -> float:
    """The width of the narrowest bar in millimeters if the code has this much room; 0 if the code can't be drawn."""
    found = widths(text)
    modules = sum(found) + 2 * QUIET
    return next((wide for wide in MILLIMETERS if found and modules * wide <= room), 0.0)

"""A decoder for Code 128, as a scanner has it: from the widths of bars and spaces, by the table of ISO/IEC 15417."""

from collections.abc import Sequence

_TABLE = (
    "212222 222122 222221 121223 121322 131222 122213 122312 132212 221213 221312 231212 112232 122132 122231 113222 "
    "123122 123221 223211 221132 221231 213212 223112 312131 311222 321122 321221 312212 322112 322211 212123 212321 "
    "232121 111323 131123 131321 112313 132113 132311 211313 231113 231311 112133 112331 132131 113123 113321 133121 "
    "313121 211331 231131 213113 213311 213131 311123 311321 331121 312113 312311 332111 314111 221411 431111 111224 "
    "111422 121124 121421 141122 141221 112214 112412 122114 122411 142112 142211 241211 221114 413111 241112 134111 "
    "111242 121142 121241 114212 124112 124211 411212 421112 421211 212141 214121 412121 111143 111341 131141 114113 "
    "114311 411113 411311 113141 114131 311141 411131 211412 211214 211232"
)
_PATTERNS = _TABLE.split(" ")
_STOP = "2331112"
_START = {103: "A", 104: "B", 105: "C"}
_TO_C = 99
_TABLES = {_TO_C: "C", 100: "B", 101: "A"}


def read_back(widths: Sequence[int]) -> str:
    """The text of a code; raises ValueError if its check sum is wrong."""
    digits = "".join(str(width) for width in widths)
    if not digits.endswith(_STOP):
        raise ValueError("the code has no end")
    body = digits[: -len(_STOP)]
    start, *values, check = (_PATTERNS.index(body[at : at + 6]) for at in range(0, len(body), 6))
    if (start + sum(place * value for place, value in enumerate(values, start=1))) % 103 != check:
        raise ValueError("the check sum does not hold")
    text, table = "", _START[start]
    for value in values:
        if value in _TABLES and not (table == "C" and value == _TO_C):
            table = _TABLES[value]
        elif table == "C":
            text += f"{value:02d}"
        else:
            text += chr(value + 32) if value < 64 or table == "B" else chr(value - 64)
    return text

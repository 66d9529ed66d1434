"""Search terms: how words and numbers are normalized, cut into prefixes and hashed.

A term is a 64-bit keyed hash over its kind and a normalized word, so an index of terms holds no plain word. Words are
found by prefixes from three letters, ideographs from one character, numbers also by their last four digits and longer.
"""

import hashlib
import re
import unicodedata
from collections.abc import Iterator

_WORD = re.compile(r"[^\W_]+")
_IDEOGRAPH = re.compile(r"[\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff\uac00-\ud7af]")
_SHORTEST, _SHORTEST_END = 3, 4


def normalize(text: str) -> str:
    """Without marks, case or compatibility forms: `Crème BRÛLÉE` and `creme brulee` are the same."""
    decomposed = unicodedata.normalize("NFKD", text)
    return "".join(char for char in decomposed if not unicodedata.combining(char)).casefold()


def words(text: str) -> list[str]:
    """The words of a text, normalized."""
    return _WORD.findall(normalize(text))


def forms(word: str) -> Iterator[str]:
    """Every form under which a normalized word can be found: its prefixes, and for numbers its endings."""
    if _IDEOGRAPH.search(word):
        for start in range(len(word)):
            yield from (word[start : start + length] for length in (1, 2) if start + length <= len(word))
        yield word
        return
    yield from (word[:length] for length in range(min(_SHORTEST, len(word)), len(word) + 1))
    if word.isdigit():
        yield from (word[-length:] for length in range(_SHORTEST_END, len(word)))


def term(kind: str, form: str, key: bytes) -> int:
    """The signed 64-bit keyed hash under which a form of a kind (`number`, `buyer` …) stands in the index."""
    digest = hashlib.blake2b(f"{kind}\0{form}".encode(), key=key, digest_size=8).digest()
    return int.from_bytes(digest, "big", signed=True)


def terms(kind: str, text: str, key: bytes) -> frozenset[int]:
    """All terms of a text: what the index stores for it."""
    return frozenset(term(kind, form, key) for word in words(text) for form in forms(word))

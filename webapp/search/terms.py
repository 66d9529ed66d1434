"""Search terms: how words and numbers are normalized, cut into prefixes and hashed.

A term is a 64-bit keyed hash of its kind and a normalized form, so an index of terms holds no plain word. Words are
found by their beginnings from three letters on, and shorter words whole; ideographs by one or two neighboring
characters; digits by their endings. Each domain decides which kinds it has, and which forms of an order's data it
indexes.
"""

import hashlib
import re
import unicodedata
from collections.abc import Iterable, Iterator
from functools import lru_cache

from webapp.vault.key_file import key_file

SHORTEST = 3  # letters of the shortest prefix
_WORD = re.compile(r"[^\W_]+")
_IDEOGRAPH = re.compile(r"[\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff\uac00-\ud7af]")
_LETTERS = str.maketrans({"ł": "l", "ø": "o", "đ": "d", "ð": "d", "þ": "th", "æ": "ae", "œ": "oe", "ħ": "h", "ı": "i"})
_LONGEST = 12  # letters of a word that are indexed; later ones don't count


@lru_cache(maxsize=16384)
def normalize(text: str) -> str:
    """The text without accents, case or compatibility forms: `Crème BRÛLÉE` and `creme brulee` become the same."""
    if text.isascii():
        return text.casefold()
    decomposed = unicodedata.normalize("NFKD", text).casefold()
    bare = "".join(char for char in unicodedata.normalize("NFKD", decomposed) if not unicodedata.combining(char))
    return unicodedata.normalize("NFC", bare).translate(_LETTERS)


def words(text: str) -> list[str]:
    """The words of a text, normalized."""
    return _WORD.findall(normalize(text))


def digits(text: str) -> str:
    """The digits of a text, in whatever script they are written, as ASCII."""
    return "".join(char if char.isascii() else str(unicodedata.digit(char)) for char in text if char.isdecimal())


def is_ideographic(word: str) -> bool:
    return _IDEOGRAPH.search(word) is not None


def forms(word: str) -> Iterator[str]:
    """Every form by which a normalized word can be found: its prefixes; of ideographs every one and every two."""
    if is_ideographic(word):
        for start in range(len(word)):
            yield from (word[start : start + length] for length in (1, 2) if start + length <= len(word))
        return
    yield from (word[:length] for length in range(min(SHORTEST, len(word)), min(_LONGEST, len(word)) + 1))


def sought(word: str) -> list[str]:
    """The forms that an indexed word must have to begin with this word; pairs of ideographs overlap."""
    if is_ideographic(word):
        return [word[start : start + 2] for start in range(max(1, len(word) - 1))]
    return [word[:_LONGEST]]


def term(kind: str, form: str, key: bytes) -> int:
    """The signed 64-bit keyed hash under which the index holds a form of a kind (`phone`, `buyer` …)."""
    digest = hashlib.blake2b(f"{kind}\0{form}".encode(errors="surrogatepass"), key=key, digest_size=8).digest()
    return int.from_bytes(digest, "big", signed=True)


@lru_cache(maxsize=16384)
def terms_of_word(kind: str, word: str, key: bytes) -> frozenset[int]:
    """All terms of one normalized word."""
    return frozenset(term(kind, form, key) for form in forms(word))


def terms(kind: str, text: str, key: bytes) -> frozenset[int]:
    """All terms of a text: what the index stores for it."""
    return frozenset().union(*(terms_of_word(kind, word, key) for word in words(text)))


def hashed(kind: str, forms_: Iterable[str], key: bytes) -> frozenset[int]:
    """The terms of forms that are already normalized and cut."""
    return frozenset(term(kind, form, key) for form in forms_)


def index_key() -> bytes:
    """The key of the index: it never changes as long as the key file does not."""
    return key_file().blind()

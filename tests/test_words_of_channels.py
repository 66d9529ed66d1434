"""The desk itself knows no marketplace: no word of one stands in its code, pages, scripts, tables or catalogs.

What a channel calls things comes from its plugin. Tests, the guides and the history of migrations may name them.
"""

import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest
from sqlalchemy import MetaData

from webapp.config import ROOT
from webapp.db import db

WORDS = {"amazon", "asin", "prime", "premium", "business", "fba", "afn", "mfn"}
PHRASE = re.compile(r"seller[\s_-]*central", re.IGNORECASE)
CORE = ("webapp", "supervisor", "wsgi.py", "gunicorn.conf.py")
KINDS = {
    "code": (".py",),
    "templates": (".html", ".txt", ".xml"),
    "static files": (".js", ".css", ".svg", ".json", ""),
    "catalogs": (".po",),
}
BINARY = {".ico", ".mo", ".otf", ".png", ".ttf", ".woff", ".woff2"}
# Of files, the lines that may hold a word, each for its reason:
ALLOWED = {
    # What is stored and never written again has it: events of before, and the fingerprints of what was read.
    "webapp/orders/events.py": ['NAMED_BEFORE = {"asin": "product_code"}'],
}
_WORD = re.compile(r"[^\W\d_]+")
_HUMP = re.compile(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])")


def words_in(text: str) -> Iterator[str]:
    """The words of a marketplace in a text; also as parts of a name: `is_prime`, `asinKey`, `AmazonChannel`."""
    for word in _WORD.findall(text):
        parts = {word, *_HUMP.findall(word)} if word.isascii() else {word}
        for part in map(str.lower, parts):
            if {part, part.removesuffix("s"), part.removesuffix("es")} & WORDS:
                yield part
    yield from PHRASE.findall(text)


@cache
def files(kind: str) -> list[Path]:
    paths = (path for part in CORE for path in ([ROOT / part] if part.endswith(".py") else (ROOT / part).rglob("*")))
    return sorted(path for path in paths if path.suffix in KINDS[kind] and path.is_file())


@pytest.mark.parametrize("kind", KINDS)
def test_no_word_of_a_marketplace_is_in_the_core(kind: str) -> None:
    found = []
    for path in files(kind):
        name = str(path.relative_to(ROOT))
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
            if any(allowed in line for allowed in ALLOWED.get(name, ())):
                continue
            found += [f"{name}:{number}: {word}" for word in words_in(line)]

    assert found == []


def test_all_that_is_searched_is_there() -> None:
    """Every language's catalog, too, and no file of text that is of no kind."""
    languages = [path for path in (ROOT / "webapp" / "translations").iterdir() if path.is_dir()]
    assert len(files("catalogs")) == len(languages) > 0
    assert all(len(files(kind)) > 1 for kind in ("code", "templates", "static files"))
    known = {ending for endings in KINDS.values() for ending in endings}
    others = {
        path.suffix for path in (ROOT / "webapp").rglob("*") if path.is_file() and "__pycache__" not in path.parts
    }
    assert others - known <= BINARY


def test_no_table_column_index_or_constraint_is_called_so() -> None:
    assert list(names_in(db.metadata)) != []
    assert [name for name in names_in(db.metadata) if list(words_in(name))] == []


def names_in(metadata: MetaData) -> Iterator[str]:
    for table in metadata.tables.values():
        if not table.info.get("plugin"):
            named = (*table.columns, *table.indexes, *table.constraints)
            yield from (str(name) for name in (table.name, *(one.name for one in named)) if name)


def test_whatever_is_allowed_is_there() -> None:
    for name, lines in ALLOWED.items():
        text = (ROOT / name).read_text(encoding="utf-8")
        assert all(list(words_in(line)) and text.count(line) == 1 for line in lines)


@pytest.mark.parametrize(
    "text",
    [
        "is_prime", "asinKey", "the ASINs of", "AmazonChannel", "AMAZON_BUSINESS", "a business's", "Seller Central",
        "seller_central", "data-prime", "ix_listings_asin", "an FBA order", "afn", "MFNs", "premium:yes", "orderAsin",
        "« Prime »",
    ],
)  # fmt: skip
def test_a_word_is_found_as_it_may_be_written(text: str) -> None:
    assert list(words_in(text))


@pytest.mark.parametrize(
    "text", ["erasing", "releasing", "supprimer", "imprimé", "comprimés", "businesslike", "primed", "primer", "amazing"]
)
def test_a_word_within_another_is_none(text: str) -> None:
    assert list(words_in(text)) == []

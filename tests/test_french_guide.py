"""The merchants' guide in French says what the English one says, block by block, in the words of the French desk."""

import re
from collections.abc import Iterator
from itertools import zip_longest

import pytest

from tests.pages import FENCE, INLINE, LINK, anchors
from tools import catalogs

DOCS = catalogs.ROOT / "docs"
ENGLISH, FRENCH = ((DOCS / name).read_text() for name in ("merchants.md", "merchants.fr.md"))
OF_AMAZON = {"Authorize"}  # a button of Amazon's, which bears this name in French, too
_BLOCK = re.compile(
    r"^ *```[\s\S]*?^ *```$|^\|.+\n\| ---.+$|^[#|].+$|^.+(?:\n(?! *(?:- |\d\. |```|[#|])).+)*", re.MULTILINE
)
_BEGINNING = re.compile(r" *(```\S*|#+ |\||!\[|- |\d\. |> )")
_MARKED = re.compile(r"\*\*(.+?)\*\*|\*([^*]+)\*", re.DOTALL)


def _blocks(text: str) -> list[str]:
    """The headings, paragraphs, items, tables' heads and rows, pictures and fenced examples of a page, in order."""
    return _BLOCK.findall(text)


def _kind(block: str) -> str:
    """What a block begins with, and how many cells a row has."""
    begins = _BEGINNING.match(block)
    return f"{begins[1] if begins else ''}{INLINE.sub('', block).count('|') or ''}"


def _together() -> Iterator[tuple[str, str]]:
    """Each block with its French."""
    yield from zip(_blocks(ENGLISH), _blocks(FRENCH), strict=True)


def _code(block: str) -> list[str]:
    """Fenced examples as they stand; code within a sentence in any order, since translation turns sentences around."""
    return FENCE.findall(block) or sorted(" ".join(code.split()) for code in INLINE.findall(block))


def _numbers(block: str) -> list[str]:
    """The numbers in a block's words, without the sign between their thousands."""
    words = LINK.sub("", INLINE.sub("", FENCE.sub("", block)))
    return sorted(re.findall(r"\d+", re.sub(r"(?<=\d)[,\u00a0](?=\d{3}\b)", "", words)))


def _names(block: str) -> set[str]:
    """What a block has in bold or italics or begins a row with: names that stand on the desk, among other words."""
    text = INLINE.sub("", block)
    marked = [bold or italic for bold, italic in _MARKED.findall(text)]
    if text.startswith("|") and "\n" not in text:
        marked += text.split("|")[1].split(", ")
    return {" ".join(re.split(r"[ \n]+", part)).strip(" .") for name in marked for part in name.split("›")}


@pytest.fixture(scope="module")
def words() -> dict[str, set[str]]:
    """The French of the desk's texts: with Amazon's name in the place of a channel's, without a time or a reason behind
    them.
    """
    found: dict[str, set[str]] = {}
    for folder in catalogs.folders():
        for message in catalogs.messages(catalogs.read(catalogs.file_of(folder, "fr"), "fr")):
            if isinstance(message.id, str):
                both = (text.replace("%(channel)s", "Amazon") for text in (message.id, message.string))
                english, french = (re.sub(r"[\s:]+%\(\w+\)s\.?$", "", text) for text in both)
                found.setdefault(english, set()).add(french)
    return found


def test_each_block_has_its_french() -> None:
    for english, french in zip_longest(_blocks(ENGLISH), _blocks(FRENCH), fillvalue=""):
        assert _kind(english) == _kind(french), f"{english}\n\nis not:\n\n{french}"


def test_code_and_numbers_are_the_same() -> None:
    for english, french in _together():
        assert _code(english) == _code(french), french
        assert _numbers(english) == _numbers(french), french


def test_pictures_and_links_lead_to_the_same() -> None:
    french_of = dict(zip(anchors(ENGLISH), anchors(FRENCH), strict=True))
    for english, french in _together():
        wanted = [f"#{french_of[to[1:]]}" if to.startswith("#") else to for to in LINK.findall(english)]
        assert sorted(LINK.findall(french)) == sorted(wanted), french


def test_names_are_those_of_the_french_desk(words: dict[str, set[str]]) -> None:
    amiss = [
        f"{name!r} is {words[name]}, not in: {french}"
        for english, french in _together()
        for name in sorted(_names(english) & words.keys() - OF_AMAZON)
        if not words[name] & _names(french)
    ]

    assert not amiss, "\n\n".join(amiss)


def test_signs_stand_as_in_french() -> None:
    """Apostrophes are round, and no line breaks before a sign that follows a space."""
    for block in _blocks(FENCE.sub("", FRENCH)):
        text = LINK.sub("", INLINE.sub("`", block))
        assert not re.search(r"'|[ \n][:;!?»%](?!\w)|«[ \n]", text), block

"""Text of a mail as it is shown: without markup, and without characters that change how other text is read.

HTML from outside is never shown. It is reduced to a few block tags, and these become lines: no picture is loaded, and
no address of a link is kept.
"""

import codecs
import re
from html.parser import HTMLParser

import nh3

_BLOCKS = {"p", "br", "div", "blockquote", "li", "tr", "td", "hr", "pre", "h1", "h2", "h3", "h4", "h5", "h6"}
_LINES = _BLOCKS - {"td", "br", "hr", "blockquote"}
_MOST_TAGS = 20_000  # sanitizing more, in one another, takes seconds
_TAG = re.compile(r"<[^<>]*>")
_CONTROLS = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff\u202a-\u202e\u2066-\u2069]")
_LINE_ENDS = re.compile(r"\r\n?|[\x0b\x0c\x85\u2028\u2029]")
_ADDRESS = re.compile(  # it begins only where a word does: to look for it anywhere else takes minutes
    r"""(?<![^\s<>()\[\],;:"])[^\s<>()\[\],;:"@]*+@[^\s<>()\[\],;:"]*"""
)
_EMPTY_LINES = re.compile(r"\n{3,}")
_UNSAFE = {"idna", "punycode", "undefined", "unicode_escape", "raw_unicode_escape"}  # slow, or not of text
_WIDER = {  # what mails that name the first are written in
    "ascii": "cp1252",
    "iso8859-1": "cp1252",
    "shift_jis": "cp932",
    "gb2312": "gb18030",
    "gbk": "gb18030",
    "euc_kr": "cp949",
    "iso2022_jp": "iso2022_jp_ext",
    "iso8859-9": "cp1254",
}


def decoded(content: bytes, charset: str) -> str:
    """Bytes as text: in the charset that they claim, else in UTF-8, else in the closest that reads every byte."""
    try:
        claimed = codecs.lookup(charset or "ascii").name
    except (LookupError, ValueError):
        claimed = "ascii"
    wider = _WIDER.get(claimed, claimed)
    tried = ["utf-8", "cp1252"] if wider == "cp1252" else [claimed, wider, "utf-8"]
    for name in tried:
        if name in _UNSAFE:
            continue
        try:
            return content.decode(name)
        except (ValueError, LookupError):
            continue
    fallback = "cp1252" if wider in _UNSAFE or wider == "utf-8" else wider
    try:
        return content.decode(fallback, "replace")
    except (ValueError, LookupError):
        return content.decode("cp1252", "replace")


def clean_text(text: str) -> str:
    """Text of several lines without control characters, and without those that turn the direction of other text."""
    lines = _CONTROLS.sub("", _LINE_ENDS.sub("\n", text)).replace("\ufeff", "").split("\n")
    return _EMPTY_LINES.sub("\n\n", "\n".join(line.rstrip() for line in lines)).strip("\n")


def clean_line(text: str, longest: int) -> str:
    """Text in one line, of at most so many characters."""
    return " ".join(_CONTROLS.sub(" ", text).replace("\ufeff", "").split())[:longest]


def without_addresses(text: str, longest: int) -> str:
    """Text in one line, of at most so many characters, with a mark in the place of each e-mail address."""
    return clean_line(_ADDRESS.sub("…", text), longest)


def text_of_html(html: str) -> str:
    """The text of an HTML mail in lines; quoted blocks begin with `>`, as in plain text."""
    if html.count("<") > _MOST_TAGS:
        return _TAG.sub(" ", html)
    lines = _Lines()
    lines.feed(nh3.clean(html, tags=_BLOCKS, attributes={}, clean_content_tags={"script", "style", "title"}))
    lines.close()
    return "\n".join(lines.finished())


class _Lines(HTMLParser):
    """The lines of sanitized HTML."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self._lines: list[tuple[int, str]] = []  # with the depth of quoting
        self._words, self._depth, self._verbatim = "", 0, 0

    def finished(self) -> list[str]:
        self._end_line()
        return [f"{'>' * min(depth, 20)} {text}" if depth else text for depth, text in self._lines]

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag == "br":
            self._end_line(empty=True)
        elif tag == "hr":
            self._end_line()
            self._lines.append((self._depth, "_" * 32))
        elif tag == "td":
            self._words += " "
        elif tag in _LINES:
            self._end_line()
            self._verbatim += tag == "pre"
        elif tag == "blockquote":
            self._end_line()
            self._depth += 1
        if tag == "p" and self._lines and self._lines[-1][1]:
            self._lines.append((self._depth, ""))

    def handle_endtag(self, tag: str) -> None:
        if tag in _LINES:
            self._end_line()
            self._verbatim -= tag == "pre"
        elif tag == "blockquote":
            self._end_line()
            self._depth -= 1

    def handle_data(self, data: str) -> None:
        if self._verbatim <= 0:
            self._words += re.sub(r"[ \t\r\n\f]+", " ", data)
            return
        first, *others = data.split("\n")
        self._words += first
        for line in others:
            self._end_line(empty=True)
            self._words = line

    def _end_line(self, *, empty: bool = False) -> None:
        text = self._words.rstrip() if self._verbatim > 0 else self._words.strip(" ")
        if text or empty:
            self._lines.append((self._depth, text))
        self._words = ""

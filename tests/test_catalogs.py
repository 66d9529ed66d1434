"""Both languages are complete at all times, and nothing that people read escapes the catalogs."""

import ast
import gettext
import re
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from babel.messages.catalog import Catalog, Message
from flask import Flask, g
from jinja2 import Environment

from tools import catalogs
from webapp.i18n import LANGUAGES, gettext as _, ngettext

ROOT = catalogs.ROOT
FOLDERS = [folder for folder in catalogs.folders() if (folder / "translations").exists()]
PLACEHOLDER = re.compile(r"%\(\w+\)[a-z]|\{\w*\}")
TEMPLATES = sorted(path for path in ROOT.glob("*/**/templates/**/*.html") if ".venv" not in path.parts)
SOURCES = sorted(
    path
    for folder in ("webapp", "plugins")
    for path in (ROOT / folder).rglob("*.py")
    if "tests" not in path.parts and path.name != "testing.py"
)


@pytest.fixture(scope="module")
def sources() -> dict[Path, Catalog]:
    """What the sources say, folder by folder."""
    return {folder: catalogs.extracted(folder) for folder in catalogs.folders()}


@pytest.fixture(params=[(f, language) for f in FOLDERS for language in LANGUAGES], ids=lambda p: f"{p[0].name}-{p[1]}")
def catalog(request: pytest.FixtureRequest) -> Catalog:
    """Each committed catalog."""
    return catalogs.read(catalogs.file_of(*request.param), request.param[1])


def ids(catalog: Catalog) -> set[tuple[Any, str | None]]:
    return {(message.id, message.context) for message in catalogs.messages(catalog)}


def forms(message: Message) -> list[str]:
    return [message.string] if isinstance(message.string, str) else list(message.string)


def said(catalog: Catalog) -> Iterator[str]:
    return (form for message in catalogs.messages(catalog) for form in forms(message))


def test_the_tool_speaks_the_languages_of_the_desk() -> None:
    assert set(catalogs.LANGUAGES) == set(LANGUAGES)


@pytest.mark.parametrize("language", list(LANGUAGES))
def test_catalogs_hold_what_the_sources_say_and_nothing_else(sources: dict[Path, Catalog], language: str) -> None:
    for folder, template in sources.items():
        known = ids(catalogs.read(catalogs.file_of(folder, language), language))
        assert ids(template) - known == set(), f"{folder.name}: run “make catalogs” and translate"
        assert known - ids(template) == set(), f"{folder.name}: run “make catalogs”"


def test_every_sentence_is_translated(catalog: Catalog) -> None:
    assert catalogs.lacking(catalog) == []
    assert [message.id for message in catalog if message.fuzzy] == []
    assert dict(catalog.obsolete) == {}
    assert catalog.plural_forms == catalogs.Words(locale=catalog.locale).plural_forms


def test_translations_keep_the_placeholders(catalog: Catalog) -> None:
    for message in catalogs.messages(catalog):
        originals = [message.id] if isinstance(message.id, str) else list(message.id)
        wanted = sorted(PLACEHOLDER.findall(originals[-1]))
        for form in forms(message):
            assert sorted(PLACEHOLDER.findall(form)) == wanted, form
    assert [(message.id, errors) for message, errors in catalog.check()] == []


def test_english_is_the_message_id(catalog: Catalog) -> None:
    if str(catalog.locale) == "en":
        for message in catalogs.messages(catalog):
            assert forms(message) == ([message.id] if isinstance(message.id, str) else list(message.id))


def test_french_is_set_as_french_is(catalog: Catalog) -> None:
    if str(catalog.locale) != "fr":
        return
    for text in said(catalog):
        assert not re.search(r"['“”]", text), f"apostrophe or quotation mark: {text}"
        assert not re.search(r"(?:^|[^\u00a0])[:;!?»](?:\s|$)|«[^\u00a0]", text), f"non-breaking space: {text}"
        assert "..." not in text, text


def test_compiled_catalogs_are_the_written_ones(catalog: Catalog, request: pytest.FixtureRequest) -> None:
    path = catalogs.file_of(*request.node.callspec.params["catalog"])
    with path.with_suffix(".mo").open("rb") as file:
        compiled = gettext.GNUTranslations(file)
    told = {key: text for key, text in vars(compiled)["_catalog"].items() if key}
    written: dict[Any, str] = {}
    for message in catalogs.messages(catalog):
        prefix = f"{message.context}\x04" if message.context else ""
        if isinstance(message.id, str):
            written[prefix + message.id] = message.string
        else:
            written |= {(prefix + message.id[0], number): form for number, form in enumerate(message.string)}
    assert told == written


def test_files_are_as_the_tool_writes_them(sources: dict[Path, Catalog]) -> None:
    for folder in FOLDERS:
        for language in LANGUAGES:
            path = catalogs.file_of(folder, language)
            again = catalogs.renewed(sources[folder], catalogs.read(path, language), language)
            assert path.read_bytes() == catalogs.as_text(again), f"{path.relative_to(ROOT)}: run “make catalogs”"


def test_a_sentence_of_two_catalogs_has_one_translation() -> None:
    """Catalogs are merged when they are loaded, so a plugin's words would replace the desk's."""
    seen: dict[tuple[Any, str | None], Any] = {}
    for folder in FOLDERS:
        for message in catalogs.messages(catalogs.read(catalogs.file_of(folder, "fr"), "fr")):
            assert seen.setdefault((message.id, message.context), message.string) == message.string


def test_pages_speak_french(app: Flask) -> None:
    with app.test_request_context():
        g.locale = "fr"
        assert _("Orders") == "Commandes"
        assert ngettext("%(num)s line", "%(num)s lines", 0) == "0 ligne"
        assert ngettext("%(num)s line", "%(num)s lines", 2) == "2 lignes"


class Visible(HTMLParser):
    """What a page shows of itself: text outside code and keys, and the attributes that people see or hear."""

    SILENT = {"script", "style", "code", "kbd", "svg", "template"}
    ATTRIBUTES = {"title", "aria-label", "placeholder", "alt", "data-label", "aria-description", "label"}
    NAMES = re.compile(r"Waybill|UTC|FULFILLMENT|&\w+;")  # names and codes, the same in every language

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.found: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag in self.SILENT:
            self.open.append(tag)
        for name, value in attrs:
            if name in self.ATTRIBUTES or (name == "value" and ("type", "submit") in attrs):
                self._look(value or "")

    def handle_endtag(self, tag: str) -> None:
        if tag in self.SILENT and tag in self.open:
            self.open.remove(tag)

    def handle_data(self, data: str) -> None:
        if not self.open:
            self._look(data)

    def _look(self, text: str) -> None:
        if re.search(r"[^\W\d_]{2}", self.NAMES.sub("", text)):
            self.found.append(" ".join(text.split()))


@pytest.mark.parametrize("path", TEMPLATES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_templates_say_nothing_outside_the_catalogs(path: Path) -> None:
    page, call = Visible(), ""
    tokens = list(Environment(autoescape=True).lex(path.read_text(encoding="utf-8")))
    page.feed("".join(value for _, kind, value in tokens if kind == "data"))
    page.close()
    assert page.found == []
    for line, kind, value in tokens:
        if kind == "name":
            call = value
        elif kind == "string" and re.match(r".[A-Z][a-zé]+(?:[ .!?…:,].*)?.$", value, re.DOTALL):
            languages = {repr(name).replace("'", '"') for name in LANGUAGES.values()}
            assert call in ("_", "gettext", "ngettext", "pgettext", "npgettext") or value in languages, f"{line}: {value}"
        elif value in (")", "}}", "%}"):
            call = ""


SPOKEN = {"sentence", "label", "help", "description", "placeholder"}
NAMES = {"Amazon"}


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_sentences_in_python_are_translatable(path: Path) -> None:
    """Class-level words, words given by name, and what is flashed; help of the command line is English by decision."""
    if "cli" in path.parts or path.name == "__main__.py":
        return
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        bare: list[ast.expr | None] = []
        if isinstance(node, ast.AnnAssign | ast.Assign):
            targets = [node.target] if isinstance(node, ast.AnnAssign) else node.targets
            for target in targets:
                names = [target] if isinstance(target, ast.Name) else list(getattr(target, "elts", []))
                values = [node.value] if isinstance(target, ast.Name) else list(getattr(node.value, "elts", []))
                told = zip(names, values, strict=False)
                bare += [value for name, value in told if isinstance(name, ast.Name) and name.id in SPOKEN]
        elif isinstance(node, ast.Call):
            bare += [keyword.value for keyword in node.keywords if keyword.arg in SPOKEN]
            if isinstance(node.func, ast.Name) and node.func.id == "flash":
                bare += node.args[:1]
        for value in bare:
            text = value.value if isinstance(value, ast.Constant) and isinstance(value.value, str) else ""
            if isinstance(value, ast.JoinedStr):
                text = "".join(str(part.value) for part in value.values if isinstance(part, ast.Constant))
            assert not re.search(r"[^\W\d_]{2}", text) or text in NAMES, f"{path}:{node.lineno}: {text}"  # type: ignore[attr-defined]

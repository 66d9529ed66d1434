"""Every language is complete at all times, and nothing that people read escapes the catalogs."""

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
from webapp import i18n
from webapp.audit.rights import BUILT_IN
from webapp.fulfillment.hookimpls import SHIPPING as SHIPPED
from webapp.fulfillment.query_keys import KEYS as SHIPPING_KEYS
from webapp.i18n import LANGUAGES, LazyString, gettext as _, lazy_gettext as _l, ngettext
from webapp.orders.events import OTHER, WORDS as ORDER_WORDS
from webapp.orders.list_columns import COLUMNS
from webapp.orders.predefined_views import PREDEFINED_VIEWS
from webapp.orders.query_keys import KEYS
from webapp.reporting.work import DECIDING, SHIPPING
from webapp.sync.query_keys import KEYS as UPDATE_KEYS
from webapp.sync.words import WORDS as NEWS
from webapp.ui.desk.cards import CARDS
from webapp.updates.words import WORDS as UPDATE_WORDS

ROOT = catalogs.ROOT
FOLDERS = [folder for folder in catalogs.folders() if (folder / "translations").exists()]
CALLS = {"_", "gettext", "ngettext", "pgettext", "npgettext"}
PLACEHOLDER = re.compile(r"%\(\w+\)[a-z]|\{\w*\}")
TEMPLATES = sorted(path for path in ROOT.glob("*/**/templates/**/*.html") if ".venv" not in path.parts)
SOURCES = sorted(
    path
    for folder in ("webapp", "supervisor", "plugins")
    for path in (ROOT / folder).rglob("*.py")
    if "tests" not in path.parts and path.name != "testing.py"
)


@pytest.fixture(scope="module")
def sources() -> dict[Path, Catalog]:
    """What the sources say, folder by folder."""
    return {folder: catalogs.extracted(folder) for folder in catalogs.folders()}


@pytest.fixture(
    params=[(f, language) for f in FOLDERS for language in catalogs.LANGUAGES], ids=lambda p: f"{p[0].name}-{p[1]}"
)
def catalog(request: pytest.FixtureRequest) -> Catalog:
    """Each committed catalog."""
    return catalogs.read(catalogs.file_of(*request.param), request.param[1])


def test_every_source_is_looked_into() -> None:
    looked_into = [source for folder in catalogs.folders() for source in catalogs.sources_of(folder)]
    left_out = [path for path in SOURCES if not any(path.is_relative_to(source) for source in looked_into)]
    assert left_out == [ROOT / "plugins" / "__init__.py"]  # which holds a docstring alone


def ids(catalog: Catalog) -> set[tuple[Any, str | None]]:
    return {(message.id, message.context) for message in catalogs.messages(catalog)}


def forms(message: Message) -> list[str]:
    return [message.string] if isinstance(message.string, str) else list(message.string)


def said(catalog: Catalog) -> Iterator[str]:
    return (form for message in catalogs.messages(catalog) for form in forms(message))


def test_the_tool_speaks_the_languages_of_the_desk() -> None:
    assert {"en", *catalogs.LANGUAGES} == set(LANGUAGES)


@pytest.mark.parametrize("language", catalogs.LANGUAGES)
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


def test_english_is_the_message_id() -> None:
    """A catalog of its own would be a second place where English could be changed."""
    assert [path for folder in catalogs.folders() for path in folder.glob("translations/en*")] == []
    app = Flask("pages")
    i18n.init_app(app)
    with app.test_request_context():
        g.locale = "en"
        assert _("Orders") == "Orders"
        assert [ngettext("%(num)s line", "%(num)s lines", number) for number in (0, 1, 2)] == [
            "0 lines",
            "1 line",
            "2 lines",
        ]


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
        for language in catalogs.LANGUAGES:
            path = catalogs.file_of(folder, language)
            again = catalogs.renewed(sources[folder], catalogs.read(path, language), language)
            assert path.read_bytes() == catalogs.as_text(again), f"{path.relative_to(ROOT)}: run “make catalogs”"


def test_a_sentence_of_two_catalogs_has_one_translation() -> None:
    """Catalogs are merged when they are loaded, so a plugin's words would replace the desk's."""
    seen: dict[tuple[Any, str | None], Any] = {}
    for folder in FOLDERS:
        for message in catalogs.messages(catalogs.read(catalogs.file_of(folder, "fr"), "fr")):
            assert seen.setdefault((message.id, message.context), message.string) == message.string


def test_pages_speak_french() -> None:
    app = Flask("pages")
    i18n.init_app(app)
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
            if name in self.ATTRIBUTES or (tag == "input" and name == "value" and ("type", "submit") in attrs):
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


def test_templates_say_nothing_outside_the_catalogs() -> None:
    assert [f"{path.relative_to(ROOT)}: {text}" for path in TEMPLATES for text in bare_words(path)] == []


def bare_words(path: Path) -> list[str]:
    """What a template shows without asking for it: in its HTML, or as a sentence given to a macro."""
    page, call, found = Visible(), "", []
    tokens = list(Environment(autoescape=True).lex(path.read_text(encoding="utf-8")))
    page.feed("".join(value for _line, kind, value in tokens if kind == "data"))
    page.close()
    for _line, kind, value in tokens:
        if kind == "name":
            call = value
        elif kind == "string" and re.match(r".[A-Z][a-zé]+(?:[ .!?…:,].*)?.$", value, re.DOTALL):
            if call not in CALLS and value[1:-1] not in LANGUAGES.values():
                found.append(value)
        elif value in (")", "}}", "%}"):
            call = ""
    return page.found + found


COLON = re.compile(r"}}(?:</\w+>)?:(?:</\w+>)?(?:\s|{)")


def test_a_colon_between_two_values_is_the_catalogs_matter() -> None:
    """French wants a space before it: “%(name)s: %(text)s” says it in each language."""
    assert [path for path in TEMPLATES if COLON.search(path.read_text(encoding="utf-8"))] == []
    shown = [path for path in SOURCES if path.is_relative_to(ROOT / "webapp" / "ui") or path.parent.name == "orders"]
    assert [f"{path.relative_to(ROOT)}: {text}" for path in shown for text in colons(path)] == []


def colons(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text())):
        for value in node.values[1:] if isinstance(node, ast.JoinedStr) else ():
            if isinstance(value, ast.Constant) and str(value.value).startswith(": "):
                yield ast.unparse(node)


SIDE_BY_SIDE: dict[str, list[LazyString | str]] = {
    "columns": [column.label for column in COLUMNS],
    "keys": [key.label for key in (*KEYS, *SHIPPING_KEYS, *UPDATE_KEYS)],
    "work": [*(card.label for card in CARDS), *(task.label for task in (*SHIPPING, *DECIDING))],
    "list": [view.name for view in PREDEFINED_VIEWS],
    "timeline": [OTHER.label, SHIPPED.label, *(words.group.label for words in (*NEWS, *UPDATE_WORDS, *ORDER_WORDS))],
    "people": [*BUILT_IN.values(), _l("Assignee")],
    "not seen": [_l("Withheld"), _l("Hidden")],
}


@pytest.mark.parametrize("group", list(SIDE_BY_SIDE))
def test_two_words_of_one_list_stay_two_in_every_language(group: str) -> None:
    app = Flask("words")
    i18n.init_app(app)
    said: dict[str, set[str]] = {}
    for language in LANGUAGES:
        with app.test_request_context():
            g.locale = language
            said[language] = {str(label) for label in SIDE_BY_SIDE[group]}
    assert {language: len(words) for language, words in said.items()} == dict.fromkeys(LANGUAGES, len(said["en"]))


def test_scripts_take_their_words_from_the_page() -> None:
    for path in ROOT.glob("webapp/ui/static/*.js"):
        assert re.findall(r"""["'`][A-Z][a-z]+[ .,!?…:][^"'`]*["'`]""", path.read_text(encoding="utf-8")) == [], path


SPOKEN = {"sentence", "label", "help", "description", "placeholder"}
NAMES = {"Amazon", "Prime", "Ship+"}
PLACES = re.compile(r"%\(\w+\)s")


def test_sentences_in_python_are_translatable() -> None:
    """Class-level words, words given by name, and what is flashed; the command line's help is English by decision."""
    paths = [path for path in SOURCES if "cli" not in path.parts and path.name != "__main__.py"]
    assert [f"{path.relative_to(ROOT)}:{text}" for path in paths for text in bare_sentences(path)] == []


def bare_sentences(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        for value in spoken_by(node):
            text = value.value if isinstance(value, ast.Constant) else ""
            if isinstance(value, ast.JoinedStr):
                text = "".join(str(part.value) for part in value.values if isinstance(part, ast.Constant))
            if isinstance(text, str) and re.search(r"[^\W\d_]{2}", PLACES.sub("", text)) and text not in NAMES:
                yield f"{value.lineno}: {text}"


def spoken_by(node: ast.AST) -> Iterator[ast.expr]:
    """The values that a node gives to names which people read."""
    if isinstance(node, ast.Assign | ast.AnnAssign):
        for target in node.targets if isinstance(node, ast.Assign) else [node.target]:
            names = [target] if isinstance(target, ast.Name) else getattr(target, "elts", [])
            values = [node.value] if isinstance(target, ast.Name) else getattr(node.value, "elts", [])
            for name, value in zip(names, values, strict=False):
                if isinstance(name, ast.Name) and name.id in SPOKEN and value is not None:
                    yield value
    elif isinstance(node, ast.Call) and not ast.unparse(node.func).startswith("click."):
        yield from (keyword.value for keyword in node.keywords if keyword.arg in SPOKEN)
        if isinstance(node.func, ast.Name) and node.func.id == "flash":
            yield from node.args[:1]


def test_no_words_are_asked_for_inside_an_f_string() -> None:
    """The extraction looks into none, so they would stay English."""
    hidden = [
        f"{path.relative_to(ROOT)}:{call.lineno}"
        for path in SOURCES
        for text in ast.walk(ast.parse(path.read_text()))
        if isinstance(text, ast.JoinedStr)
        for call in ast.walk(text)
        if isinstance(call, ast.Call) and isinstance(call.func, ast.Name) and call.func.id in CALLS
    ]
    assert hidden == []

"""Plugins are found in folders and by entry points; one that is broken is named and left out, and the desk starts."""

import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from babel.messages.catalog import Catalog
from babel.messages.mofile import write_mo
from flask import Flask, g

from webapp import create_app, hooks
from webapp.channels.registered import channels
from webapp.config import configuration
from webapp.hooks import discovery
from webapp.hooks.discovery import PluginState
from webapp.i18n import gettext, ngettext

GOOD = """
from webapp.api import OrderAction, ActionInput, hookimpl

class Wave(OrderAction):
    code, label, right = "{code}", "Wave", "orders.view"
    def refusal(self, order, actor): return None
    def perform(self, order, data, actor): pass

@hookimpl
def register_order_actions():
    return [Wave()]
"""
BROKEN = {
    "import_fails": "import a_library_that_is_not_there",
    "syntax_error": "def broken(:",
    "leaves": "raise SystemExit(3)",
    "unknown_hook": "from webapp.api import hookimpl\n@hookimpl\ndef order_teleported(order): ...",
    "wrong_arguments": "from webapp.api import hookimpl\n@hookimpl\ndef orders_placed(parcels): ...",
    "registers_nothing": "from webapp.api import hookimpl\n@hookimpl\ndef register_channels(): ...",
    "fails_when_asked": "from webapp.api import hookimpl\n@hookimpl\ndef register_channels(): return [1 / 0]",
}


@pytest.fixture
def plugin_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str, str], None]]:
    """Write a plugin into a `plugins` folder that the desk uses instead of its own."""
    folder = tmp_path / "plugins"
    folder.mkdir()
    (folder / "__init__.py").touch()
    monkeypatch.setattr(discovery, "FOLDER", folder)
    monkeypatch.setattr(hooks.hooks, "manager", hooks.hooks.manager)
    before = {name: sys.modules.pop(name) for name in list(sys.modules) if name.partition(".")[0] == "plugins"}
    monkeypatch.syspath_prepend(str(tmp_path))

    def write(name: str, source: str) -> None:
        (folder / name).mkdir()
        (folder / name / "__init__.py").touch()
        (folder / name / "plugin.py").write_text(source)

    yield write
    for name in list(sys.modules):
        if name.partition(".")[0] in ("plugins", "an_installed_plugin"):
            del sys.modules[name]
    sys.modules.update(before)


@pytest.fixture
def start(
    plugin_folder: object, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Callable[[], dict[str, PluginState]]]:
    """Start a desk; returns the state of each plugin."""
    monkeypatch.setenv("WAYBILL_DATA_DIR", str(tmp_path))
    monkeypatch.setenv("DATABASE_URL", f"sqlite:///{tmp_path}/desk.db")
    configuration.cache_clear()

    def run() -> dict[str, PluginState]:
        app: Flask = create_app()
        states = app.extensions["waybill.plugins"]
        assert len({state.name for state in states}) >= 1
        return {state.name: state for state in reversed(states)}

    yield run
    configuration.cache_clear()


def actions() -> list[str]:
    return [action.code for group in hooks.hooks.manager.hook.register_order_actions() for action in group]


def test_a_plugin_has_a_name_for_people(
    plugin_folder: Callable[[str, str], None], start: Callable[[], dict[str, PluginState]]
) -> None:
    plugin_folder("well_made", GOOD.format(code="wave"))
    plugin_folder("named", 'LABEL, ABOUT = "Waves", "Waves at buyers."\n' + GOOD.format(code="wave_more"))
    plugin_folder("odd", "LABEL = 5\n")
    states = start()
    assert (states["well_made"].label, states["well_made"].about) == ("Well made", "")
    assert (states["named"].label, states["named"].about) == ("Waves", "Waves at buyers.")
    assert states["odd"].problem == "TypeError: LABEL is int, not text"


@pytest.mark.parametrize("kind", BROKEN)
def test_a_broken_plugin_is_named_and_left_out(
    kind: str, plugin_folder: Callable[[str, str], None], start: Callable[[], dict[str, PluginState]]
) -> None:
    plugin_folder(kind, BROKEN[kind])
    plugin_folder("well", GOOD.format(code="wave"))
    states = start()
    assert states["well"].problem is None
    assert states[kind].source == f"plugins/{kind}"
    assert states[kind].problem
    assert "\n" not in states[kind].problem.strip() or kind == "wrong_arguments"
    assert actions() == ["wave"]
    assert channels() == {}


def test_an_unknown_hook_is_named_in_the_reason(
    plugin_folder: Callable[[str, str], None], start: Callable[[], dict[str, PluginState]]
) -> None:
    plugin_folder("odd", BROKEN["unknown_hook"])
    assert "order_teleported" in (start()["odd"].problem or "")


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str, str, str], None]:
    """Install a package with an entry point where Python finds installed packages."""
    site = tmp_path / "site"
    site.mkdir()
    monkeypatch.syspath_prepend(str(site))

    def put(name: str, module: str, source: str) -> None:
        if source:
            (site / f"{module}.py").write_text(source)
        info = site / f"waybill_{name}-1.0.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: waybill-{name}\nVersion: 1.0\n")
        (info / "entry_points.txt").write_text(f"[waybill.plugins]\n{name} = {module}\n")

    return put


def test_an_installed_package_takes_part_by_its_entry_point(
    plugin_folder: object, install: Callable[[str, str, str], None], start: Callable[[], dict[str, PluginState]]
) -> None:
    install("greeter", "an_installed_plugin", GOOD.format(code="greet"))
    state = start()["greeter"]
    assert (state.problem, state.source) == (None, "waybill-greeter")
    assert actions() == ["greet"]


def test_of_two_plugins_of_one_name_the_second_is_left_out(
    plugin_folder: Callable[[str, str], None],
    install: Callable[[str, str, str], None],
    start: Callable[[], dict[str, PluginState]],
    tmp_path: Path,
) -> None:
    plugin_folder("greeter", GOOD.format(code="wave"))
    install("greeter", "an_installed_plugin", GOOD.format(code="greet"))
    start()
    states = [state for state in discovery.load([]) if state.name == "greeter"]
    assert [(state.source, bool(state.problem)) for state in states] == [
        ("plugins/greeter", False),
        ("waybill-greeter", True),
    ]
    assert actions() == ["wave"]


def test_one_module_under_two_names_stays_under_the_first(
    plugin_folder: Callable[[str, str], None],
    install: Callable[[str, str, str], None],
    start: Callable[[], dict[str, PluginState]],
) -> None:
    plugin_folder("greeter", GOOD.format(code="wave"))
    install("again", "plugins.greeter.plugin", "")
    states = start()
    assert states["greeter"].problem is None
    assert states["again"].problem
    assert actions() == ["wave"]


def test_a_plugin_with_a_catalog_that_can_not_be_read_is_left_out(
    plugin_folder: Callable[[str, str], None], start: Callable[[], dict[str, PluginState]]
) -> None:
    """The catalog would fail every page of its language."""
    plugin_folder("torn", GOOD.format(code="wave"))
    catalog = discovery.FOLDER / "torn" / "translations" / "fr" / "LC_MESSAGES" / "messages.mo"
    catalog.parent.mkdir(parents=True)
    catalog.write_bytes(b"not a catalog")
    assert "fr/LC_MESSAGES/messages.mo can't be read" in (start()["torn"].problem or "")
    assert actions() == []


def test_a_plugin_changes_no_word_and_no_plural_of_the_desk(
    plugin_folder: Callable[[str, str], None], start: Callable[[], dict[str, PluginState]]
) -> None:
    """Neither by a translation of its own, nor by having none: the library uses the rules of the last catalog."""
    for name, language in (("speaks_french", "fr"), ("speaks_german", "de")):
        plugin_folder(name, GOOD.format(code=name))
        catalog = Catalog(locale=language)
        catalog.add("Orders", "Autre chose")
        catalog.add("Wave", "Saluer")
        file = discovery.FOLDER / name / "translations" / language / "LC_MESSAGES"
        file.mkdir(parents=True)
        with (file / "messages.mo").open("wb") as written:
            write_mo(written, catalog)
    start()
    with create_app().test_request_context():
        g.locale = "fr"
        assert (gettext("Wave"), gettext("Orders")) == ("Saluer", "Commandes")
        assert [ngettext("%(num)s line", "%(num)s lines", number) for number in (0, 2)] == ["0 ligne", "2 lignes"]


def test_the_bundled_plugins_are_all_well(app: Flask) -> None:
    states = {state.name: state for state in app.extensions["waybill.plugins"]}
    assert {"amazon", "order_actions", "manual_fulfillment"} <= set(states)
    assert [state for state in states.values() if state.problem] == []


def test_starting_again_begins_from_no_plugin(app: Flask) -> None:
    names = [name for name, _ in hooks.hooks.manager.list_name_plugin()]
    create_app()
    assert [name for name, _ in hooks.hooks.manager.list_name_plugin()] == names

"""Finding plugins: the folders in `plugins/` and the entry points of the group `waybill.plugins`.

A plugin that can't be loaded is listed with the reason; the desk starts without it. Bundled plugins are found exactly
as those of others. A plugin keeps its catalogs in `translations/` beside the module with its hooks, and so its
`migrations/`, `templates/` and `static/`. Its module may say what it is called and what it is for: `LABEL` and `ABOUT`.
"""

import importlib
import traceback
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from importlib.metadata import entry_points
from pathlib import Path
from types import ModuleType
from typing import cast

import structlog

from webapp.db import db
from webapp.hooks import hooks
from webapp.hooks.tables import History, check_tables, claim_tables, forget_tables, read_history
from webapp.i18n import LazyString, check_catalogs

log = structlog.get_logger(__name__)
FOLDER = Path(__file__).resolve().parents[2] / "plugins"


@dataclass(frozen=True, slots=True)
class PluginState:
    """A plugin that was found: loaded, or with the reason why it is not."""

    name: str
    source: str
    problem: str | None = None
    folder: Path | None = None  # of its package
    history: History | None = None
    given_label: str | LazyString = ""
    about: str | LazyString = ""

    @property
    def label(self) -> str:
        """Its name for people; without one of its own, the folder's as words."""
        return str(self.given_label) or self.name.replace("_", " ").capitalize()

    def has(self, name: str) -> Path | None:
        """The folder of this name in the plugin's package, if there is one and the plugin is loaded."""
        found = self.folder / name if self.folder and not self.problem else None
        return found if found and found.is_dir() else None


def load(core: Sequence[ModuleType]) -> list[PluginState]:
    """Register the core's own listeners, then every plugin that can be found; returns the state of each plugin."""
    hooks.reset()
    for module in core:
        hooks.manager.register(module, name=module.__name__)
    states = []
    for name, source, target in _found():
        states.append(_load_one(name, source, target))
    return states


def _found() -> Iterator[tuple[str, str, str]]:
    for folder in sorted(FOLDER.iterdir()) if FOLDER.is_dir() else []:
        if (folder / "plugin.py").is_file():
            yield folder.name, str(folder.relative_to(FOLDER.parent)), f"plugins.{folder.name}.plugin"
    for entry in sorted(entry_points(group="waybill.plugins"), key=lambda entry: entry.name):
        yield entry.name, entry.dist.name if entry.dist else entry.value, entry.value


def _load_one(name: str, source: str, target: str) -> PluginState:
    if hooks.manager.has_plugin(name):
        return PluginState(name, source, "another plugin of this name was loaded first")
    before = list(db.metadata.tables)
    try:
        module = importlib.import_module(target)
        hooks.manager.register(module, name=name)
        hooks.manager.check_pending()
        folder, history = _folder_of(module), None
        if folder:
            check_catalogs(folder / "translations")
            history = read_history(name, folder / "migrations") if (folder / "migrations").is_dir() else None
        check_tables(name, claim_tables(name, before), migrated=history is not None)
        _ask_once(module)
        words = [_words(module, constant) for constant in ("LABEL", "ABOUT")]
    except (Exception, SystemExit) as error:  # whatever error a plugin raises, the desk starts without it and says so
        if hooks.manager.has_plugin(name):
            hooks.manager.unregister(name=name)
        forget_tables(claim_tables(name, before))
        problem = f"{type(error).__name__}: {error}"
        log.error("plugin_left_out", plugin=name, problem=problem, where=_where(error))
        return PluginState(name, source, problem)
    return PluginState(name, source, None, folder, history, *words)


def _words(module: ModuleType, constant: str) -> str | LazyString:
    words = getattr(module, constant, "")
    if not isinstance(words, str | LazyString):
        raise TypeError(f"{constant} is {type(words).__name__}, not text")
    return words


def leave_out(states: Sequence[PluginState], name: str, problem: str) -> list[PluginState]:
    """Remove a loaded plugin; returns the state of each plugin afterwards."""
    log.error("plugin_left_out", plugin=name, problem=problem)
    if hooks.manager.has_plugin(name):
        hooks.manager.unregister(name=name)
    return [replace(one, problem=problem) if one.name == name and not one.problem else one for one in states]


def _folder_of(module: ModuleType) -> Path | None:
    """The folder of a plugin's package; None for a single module, whose folder belongs to others too."""
    return Path(module.__file__).parent if module.__package__ and module.__file__ else None


def _where(error: BaseException) -> str:
    last = traceback.extract_tb(error.__traceback__)[-1]
    return f"{last.filename}:{last.lineno}"


def _ask_once(module: ModuleType) -> None:
    """Collect everything that the plugin registers, so that an error occurs now and not on a page."""
    for caller in hooks.manager.get_hookcallers(module) or ():
        if caller.name.startswith("register_") and caller.spec is not None and not caller.spec.argnames:
            for implementation in caller.get_hookimpls():
                if implementation.plugin is module:
                    tuple(cast("Iterable[object]", implementation.function()))

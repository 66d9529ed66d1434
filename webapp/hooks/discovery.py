"""Finding plugins: the folders in `plugins/` and the entry points of the group `waybill.plugins`.

A plugin that can't be loaded is named with its reason and left out; the desk starts without it. The bundled plugins are
found exactly as an outsider's are. The catalogs of each lie in `translations/` beside the module with its hooks.
"""

import importlib
import traceback
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from importlib.metadata import entry_points
from pathlib import Path
from types import ModuleType
from typing import cast

import structlog

from webapp.hooks import hooks
from webapp.i18n import check_catalogs

log = structlog.get_logger(__name__)
FOLDER = Path(__file__).resolve().parents[2] / "plugins"


@dataclass(frozen=True, slots=True)
class PluginState:
    """A plugin that was found: loaded, or with the reason why not."""

    name: str
    source: str
    problem: str | None = None
    translations: Path | None = None


def load(core: Sequence[ModuleType]) -> list[PluginState]:
    """Register the core's own listeners, then every plugin that can be found; tells how each fared."""
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
    try:
        module = importlib.import_module(target)
        hooks.manager.register(module, name=name)
        hooks.manager.check_pending()
        _ask_once(module)
        translations = _translations_of(module)
    except (Exception, SystemExit) as error:  # whatever a plugin does wrong, the desk starts without it and says so
        if hooks.manager.has_plugin(name):
            hooks.manager.unregister(name=name)
        problem = f"{type(error).__name__}: {error}"
        log.error("plugin_left_out", plugin=name, problem=problem, where=_where(error))
        return PluginState(name, source, problem)
    return PluginState(name, source, translations=translations)


def _translations_of(module: ModuleType) -> Path | None:
    """The folder of a plugin's catalogs; none for a module without a package, whose neighbors are other people's."""
    if not module.__package__ or not module.__file__:
        return None
    folder = Path(module.__file__).parent / "translations"
    check_catalogs(folder)
    return folder if folder.is_dir() else None


def _where(error: BaseException) -> str:
    last = traceback.extract_tb(error.__traceback__)[-1]
    return f"{last.filename}:{last.lineno}"


def _ask_once(module: ModuleType) -> None:
    """Ask for everything that the plugin registers, so that what fails does so now and not on a page."""
    for caller in hooks.manager.get_hookcallers(module) or ():
        if caller.name.startswith("register_") and caller.spec is not None and not caller.spec.argnames:
            for implementation in caller.get_hookimpls():
                if implementation.plugin is module:
                    tuple(cast("Iterable[object]", implementation.function()))

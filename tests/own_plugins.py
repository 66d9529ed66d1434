"""Plugins that a test writes into a folder, and desks that use the folder, each loaded like a new process."""

import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from flask import Flask, current_app

from tests.desks import application
from webapp.config import configuration
from webapp.db import db
from webapp.hooks import discovery
from webapp.hooks.discovery import PluginState
from webapp.hooks.tables import forget_tables


class OwnPlugins:
    """The folder, and the desk on a test's database."""

    def __init__(self, folder: Path, url: str) -> None:
        self.folder, self.url = folder, url
        folder.mkdir()
        (folder / "__init__.py").touch()

    def write(self, name: str, files: dict[str, str]) -> None:
        """Write a plugin in place of the former one with its name; without files, remove it."""
        package = self.folder / name
        shutil.rmtree(package, ignore_errors=True)
        for path, content in ({"__init__.py": ""} | files if files else {}).items():
            file = package / path
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(content)

    @contextmanager
    def start(self) -> Iterator[Flask]:
        """A desk with its context open."""
        self.forget()
        with application(self.url) as app, app.app_context():
            yield app
            db.session.remove()
        configuration.cache_clear()

    def forget(self) -> None:
        """Forget the modules, so that the next desk reads the files again."""
        for name in [name for name in sys.modules if name.partition(".")[0] == "plugins"]:
            del sys.modules[name]
        forget_tables([table for table in db.metadata.tables.values() if "plugin" in table.info])


@contextmanager
def own_plugins(folder: Path, url: str, patch: pytest.MonkeyPatch) -> Iterator[OwnPlugins]:
    """A folder of plugins for desks on this database; afterwards the bundled plugins are registered again."""
    patch.setenv("WAYBILL_DATA_DIR", str(folder))
    patch.setenv("DATABASE_URL", url)
    patch.setattr(discovery, "FOLDER", folder / "plugins")
    patch.syspath_prepend(str(folder))
    before = {name: sys.modules.pop(name) for name in list(sys.modules) if name.partition(".")[0] == "plugins"}
    made = OwnPlugins(folder / "plugins", url)
    yield made
    made.forget()
    sys.modules.update(before)


def state_of(name: str) -> PluginState:
    """The state of a plugin of the open desk."""
    states: list[PluginState] = current_app.extensions["waybill.plugins"]
    [state] = [one for one in states if one.name == name]
    return state

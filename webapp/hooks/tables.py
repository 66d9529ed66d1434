"""Tables of plugins: their names, and the migrations that create them.

Each plugin has its own migration history, in its folder `migrations`, with its own version table in the database. A
labeled branch of the desk's history would fail once a plugin is removed: Alembic keeps one row for a branch and the
revisions that it depends on, so the desk's revision would be lost with the plugin, and Alembic refuses a row whose
migration is missing.
"""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from alembic.config import Config
from alembic.script import ScriptDirectory
from alembic.util import CommandError
from sqlalchemy import Connection, Table, inspect
from sqlalchemy.orm import configure_mappers

from webapp.config import ROOT
from webapp.db import Base, db
from webapp.hooks.failures import NotTaken

DESK_MIGRATIONS = ROOT / "migrations"


def prefix_of(plugin: str) -> str:
    """The prefix of the names of a plugin's tables."""
    return f"{plugin.lower().replace('-', '_')}_"


@dataclass(frozen=True)
class History:
    """The migrations of one plugin."""

    plugin: str
    folder: Path

    @property
    def version_table(self) -> str:
        """The table that holds the revision of the plugin's tables."""
        return f"{prefix_of(self.plugin)}alembic_version"

    def config(self) -> Config:
        """Alembic's configuration: the desk's environment with the plugin's migrations."""
        config = Config(attributes={"history": self})
        places = {"script_location": DESK_MIGRATIONS, "version_locations": self.folder}
        for option, place in places.items():
            config.set_main_option(option, str(place).replace("%", "%%"))
        config.set_main_option("path_separator", "newline")
        return config

    @cached_property
    def _scripts(self) -> ScriptDirectory:
        return ScriptDirectory.from_config(self.config())

    @cached_property
    def needed(self) -> str:
        """The newest migration. Raises `NotTaken` if the migrations are not one chain."""
        try:
            return self._scripts.get_current_head() or ""
        except (CommandError, KeyError) as error:  # several heads, or a reference to a missing migration
            raise NotTaken("its migrations are not one chain") from error

    def knows(self, revision: str) -> bool:
        """Whether this is one of the plugin's migrations."""
        return any(script.revision == revision for script in self._scripts.walk_revisions())

    @cached_property
    def needs_of_desk(self) -> frozenset[str]:
        """The desk's migrations that the plugin's migrations name by `needs_desk`."""
        named = (getattr(script.module, "needs_desk", None) for script in self._scripts.walk_revisions())
        return frozenset(str(revision) for revision in named if revision)

    @contextmanager
    def watch(self, connection: Connection) -> Iterator[None]:
        """Raise `NotTaken` if a migration creates a table with another prefix, or makes a table of the desk depend
        on the plugin's.
        """
        prefix, before = prefix_of(self.plugin), set(inspect(connection).get_table_names())
        yield
        database = inspect(connection)
        for name in sorted(set(database.get_table_names()) - before):
            if not name.startswith(prefix):
                raise NotTaken(f"the name of its table {name} does not begin with {prefix}")
        for (_schema, name), keys in database.get_multi_foreign_keys().items():
            if not name.startswith(prefix) and any(key["referred_table"].startswith(prefix) for key in keys):
                raise NotTaken(f"it makes a foreign key from {name} to a table of its own")


def read_history(plugin: str, folder: Path) -> History:
    """The migrations in this folder. Raises any error that occurs while they are loaded."""
    history = History(plugin, folder)
    if not history.needed:
        raise NotTaken("its folder of migrations has none")
    return history


def claim_tables(plugin: str, before: Iterable[str]) -> list[Table]:
    """The tables that a plugin's modules declare: those of an earlier load, and those added since `before`."""
    for name in db.metadata.tables.keys() - set(before):
        db.metadata.tables[name].info.setdefault("plugin", plugin)
    return [table for table in db.metadata.tables.values() if table.info.get("plugin") == plugin]


def check_tables(plugin: str, tables: list[Table], *, migrated: bool) -> None:
    """Raise `NotTaken` for tables that a plugin can't have, and any error of configuring its models."""
    names, prefix = {table.name for table in tables}, prefix_of(plugin)
    for table in tables:
        if not table.name.startswith(prefix):
            raise NotTaken(f"the name of its table {table.name} does not begin with {prefix}")
        for key in table.foreign_keys:
            if key.target_fullname.partition(".")[0] not in names and not key.ondelete:
                raise NotTaken(f"the foreign key {table.name}.{key.parent.name} does not say what a deletion does")
    if tables and not migrated:
        raise NotTaken("it has tables and no migrations")
    if tables:
        configure_mappers()


def forget_tables(tables: list[Table]) -> None:
    """Remove tables and their models from the desk's metadata: faulty models would fail every query."""
    registry: Any = Base.registry
    for manager in list(registry._managers):
        if getattr(manager.class_, "__table__", None) in tables:
            registry._managers.pop(manager)  # what `registry.dispose()` does for all models
            registry._dispose_manager_and_mapper(manager)
    for table in tables:
        db.metadata.remove(table)

"""Tables of plugins: how they are named, and the migrations that make them.

Each plugin has a history of its own, in its folder `migrations`, with a version table of its own in the database. A
labeled branch of the desk's history would do as long as every plugin stays: Alembic keeps one row for a branch and what
it depends on, so the desk's own place would be gone with the plugin, and it refuses a row that it has no migration for.
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
    """How the names of a plugin's tables begin."""
    return f"{plugin.lower().replace('-', '_')}_"


@dataclass(frozen=True)
class History:
    """The migrations of one plugin."""

    plugin: str
    folder: Path

    @property
    def version_table(self) -> str:
        """The table that says how far the plugin's tables are."""
        return f"{prefix_of(self.plugin)}alembic_version"

    def config(self) -> Config:
        """Alembic's configuration: the desk's environment around the plugin's migrations."""
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
        """The newest migration. Raises `NotTaken` where the migrations are not one chain."""
        try:
            return self._scripts.get_current_head() or ""
        except (CommandError, KeyError) as error:  # several heads; a name that no migration has
            raise NotTaken("its migrations are not one chain") from error

    def knows(self, revision: str) -> bool:
        """Whether this is one of the migrations."""
        return any(script.revision == revision for script in self._scripts.walk_revisions())

    @cached_property
    def needs_of_desk(self) -> frozenset[str]:
        """The desk's migrations that those of the plugin name by `needs_desk`."""
        named = (getattr(script.module, "needs_desk", None) for script in self._scripts.walk_revisions())
        return frozenset(str(revision) for revision in named if revision)

    @contextmanager
    def watch(self, connection: Connection) -> Iterator[None]:
        """Raise `NotTaken` where a migration makes a table of another name, or binds the desk to the plugin's."""
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
    """The migrations in this folder. Raises whatever they raise when they are loaded."""
    history = History(plugin, folder)
    if not history.needed:
        raise NotTaken("its folder of migrations has none")
    return history


def claim_tables(plugin: str, before: Iterable[str]) -> list[Table]:
    """The tables that a plugin's modules declare: those of an earlier loading, and all that are new since `before`."""
    for name in db.metadata.tables.keys() - set(before):
        db.metadata.tables[name].info.setdefault("plugin", plugin)
    return [table for table in db.metadata.tables.values() if table.info.get("plugin") == plugin]


def check_tables(plugin: str, tables: list[Table], *, migrated: bool) -> None:
    """Raise `NotTaken` for tables that a plugin can't have, and whatever its models raise when they are configured."""
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
    """Take tables and their models out of what the desk maps: faulty ones would stop every query."""
    registry: Any = Base.registry
    for manager in list(registry._managers):
        if getattr(manager.class_, "__table__", None) in tables:
            registry._managers.pop(manager)  # as `registry.dispose()` does with all
            registry._dispose_manager_and_mapper(manager)
    for table in tables:
        db.metadata.remove(table)

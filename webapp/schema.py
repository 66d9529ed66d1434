"""The schema version of the database compared with this code's; `web` and `worker` check it before they start.

`needed` and `found` are about the desk's own schema; the tables of plugins (`plugin_tables`) are checked after it.
"""

from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from alembic.util import CommandError
from flask_migrate import downgrade as _downgrade, upgrade as _upgrade
from sqlalchemy import make_url

from webapp import plugin_tables
from webapp.config import configuration
from webapp.db import db, translated_failures
from webapp.errors import DeskError
from webapp.hooks.tables import DESK_MIGRATIONS
from webapp.i18n import lazy_gettext as _l


class SchemaDiffers(DeskError):
    """The database was made by another version of the desk."""

    code, status = "schema_differs", 503
    sentence = _l("The database has another schema (%(found)s) than this version needs (%(needed)s): %(advice)s")


class NoDesk(SchemaDiffers):
    """The database is empty: most often it is that of another folder than the one meant."""

    sentence = _l(
        "There is no desk in %(where)s: WAYBILL_DATA_DIR or DATABASE_URL tells where yours is; "
        "for a new one run “python -m webapp migrate”."
    )


def needed() -> str:
    """The newest migration of this code."""
    return _scripts().get_current_head() or ""


def found() -> str:
    """The migration at which the database is; empty for a new one."""
    with translated_failures(), db.engine.connect() as connection:
        return MigrationContext.configure(connection).get_current_revision() or ""


def check() -> None:
    """Raise `SchemaDiffers` unless the database has this code's schema, and `PluginTablesBehind` if a loaded plugin
    has migrations that were not run.
    """
    if (at := check_there()) == needed():
        plugin_tables.check()
        return
    if not knows(at):
        advice = _l("it is newer. Start the newer version of Waybill, or restore the backup made before it.")
    else:
        advice = _l("run “python -m webapp migrate”.")
    raise SchemaDiffers(found=at, needed=needed(), advice=advice)


def check_there() -> str:
    """The migration at which the database is, whichever version made it; raises `NoDesk` for an empty database."""
    if not (at := found()):
        raise NoDesk(where=_place())
    return at


def is_up_to_date() -> bool:
    """Whether the database has all migrations of this code and of the loaded plugins."""
    return found() == needed() and not plugin_tables.behind()


def migrate() -> dict[str, str]:
    """Migrate the database to this code's schema, and then the tables of each plugin; a newer database is left
    alone. Returns the plugins that were left out since a migration of theirs failed, each with the reason.
    """
    at = found()
    if at and not knows(at):
        check()
    with translated_failures():
        _upgrade(directory=str(DESK_MIGRATIONS))
    return plugin_tables.migrate()


def back_to(revision: str = "base") -> None:
    """Undo the migrations after this one, or all of them; for tests of the migrations."""
    _downgrade(directory=str(DESK_MIGRATIONS), revision=revision)


def _place() -> str:
    config = configuration()
    named = make_url(config.database_url).render_as_string(hide_password=True) if config.database_url else ""
    return named or str(config.data_dir)


def knows(revision: str) -> bool:
    """Whether this code has the migration: those of newer versions are unknown to it."""
    try:
        return _scripts().get_revision(revision) is not None
    except CommandError:
        return False


def _scripts() -> ScriptDirectory:
    config = Config()
    config.set_main_option("script_location", str(DESK_MIGRATIONS))
    return ScriptDirectory.from_config(config)

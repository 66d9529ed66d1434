"""Migrating the tables of plugins, and leaving out a plugin whose tables are not as it needs them.

`migrate` brings every loaded plugin up after the desk. A plugin whose migration fails is left out, in every process,
until it brings other migrations or `migrate` succeeds: the record of acts remembers it. What a plugin that was taken
away left in the database stays as it is; put back, it goes on where it was.
"""

from alembic import command
from alembic.runtime.migration import MigrationContext
from flask import current_app
from sqlalchemy import select

from webapp.audit.actor import Actor
from webapp.audit.models import AuditEntry
from webapp.audit.services import audit
from webapp.db import db, translated_failures, unit_of_work
from webapp.errors import DeskError
from webapp.hooks import discovery, failures
from webapp.hooks.tables import History
from webapp.i18n import lazy_gettext as _l

NOT_MIGRATED = "plugin_not_migrated"


class PluginTablesBehind(DeskError):
    """A loaded plugin has migrations that this database has not had."""

    code, status = "plugin_tables_behind", 503
    sentence = _l("The tables of the plugin “%(plugin)s” are not up to date: run “python -m webapp migrate”.")


def found(history: History) -> str:
    """The migration at which a plugin's tables are; empty if it has none yet."""
    with translated_failures(), db.engine.connect() as connection:
        options = {"version_table": history.version_table}
        return MigrationContext.configure(connection, opts=options).get_current_revision() or ""


def behind() -> list[History]:
    """The loaded plugins whose tables are not at the newest migration. A plugin that this version of the desk or of
    the plugin can't migrate is left out.
    """
    waiting = []
    for history in _histories():
        if (at := found(history)) == history.needed:
            continue
        if problem := _hopeless(history, at):
            _leave_out(history.plugin, problem)
        else:
            waiting.append(history)
    return waiting


def check() -> None:
    """Raise `PluginTablesBehind` if `migrate` has to run; a plugin whose migration failed is left out instead."""
    for history in behind():
        if _failed_before(history):
            _leave_out(history.plugin, f"its migration to {history.needed} failed")
        else:
            raise PluginTablesBehind(plugin=history.plugin)


def migrate() -> dict[str, str]:
    """Migrate the tables of every loaded plugin. Returns the plugins that were left out, each with the reason."""
    left_out = {}
    for history in behind():
        if problem := _upgrade(history):
            _leave_out(history.plugin, problem)
            left_out[history.plugin] = problem
    return left_out


def _histories() -> list[History]:
    states = current_app.extensions["waybill.plugins"]
    return [state.history for state in states if state.history is not None and not state.problem]


def _hopeless(history: History, at: str) -> str:
    """Why no migration can help; empty if one can."""
    from webapp import schema  # imported here: it imports this module

    if missing := sorted(one for one in history.needs_of_desk if not schema.knows(one)):
        return f"it needs a newer version of the desk (migration {missing[0]})"
    if at and not history.knows(at):
        return f"its tables were made by a newer version of it ({at})"
    return ""


def _upgrade(history: History) -> str:
    """Run a plugin's missing migrations; returns the reason if one fails. Raises errors that are not the plugin's
    fault.
    """
    try:
        with translated_failures():
            command.upgrade(history.config(), "head")
    except (Exception, SystemExit) as error:
        if failures.is_no_fault(error) and not isinstance(error, SystemExit):
            raise
        failures.note(history.plugin, "migration", history.needed, error)
        if not _failed_before(history):
            with unit_of_work():
                audit(NOT_MIGRATED, actor=Actor.operator(), plugin=history.plugin, head=history.needed)
        return f"its migration to {history.needed} failed ({failures.describe(error)})"
    return ""


def _failed_before(history: History) -> bool:
    """Whether `migrate` tried to bring the plugin to this migration and failed."""
    query = select(AuditEntry.data).where(AuditEntry.code == NOT_MIGRATED).order_by(AuditEntry.id.desc())
    failed = any(one == {"plugin": history.plugin, "head": history.needed} for one in db.session.scalars(query))
    db.session.rollback()
    return failed


def _leave_out(plugin: str, problem: str) -> None:
    states = current_app.extensions["waybill.plugins"]
    current_app.extensions["waybill.plugins"] = discovery.leave_out(states, plugin, problem)

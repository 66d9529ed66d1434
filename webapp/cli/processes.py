"""The desk's processes, each its own command: `web`, `worker`, `scheduler`; and `migrate`, which they wait for.

A process refuses to start if it would do harm or nothing: on another schema, without its keys, without its queue.
"""

from collections.abc import Callable

import click
from flask import Flask
from redis import RedisError
from sqlalchemy import func, select

from webapp import create_app, plugin_tables, schema
from webapp.billing.models import KeptBuyer
from webapp.cli.door import desk_context, sentences
from webapp.cli.main import Code, Failed
from webapp.cli.ports import is_free, taken
from webapp.config import PORT, configuration
from webapp.db import db
from webapp.hooks import hooks
from webapp.i18n import lazy_gettext as _l
from webapp.live import connection
from webapp.sync import recovery, streams
from webapp.sync.models import QuarantinedOrder
from webapp.sync.place import check_place
from webapp.vault.key_file import KeyProblem, key_file
from webapp.vault.models import VaultKey


@click.command()
@click.option("--port", type=click.IntRange(1, 65535), help="The port; overrides WAYBILL_PORT.")
def web(port: int | None) -> None:
    """Serve the pages."""
    serve_pages(port)


def serve_pages(port: int | None, prepare: Callable[[], None] = lambda: None) -> None:
    """Serve the pages until told to stop, at this port or at WAYBILL_PORT."""
    app = app_to_serve(prepare)
    from webapp.ui.web_server.server import serve

    config = configuration()
    chosen = port or config.port or PORT
    if not is_free(chosen, config.host):
        raise Failed(taken(chosen, config.host))
    serve(app, host=config.host, port=chosen)


def app_to_serve(prepare: Callable[[], None] = lambda: None) -> Flask:
    """The app, prepared by `prepare`, checked, and ready to be forked. Raises `Failed`."""
    app = create_app()
    with app.app_context(), sentences():
        prepare()
        _check(app)
    return app


@click.command()
@click.option("--burst", is_flag=True, help="Run one worker, which ends once the queues are empty.")
def worker(burst: bool) -> None:
    """Do the background work in WAYBILL_WORKER_PROCESSES processes; it can be started several times."""
    from webapp.jobs.crew import run_crew
    from webapp.jobs.queues import whole_service
    from webapp.jobs.worker import run_worker

    app = create_app()
    _check_in(app)
    with app.app_context():
        lanes = streams.lanes()
    if burst:
        run_worker(app, service=whole_service(lanes), burst=True)
    else:
        run_crew(app, configuration().worker_processes, lanes)


@click.command()
def scheduler() -> None:
    """Enqueue scheduled jobs; a second scheduler does no harm."""
    from webapp.jobs.schedule import run_forever

    app = create_app()
    _check_in(app)
    with app.app_context():
        run_forever()


@click.command()
def migrate() -> None:
    """Bring the database up to this version; a new desk gets its key file too."""
    with desk_context(), sentences():
        before, waiting = schema.found(), [history.plugin for history in plugin_tables.behind()]
        made = make_ready()
        now = schema.needed()
        click.echo(
            f"The database is at {now}." if before == now else f"The database went from {before or '—'} to {now}."
        )
        for plugin in waiting:
            if hooks.manager.has_plugin(plugin):
                click.echo(f"The tables of the plugin “{plugin}” are up to date.")
        if made:
            click.echo(f"A key file was created: {key_file().path}. Keep a copy of it apart from the database's.")


def make_ready(step: Callable[[str], None] = lambda sentence: None) -> bool:
    """Migrate, and create the key file of a new desk; returns whether it was created. A lost key file raises and is
    never replaced.

    `step` is called with the name of each step before it begins.
    """
    if not schema.is_up_to_date():
        step("Bringing the database up to this version." if schema.found() else "Creating the database.")
        for plugin, problem in schema.migrate().items():
            click.echo(f"The plugin “{plugin}” was not loaded: {problem}. The Plugins page shows the reason.", err=True)
    file = key_file()
    if file.path.exists():
        file.check()
        return False
    tables = (VaultKey, QuarantinedOrder, KeptBuyer)
    sealed = (db.session.scalar(select(func.count()).select_from(table)) for table in tables)
    if any(sealed):
        problem = _l("the file is missing, and the database has data that was encrypted with it. Restore its copy.")
        raise KeyProblem(path=file.path, problem=problem)
    step("Creating the key file.")
    file.create()
    return True


def _check_in(app: Flask) -> None:
    with app.app_context(), sentences():
        _check(app)


def _check(app: Flask) -> None:
    """Raise if this process could not work; the connections made are closed, since forks follow."""
    configuration().data_dir.mkdir(parents=True, exist_ok=True)
    schema.check()
    key_file().check()
    recovery.recover()
    check_place()
    try:
        connection().ping()
    except RedisError as error:
        sentence = "The desk can't reach its queue. Check REDIS_URL; without it, “python -m webapp up” starts a queue."
        raise Failed(sentence, Code.UNREACHABLE) from error
    finally:
        connection().connection_pool.disconnect()
    db.session.remove()
    db.engine.dispose()

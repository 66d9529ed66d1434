"""The desk's processes, each its own command: `web`, `worker`, `scheduler`; and `migrate`, which they wait for.

A process refuses to start where it would do harm or nothing: on another schema, without its keys, without its queue.
"""

from pathlib import Path

import click
from flask import Flask
from redis import RedisError

from webapp import create_app, schema
from webapp.cli.door import desk_context, sentences
from webapp.cli.main import Code, Failed
from webapp.cli.preparing import make_ready, prepare
from webapp.cli.supervisor import is_free, taken
from webapp.cli.up import PORT
from webapp.config import configuration
from webapp.db import db
from webapp.live import connection
from webapp.vault.keys import key_file


@click.command()
@click.option("--port", type=click.IntRange(1, 65535), help="Instead of WAYBILL_PORT.")
@click.option("--prepare", "prepared", type=click.Path(path_type=Path), hidden=True)
def web(port: int | None, prepared: Path | None) -> None:
    """Serve the pages."""
    app = app_to_serve(prepared)
    from webapp.ui.server import serve

    config = configuration()
    chosen = port or config.port or PORT
    if not is_free(chosen, config.host):
        raise Failed(taken(chosen, config.host))
    serve(app, host=config.host, port=chosen)


def app_to_serve(prepared: Path | None = None) -> Flask:
    """The desk, checked and about to be forked; with a file for `up` it makes itself ready first. Raises `Failed`."""
    app = create_app()
    with app.app_context(), sentences():
        if prepared is not None and not prepared.exists():
            prepare(prepared)
        _check(app)
    return app


@click.command()
@click.option("--burst", is_flag=True, help="One worker alone, which ends once the queues are empty.")
def worker(burst: bool) -> None:
    """Do the background work, in as many processes as WAYBILL_WORKER_PROCESSES says; start it as often as you like."""
    from webapp.jobs.crew import run_crew
    from webapp.jobs.worker import run_worker

    app = create_app()
    _check_in(app)
    if burst:
        run_worker(app, burst=True)
    else:
        run_crew(app, configuration().worker_processes)


@click.command()
def scheduler() -> None:
    """Enqueue by the clock; a second one does no harm."""
    from webapp.jobs.schedule import run_forever

    app = create_app()
    _check_in(app)
    with app.app_context():
        run_forever()


@click.command()
def migrate() -> None:
    """Bring the database up to this version; a new desk gets its key file too."""
    with desk_context(), sentences():
        before = schema.found()
        made = make_ready()
        now = schema.needed()
        click.echo(
            f"The database is at {now}." if before == now else f"The database went from {before or '—'} to {now}."
        )
        if made:
            click.echo(f"A key file was made: {key_file().path}. Keep a copy of it apart from the database's.")


def _check_in(app: Flask) -> None:
    with app.app_context(), sentences():
        _check(app)


def _check(app: Flask) -> None:
    """Raise for what this process could not work with; the connections made are closed, since forks follow."""
    configuration().data_dir.mkdir(parents=True, exist_ok=True)
    schema.check()
    key_file().check()
    try:
        connection().ping()
    except RedisError as error:
        sentence = "The desk can't reach its queue: REDIS_URL names it; without one, “python -m webapp up” runs it."
        raise Failed(sentence, Code.UNREACHABLE) from error
    finally:
        connection().connection_pool.disconnect()
    db.session.remove()
    db.engine.dispose()

"""A command's way into the desk: the app, the schema that it must have, the actor, and how the answer is printed.

A refusal of the desk ends in one sentence and an exit code here, for all commands. `up` writes the variables of the
desk that it runs into `desk.json`; commands beside it read them, so that both mean the same desk.
"""

import contextlib
import functools
import itertools
import json
import os
import sys
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Concatenate, ParamSpec, TypeVar

import click
from flask import Flask, current_app, has_app_context
from redis import RedisError
from sqlalchemy.exc import DatabaseError, OperationalError

from webapp import create_app, schema
from webapp.accounts.services import UnknownPerson, get_user
from webapp.audit.actor import Actor
from webapp.cli.main import Code, Failed
from webapp.cli.running_desk import running_desk
from webapp.config import configuration
from webapp.db import db, translated_failures
from webapp.errors import DatabaseBusy, DeskError, DiskFull, NotFound, SeveralFit, Unavailable

P = ParamSpec("P")
PART = 500  # rows that are read and printed at a time
R = TypeVar("R")


@dataclass(frozen=True)
class Door:
    """What a command gets: the actor, and how to answer."""

    actor: Actor
    as_json: bool

    def show(self, document: Any, text: Iterable[str]) -> None:
        """Print the document, or the lines of text with its content."""
        if self.as_json:
            unicode = (sys.stdout.encoding or "").lower().replace("-", "") == "utf8"
            click.echo(json.dumps(document, ensure_ascii=not unicode))
        else:
            for line in text:
                click.echo(line)

    def show_all(self, rows: Iterable[Any], text: Callable[[list[Any]], Iterable[str]]) -> None:
        """Print rows as they arrive, in parts that fit into memory: one JSON array, or the lines of text of each
        part.
        """
        unicode = (sys.stdout.encoding or "").lower().replace("-", "") == "utf8"
        if self.as_json:
            click.echo("[", nl=False)
            for place, row in enumerate(rows):
                click.echo((", " if place else "") + json.dumps(row, ensure_ascii=not unicode), nl=False)
            click.echo("]")
            return
        given = iter(rows)
        part = list(itertools.islice(given, PART))
        while True:
            for line in text(part):
                click.echo(line)
            part = list(itertools.islice(given, PART))
            if not part:
                return


def desk_command(function: Callable[Concatenate[Door, P], R]) -> Callable[P, R]:
    """Give a command its door, and the options `--json` and `--as` that all such commands have."""

    @click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
    @click.option("--as", "acting_as", metavar="EMAIL", help="Act as this person instead of the operator.")
    @click.pass_context
    @functools.wraps(function)
    def run(ctx: click.Context, /, *args: Any, as_json: bool, acting_as: str | None, **kwargs: Any) -> R:
        above = ctx.find_root().obj or {}
        with desk_context(), sentences():
            schema.check()
            email = acting_as or above.get("acting_as")
            door = Door(_acting(email) if email else Actor.operator(), as_json or bool(above.get("as_json")))
            return function(door, *args, **kwargs)

    return run  # type: ignore[return-value]  # click hands the options over by name


def _acting(email: str) -> Actor:
    user = get_user(email)
    if user.disabled_at is not None:
        raise UnknownPerson(name=email)
    return user.as_actor()


@contextlib.contextmanager
def desk_context(*, logs: str = "cli") -> Iterator[Flask]:
    """The desk's app with its context open; meanwhile logs go to a file, not between the lines of the answer."""
    if has_app_context():
        yield current_app._get_current_object()  # type: ignore[attr-defined]
        return
    join_running_desk()
    with _log_file(logs) as file, contextlib.redirect_stderr(file):
        app = create_app()  # keeps the log file open
    with app.app_context():
        try:
            yield app
        finally:
            db.session.remove()


@contextlib.contextmanager
def _log_file(name: str) -> Iterator[Any]:
    path = log_folder(configuration().data_dir) / f"{name}.log"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        file = path.open("a")
    except OSError:  # a folder that can't be written is reported by `check`
        yield sys.stderr
    else:
        yield file  # stays open: the app logs while the process lives


def log_folder(data_dir: Path) -> Path:
    return data_dir / "log"


def join_running_desk() -> None:
    """Use the variables of the running desk, unless this process was given others."""
    variables = running_desk(configuration().data_dir).get("variables", {})
    if unsaid := {name: value for name, value in variables.items() if name not in os.environ}:
        os.environ.update(unsaid)
        configuration.cache_clear()


@contextlib.contextmanager
def sentences() -> Iterator[None]:
    """Turn a refusal of the desk into a sentence and an exit code; only a bug ends with a traceback."""
    try:
        with translated_failures():
            yield
    except DeskError as error:
        raise Failed(str(error), _code_of(error)) from error
    except RedisError as error:
        raise Failed(str(Unavailable(what="queue")), Code.UNREACHABLE) from error
    except DatabaseError as error:
        if not isinstance(error, OperationalError) and type(error) is not DatabaseError:
            raise  # a faulty statement of ours; the other errors mean a database that can't be read
        raise Failed(str(Unavailable(what="database")), Code.UNREACHABLE) from error


def _code_of(error: DeskError) -> Code:
    match error:
        case NotFound():
            return Code.NOT_FOUND
        case SeveralFit():
            return Code.SEVERAL_FIT
        case Unavailable() | DatabaseBusy() | DiskFull():
            return Code.UNREACHABLE
        case _:
            return Code.FAILED

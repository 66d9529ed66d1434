"""`backup` and `restore`: a copy of a desk while it works, and a desk made from a copy.

There are two copies, never one file with both, since together they open everything: the database, and the key file with
the secret that opens it. Nothing is overwritten: neither an earlier copy nor a desk. The queue and the exports need no
copy: whatever must happen is in the database.
"""

import contextlib
import json
import os
import re
import shutil
import sqlite3
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import click
import psycopg
from sqlalchemy import URL, make_url

from webapp import schema
from webapp.audit.actor import Actor
from webapp.cli.checking import confirm_copy
from webapp.cli.door import Door, desk_context, sentences
from webapp.cli.main import Code, Failed
from webapp.cli.running_desk import running_desk
from webapp.config import Configuration, configuration
from webapp.db import db
from webapp.errors import Unavailable
from webapp.vault.key_file import KeyFile, KeyProblem, is_month, key_file

LITE, POSTGRES = "SQLite", "PostgreSQL"
# Sessions and links at the time of the copy may belong to people who have been disabled since.
SHUT_OUT = ("DELETE FROM user_sessions", "DELETE FROM sign_in_links")
BEGINS = {LITE: b"SQLite format 3\0", POSTGRES: b"PGDMP"}
PLACES = ("/usr/lib/postgresql/*/bin", "/usr/pgsql-*/bin", "/opt/homebrew/opt/*/bin", "/usr/local/opt/*/bin")
NO_PROGRAM = "{name} was not found. Install PostgreSQL's client programs in the server's version or newer."
as_json_option = click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
file_argument = click.argument("file", type=click.Path(path_type=Path))


@click.group()
def backup() -> None:
    """Copy the database, or the keys, while the desk works; keep the two copies apart."""


@backup.command("database")
@file_argument
@as_json_option
def backup_database(file: Path, as_json: bool) -> None:
    """Write a copy of the database, as it is at one moment, to a new file."""
    with desk_context(), sentences():
        at = schema.check_there()
        url = db.engine.url
        _keep_apart(file, configuration())
        db.session.remove()
        with _new_file(file) as fresh:
            if _kind(url) == LITE:
                _copy_lite(Path(str(url.database)), fresh)
            else:
                _run(_program("pg_dump"), "--format=custom", "--no-owner", "--no-privileges", f"--file={fresh}", on=url)
    size = file.stat().st_size
    document = {"file": str(file.absolute()), "database": _kind(url), "schema": at, "bytes": size}
    text = f"{document['file']} holds the database at {at}, {size / 1e6:.1f} MB. The keys are not in it."
    Door(Actor.operator(), as_json).show(document, [text])


@backup.command("keys")
@file_argument
@as_json_option
def backup_keys(file: Path, as_json: bool) -> None:
    """Write the key file, and the secret that is kept in the data directory, to a new file."""
    with desk_context(), sentences():
        at = schema.check_there()
        _keep_apart(file, configuration())
        keys = key_file()
        keys.check()
        content = json.loads(keys.path.read_text())
        kept = None if configuration().secret.get_secret_value() else configuration().secret_value()
        periods = sorted(content["periods"])
        with _new_file(file) as fresh:
            fresh.write_text(json.dumps({"version": 1, "keys": content, "secret": kept}, indent=1))
        if at == schema.needed():  # before an upgrade this table may be missing, or differ from this version's
            confirm_copy(periods)
    document = {"file": str(file.absolute()), "periods": periods, "secret": kept is not None}
    text = [f"{file.absolute()} holds the keys of {_named(periods)}. Keep it apart from the database's."]
    if kept is None:
        text.append("WAYBILL_SECRET, which opens the keys, is not in the file. Keep a copy of it, too.")
    Door(Actor.operator(), as_json).show(document, text)


@click.group()
def restore() -> None:
    """Restore a desk from its copies."""


@restore.command("database")
@file_argument
@as_json_option
def restore_database(file: Path, as_json: bool) -> None:
    """Fill an empty database from a copy; a database with a desk is never overwritten."""
    config = configuration()
    url = make_url(config.database)
    kind = _kind(url)
    with file.open("rb") as read:
        begins = read.read(16)
    made_from = next((name for name, magic in BEGINS.items() if begins.startswith(magic)), None)
    if made_from != kind:
        what = f"is a copy from {made_from}" if made_from else "is not a copy of a database"
        raise Failed(f"{file} {what}, and this desk's is {kind} (DATABASE_URL).")
    if running_desk(config.data_dir):
        raise Failed(f"A desk runs in {config.data_dir}: stop it first.")
    at = (_restore_lite if kind == LITE else _restore_postgres)(file, url)
    document = {"file": str(file.absolute()), "database": kind, "schema": at, "key_file": str(config.keys)}
    text = [f"The database is restored, at {at}. Everybody is signed out, and earlier sign-in links no longer work."]
    if not config.keys.exists():
        text.append(f"Its keys are not restored yet: “restore keys” restores {config.keys}.")
    Door(Actor.operator(), as_json).show(document, [*text, "Then: “migrate”, “check”, and start the desk."])


@restore.command("keys")
@file_argument
@as_json_option
def restore_keys(file: Path, as_json: bool) -> None:
    """Restore the key file and its secret; existing ones are never overwritten."""
    config = configuration()
    try:
        copy = json.loads(file.read_text())
        content, kept = dict(copy["keys"]), copy["secret"]
    except (ValueError, KeyError, TypeError) as error:
        raise Failed(f"{file} is not a copy of a key file.") from error
    if config.keys.exists():
        raise Failed(f"{config.keys} exists already, so nothing was changed.")
    secret = _secret_to_use(config, kept)
    for folder in (config.data_dir, config.keys.parent):
        folder.mkdir(parents=True, exist_ok=True)
    with _new_file(config.keys) as fresh:
        fresh.write_text(json.dumps(content, indent=1))
        try:
            KeyFile(fresh, secret).check()
        except KeyProblem as error:
            raise Failed(str(KeyProblem(path=file, problem=error.values["problem"]))) from error
        if not config.secret.get_secret_value() and not config.secret_file.exists():
            with _new_file(config.secret_file) as given:
                given.write_text(secret)
    periods = sorted(content["periods"])
    document = {"file": str(file.absolute()), "key_file": str(config.keys), "periods": periods}
    text = f"{config.keys} is restored, with the keys of {_named(periods)}."
    Door(Actor.operator(), as_json).show(document, [text])


def _named(periods: list[str]) -> str:
    """The weeks, and the months of documents that outlive their buyers."""
    weeks, months = ([period for period in periods if is_month(period) is wanted] for wanted in (False, True))
    found = f"{len(weeks)} weeks" if len(weeks) != 1 else f"the week {weeks[0]}"
    if months:
        found += f" and of {len(months)} months of documents" if len(months) != 1 else f" and of {months[0]}"
    return found


def _secret_to_use(config: Configuration, kept: str | None) -> str:
    """The secret by which the restored keys open; raises Failed if this desk has another one."""
    here = config.secret.get_secret_value()
    if not here and config.secret_file.exists():
        here = config.secret_file.read_text().strip()
    if kept and here and kept != here:
        where = "WAYBILL_SECRET" if config.secret.get_secret_value() else str(config.secret_file)
        raise Failed(f"{where} has another secret than these keys. Move it away if nothing was encrypted with it.")
    if not (found := here or kept):
        raise Failed("WAYBILL_SECRET, which opens these keys, is not in their copy. Set it to the earlier value.")
    return found


def _keep_apart(file: Path, config: Configuration) -> None:
    """Raise Failed for a place in the data directory, in the key file's folder, or right beside SQLite's file."""
    folder = file.absolute().parent.resolve()
    kept = [config.data_dir.resolve(), config.keys.parent.resolve()]
    refused = [ours for ours in kept if folder == ours or ours in folder.parents]
    url = make_url(config.database)
    if _kind(url) == LITE and (ours := Path(str(url.database)).resolve().parent) == folder:
        refused.append(ours)
    if refused:
        raise Failed(f"{file} would be in the same place as the original. Choose a place outside {refused[0]}.")


@contextlib.contextmanager
def _new_file(path: Path) -> Iterator[Path]:
    """A file to write, readable by its owner only, that gets its name once it is complete; an existing file is left
    alone.
    """
    if path.exists():
        raise Failed(f"{path} exists already. Choose a new file.")
    if not path.parent.is_dir():
        raise Failed(f"There is no folder {path.parent}.")
    number, name = tempfile.mkstemp(prefix=f".{path.name}.", suffix=".new", dir=path.parent)  # readable by its owner
    os.close(number)
    fresh = Path(name)
    try:
        yield fresh
        _sync(fresh)
        try:
            os.link(fresh, path)
        except FileExistsError:
            raise Failed(f"{path} exists already. Choose a new file.") from None
        except OSError:  # a file system without links
            fresh.rename(path)
        _sync(path.parent)
    finally:
        fresh.unlink(missing_ok=True)


def _sync(path: Path) -> None:
    file = os.open(path, os.O_RDONLY)
    try:
        os.fsync(file)
    finally:
        os.close(file)


def _kind(url: URL) -> str:
    return LITE if url.get_backend_name() == "sqlite" else POSTGRES


# --- SQLite -----------------------------------------------------------------------------------------------------------


def _copy_lite(source: Path, fresh: Path) -> None:
    """Copy all pages in one reading, so as of one moment; writers do not wait."""
    with _lite_failures(source), _lite(source) as reading, contextlib.closing(sqlite3.connect(fresh)) as copy:
        reading.backup(copy)
        copy.execute("PRAGMA journal_mode=delete")  # one file, without a log beside it
        _check_lite(copy, fresh)


def _restore_lite(file: Path, url: URL) -> str:
    target = Path(str(url.database))
    if not target.is_absolute():
        raise Failed("DATABASE_URL has a relative path. Give the absolute path.")
    journal = file.with_name(f"{file.name}-wal")
    if journal.exists() and journal.stat().st_size:
        raise Failed(
            f"{journal} holds a part of {file}, so the database is in use. “backup database” makes a complete copy."
        )
    at = _version_in_lite(file)
    if not at:
        raise Failed(f"{file} holds no desk.")
    _check_version(file, at)
    _refuse_desk(target)
    target.parent.mkdir(parents=True, exist_ok=True)
    with _new_file(target) as fresh, _lite_failures(file):
        shutil.copyfile(file, fresh)
        with _lite(fresh) as copy:
            _check_lite(copy, file)
        with contextlib.closing(sqlite3.connect(fresh, isolation_level=None)) as copy:
            for statement in SHUT_OUT:
                copy.execute(statement)
    return at


def _refuse_desk(target: Path) -> None:
    """Raise Failed for a database with tables; delete an empty one, such as an earlier look into an empty folder
    leaves.
    """
    journals = [target.with_name(target.name + end) for end in ("-wal", "-shm")]
    if target.exists():
        with _lite_failures(target), _lite(target) as there:
            full = there.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]
        if full:
            raise Failed(f"There is a desk in {target} already, so nothing was changed.")
        for path in (target, *journals):
            path.unlink(missing_ok=True)
    elif any(path.exists() for path in journals):
        raise Failed(f"{journals[0]} belongs to a database that does not exist. Move the file away first.")


def _version_in_lite(path: Path) -> str:
    with _lite_failures(path), _lite(path) as there:
        if not there.execute("SELECT 1 FROM sqlite_master WHERE name = 'alembic_version'").fetchone():
            return ""
        found = there.execute("SELECT version_num FROM alembic_version").fetchone()
    return str(found[0]) if found else ""


@contextlib.contextmanager
def _lite(path: Path) -> Iterator[sqlite3.Connection]:
    with contextlib.closing(sqlite3.connect(f"file:{quote(str(path.absolute()))}?mode=ro", uri=True)) as connection:
        yield connection


@contextlib.contextmanager
def _lite_failures(path: Path) -> Iterator[None]:
    try:
        yield
    except sqlite3.Error as error:
        raise Failed(f"{path}: {error}.") from error


def _check_lite(connection: sqlite3.Connection, path: Path) -> None:
    [said] = connection.execute("PRAGMA quick_check(1)").fetchone()
    if said != "ok":
        raise Failed(f"{path} is damaged: {said}.")


# --- PostgreSQL -------------------------------------------------------------------------------------------------------


def _restore_postgres(file: Path, url: URL) -> str:
    program = _program("pg_restore")
    output = _run(program, "--data-only", "--table=alembic_version", "--file=-", str(file))
    version = re.search(r"^COPY .*alembic_version .*\n(\S+)$", output, re.MULTILINE)
    if version is None or version[1] == "\\.":
        raise Failed(f"{file} holds no desk.")
    at = version[1]
    _check_version(file, at)
    query = (
        "SELECT count(*) FROM pg_class WHERE relnamespace = current_schema()::regnamespace AND relkind IN ('r', 'p')"
    )
    plain = url.set(drivername="postgresql")
    try:
        with psycopg.connect(plain.render_as_string(hide_password=False), autocommit=True) as connection:
            [full] = connection.execute(query).fetchone() or (0,)
            if full:
                raise Failed(f"There is a desk in {plain.render_as_string()} already, so nothing was changed.")
            whole = ("--single-transaction", "--exit-on-error", "--no-owner", "--no-privileges")
            _run(program, *whole, f"--dbname={_address(url)}", str(file), on=url)
            for statement in SHUT_OUT:
                connection.execute(statement.encode())
            connection.execute("ANALYZE")
    except psycopg.OperationalError as error:
        raise Failed(str(Unavailable(what="database")), Code.UNREACHABLE) from error
    return at


def _check_version(file: Path, at: str) -> None:
    if not schema.knows(at):
        raise Failed(f"{file} was made by a newer version of the desk ({at}). Restore it with that version.")


def _program(name: str) -> str:
    """The newest of PostgreSQL's programs of this name: an older one does not read a newer server."""
    found = [found for found in (shutil.which(name), *_elsewhere(name)) if found]
    if not found:
        raise Failed(NO_PROGRAM.format(name=name))
    return max(found, key=_release)


def _elsewhere(name: str) -> Iterator[str]:
    for place in PLACES:
        for folder in Path("/").glob(place.lstrip("/")):
            if (folder / name).exists():
                yield str(folder / name)


def _release(program: str) -> int:
    output = subprocess.run([program, "--version"], capture_output=True, text=True).stdout
    number = re.search(r"(\d+)", output)
    return int(number[1]) if number else 0


def _address(url: URL) -> str:
    """The address of the database for PostgreSQL's programs; without the password, since other users can read their
    arguments.
    """
    plain = URL.create("postgresql", url.username, None, url.host, url.port, url.database, url.query)
    return plain.render_as_string()  # `set` ignores a None password


def _run(program: str, *words: str, on: URL | None = None) -> str:
    environ: dict[str, Any] = dict(os.environ)
    if on is not None and on.password:
        environ["PGPASSWORD"] = str(on.password)
    address = [f"--dbname={_address(on)}"] if on is not None and not any("--dbname" in word for word in words) else []
    done = subprocess.run([program, *address, *words], env=environ, capture_output=True, text=True)
    if done.returncode:
        lines = done.stderr.strip().splitlines() or [f"{program} ended with status {done.returncode}"]
        raise Failed(f"{lines[0]}")
    return done.stdout

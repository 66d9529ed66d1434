"""`up`: a whole desk on this machine with one command.

Valkey is started first, then the web process, which prepares the desk (it has loaded everything for that) and writes
into a file which processes the plugins want; these follow, then worker and scheduler. A desk that was prepared before
answers within two seconds, so nothing is loaded here that only a part of the desk needs. Only one `up` at a time uses a
data directory.
"""

import contextlib
import fcntl
import json
import logging
import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from logging.handlers import RotatingFileHandler
from pathlib import Path
from typing import Any

import click

from supervisor import valkey
from supervisor.ports import PortTaken, free_port
from supervisor.reaper import OwnedProcess
from supervisor.supervising import (
    REPORT_EVERY,
    Answers,
    Patience,
    Process,
    ProcessFailed,
    Supervisor,
    processor_seconds,
)
from webapp.cli.main import Failed
from webapp.cli.running_desk import DESK_FILE, PORTS_FILE, read_json, running_desk
from webapp.config import PORT, Configuration, configuration

PREPARED_FILE = "prepared.json"
GRACE = 90.0  # seconds that requests and jobs under way get to end; web gives its own 60
STEP = "→ "  # the prefix of a line in which a starting process says what it does
_UNIMPORTANT = re.compile(r'\[(debug|info) *\]|\[(DEBUG|INFO)\]|"level": "(debug|info)"')


@click.command()
def up() -> None:
    """Start everything and print its address: web, worker, scheduler, queue, practice marketplaces."""
    config = configuration()
    config.data_dir.mkdir(parents=True, exist_ok=True)
    with _alone(config.data_dir) as alone:
        if not alone:
            click.echo(_address_of_other(config.data_dir))
            return
        try:
            _Up(config).run()
        except (PortTaken, ProcessFailed, valkey.ValkeyUnavailable) as error:
            raise Failed(str(error)) from error


@contextlib.contextmanager
def _alone(data_dir: Path) -> Iterator[bool]:
    """Whether no other process runs or starts the desk of this data directory; none can until the block ends."""
    with (data_dir / "up.lock").open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
        else:
            yield True


def _address_of_other(data_dir: Path) -> str:
    """The address of the desk of the other `up`, once it has started; raises `Failed` if it ends before."""
    reported_at = time.monotonic()
    while not (address := running_desk(data_dir).get("url")):
        with _alone(data_dir) as ended:
            if ended:
                raise Failed(f"The other “up” in {data_dir} ended before its desk was there; start it again.")
        if time.monotonic() - reported_at > REPORT_EVERY:
            reported_at = time.monotonic()
            click.echo(f"Another “up” is starting in {data_dir}; waiting for it. Ctrl-C stops waiting.", err=True)
        time.sleep(0.1)
    return str(address)


class _Up:
    """One desk from its start to its end."""

    def __init__(self, config: Configuration) -> None:
        self.config = config
        self.data_dir = config.data_dir
        self.logs = Logs(self.data_dir / "log")
        self.facts: dict[str, Any] = {}
        self.desk = Supervisor(grace=GRACE, changed=self._write_facts, shown=self.logs.keep)
        for name in (DESK_FILE, PREPARED_FILE):
            (self.data_dir / name).unlink(missing_ok=True)

    def run(self) -> None:
        """Start all, print the address, and watch until stopped."""
        port = self._choose_port()
        self.address = self.config.url or f"http://{_host(self.config.host)}:{port}"
        os.environ |= {
            "WAYBILL_DATA_DIR": str(self.data_dir),
            "WAYBILL_PORT": str(port),
            "WAYBILL_CUSTOM_ENDPOINTS": os.environ.get("WAYBILL_CUSTOM_ENDPOINTS", "1"),
            "PYTHONDONTWRITEBYTECODE": "",  # without compiled files every start would take seconds longer
        }
        try:
            with contextlib.closing(self.logs), self.desk:
                try:
                    self._start(port)
                    self.desk.watch()
                except KeyboardInterrupt:
                    self._step("Stopping, once what is under way has ended.")
                    raise
            self._step("Stopped.")
        finally:
            (self.data_dir / DESK_FILE).unlink(missing_ok=True)

    def _choose_port(self) -> int:
        before = read_json(self.data_dir / PORTS_FILE).get("web", PORT)
        explicit = self.config.port is not None
        return free_port(self.config.port or int(before), explicit=explicit, host=self.config.host)

    def _start(self, port: int) -> None:
        if not self.config.redis_url:
            self._step("Starting the queue.")
            command = valkey.command(self.data_dir)
            queue = Process("valkey", command, ready=lambda: valkey.is_up(self.data_dir), serves_others=True)
            self.desk.start(queue)
        self._step("Loading the desk.")
        prepared = self._prepare(port)
        os.environ |= prepared["variables"]
        self.desk.start(
            *(Process(process["name"], process["argv"], serves_others=True) for process in prepared["processes"])
        )
        self._step("Opening the pages.")
        self.desk.wait("web", Answers(f"http://{_host(self.config.host)}:{port}/healthz"))
        if prepared["first"]:
            self._follow(prepared)
            self._fill()
            self._welcome(prepared)
        else:
            self._welcome(prepared)
            self._follow(prepared)

    def _prepare(self, port: int) -> dict[str, Any]:
        """Start the web process, which prepares the desk first, and read the file that it writes."""
        path = self.data_dir / PREPARED_FILE
        arguments = ["--port", str(port), "--prepare", str(path)]
        with self.logs.silent("web") as said:
            try:
                self.desk.start(Process("web", _python("supervisor.serving", *arguments), ready=path.exists))
            except ProcessFailed as error:
                time.sleep(0.1)  # its last lines may still be on their way
                raise ProcessFailed(said[-1] if said else str(error)) from None
        prepared = read_json(path)
        path.write_text("{}")  # a restarted web process has nothing to prepare; the link was a secret
        return prepared

    def _follow(self, prepared: Mapping[str, Any]) -> None:
        """The background processes, once the processes that they use are there."""
        for process in prepared["processes"]:
            try:
                self._step(f"Waiting for {process['name']}.")
                self.desk.wait(process["name"], Answers(process["ready"]))
            except ProcessFailed as error:  # the plugin's own trouble: the desk works without it
                self.desk.give_up(process["name"])
                log = self.logs.folder / f"{process['name']}.log"
                click.echo(f"The desk goes on without {process['name']}: {error} See {log}.", err=True)
        self.desk.start(*(Process(name, _python("webapp", name)) for name in ("worker", "scheduler")))

    def _fill(self) -> None:
        """Connect the practice stores of a new desk, in a process that ends afterwards."""
        self._step("Connecting the practice stores.")
        filling = OwnedProcess(_python("webapp", "store", "practice"), stdout=subprocess.DEVNULL)
        patience = Patience(lambda: (processor_seconds(filling.command_pid) if filling.command_pid else 0.0, 0))
        reported_at = patience.began
        try:
            while filling.poll() is None:
                if time.monotonic() - reported_at > REPORT_EVERY:
                    reported_at = time.monotonic()
                    self._step(f"Still connecting the practice stores, after {reported_at - patience.began:.0f} s.")
                if patience.is_over():
                    hint = "“python -m webapp store practice”"
                    self.desk.say("up", f"The practice stores could not be connected yet: {hint}.")
                    return
                time.sleep(0.1)
        finally:
            filling.kill()

    def _step(self, sentence: str) -> None:
        self.desk.say("up", f"{STEP}{sentence}")

    def _welcome(self, prepared: Mapping[str, Any]) -> None:
        self.facts = {
            "url": self.address,
            "practice_url": prepared["variables"].get("WAYBILL_PRACTICE_URL"),
            "data_dir": str(self.data_dir),
            "variables": {
                "WAYBILL_CUSTOM_ENDPOINTS": os.environ["WAYBILL_CUSTOM_ENDPOINTS"],
                **prepared["variables"],
            },
        }
        self._write_facts(self.desk.pids())
        if link := prepared["link"]:
            click.echo(f"Waybill is up. Set up its owner by this link, good once within 24 hours:\n\n  {link}\n")
        else:
            click.echo(f"Waybill is up:\n\n  {self.address}\n")
        if practice := self.facts["practice_url"]:
            click.echo(f"The page of the practice marketplace, where you play the buyers:\n\n  {practice}\n")
        click.echo(f"Ctrl-C stops it. Logs are in {self.logs.folder}.")
        sys.stdout.flush()

    def _write_facts(self, pids: dict[str, int]) -> None:
        if self.facts:
            _write(self.data_dir / DESK_FILE, {**self.facts, "pid": os.getpid(), "processes": pids})


class Logs:
    """What the processes print: a file for each, and for the terminal only what a person should see."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._files: dict[str, _LogFile] = {}
        self._silent: dict[str, list[str]] = {}
        folder.mkdir(parents=True, exist_ok=True)

    def keep(self, name: str, line: str) -> bool:
        """Write the line to the file; returns whether it is worth showing."""
        if name not in self._files:
            self._files[name] = _LogFile(self.folder / f"{name}.log")
        self._files[name].emit(logging.makeLogRecord({"msg": line}))
        if line.startswith(STEP):
            return True
        if name in self._silent:
            if line.strip():
                self._silent[name].append(line)
            return False
        return not _UNIMPORTANT.search(line)

    def close(self) -> None:
        """Close the files."""
        for file in self._files.values():
            file.close()

    @contextlib.contextmanager
    def silent(self, name: str) -> Iterator[list[str]]:
        """Hold back a process's lines from the terminal for now; yields the lines that it prints meanwhile."""
        self._silent[name] = []
        try:
            yield self._silent[name]
        finally:
            del self._silent[name]


class _LogFile(RotatingFileHandler):
    """The log file of one process. A failing write stops nothing: it is reported once, then counted until writing
    works again.
    """

    def __init__(self, path: Path) -> None:
        super().__init__(path, maxBytes=5_000_000, backupCount=3, encoding="utf-8", delay=True)
        self._lost = 0

    def emit(self, record: logging.LogRecord) -> None:
        lost = self._lost
        super().emit(record)
        if lost and lost == self._lost:
            self._lost = 0
            super().emit(logging.makeLogRecord({"msg": f"log_was_not_written lines={lost}"}))

    def handleError(self, record: logging.LogRecord) -> None:
        self._lost += 1
        if self._lost == 1:
            with contextlib.suppress(OSError):
                click.echo(f"waybill: {self.baseFilename} can't be written: {sys.exception()}", err=True)


def _python(module: str, *arguments: str) -> list[str]:
    return [sys.executable, "-m", module, *arguments]


def _host(host: str) -> str:
    if host in ("0.0.0.0", "::", ""):  # noqa: S104  # listens everywhere, so here too
        return "127.0.0.1"
    return f"[{host}]" if ":" in host else host


def _write(path: Path, content: Mapping[str, Any]) -> None:
    """Write the text completely or not at all, to a file that only we can read."""
    fresh = path.with_suffix(".new")
    with open(os.open(fresh, os.O_CREAT | os.O_TRUNC | os.O_WRONLY, 0o600), "w") as file:
        json.dump(content, file, indent=1)
    fresh.replace(path)

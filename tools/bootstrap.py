"""Sets Waybill up in this folder and runs a command: `tools/bootstrap.py run|test|shell [arguments]`; or adds an extra
to it and runs nothing: `tools/bootstrap.py facturx`.

Needs only Python 3.11 and its pip. Installs the hash-locked wheels of `requirements*.lock` into `.venv` when the locks
have changed, or when another tool that fills `.venv` (`uv sync`, `pip install -e .`) has installed other versions;
never asks a question. What the command does is not known here: it is `python -m webapp up`, or pytest.

It must start under an older Python too, to say which one is needed, so it uses no newer syntax.
"""

from __future__ import annotations

import ast
import fcntl
import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NoReturn

ROOT = Path(__file__).resolve().parent.parent
BASE_PYTHON = getattr(sys, "_base_executable", None) or sys.executable  # outlives the calling environment
OLDEST = (3, 11)
OLDEST_PIP = (22, 3)  # the first with `pip --python`
LOCKS = {"run": "requirements.lock", "facturx": "requirements-facturx.lock", "test": "requirements-test.lock"}
# The locks come from one resolution, and each includes those before it.
SETUP_LOCK = "requirements-setup.lock"
WHEELS_ONLY = ["--require-hashes", "--only-binary", ":all:"]
PIP_SETTINGS_FOR_UV = {
    "cert": "SSL_CERT_FILE",
    "extra-index-url": "UV_INDEX",
    "find-links": "UV_FIND_LINKS",
    "index-url": "UV_DEFAULT_INDEX",
    "no-index": "UV_NO_INDEX",
    "proxy": "ALL_PROXY",
    "trusted-host": "UV_INSECURE_HOST",
}


class SetupFailed(Exception):
    """Setting up can't go on; the sentence says what to do."""


class Environment:
    """The virtual environment of one checkout, and the stamp that records its locks and packages."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.path = root / ".venv"
        self.python = self.path / "bin" / "python"
        self.stamp_file = self.path / "waybill-setup.json"

    def identity(self) -> dict[str, str]:
        """What must stay for the environment to stay valid: its folder, and the interpreter behind it."""
        return {"at": str(self.path), "python": os.path.realpath(self.python)}

    def stamp(self) -> dict[str, Any]:
        try:
            return dict(json.loads(self.stamp_file.read_text()))
        except (OSError, ValueError):
            return {}

    def is_usable(self) -> bool:
        stamp = self.stamp()
        return self.python.exists() and all(stamp.get(key, value) == value for key, value in self.identity().items())

    def holds(self, purpose: str) -> bool:
        stamp = self.stamp()
        locked = stamp.get(purpose) == digest(self.root / LOCKS[purpose])
        return locked and self.is_usable() and set(stamp.get("packages", ())) <= self.packages()

    def packages(self) -> set[str]:
        """What is installed: `name==version`, with normalized names."""
        found = (
            path.name.partition(".dist-info")[0] for path in self.path.glob("lib/python*/site-packages/*.dist-info")
        )
        return {f"{normal(name)}=={version}" for name, _, version in (each.partition("-") for each in found)}

    def ensure(self, purpose: str) -> None:
        """Install what `purpose` needs; a second caller waits for the first, and then has nothing to do. An extra that
        was added once is brought up to date with the desk.
        """
        if purpose == "run" and "facturx" in self.stamp() and self.is_usable():
            purpose = "facturx"
        if self.holds(purpose):
            return
        with locked(self.root / ".venv.lock"):
            if not self.holds(purpose):
                self.install(purpose)

    def install(self, purpose: str) -> None:
        if not self.is_usable():
            say("making a virtual environment in .venv")
            create(self.path)
        stamp: dict[str, Any] = {**self.identity()}
        stamp |= {key: value for key, value in self.stamp().items() if key in LOCKS and self.holds(key)}
        pip = find_pip(self.python)
        say(f"installing the packages of {LOCKS[purpose]}; this takes some seconds, or a minute by a slow network")
        install_packages(pip, self, self.root / LOCKS[purpose])
        for held in list(LOCKS)[: list(LOCKS).index(purpose) + 1]:
            stamp[held] = digest(self.root / LOCKS[held])
        locked_here = {version for held in LOCKS if held in stamp for version in versions_in(self.root / LOCKS[held])}
        stamp["packages"] = sorted(locked_here & self.packages())
        partial = self.stamp_file.with_suffix(".new")
        partial.write_text(json.dumps(stamp))
        partial.replace(self.stamp_file)


def digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def versions_in(lock: Path) -> set[str]:
    """The versions in a lock file: `name==version`."""
    return {
        f"{normal(name)}=={version}" for name, version in re.findall(r"(?m)^([\w.-]+)==([^ ;\\\n]+)", lock.read_text())
    }


def say(sentence: str) -> None:
    print("waybill: " + sentence, file=sys.stderr, flush=True)


@contextmanager
def locked(path: Path) -> Iterator[None]:
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def create(path: Path) -> None:
    """Create an empty environment; without pip, since Debian has `ensurepip` in a package of its own."""
    command = [BASE_PYTHON, "-m", "venv", "--without-pip", "--clear", str(path)]
    made = subprocess.run(command, capture_output=True, text=True)
    if made.returncode:
        raise SetupFailed(f"Python could not make a virtual environment in {path}: {last_line(made)}")


def find_pip(python: Path) -> list[str]:
    """The command that installs into the environment of `python`: the base interpreter's pip, else one of its own."""
    for candidate in dict.fromkeys([sys.executable, BASE_PYTHON]):
        asked = subprocess.run([candidate, "-m", "pip", "--version"], capture_output=True, text=True)
        version = re.match(r"pip (\d+)\.(\d+)", asked.stdout)
        if version and (int(version[1]), int(version[2])) >= OLDEST_PIP:
            return [candidate, "-m", "pip", "--python", str(python)]
    if subprocess.run([str(python), "-m", "ensurepip"], capture_output=True).returncode == 0:
        return [str(python), "-m", "pip"]
    raise SetupFailed(
        f"{BASE_PYTHON} has no pip; install it (Debian and Ubuntu: apt-get install python3-pip) and run this again"
    )


def install_packages(pip: list[str], environment: Environment, lock: Path) -> None:
    """Install a lock with uv, four times faster, or with pip if uv is not available or fails."""
    install = [*pip, "install", "--quiet", "--disable-pip-version-check", "--no-input", *WHEELS_ONLY]
    uv = environment.path / "bin" / "uv"
    setup_lock = str(environment.root / SETUP_LOCK)
    if subprocess.run([*install, "-r", setup_lock], capture_output=True).returncode == 0:
        command = [str(uv), "pip", "install", "--quiet", "--python", str(environment.python), *WHEELS_ONLY]
        settings = uv_settings(pip, os.environ)
        if subprocess.run([*command, "-r", str(lock)], env=settings, capture_output=True).returncode == 0:
            return
    if subprocess.run([*install, "-r", str(lock)]).returncode:
        raise SetupFailed(
            f"the packages of {lock.name} could not be installed, see above; check the network or pip's index settings "
            "(pip config list) and run this again"
        )


def uv_settings(pip: list[str], environ: Mapping[str, str]) -> dict[str, str]:
    """The environment for uv, which reads none of pip's settings; uv's own settings stay."""
    listed = subprocess.run([*pip, "config", "list"], capture_output=True, text=True).stdout
    settings = {
        "UV_HTTP_RETRIES": "1",  # pip can still take over
        "UV_HTTP_TIMEOUT": "20",
        "UV_INDEX_STRATEGY": "unsafe-best-match",  # as pip does; the hashes keep it safe
        "UV_PYTHON_DOWNLOADS": "never",
        **translate_pip_settings(listed),
    }
    home = environ.get("HOME", "")
    if not (home and os.access(home, os.W_OK)):
        settings["UV_NO_CACHE"] = "1"
    return {**settings, **environ}


def translate_pip_settings(listed: str) -> dict[str, str]:
    """The output of `pip config list` as uv's settings; the environment overrides [install], which overrides
    [global].
    """
    found: dict[str, str] = {}
    for section in ("global", "install", ":env:"):
        for line in listed.splitlines():
            name, _, value = line.partition("=")
            prefix, _, key = name.rpartition(".")
            if prefix == section and key in PIP_SETTINGS_FOR_UV:
                try:
                    found[key] = str(ast.literal_eval(value))
                except (ValueError, SyntaxError):
                    continue
    separators = {"find-links": ","}
    return {PIP_SETTINGS_FOR_UV[key]: separators.get(key, " ").join(value.split()) for key, value in found.items()}


def last_line(done: subprocess.CompletedProcess[str]) -> str:
    lines = (done.stdout + done.stderr).strip().splitlines()
    return lines[-1] if lines else f"it ended with status {done.returncode}"


def use_new_enough_python() -> None:
    """Continue under a Python that is new enough, if this one is not."""
    if sys.version_info >= OLDEST:
        return
    for minor in (14, 13, 12, 11):
        found = shutil.which(f"python3.{minor}")
        # A version manager may put a stub on PATH for a Python that is not installed.
        if found and subprocess.run([found, "-c", ""], stderr=subprocess.DEVNULL).returncode == 0:
            os.execv(found, [found, *sys.argv])
    raise SetupFailed(f"Python 3.11 or newer is needed; this is {sys.version.split()[0]} and no newer one is on PATH")


def execute(environment: Environment, purpose: str, arguments: list[str]) -> NoReturn:
    """Replace this process by the command, in the root of the checkout and with the environment's tools first on
    PATH.
    """
    environ = {**os.environ, "VIRTUAL_ENV": str(environment.path)}
    environ["PATH"] = os.pathsep.join([str(environment.path / "bin"), environ.get("PATH", os.defpath)])
    environ.pop("PYTHONHOME", None)
    environ["PYTHONDONTWRITEBYTECODE"] = ""  # without compiled files every start takes seconds longer
    python = str(environment.python)
    processes = (os.cpu_count() or 1) + 1  # of tests: many of them wait for a while
    command = {
        "run": [python, "-m", "webapp", "up", *arguments],
        "test": [python, "-m", "pytest", "-n", str(processes), "--dist", "loadgroup", *arguments],
        "shell": arguments or [environ.get("SHELL", "/bin/sh")],
    }[purpose]
    if purpose == "run":
        say("starting")
    os.chdir(environment.root)
    try:
        os.execvpe(command[0], command, environ)
    except OSError as error:
        raise SetupFailed(f"{command[0]} could not be started: {error.strerror}") from None


def main() -> int:
    purpose, arguments = (sys.argv[1], sys.argv[2:]) if len(sys.argv) > 1 else ("", [])
    if purpose in ("-h", "--help"):
        print(__doc__)
        return 0
    if purpose not in ("run", "test", "shell", "facturx"):
        say("say what to do: tools/bootstrap.py run, test, shell or facturx")
        return 2
    try:
        use_new_enough_python()
        environment = Environment(ROOT)
        environment.ensure("test" if purpose == "shell" else purpose)
        if purpose == "facturx":
            say("Factur-X is installed; a desk that runs has it after its next start")
            return 0
        execute(environment, purpose, arguments)
    except SetupFailed as error:
        say(str(error))
        return 1
    except KeyboardInterrupt:
        return 130


if __name__ == "__main__":
    sys.exit(main())

"""Writes the lock files that setting up installs from; for developers, after a change in pyproject.toml.

The locks contain every package with its hashes and no address, so that each machine takes equal wheels from its own
index. A locked version stays while it fits; `--upgrade` takes the newest of everything. The versions are also written
into pyproject.toml, since `uv sync` reads them only there: it then makes the environment that `make` would make.
"""

from __future__ import annotations

import argparse
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterable
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PROJECT = ROOT / "pyproject.toml"
EVERYTHING = "requirements-test.lock"  # resolved first; the others take their versions from it
LOCKS = {
    EVERYTHING: ["--extra", "facturx", "--group", "test", "--group", "browser", "--group", "lint"],
    "requirements.lock": [],
    "requirements-facturx.lock": ["--extra", "facturx"],
    "requirements-setup.lock": ["--group", "setup"],
}
ONLY_GROUPS = {"requirements-setup.lock"}
PINS = re.compile(r"^(constraint-dependencies = \[[^\n]*\n)(.*?)^\]", re.MULTILINE | re.DOTALL)
PIN = re.compile(r"^([A-Za-z0-9._-]+==[^ ;\\]+(?: ; [^\\\n]+)?)", re.MULTILINE)


def compile_lock(name: str, words: Iterable[str]) -> None:
    """Resolve the requirements of a lock file, keeping its versions."""
    oldest = tomllib.loads(PROJECT.read_text())["project"]["requires-python"].removeprefix(">=")
    command = ["uv", "pip", "compile", "--quiet", "--universal", "--generate-hashes", "--python-version", oldest]
    command += ["--no-annotate", "--no-header", "--output-file", name, *LOCKS[name], *words]
    if name not in ONLY_GROUPS:
        command.append(PROJECT.name)
    if name != EVERYTHING:
        command += ["--constraint", EVERYTHING]
    subprocess.run(command, cwd=ROOT, check=True)


def pinned() -> list[str]:
    """Every version in the lock files, with the marker that says where it is needed."""
    return sorted({pin.strip() for name in LOCKS for pin in PIN.findall((ROOT / name).read_text())})


def write_pins(pins: Iterable[str]) -> None:
    """Write versions into pyproject.toml, replacing those that it has."""
    lines = "".join(f'  "{pin}",\n' for pin in pins)
    PROJECT.write_text(PINS.sub(lambda found: f"{found[1]}{lines}]", PROJECT.read_text()))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--upgrade", action="store_true", help="take the newest version of everything")
    options = parser.parse_args()
    write_pins([])  # the locks' own versions are preferences, these would be requirements
    try:
        for name in LOCKS:
            compile_lock(name, ["--upgrade"] if options.upgrade else [])
    except subprocess.CalledProcessError as error:
        return error.returncode
    finally:
        write_pins(pinned())
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""The command line, run in this process on an open desk, or as a process of its own."""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from webapp.cli.main import main
from webapp.orders.models import Order

ROOT = Path(__file__).parents[2]
MakeOrder = Callable[..., Order]
ON_SQLITE = pytest.mark.parametrize("database", ["sqlite"], indirect=True)  # the other database answers the same
PARCEL = '{"carrier": "DHL", "tracking_number": "JD1"}'
UPDATE = {
    "id", "order", "kind", "state", "due_at", "sent_at", "effective_at", "attempts", "reference", "revision", "lane",
    "message", "deadline",
}  # fmt: skip


@dataclass(frozen=True)
class Ended:
    """The exit code and the output of a command."""

    code: int
    out: str
    err: str

    @property
    def document(self) -> Any:
        return json.loads(self.out)


Command = Callable[..., Ended]


@pytest.fixture
def cli(app: object, capsys: pytest.CaptureFixture[str]) -> Command:
    """Run a command on this test's desk."""

    def run(*arguments: object) -> Ended:
        capsys.readouterr()
        code = main([str(argument) for argument in arguments])
        return Ended(int(code), *capsys.readouterr())

    return run


def call(*arguments: object, env: Mapping[str, str], stdin: str = "", timeout: float = 60) -> Ended:
    """Run a command as an operator's shell would, with these variables and none of ours."""
    done = subprocess.run(
        [sys.executable, "-m", "webapp", *map(str, arguments)],
        cwd=ROOT,
        env=environment(env),
        input=stdin,
        capture_output=True,
        text=True,
        timeout=timeout,
    )
    return Ended(done.returncode, done.stdout, done.stderr)


def environment(env: Mapping[str, str]) -> dict[str, str]:
    named = ("DATABASE_URL", "REDIS_URL", "PYTHONDONTWRITEBYTECODE")
    kept = {name: value for name, value in os.environ.items() if not name.startswith("WAYBILL_") and name not in named}
    return {**kept, **env}


def one_sentence(ended: Ended) -> str:
    """The standard error, which must be one line and no traceback; nothing else was printed except the steps of
    `up`.
    """
    assert [line for line in ended.out.splitlines() if " │ " not in line] == []
    assert "Traceback" not in ended.err
    [sentence] = ended.err.splitlines()
    return sentence

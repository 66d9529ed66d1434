"""Style, types, floors and templates: each tool runs once over everything and shows what it found."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
BIN = Path(sys.executable).parent
CHECKS = {
    "style": ["ruff", "check", "."],
    "format": ["ruff", "format", "--check", "."],
    "types": ["mypy"],
    "floors": ["lint-imports", "--no-cache"],
    "templates": ["djlint", "--lint", "--quiet", "webapp", "plugins"],
}


@pytest.mark.slow
@pytest.mark.parametrize("check", CHECKS)
def test_quality(check: str) -> None:
    tool, *arguments = CHECKS[check]
    # Started by path, since `python -m` puts this folder first and some of them have no __main__.
    done = subprocess.run([BIN / tool, *arguments], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, f"{check}:\n{done.stdout}{done.stderr}"

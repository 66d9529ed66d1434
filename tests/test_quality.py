"""Style, types, floors and templates: each tool runs once over everything and shows what it found."""

import re
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
COLUMNS = 140
ONE_MESSAGE = re.compile(r' *"[^"]*",?')


@pytest.mark.slow
@pytest.mark.parametrize("check", CHECKS)
def test_quality(check: str) -> None:
    tool, *arguments = CHECKS[check]
    # Started by path, since `python -m` puts this folder first and some of them have no __main__.
    done = subprocess.run([BIN / tool, *arguments], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, f"{check}:\n{done.stdout}{done.stderr}"


def test_lines_of_templates_fit() -> None:
    """Only a message alone on its line may be longer: its translation is found by the whole of it."""
    too_long = [
        f"{path.relative_to(ROOT)}:{number}"
        for folder in ("webapp", "plugins", "supervisor")
        for path in sorted((ROOT / folder).rglob("*.html"))
        for number, line in enumerate(path.read_text().splitlines(), 1)
        if len(line) > COLUMNS and not ONE_MESSAGE.fullmatch(line)
    ]
    assert not too_long, f"longer than {COLUMNS} columns"

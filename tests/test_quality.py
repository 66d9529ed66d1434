"""Style, types, floors and templates: each tool runs once over everything and shows what it found."""

import ast
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
CODE = ("bench", "plugins", "supervisor", "tools", "webapp")


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


def test_a_docstring_stands_alone() -> None:
    """One that begins with "The same" is understood only beside the one before it."""
    leaning = [
        f"{path.relative_to(ROOT)}:{node.body[0].lineno}"
        for folder in CODE
        for path in sorted((ROOT / folder).rglob("*.py"))
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef)
        and (ast.get_docstring(node) or "").startswith("The same")
    ]
    assert not leaning

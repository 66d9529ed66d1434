"""Every tool says what it does when it is asked, and does nothing when it is given a word that it does not know."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
TOOLS = sorted(
    f"{path.parent.name}.{path.stem}"
    for folder in ("tools", "bench")
    for path in (ROOT / folder).glob("*.py")
    if "__main__" in path.read_text()
)


def call(tool: str, word: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", tool, word]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120)


def test_there_are_tools() -> None:
    assert {"tools.bootstrap", "tools.catalogs", "tools.lock", "bench.desk"} <= set(TOOLS)


@pytest.mark.parametrize("tool", TOOLS)
def test_a_tool_says_what_it_does(tool: str) -> None:
    told = call(tool, "--help")
    assert told.returncode == 0, told.stderr
    module = tool.replace(".", "/") + ".py"
    first_line = (ROOT / module).read_text().splitlines()[0].strip('"')
    assert first_line.split(":")[0] in " ".join(told.stdout.split())


@pytest.mark.parametrize("tool", TOOLS)
@pytest.mark.parametrize("word", ["--no-such-word", "nonsense"])
def test_a_tool_refuses_a_word_that_it_does_not_know(tool: str, word: str) -> None:
    refused = call(tool, word)
    assert refused.returncode == 2
    assert refused.stdout == ""
    assert len(refused.stderr.strip().splitlines()[-1]) > len("waybill: ")

"""The operators' page names every variable, every command and every exit code, and no other."""

import re
from collections.abc import Iterator
from pathlib import Path

import click
import pytest
from flask import Flask

from webapp.cli.main import Code, cli
from webapp.config import Configuration

PAGE = (Path(__file__).parents[2] / "docs" / "operators.md").read_text()


def rows(heading: str) -> list[str]:
    """The first cells of the table under a heading's line, without code marks."""
    table = PAGE.split(f"\n| {heading} |", 1)[1].split("\n\n", 1)[0]
    return [cell.strip().strip("`") for cell in re.findall(r"^\| ([^|]+) \|", table, re.M) if set(cell) - set("-")]


def commands(command: click.Command, ctx: click.Context, name: str = "") -> Iterator[str]:
    if not isinstance(command, click.Group):
        yield name
        return
    for below in command.list_commands(ctx):
        found = command.get_command(ctx, below)
        assert found is not None
        assert found.help
        if not found.hidden:
            yield from commands(found, ctx, f"{name} {below}".strip())


def test_every_variable_is_in_the_table() -> None:
    names = {
        name.upper() if name in ("database_url", "redis_url") else f"WAYBILL_{name.upper()}"
        for name in Configuration.model_fields
        if name != "version"
    }
    assert sorted(rows("Variable")) == sorted(names)


@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
def test_every_command_is_in_the_table(app: Flask) -> None:
    assert sorted(rows("Command")) == sorted(commands(cli, click.Context(cli)))


def test_every_exit_code_is_in_the_table() -> None:
    assert rows("Exit code") == [str(code.value) for code in Code if code is not Code.INTERRUPTED]

"""Commands that plugins bring run like ours: with the database at hand, and refusals as one sentence."""

import os
from pathlib import Path

import pytest

from tests.cli.conftest import call
from webapp.hooks import failures

pytestmark = pytest.mark.own_desk
PLUGIN = '''
import click

from webapp.api import Order, Refusal, db, hookimpl


class Closed(Refusal):
    code = "counting_closed"
    sentence = "The counter is closed."


@click.command()
@click.option("--closed", is_flag=True)
@click.option("--wrong", is_flag=True)
def counting(closed, wrong):
    """Count the orders."""
    if closed:
        raise Closed
    if wrong:
        raise KeyError("Quixelworth")
    click.echo(f"{db.session.query(Order).count()} orders")


@hookimpl
def register_commands(cli):
    cli.add_command(counting)
'''


@pytest.fixture
def env(app: object, tmp_path: Path) -> dict[str, str]:
    """This test's desk, with an installed package that brings a command."""
    folder = tmp_path / "packages"
    info = folder / "counting-1.0.dist-info"
    info.mkdir(parents=True)
    (folder / "counting_plugin.py").write_text(PLUGIN)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: counting\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[waybill.plugins]\ncounting = counting_plugin\n")
    return dict(os.environ) | {"PYTHONPATH": str(folder)}


@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
def test_a_plugins_command_reads_the_desk(env: dict[str, str]) -> None:
    ended = call("counting", env=env)
    assert (ended.code, ended.out.strip()) == (0, "0 orders"), ended.err


@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
def test_its_refusal_is_one_sentence(env: dict[str, str]) -> None:
    ended = call("counting", "--closed", env=env)
    assert (ended.code, ended.out, ended.err.strip()) == (1, "", "The counter is closed.")


@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
def test_one_that_fails_says_so_and_the_page_of_plugins_shows_it(env: dict[str, str]) -> None:
    ended = call("counting", "--wrong", env=env)
    assert (ended.code, ended.out) == (1, "")
    assert ended.err.strip() == "“counting” failed (KeyError). The Plugins page says how."
    assert "Quixelworth" not in ended.err
    [failure] = failures.recent()
    assert (failure.plugin, failure.place, failure.code) == ("counting", "command", "counting")
    assert failure.where[-1].endswith("counting")


@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
def test_a_plugin_that_can_not_add_its_commands_keeps_no_other_back(env: dict[str, str], tmp_path: Path) -> None:
    module = tmp_path / "packages" / "counting_plugin.py"
    module.write_text(module.read_text().replace("    cli.add_command(counting)", "    raise KeyError('Quixelworth')"))
    ended = call("practice", "--help", env=env)
    assert ended.code == 0, ended.err
    assert ended.err.strip() == "The plugin “counting” failed to add its commands."
    assert [one.code for one in failures.recent()] == ["register_commands"]

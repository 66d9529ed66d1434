"""Commands that plugins bring run like ours: with the database at hand, and refusals as one sentence."""

import os
from pathlib import Path

import pytest

from tests.cli.conftest import call

pytestmark = pytest.mark.own_desk
PLUGIN = '''
import click

from webapp.api import Order, Refusal, db, hookimpl


class Closed(Refusal):
    code = "counting_closed"
    sentence = "The counter is closed."


@click.command()
@click.option("--closed", is_flag=True)
def counting(closed):
    """Count the orders."""
    if closed:
        raise Closed
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

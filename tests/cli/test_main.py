"""The tree of commands: codes and sentences of what cannot be, names of the version before, and commands of plugins."""

import click
import pytest

from tests.cli.conftest import ON_SQLITE, Command, one_sentence
from webapp.channels.models import Store
from webapp.cli.main import cli as tree
from webapp.hooks import hookimpl, hooks


@ON_SQLITE
@pytest.mark.parametrize(
    ("arguments", "code", "sentence"),
    [
        (["orders", "show", "nothing"], 3, "There is no order “nothing”."),
        (["orders", "list", "--state", "lost"], 2, "is not one of 'pending'"),
        (["orders", "list", "--limit", "-1"], 2, "Invalid value for '--limit'"),
        (["orders", "list", "--as", "nobody@desk.test"], 3, "There is no person “nobody@desk.test”."),
        (["orders", "list", "--wrong"], 2, "No such option '--wrong'"),
        (["dance"], 2, "No such command 'dance'"),
        (["updates", "wait", "77"], 3, "There is no update “77”."),
        (["quarantine", "retry"], 2, "Give the IDs of the orders, or --all."),
        (["quarantine", "retry", "77"], 3, "There is no order “77” among those that couldn't be imported."),
        (["user", "create", "--email", "a@desk.test", "--role", "king"], 1, "Role: Choose one of these values: owner"),
        (
            ["user", "create", "--email", "a", "--role", "clerk"],
            1,
            "E-mail: This is not an e-mail address.",
        ),
        (["user", "link", "--email", "nobody@desk.test"], 3, "There is no person “nobody@desk.test”."),
        (["store", "add", "nowhere", "--name", "x"], 3, "There is no channel “nowhere”."),
        (["store", "add", "fake", "--name", "x", "--set", "key"], 2, "Give a setting as NAME=VALUE."),
        (["store", "add", "fake", "--name", "x", "--set", "colour=red"], 1, "colour: There is no setting"),
        (["store", "add", "fake", "--name", "x"], 1, "Key: Enter a value."),
        (["store", "add", "fake", "--name", "Fake store", "--set", "key=k"], 1, "Name: Another store has this name"),
        (["store", "test", "77"], 3, "There is no store “77”."),
        (["sync", "77"], 3, "There is no store “77”."),
        (["invoices", "show", "99"], 3, "There is no invoice “99”."),
        (["credit-memos", "show", "99"], 3, "There is no credit memo “99”."),
        (["returns", "show", "99"], 3, "There is no return “99”."),
        (["settings", "list", "--shop", "99"], 3, "There is no shop “99”."),
    ],
)
def test_what_cannot_be_is_one_sentence_and_a_code(
    cli: Command, store: Store, arguments: list[str], code: int, sentence: str
) -> None:
    ended = cli(*arguments)
    assert ended.code == code
    assert sentence in one_sentence(ended)


def test_commands_of_the_version_before_are_understood(cli: Command) -> None:
    assert cli("asides", "list", "--json").document == []
    assert "asides" not in cli("--help").out


class Greeting:
    """A plugin with a command of its own."""

    @hookimpl
    def register_commands(self, cli: click.Group) -> None:
        cli.add_command(click.Command("greet", callback=lambda: click.echo("Hello."), help="Say hello."))


@ON_SQLITE
def test_plugins_add_commands(cli: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tree, "commands", {})
    monkeypatch.setattr(tree, "_plugins_asked", False)
    hooks.manager.register(Greeting())
    assert cli("greet").out == "Hello.\n"
    assert "greet" in cli("--help").out

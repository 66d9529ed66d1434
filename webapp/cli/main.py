"""The tree of commands, and how a command ends: its exit code, and one sentence on standard error if it failed.

A command's module is loaded when the command is called, since `up` must not wait for a whole desk. Plugins add commands
by the hook `register_commands`; plugins are only loaded if no command of ours has the name.
"""

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from enum import IntEnum
from importlib import import_module
from typing import Any

import click

from webapp.config import ConfigurationProblem, write_for_the_owner_alone

PROGRAM = "python -m webapp"
COMMANDS = {  # in the order of the help
    "up": "supervisor.up:up",  # by name only: it is not part of this package, which does not import it
    "web": "webapp.cli.processes:web",
    "worker": "webapp.cli.processes:worker",
    "scheduler": "webapp.cli.processes:scheduler",
    "migrate": "webapp.cli.processes:migrate",
    "backup": "webapp.cli.backups:backup",
    "restore": "webapp.cli.backups:restore",
    "check": "webapp.cli.checking:check",
    "status": "webapp.cli.checking:status",
    "role": "webapp.cli.roles:role",
    "user": "webapp.cli.users:user",
    "store": "webapp.cli.stores:store",
    "settings": "webapp.cli.settings:settings",
    "sync": "webapp.cli.stores:sync",
    "orders": "webapp.cli.orders:orders",
    "invoices": "webapp.cli.billing:invoices",
    "credit-memos": "webapp.cli.billing:credit_memos",
    "returns": "webapp.cli.returns:returns",
    "reports": "webapp.cli.reports:reports",
    "numbers": "webapp.cli.numbers:numbers",
    "messages": "webapp.cli.messages:messages",
    "mail": "webapp.cli.mail:mail",
    "updates": "webapp.cli.traffic:updates",
    "calls": "webapp.cli.traffic:calls",
    "quarantine": "webapp.cli.traffic:quarantine",
    "runs": "webapp.cli.traffic:runs",
    "figures": "webapp.cli.figures:figures",
}
RENAMED = {"asides": "quarantine"}  # the names in the previous version, which scripts may use


class Code(IntEnum):
    """How a command ended."""

    DONE = 0
    FAILED = 1
    USAGE = 2
    NOT_FOUND = 3
    SEVERAL_FIT = 4
    TIMED_OUT = 5
    UNREACHABLE = 6
    INTERRUPTED = 130


class Failed(Exception):
    """Ends a command, with a code and one sentence."""

    def __init__(self, sentence: str, code: Code = Code.FAILED) -> None:
        super().__init__(sentence)
        self.code = code


class Commands(click.Group):
    """The commands above, and those of plugins."""

    _plugins_asked = False

    def list_commands(self, ctx: click.Context) -> list[str]:
        self._ask_plugins()
        return [*COMMANDS, *sorted(self.commands)]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        cmd_name = RENAMED.get(cmd_name, cmd_name)
        if cmd_name in COMMANDS:
            module, _, name = COMMANDS[cmd_name].partition(":")
            found: click.Command = getattr(import_module(module), name)
            return found
        self._ask_plugins()
        command = super().get_command(ctx, cmd_name)
        return command and _within_the_desk(command)

    def _ask_plugins(self) -> None:
        if self._plugins_asked:
            return
        self._plugins_asked = True
        from webapp.cli.door import desk_context

        try:
            with desk_context():
                self._add_commands()
        except ConfigurationProblem:
            return  # our own commands still work, and say what is wrong

    def _add_commands(self) -> None:
        from webapp.hooks import failures, hooks

        for implementation in hooks.manager.hook.register_commands.get_hookimpls():
            try:
                implementation.function(*[self] * len(implementation.argnames))
            except (Exception, SystemExit) as error:
                failures.note(implementation.plugin_name, "command", "register_commands", error)
                click.echo(f"The plugin “{implementation.plugin_name}” failed to add its commands.", err=True)


def _within_the_desk(command: click.Command) -> click.Command:
    """A plugin's command, run with the desk's database and plugins loaded, and its refusals as sentences."""
    from redis import RedisError
    from sqlalchemy.exc import DBAPIError

    from webapp import schema
    from webapp.cli.door import desk_context, sentences
    from webapp.errors import DeskError
    from webapp.hooks import failures
    from webapp.hooks.registered import plugin_of

    run = command.invoke

    def invoke(ctx: click.Context) -> Any:
        with desk_context(), sentences():
            schema.check()
            try:
                return run(ctx)
            except (
                Failed,
                DeskError,
                RedisError,
                DBAPIError,
                click.ClickException,
                click.Abort,
                click.exceptions.Exit,
            ):
                raise  # an intended end, or trouble of the machine
            except Exception as error:
                failures.note(plugin_of(error) or __name__, "command", command.name or "", error)
                sentence = f"“{command.name}” failed ({type(error).__name__}). The Plugins page says how."
                raise Failed(sentence) from error

    command.invoke = invoke  # type: ignore[method-assign]
    return command


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
@click.option("--as", "acting_as", metavar="EMAIL", help="Act as this person instead of the operator.")
@click.pass_context
def cli(ctx: click.Context, as_json: bool, acting_as: str | None) -> None:
    """Waybill, the order desk."""
    ctx.obj = {"as_json": as_json, "acting_as": acting_as}


def main(arguments: Sequence[str] | None = None, command: click.Command = cli) -> int:
    """Run one command, of the tree unless another is given, and return its exit code."""
    write_for_the_owner_alone()
    try:
        result: Any = command.main(args=arguments, prog_name=PROGRAM, standalone_mode=False)
        return result if isinstance(result, int) else Code.DONE
    except click.exceptions.Exit as stop:
        return stop.exit_code
    except click.exceptions.NoArgsIsHelpError as error:
        click.echo(error.format_message(), err=True)
        return Code.USAGE
    except click.UsageError as error:
        return _say(f"{error.format_message()}{_advice(error.ctx)}", Code.USAGE)
    except click.ClickException as error:
        return _say(error.format_message(), Code.FAILED)
    except (click.Abort, KeyboardInterrupt):
        return Code.INTERRUPTED
    except Failed as error:
        return _say(str(error), error.code)
    except ConfigurationProblem as error:
        return _say(str(error), Code.FAILED)
    except BrokenPipeError:  # the reader of the pipe has closed it
        sys.stderr.close()
        return Code.DONE
    except OSError as error:  # a folder that can't be written, a disk that is full
        return _say(f"{error.filename or PROGRAM}: {error.strerror or error}.", Code.FAILED)


@contextmanager
def ends_in_a_sentence() -> Iterator[None]:
    """End the process as a command would; for the files by which other programs load the desk."""
    try:
        yield
    except (Failed, ConfigurationProblem) as error:
        sys.exit(" ".join(str(error).split()))


def _advice(ctx: click.Context | None) -> str:
    return f" See “{ctx.command_path} --help”." if ctx else ""


def _say(sentence: str, code: Code) -> Code:
    click.echo(" ".join(sentence.split()), err=True)
    return code

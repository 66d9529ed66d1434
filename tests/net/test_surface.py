"""What bookmarks, scripts, plugins and stored rows rely on: routes, command line, hooks, codes, schema."""

import inspect
import re
from collections.abc import Iterable, Iterator
from enum import EnumType
from importlib import import_module
from pkgutil import walk_packages
from typing import Any

import click
import pytest
from flask import Flask
from sqlalchemy import text

import plugins
import webapp
from tests.net.conftest import Keep
from webapp import api, errors, jobs
from webapp.audit.actor import ActorKind
from webapp.audit.rights import BUILT_IN, all_rights, rights_of_built_in
from webapp.channels.connecting import DeniedThing
from webapp.channels.incoming import ChannelStage, Component, FulfilledBy
from webapp.cli.main import Code, cli
from webapp.db import db
from webapp.hooks import class_of, hooks, specs
from webapp.jobs.models import RunState
from webapp.orders.bulk import ResultState
from webapp.orders.states import OrderState
from webapp.reporting.figures import Interval
from webapp.search.contract import ColumnKind, KeyKind
from webapp.sync.models import WindowKind
from webapp.ui.frame.access import right_of
from webapp.updates.models import UpdateState

MODULES = {  # imported before the first test, so that what they declare exists; docs declare examples beside them
    module.name: import_module(module.name)
    for package in (webapp, plugins)
    for module in walk_packages(package.__path__, f"{package.__name__}.")
    if not module.name.endswith("__main__")
}
sqlite_alone = pytest.mark.parametrize("database", ["sqlite"], indirect=True)


@sqlite_alone
def test_routes(app: Flask, keep: Keep) -> None:
    routes = []
    for rule in app.url_map.iter_rules():
        methods = ", ".join(sorted((rule.methods or set()) - {"HEAD", "OPTIONS"}))
        routes.append(f"{methods} {rule.rule}  {rule.endpoint}  needs: {right_of(app, rule.endpoint) or 'nothing'}\n")

    keep("routes.txt", "".join(sorted(routes, key=lambda line: line.split()[1:])))


@sqlite_alone
def test_command_line(app: Flask, keep: Keep) -> None:
    keep("command-line.txt", "\n".join(_helps(cli, click.Context(cli, info_name="waybill", **cli.context_settings))))


def _helps(command: click.Command, context: click.Context) -> Iterator[str]:
    context.terminal_width = 120
    yield f"$ {context.command_path} --help\n{command.get_help(context)}\n"
    if isinstance(command, click.Group):
        for name in command.list_commands(context):
            under = command.get_command(context, name)
            assert under is not None
            yield from _helps(under, click.Context(under, parent=context, info_name=name))


def test_hooks_and_plugin_api(keep: Keep) -> None:
    hooked = [
        f"{name}{inspect.signature(spec)}{f'  # {kind}' if (kind := class_of(spec)) else ''}\n"
        for name, spec in vars(specs).items()
        if hasattr(spec, "waybill_spec")
    ]
    named = [f"{name}{_shape(getattr(api, name))}\n" for name in sorted(api.__all__)]

    keep("hooks.txt", "".join(["# Hooks\n", *hooked, "\n# webapp.api\n", *named]))


def _shape(named: Any) -> str:
    """A function's signature; of a class also its methods and fields."""
    if not callable(named) or isinstance(named, EnumType):
        return f" = {', '.join(named)}" if isinstance(named, EnumType) else ""
    try:
        signature = inspect.signature(named)
    except (TypeError, ValueError):
        shape = "(…)"
    else:  # without types: Python's versions write them differently
        parameters = [one.replace(annotation=one.empty) for one in signature.parameters.values()]
        shape = str(signature.replace(parameters=parameters, return_annotation=signature.empty))
    if inspect.isclass(named):
        shape += "".join(f"\n    {name}" for name in sorted(vars(named)) if not name.startswith("_"))
    return re.sub(r" at 0x[0-9a-f]+", "", shape)


def test_no_two_errors_have_one_code() -> None:
    """A stored error is said by the class of its code."""

    def below(kind: type[errors.DeskError]) -> Iterator[type[errors.DeskError]]:
        for one in kind.__subclasses__():
            yield one
            yield from below(one)

    ours = {kind for kind in below(errors.DeskError) if kind.__module__ in MODULES and "code" in vars(kind)}
    assert len({kind.code for kind in ours}) == len(ours) > 100


@sqlite_alone
def test_codes(app: Flask, keep: Keep) -> None:
    registered = {
        name.removeprefix("register_"): (_code(one) for given in getattr(hooks.manager.hook, name)() for one in given)
        for name in vars(specs)
        if name.startswith("register_") and name != "register_commands"
    }
    groups = [group for given in hooks.manager.hook.register_settings() for group in given]
    channels = [channel for given in hooks.manager.hook.register_channels() for channel in given]
    told: dict[str, Iterable[str]] = {
        **registered,
        "settings groups": (f"{group.scope} {group.code}" for group in groups),
        "settings": (
            f"{group.code}.{setting.name}"
            for group in groups
            for setting in (() if callable(group.settings) else group.settings)  # others depend on their store
        ),
        "channel settings": (f"{channel.code}.{setting.name}" for channel in channels for setting in channel.settings),
        "update kinds": (f"{channel.code} {kind.code}" for channel in channels for kind in channel.kinds),
        "jobs": (name for name, job in jobs._jobs.items() if job.function.__module__ in MODULES),
        "errors": (code for code, error in errors._classes.items() if error.__module__ in MODULES),
        "rights": all_rights(),
        "roles": (f"{role}: {', '.join(sorted(rights))}" for role in BUILT_IN for rights in [rights_of_built_in(role)]),
    }
    enums = (ActorKind, ChannelStage, Component, DeniedThing, FulfilledBy, RunState, ResultState, OrderState, Interval)
    for enum in (*enums, ColumnKind, KeyKind, WindowKind, UpdateState):
        told[enum.__name__] = list(enum)
    told["exit codes"] = (f"{code:d} {code.name}" for code in Code)

    lines = [f"# {what}\n" + "".join(f"{code}\n" for code in sorted(map(str, codes))) for what, codes in told.items()]
    keep("codes.txt", "\n".join(lines))


def _code(registered: Any) -> str:
    """The code by which rows, views or jobs name it."""
    names = (getattr(registered, name, None) for name in ("code", "name", "job"))
    found = next(filter(None, names))
    return str(getattr(found, "name", found))


_SCHEMA = {
    "sqlite": """
        SELECT sql FROM sqlite_master
         WHERE sql IS NOT NULL AND name NOT LIKE 'sqlite_%' AND tbl_name <> 'alembic_version'""",
    "postgresql": """
        SELECT format('%s.%s %s%s%s', c.relname, a.attname, format_type(a.atttypid, a.atttypmod),
                      CASE WHEN a.attnotnull THEN ' NOT NULL' ELSE '' END,
                      coalesce(' DEFAULT ' || pg_get_expr(d.adbin, d.adrelid), ''))
          FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid AND c.relkind = 'r'
               LEFT JOIN pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
         WHERE c.relnamespace = 'public'::regnamespace AND a.attnum > 0 AND NOT a.attisdropped
        UNION ALL SELECT format('%s %s: %s', conrelid::regclass, conname, pg_get_constraintdef(oid))
          FROM pg_constraint WHERE connamespace = 'public'::regnamespace AND contype IN ('c', 'f', 'p', 'u')
        UNION ALL SELECT indexdef FROM pg_indexes WHERE schemaname = 'public'
        UNION ALL SELECT pg_get_triggerdef(oid) FROM pg_trigger WHERE NOT tgisinternal
        UNION ALL SELECT pg_get_functiondef(oid) FROM pg_proc WHERE pronamespace = 'public'::regnamespace""",
}


def test_schema(app: Flask, keep: Keep) -> None:
    engine = db.engine.dialect.name
    parts = [part for (part,) in db.session.execute(text(_SCHEMA[engine]))]
    if engine == "sqlite":  # tables that were created again name their constraints in any order
        parts = ["\n".join(sorted(line.rstrip(", ") for line in part.splitlines())) for part in parts]

    keep(f"schema-{engine}.txt", "\n".join(sorted(parts)) + "\n")

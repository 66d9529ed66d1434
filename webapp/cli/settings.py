"""Settings that plugins and the core declare in groups: of the desk, of a shop or of a store."""

from collections.abc import Sequence
from typing import Any

import click

from webapp.channels.services import get_store
from webapp.channels.shops import find_shop
from webapp.cli.door import Door, desk_command
from webapp.cli.main import Failed
from webapp.cli.presenting import Document
from webapp.cli.stores import read_settings, stdin_option, unset_option, values_option
from webapp.cli.text import table
from webapp.db import unit_of_work
from webapp.errors import DeskError, Refusal
from webapp.hooks.fence import ask
from webapp.settings.declared import DESK, SHOP, STORE, SettingsGroup
from webapp.settings.services import RIGHTS, change, find_group, groups

store_option = click.option("--store", "store_key", metavar="STORE", help="Those of this store (id or name).")
shop_option = click.option("--shop", "shop_key", metavar="SHOP", help="Those of this shop (id or name).")


@click.group()
def settings() -> None:
    """Show and change settings of the desk, of a shop or of a store."""


@settings.command(name="list")
@store_option
@shop_option
@desk_command
def list_(door: Door, store_key: str | None, shop_key: str | None) -> None:
    """List every setting with its value; secrets are not shown."""
    scope, subject = _of(store_key, shop_key)
    door.actor.needs(RIGHTS[scope])
    rows: list[Document] = []
    problems = []
    for group in groups(scope):
        try:
            rows += ask(group, "setting", _rows, group, subject, raises=DeskError)
        except Refusal as error:
            problems.append(f"{group.code}: {error}")
    door.show(rows, table(rows, ("group", "name", "label", "value", "stored"), empty="There are no settings here."))
    if problems:
        raise Failed(" ".join(problems))


def _rows(group: SettingsGroup, subject: Any) -> list[Document]:
    declared, stored = group.declared(subject), group.stored(subject)
    values = group.read(subject, [one for one in declared if not one.secret])
    return [
        {
            "group": group.code,
            "name": one.name,
            "label": str(one.label),
            "value": None if one.secret else values[one.name],
            "stored": one.name in stored,
        }
        for one in declared
    ]


@settings.command(name="set")
@click.argument("group_code", metavar="GROUP")
@store_option
@shop_option
@values_option
@stdin_option
@unset_option
@desk_command
def set_(
    door: Door,
    group_code: str,
    store_key: str | None,
    shop_key: str | None,
    given: Sequence[str],
    set_stdin: bool,
    unset: Sequence[str],
) -> None:
    """Change settings of a GROUP; the others are kept."""
    values = read_settings(given, set_stdin)
    with unit_of_work():
        scope, subject = _of(store_key, shop_key)
        group = find_group(scope, group_code)
        change(group, values, subject, unset=unset, actor=door.actor)
    door.show({"group": group_code, "changed": sorted({*values, *unset})}, ["Saved."])


def _of(store_key: str | None, shop_key: str | None) -> tuple[str, Any]:
    """The scope, and the shop or store."""
    if store_key is not None and shop_key is not None:
        raise click.UsageError("Give a store or a shop, not both.")
    if store_key is not None:
        return STORE, get_store(store_key)
    return (DESK, None) if shop_key is None else (SHOP, find_shop(shop_key))

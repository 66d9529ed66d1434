"""Commands for roles: listing, adding, changing and deleting them."""

from collections.abc import Sequence

import click

from webapp.accounts import roles
from webapp.accounts.refund_limits import written
from webapp.cli.door import Door, desk_command
from webapp.cli.presenting import Document
from webapp.cli.text import pairs, table
from webapp.db import unit_of_work

_right = {"multiple": True, "metavar": "RIGHT"}


@click.group()
def role() -> None:
    """Show, add, change and delete roles."""


@role.command("list")
@desk_command
def list_(door: Door) -> None:
    """List the roles with their people, rights and limits for refunds without approval."""
    door.actor.needs("users.edit")
    people = roles.people_by_role()
    rows: list[Document] = [_document(found) | {"people": people.get(code, 0)} for code, found in roles.roles().items()]
    shown = [row | {"rights": " ".join(row["rights"]), "refunds_up_to": row["refunds_up_to"] or ""} for row in rows]
    door.show(rows, table(shown, ("code", "label", "people", "refunds_up_to", "rights"), empty=""))


@role.command()
@click.argument("name")
@click.option("--like", required=True, metavar="ROLE", help="The role on which it is based.")
@desk_command
def add(door: Door, name: str, like: str) -> None:
    """Add a role."""
    with unit_of_work():
        code = roles.add_role(name, like, actor=door.actor)
    _show(door, code)


@role.command()
@click.argument("code", metavar="ROLE")
@click.option("--give", help="A right to add; repeat the option for several.", **_right)  # type: ignore[arg-type]
@click.option("--take", help="A right to remove; repeat the option for several.", **_right)  # type: ignore[arg-type]
@click.option(
    "--refunds-up-to",
    metavar="AMOUNTS",
    help="The limits for refunds without approval, as “50 EUR, 60 USD”; “” for no limit.",
)
@desk_command
def change(door: Door, code: str, give: Sequence[str], take: Sequence[str], refunds_up_to: str | None) -> None:
    """Change the rights of a ROLE; the change applies immediately."""
    with unit_of_work():
        roles.adjust_role_rights(code, give=give, take=take, limits=refunds_up_to, actor=door.actor)
    _show(door, code)


@role.command()
@click.argument("code", metavar="ROLE")
@desk_command
def delete(door: Door, code: str) -> None:
    """Delete an added ROLE that nobody has."""
    with unit_of_work():
        roles.delete_role(code, actor=door.actor)
    door.show({"deleted": code}, ["Deleted."])


def _document(found: roles.RoleRow) -> Document:
    return {
        "code": found.code,
        "label": str(found.label),
        "like": found.base,
        "rights": sorted(found.rights),
        "refunds_up_to": written(found.limits) or None,
    }


def _show(door: Door, code: str) -> None:
    document = _document(roles.get_role(code))
    door.show(document, pairs(document | {"rights": " ".join(document["rights"])}))

"""People, from the machine's own shell: adding one, and letting one in by a one-time link."""

import sys

import click

from webapp.accounts import services as accounts
from webapp.audit.actor import ROLES
from webapp.cli.door import Door, desk_command
from webapp.cli.preparing import address, first_link
from webapp.cli.text import pairs
from webapp.db import unit_of_work


@click.group()
def user() -> None:
    """Add people and let them in."""


@user.command()
@click.option("--email", required=True)
@click.option("--role", required=True, help=f"One of: {', '.join(ROLES)}.")
@click.option("--name", default="")
@click.option("--password-stdin", is_flag=True, help="Read the password from standard input.")
@desk_command
def create(door: Door, email: str, role: str, name: str, password_stdin: bool) -> None:
    """Add a person; without a password, print a link that lets them in once, within 24 hours."""
    password = sys.stdin.readline().rstrip("\r\n") if password_stdin else None
    with unit_of_work():
        made = accounts.create_user(email=email, role=role, password=password, actor=door.actor, name=name)
        document = {"id": made.id, "email": made.email, "role": made.role, "name": made.name}
        token = accounts.make_link(made, actor=door.actor) if password is None else None
    url = address("sign_in.link", token=token) if token else None
    door.show(document | {"url": url}, pairs(document) + ([url] if url else []))


@user.command()
@click.option("--email", help="Whom it lets in; left out while there is no owner: who sets the desk up.")
@desk_command
def link(door: Door, email: str | None) -> None:
    """Print a link that lets one person in once, within 24 hours."""
    door.actor.needs("users.edit")
    if email is None:
        url = first_link()
    else:
        with unit_of_work():
            token = accounts.make_link(accounts.get_user(email), actor=door.actor)
        url = address("sign_in.link", token=token)
    door.show({"url": url, "email": email}, [url])

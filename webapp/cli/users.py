"""Commands for people: adding and listing them, their roles, enabling and disabling."""

import sys
from collections.abc import Sequence
from typing import Any

import click
from flask import current_app, url_for

from webapp.accounts import people, services as accounts
from webapp.accounts.link_mail import mail_link
from webapp.audit.actor import Actor
from webapp.audit.rights import BUILT_IN
from webapp.channels.shops import find_shop
from webapp.cli.door import Door, desk_command
from webapp.cli.running_desk import running_desk
from webapp.cli.text import pairs, table
from webapp.clock import iso
from webapp.config import PORT, configuration
from webapp.db import unit_of_work
from webapp.mail.jobs import send_mail

_COLUMNS = ("email", "name", "role", "state", "signed_in_at", "sessions")
_ROLES = f"One of: {', '.join(BUILT_IN)}; or an added role (role list)."
_shops = click.option(
    "--shop",
    "shops",
    multiple=True,
    metavar="SHOP",
    help="A shop to work for (id or name); repeat the option for several. Default: all.",
)


@click.group()
def user() -> None:
    """Add and list people, and control their access."""


@user.command()
@click.option("--email", required=True)
@click.option("--role", required=True, help=_ROLES)
@click.option("--name", default="")
@_shops
@click.option("--password-stdin", is_flag=True, help="Read the password from standard input.")
@desk_command
def create(door: Door, email: str, role: str, name: str, shops: Sequence[str], password_stdin: bool) -> None:
    """Add a person; without a password, print a sign-in link that works once, within 24 hours."""
    password_hash = None
    if password_stdin:  # hashed before any lock is taken
        password_hash = accounts.hashed(sys.stdin.readline().rstrip("\r\n"), accounts.checked_email(email))
    with unit_of_work():
        made = accounts.create_user(
            email=email,
            role=role,
            actor=door.actor,
            password_hash=password_hash,
            name=name,
            shops=_known(shops),
        )
        document = {"id": made.id, "email": made.email, "role": made.role, "name": made.name}
        token = accounts.make_link(made, actor=door.actor) if password_hash is None else None
    url = _link(email, token) if token else None
    door.show(document | {"url": url}, pairs(document) + ([url] if url else []))


@user.command("list")
@click.option("--search", default="", metavar="WORDS", help="Only people whose name or e-mail address has these words.")
@click.option("--state", type=click.Choice(["active", "invited", "disabled"]), help="Only those in this state.")
@desk_command
def list_(door: Door, search: str, state: str | None) -> None:
    """List people, with their roles, last sign-ins and open sessions."""
    door.actor.needs("users.edit")
    found = people.find_people(search, state or "")
    sessions = people.session_counts(person.id for person in found)
    rows: list[dict[str, Any]] = [
        {
            "id": person.id,
            "email": person.email,
            "name": person.name,
            "role": person.role,
            "shops": None if person.shops is None else list(person.shops),
            "state": person.state,
            "signed_in_at": iso(person.signed_in_at) if person.signed_in_at else None,
            "sessions": sessions.get(person.id, 0),
        }
        for person in found
    ]
    door.show(rows, table(rows, _COLUMNS, empty="Nobody."))


@user.command()
@click.argument("email")
@click.argument("role")
@desk_command
def role(door: Door, email: str, role: str) -> None:
    """Give a person another ROLE; it applies immediately."""
    with unit_of_work():
        people.change_role(accounts.get_user(email).id, role, actor=door.actor)
    _show(door, email)


@user.command("shops")
@click.argument("email")
@click.option(
    "--shop",
    "shops",
    multiple=True,
    metavar="SHOP",
    help="A shop to work for (id or name); repeat the option for several.",
)
@click.option("--all", "all_shops", is_flag=True, help="All shops, including future ones.")
@desk_command
def shops_(door: Door, email: str, shops: Sequence[str], all_shops: bool) -> None:
    """Let a person work for these shops only, or for all; it applies immediately."""
    if bool(shops) == all_shops:
        raise click.UsageError("Give the shops, or --all.")
    with unit_of_work():
        people.change_shops(accounts.get_user(email).id, _known(shops), actor=door.actor)
    _show(door, email)


def _known(shops: Sequence[str]) -> list[int] | None:
    """The ids, each of an existing shop; None for all shops. Raises `UnknownShop` or `SeveralShopsFit`."""
    return [find_shop(key).id for key in shops] or None


@user.command()
@click.argument("email")
@desk_command
def disable(door: Door, email: str) -> None:
    """Disable a person's account and end all sessions."""
    with unit_of_work():
        people.disable(accounts.get_user(email).id, actor=door.actor)
    _show(door, email)


@user.command()
@click.argument("email")
@desk_command
def enable(door: Door, email: str) -> None:
    """Enable a disabled account again, with the same password and role."""
    with unit_of_work():
        people.enable(accounts.get_user(email).id, actor=door.actor)
    _show(door, email)


@user.command("sign-out")
@click.argument("email")
@desk_command
def sign_out(door: Door, email: str) -> None:
    """End all sessions of a person."""
    with unit_of_work():
        ended = people.sign_out(accounts.get_user(email).id, actor=door.actor)
    document = {"email": accounts.get_user(email).email, "ended": ended}
    door.show(document, pairs(document))


@user.command()
@click.option(
    "--email",
    help="The person's e-mail address; leave it out to set up a desk without an owner.",
)
@desk_command
def link(door: Door, email: str | None) -> None:
    """Print a sign-in link that works once, within 24 hours, and allows a new password; earlier links end."""
    door.actor.needs("users.edit")
    if email is None:
        url = first_link()
    else:
        with unit_of_work():
            token = people.make_link_for(accounts.get_user(email).id, actor=door.actor)
        url = _link(email, token)
    door.show({"url": url, "email": email}, [url])


def _link(email: str, token: str) -> str:
    """The full address of a person's new link, which also goes to them by mail where the desk can send mail."""
    url = address("sign_in.link", token=token)
    with unit_of_work():
        if mail_link(accounts.get_user(email), url):
            send_mail.enqueue()
    return url


def first_link() -> str:
    """The full address by which the first owner sets the desk up; an earlier one ends."""
    with unit_of_work():
        token = accounts.make_link(None, actor=Actor.operator())
    return address("sign_in.set_up", token=token)


def address(endpoint: str, **values: Any) -> str:
    """The full address of a page, at the desk's own address."""
    config = configuration()
    running = running_desk(config.data_dir).get("url")
    base = config.url or running or f"http://{config.host}:{config.port or PORT}"
    with current_app.test_request_context(base_url=base):
        return str(url_for(endpoint, _external=True, **values))


def _show(door: Door, email: str) -> None:
    person = accounts.get_user(email)
    document = {
        "id": person.id,
        "email": person.email,
        "role": person.role,
        "shops": person.shops,
        "state": people.state_of(person),
    }
    door.show(document, pairs(document))

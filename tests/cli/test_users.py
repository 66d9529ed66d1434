"""People from the machine's own shell: listed, let in and out, and never all of the owners."""

from collections.abc import Callable
from io import StringIO
from types import SimpleNamespace

import pytest

from tests.cli.conftest import ON_SQLITE, Command
from tests.conftest import PASSWORD
from webapp.accounts import services
from webapp.accounts.models import User
from webapp.accounts.services import open_session
from webapp.audit.actor import Actor
from webapp.channels.models import Store
from webapp.clock import now
from webapp.db import db, unit_of_work


def test_people_are_listed_and_let_in_and_out(cli: Command, make_user: Callable[..., Actor]) -> None:
    make_user("owner", "Olga")
    mia = make_user("clerk", "Mia")
    listed = cli("user", "list", "--json").document
    assert [(person["email"], person["role"], person["state"]) for person in listed] == [
        ("mia@desk.test", "clerk", "active"),
        ("olga@desk.test", "owner", "active"),
    ]
    assert set(listed[0]) == {"id", "email", "name", "role", "shops", "state", "signed_in_at", "sessions"}
    assert cli("user", "role", "mia@desk.test", "packer", "--json").document["role"] == "packer"
    with unit_of_work():
        open_session(db.session.get_one(User, mia.id), how="test")
    assert cli("user", "sign-out", "mia@desk.test", "--json").document == {"email": "mia@desk.test", "ended": 1}
    assert cli("user", "disable", "mia@desk.test", "--json").document["state"] == "disabled"
    assert [person["id"] for person in cli("user", "list", "--state", "disabled", "--json").document] == [mia.id]
    refused = cli("user", "link", "--email", "mia@desk.test")
    assert (refused.code, "Enable it first" in refused.err) == (1, True)
    assert cli("user", "enable", "mia@desk.test", "--json").document["state"] == "active"
    assert "mia@desk.test" in cli("user", "list", "--search", "MIA").out


def test_who_is_invited_is_so_everywhere(cli: Command) -> None:
    ada = cli("user", "create", "--email", "ada@desk.test", "--role", "clerk", "--json").document["id"]
    assert cli("user", "role", "ada@desk.test", "packer", "--json").document["state"] == "invited"
    assert [person["id"] for person in cli("user", "list", "--state", "invited", "--json").document] == [ada]
    with unit_of_work():
        db.session.get_one(User, ada).signed_in_at = now()  # invited, without a password yet
    assert cli("user", "role", "ada@desk.test", "clerk", "--json").document["state"] == "active"
    assert cli("user", "list", "--state", "invited", "--json").document == []


def test_a_password_is_hashed_while_nobody_waits(cli: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    writing, hash_it = [], services._hasher.hash

    def look(password: str) -> str:
        writing.append(db.session().info.get("writing"))
        return hash_it(password)

    monkeypatch.setattr(services, "_hasher", SimpleNamespace(hash=look))
    words = ("user", "create", "--email", "ada@desk.test", "--role", "clerk", "--password-stdin")
    monkeypatch.setattr("sys.stdin", StringIO("ada-ada-ada\n"))
    assert "at least 12 characters" in cli(*words).err
    monkeypatch.setattr("sys.stdin", StringIO(f"{PASSWORD}\n"))
    assert cli(*words, "--json").document["url"] is None
    assert writing == [None]
    assert cli("user", "list", "--state", "active", "--json").document[0]["email"] == "ada@desk.test"


def test_the_last_owner_stays_whoever_asks(cli: Command, make_user: Callable[..., Actor]) -> None:
    make_user("owner", "Olga")
    make_user("manager", "Max")
    for argv, sentence in (
        (("user", "disable", "olga@desk.test"), "Olga is the only one"),
        (("user", "role", "olga@desk.test", "clerk"), "Olga is the only one"),
        (("user", "disable", "olga@desk.test", "--as", "max@desk.test"), "manage owners"),
        (("user", "disable", "max@desk.test", "--as", "max@desk.test"), "Nobody can disable their own account"),
        (("user", "role", "max@desk.test", "king"), "Role: Choose one of these values"),
    ):
        answer = cli(*argv)
        assert (answer.code, sentence in answer.err) == (1, True), answer.err
    assert cli("user", "disable", "nobody@desk.test").code == 3


def test_roles_and_shops_are_changed_from_the_shell(
    cli: Command, make_user: Callable[..., Actor], store: Store
) -> None:
    make_user("owner", "Olga")
    make_user("clerk", "Mia")
    code = cli("role", "add", "Night shift", "--like", "packer", "--json").document["code"]
    changed = cli("role", "change", code, "--give", "stores.sync", "--take", "orders.hold", "--json").document
    assert "stores.sync" in changed["rights"]
    assert "orders.hold" not in changed["rights"]
    limited = cli("role", "change", code, "--refunds-up-to", "50 EUR, 60 USD", "--json").document
    assert limited["refunds_up_to"] == "50.00 EUR, 60.00 USD"
    assert "50.00 EUR, 60.00 USD" in cli("role", "list").out
    refused = cli("role", "change", code, "--refunds-up-to", "50")
    assert (refused.code, "not an amount with a currency" in refused.err) == (1, True)
    assert cli("role", "change", code, "--refunds-up-to", "", "--json").document["refunds_up_to"] is None
    assert cli("user", "role", "mia@desk.test", code, "--json").document["role"] == code
    assert {row["code"]: row["people"] for row in cli("role", "list", "--json").document}[code] == 1
    assert cli("role", "delete", code).code == 1
    shop = str(store.shop_id)
    assert cli("user", "shops", "mia@desk.test", "--shop", shop, "--json").document["shops"] == [store.shop_id]
    assert cli("user", "shops", "mia@desk.test").code == 2  # a forgotten option must not widen the access
    assert cli("user", "shops", "mia@desk.test", "--all", "--json").document["shops"] is None
    assert cli("user", "shops", "mia@desk.test", "--shop", "999").code == 3
    made = cli("user", "create", "--email", "eve@desk.test", "--role", code, "--shop", shop, "--json")
    assert made.code == 0
    assert cli("role", "change", "owner", "--take", "orders.view").code == 1


@ON_SQLITE
def test_people_are_added_and_let_in(cli: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    first = cli("user", "link", "--json").document
    assert first["url"].startswith("http://127.0.0.1:8000/")
    monkeypatch.setattr("sys.stdin", StringIO("Correct-Horse-7-Battery\n"))
    made = cli("user", "create", "--email", "Olga@desk.test", "--role", "owner", "--password-stdin", "--json").document
    assert (made["email"], made["role"]) == ("Olga@desk.test", "owner")
    assert cli("user", "link", "--email", "olga@desk.test").out.startswith("http://127.0.0.1:8000/")
    added = cli("user", "create", "--email", "rae@desk.test", "--role", "clerk")
    assert added.out.splitlines()[-1].startswith("http://127.0.0.1:8000/")
    assert made["url"] is None
    assert cli("user", "link").code == 1  # there is an owner now

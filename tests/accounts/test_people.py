"""Roles, disabling and enabling, sessions, one's own address and password; and the desk always keeps an owner."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import pytest
from flask import Flask
from sqlalchemy import select

from tests.conftest import PASSWORD
from webapp.accounts import people
from webapp.accounts.models import UserSession
from webapp.accounts.people import LastOwner, OwnAccount
from webapp.accounts.services import (
    AccountDisabled,
    LinkRefused,
    OwnLink,
    Proof,
    SignInRefused,
    authenticated,
    create_user,
    find_link,
    get_user,
    has_owner,
    hashed,
    make_link,
    open_session,
    session_of,
    sign_in,
    use_link,
)
from webapp.audit.actor import Actor
from webapp.audit.models import AuditEntry
from webapp.db import db, unit_of_work
from webapp.errors import DeskError, Forbidden, Invalid, NotFound

NEW = "Another-Horse-8-Battery"
Make = Callable[..., Actor]


def _audited() -> list[tuple[str, dict[str, object]]]:
    db.session.rollback()
    query = select(AuditEntry).where(AuditEntry.code != "user_created").order_by(AuditEntry.id)
    return [(entry.code, entry.data) for entry in db.session.scalars(query)]


def _id(name: str) -> int:
    return get_user(f"{name}@desk.test").id


@pytest.fixture
def olga(make_user: Make) -> Actor:
    return make_user("owner", "Olga")


@pytest.fixture
def max_(make_user: Make) -> Actor:
    return make_user("manager", "Max")


def test_a_manager_manages_everybody_but_owners(olga: Actor, max_: Actor, mia: Actor) -> None:
    with unit_of_work():
        people.change_role(_id("mia"), "packer", actor=max_)
        user, _token = people.invite(email="ada@desk.test", role="manager", actor=max_)
    assert (get_user("mia@desk.test").role, user.role) == ("packer", "manager")
    for act in (
        lambda: people.invite(email="eve@desk.test", role="owner", actor=max_),
        lambda: people.change_role(_id("mia"), "owner", actor=max_),
        lambda: people.change_role(_id("olga"), "clerk", actor=max_),
        lambda: people.disable(_id("olga"), actor=max_),
        lambda: people.sign_out(_id("olga"), actor=max_),
        lambda: people.make_link_for(_id("olga"), actor=max_),
        lambda: make_link(get_user("olga@desk.test"), actor=max_),
    ):
        with pytest.raises(Forbidden, match="manage owners"), unit_of_work():
            act()
    assert get_user("olga@desk.test").role == "owner"
    for act in (
        lambda: people.disable(_id("max"), actor=mia),
        lambda: make_link(get_user("mia@desk.test"), actor=mia),
    ):
        with pytest.raises(Forbidden, match="manage people"), unit_of_work():
            act()


def test_disabling_ends_sessions_and_links_and_enabling_brings_neither_back(olga: Actor, mia: Actor) -> None:
    with unit_of_work():
        session = open_session(get_user("mia@desk.test"), how="test")
        link = make_link(get_user("mia@desk.test"), actor=olga)
    proof = authenticated("mia@desk.test", PASSWORD)
    with unit_of_work():
        people.disable(mia.id or 0, actor=olga)
        people.disable(mia.id or 0, actor=olga)  # repeating it changes nothing
    assert session_of(session) is None
    with pytest.raises(SignInRefused), unit_of_work():
        sign_in(proof)  # of a person whose password was being checked meanwhile
    with pytest.raises(SignInRefused):
        authenticated("mia@desk.test", PASSWORD)
    with pytest.raises(LinkRefused):
        find_link(link)
    with pytest.raises(AccountDisabled), unit_of_work():
        people.make_link_for(mia.id or 0, actor=olga)
    with unit_of_work():
        people.enable(mia.id or 0, actor=olga)
    assert session_of(session) is None
    assert authenticated("mia@desk.test", PASSWORD).user_id == mia.id
    assert _audited()[2:] == [
        ("user_disabled", {"user": mia.id, "sessions": 1}),
        ("user_enabled", {"user": mia.id}),
    ]


def test_the_last_owner_stays(olga: Actor, operator: Actor, make_user: Make) -> None:
    for act in (
        lambda: people.disable(_id("olga"), actor=operator),
        lambda: people.change_role(_id("olga"), "manager", actor=operator),
    ):
        with pytest.raises(LastOwner, match="Olga is the only one"), unit_of_work():
            act()
    make_user("owner", "Zoe")
    with unit_of_work():
        people.change_role(_id("olga"), "manager", actor=operator)
    with pytest.raises(LastOwner, match="Zoe"), unit_of_work():
        people.disable(_id("zoe"), actor=operator)
    assert has_owner()


def test_nobody_disables_or_demotes_themselves(olga: Actor, make_user: Make) -> None:
    make_user("owner", "Zoe")
    for act in (
        lambda: people.disable(olga.id or 0, actor=olga),
        lambda: people.change_role(olga.id or 0, "clerk", actor=olga),
    ):
        with pytest.raises(OwnAccount), unit_of_work():
            act()


def test_a_link_that_a_manager_made_does_not_let_into_an_owners_account(olga: Actor, max_: Actor, mia: Actor) -> None:
    with unit_of_work():
        link = people.make_link_for(mia.id or 0, actor=max_)
        people.change_role(mia.id or 0, "packer", actor=olga)
    assert find_link(link).user_id == mia.id  # the link gives no more access than when it was made
    with unit_of_work():
        people.change_role(mia.id or 0, "owner", actor=olga)
    with pytest.raises(LinkRefused):
        find_link(link)


@pytest.mark.parametrize("role", ["owner", "manager"])
def test_nobody_makes_a_link_for_themselves(make_user: Make, operator: Actor, role: str) -> None:
    """Whoever took over a session could otherwise choose a password by the link, without knowing the present one."""
    zoe = make_user(role, "Zoe")
    for act in (
        lambda: people.make_link_for(zoe.id or 0, actor=zoe),
        lambda: make_link(get_user("zoe@desk.test"), actor=zoe),
    ):
        with pytest.raises(OwnLink, match="their own account"), unit_of_work():
            act()
    with unit_of_work():
        assert find_link(people.make_link_for(zoe.id or 0, actor=operator)).user_id == zoe.id


@pytest.mark.parametrize("way", ["disable", "demote"])
def test_two_owners_who_remove_each_other_at_once_leave_one(app: Flask, olga: Actor, make_user: Make, way: str) -> None:
    zoe = make_user("owner", "Zoe")
    together = Barrier(2)

    def remove(actor: Actor, other: int) -> str:
        together.wait(60)
        with app.app_context():
            try:
                with unit_of_work():
                    if way == "disable":
                        people.disable(other, actor=actor)
                    else:
                        people.change_role(other, "clerk", actor=actor)
            except DeskError as error:
                return error.code
            return "done"

    with ThreadPoolExecutor(2) as pool:
        first = pool.submit(remove, olga, zoe.id or 0)
        second = pool.submit(remove, zoe, olga.id or 0)
        answers = {first.result(60), second.result(60)}
    db.session.rollback()
    assert answers == {"done", "forbidden"}
    assert has_owner()


def test_two_operators_who_remove_both_owners_at_once_leave_one(
    app: Flask, olga: Actor, operator: Actor, make_user: Make
) -> None:
    zoe = make_user("owner", "Zoe")
    together = Barrier(2)

    def remove(other: int) -> str:
        together.wait(60)
        with app.app_context():
            try:
                with unit_of_work():
                    people.disable(other, actor=operator)
            except DeskError as error:
                return error.code
            return "done"

    with ThreadPoolExecutor(2) as pool:
        answers = {task.result(60) for task in [pool.submit(remove, who.id or 0) for who in (olga, zoe)]}
    db.session.rollback()
    assert answers == {"done", "last_owner"}


def test_whoever_was_disabled_meanwhile_manages_nobody(olga: Actor, max_: Actor, mia: Actor) -> None:
    with unit_of_work():
        people.disable(max_.id or 0, actor=olga)
    with pytest.raises(Forbidden), unit_of_work():
        people.disable(mia.id or 0, actor=max_)  # like a request whose session was checked before


def test_whoever_was_demoted_meanwhile_makes_no_owner(olga: Actor, max_: Actor, mia: Actor, make_user: Make) -> None:
    zoe = make_user("owner", "Zoe")
    with unit_of_work():
        people.change_role(olga.id or 0, "manager", actor=zoe)
    for act in (  # like requests whose sessions were checked before
        lambda: people.change_role(mia.id or 0, "owner", actor=olga),
        lambda: people.invite(email="ada@desk.test", role="owner", actor=olga),
        lambda: people.make_link_for(zoe.id or 0, actor=olga),
        lambda: people.disable(zoe.id or 0, actor=olga),
        lambda: people.enable(zoe.id or 0, actor=olga),
        lambda: people.sign_out(zoe.id or 0, actor=olga),
        lambda: people.end_session(zoe.id or 0, 1, actor=olga),
    ):
        with pytest.raises(Forbidden, match="manage owners"), unit_of_work():
            act()
    assert get_user("mia@desk.test").role == "clerk"


def test_whoever_may_do_more_meanwhile_may_do_it_at_once(olga: Actor, max_: Actor, mia: Actor) -> None:
    with unit_of_work():
        people.change_role(max_.id or 0, "owner", actor=olga)
        people.change_role(mia.id or 0, "owner", actor=max_)
        people.make_link_for(mia.id or 0, actor=max_)
    assert get_user("mia@desk.test").role == "owner"


def test_a_role_holds_from_the_next_click_on(olga: Actor, mia: Actor) -> None:
    with unit_of_work():
        token = open_session(get_user("mia@desk.test"), how="test")
        people.change_role(mia.id or 0, "read_only", actor=olga)
    session = session_of(token)
    assert session is not None
    assert not session.user.as_actor().may("orders.ship")
    assert _audited()[-1] == ("role_changed", {"user": mia.id, "before": "clerk", "after": "read_only"})
    with pytest.raises(Invalid, match="Role"), unit_of_work():
        people.change_role(mia.id or 0, "king", actor=olga)
    with pytest.raises(NotFound), unit_of_work():
        people.change_role(2_000_000, "clerk", actor=olga)


def test_a_new_password_ends_links_and_other_sessions(olga: Actor, mia: Actor) -> None:
    with unit_of_work():
        user = get_user("mia@desk.test")
        here, there = open_session(user, how="test"), open_session(user, how="test")
        link = make_link(user, actor=olga)
    own = session_of(here)
    assert own is not None
    proof = authenticated("mia@desk.test", PASSWORD)
    with unit_of_work():
        people.change_password(proof, hashed(NEW, "mia@desk.test"), keep=own.id)
    assert (session_of(here) is None, session_of(there) is None) == (False, True)
    with pytest.raises(LinkRefused):
        find_link(link)
    with pytest.raises(SignInRefused), unit_of_work():
        people.change_password(proof, hashed(NEW, "mia@desk.test"), keep=own.id)  # the proof is of the old one
    assert ("password_changed", {"user": mia.id}) in _audited()


def test_an_address_is_changed_by_who_knows_the_password(olga: Actor, mia: Actor) -> None:
    proof = authenticated("mia@desk.test", PASSWORD)
    for wrong, sentence in (("OLGA@desk.test", "already has this e-mail address"), ("mia", "not an e-mail address")):
        with pytest.raises(Invalid, match=sentence), unit_of_work():
            people.change_email(proof, wrong)
    with pytest.raises(SignInRefused), unit_of_work():
        people.change_email(Proof(mia.id or 0, "made up"), "eve@desk.test")
    with unit_of_work():
        people.change_email(proof, "mia.new@desk.test")
    assert authenticated("Mia.New@desk.test", PASSWORD).user_id == mia.id
    with pytest.raises(SignInRefused):
        authenticated("mia@desk.test", PASSWORD)
    assert ("email_changed", {"user": mia.id}) in _audited()  # without either address


def test_a_name_that_is_given_by_a_link_is_on_the_record(olga: Actor, mia: Actor) -> None:
    for name, changes in (("Mia", 0), ("", 0), ("Mia Moser", 1)):
        with unit_of_work():
            use_link(make_link(get_user("mia@desk.test"), actor=olga), name=name)
        told = [data for code, data in _audited() if code == "name_changed"]
        assert told == [{"user": mia.id}] * changes
    [entry] = db.session.scalars(select(AuditEntry).where(AuditEntry.code == "name_changed"))
    assert (entry.actor_kind, entry.actor_id) == ("person", mia.id)


def test_sessions_of_others_are_out_of_reach(olga: Actor, mia: Actor) -> None:
    with unit_of_work():
        token = open_session(get_user("olga@desk.test"), how="test")
    session = session_of(token)
    assert session is not None
    with unit_of_work():
        assert people.end_own_sessions(mia.id or 0, only=session.id) == 0
        people.end_session(mia.id or 0, session.id, actor=olga)  # of another person than it says
    assert session_of(token) is not None


def test_people_are_found_by_parts_of_name_and_address(app: Flask, operator: Actor) -> None:
    with unit_of_work():
        create_user(email="emile@desk.test", role="clerk", actor=operator, name="Émile Zola")
        zoe = create_user(email="z@desk.test", role="clerk", password_hash="hash", actor=operator, name="Zoë")
        people.disable(zoe.id, actor=operator)

    def names(*asked: str) -> list[str]:
        return [person.name for person in people.find_people(*asked)]

    assert names("émile") == names("zola EMILE desk") == names("", "invited") == ["Émile Zola"]
    assert names("ZOË") == names("", "disabled") == ["Zoë"]
    assert names("") == ["Émile Zola", "Zoë"]
    assert names("nobody") == names("", "active") == []


def test_ended_sessions_are_not_counted(olga: Actor, mia: Actor) -> None:
    with unit_of_work():
        for _ in range(3):
            open_session(get_user("mia@desk.test"), how="test")
        people.sign_out(mia.id or 0, actor=olga)
        open_session(get_user("mia@desk.test"), how="test")
    assert people.session_counts([mia.id or 0, olga.id or 0]) == {mia.id: 1}
    assert db.session.query(UserSession).count() == 1


def test_two_who_are_invited_under_one_address_at_once_are_one(app: Flask, operator: Actor) -> None:
    together = Barrier(2)

    def invite() -> str:
        with app.app_context():
            try:
                with unit_of_work():
                    together.wait(60)
                    people.invite(email="ada@desk.test", role="clerk", actor=operator)
            except DeskError as error:
                return str(error)
            return "done"

    if db.engine.dialect.name == "sqlite":
        together = Barrier(1)  # whose writers come one after the other
    with ThreadPoolExecutor(2) as pool:
        answers = {task.result(60) for task in [pool.submit(invite) for _ in range(2)]}
    assert answers == {"done", "E-mail: Another person already has this e-mail address."}


def test_who_is_disabled_meanwhile_invites_nobody(olga: Actor, max_: Actor) -> None:
    """The person's request was under way when they were disabled, or got another role."""
    with unit_of_work():
        people.disable(max_.id or 0, actor=olga)
    with pytest.raises(Forbidden, match="manage people"), unit_of_work():
        people.invite(email="ada@desk.test", role="manager", actor=max_)
    with unit_of_work():
        people.enable(max_.id or 0, actor=olga)
        people.change_role(max_.id or 0, "clerk", actor=olga)
    with pytest.raises(Forbidden, match="manage people"), unit_of_work():
        people.invite(email="ada@desk.test", role="packer", actor=max_)
    with pytest.raises(NotFound):
        get_user("ada@desk.test")


def test_what_can_not_be_seen_is_no_part_of_a_name(app: Flask, operator: Actor) -> None:
    with unit_of_work():
        made = create_user(email="z@desk.test", role="clerk", actor=operator, name=" Zoë\0\u202e \n van  Dyk\x1b ")
        assert made.name == "Zoë van Dyk"

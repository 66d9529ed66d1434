"""People sign in by password or by a link that works once; sessions can be ended; the first owner is set up once."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from threading import Barrier

import pytest
import time_machine
from flask import Flask
from sqlalchemy import select

from tests.conftest import PASSWORD
from webapp.accounts.models import SignInLink, User, UserSession
from webapp.accounts.services import (
    LINK_LIFE,
    SESSION_LIFE,
    LinkRefused,
    OwnerIsThere,
    SignInRefused,
    authenticated,
    close_session,
    create_user,
    find_link,
    get_user,
    has_owner,
    hashed,
    make_link,
    open_session,
    session_of,
    set_up_owner,
    sign_in,
    use_link,
)
from webapp.audit.actor import Actor
from webapp.audit.models import AuditEntry
from webapp.audit.rights import rights_of_built_in
from webapp.clock import now
from webapp.db import db, unit_of_work
from webapp.errors import Forbidden, Invalid

MIA = "mia@desk.test"


def codes() -> list[str]:
    return list(db.session.scalars(select(AuditEntry.code).order_by(AuditEntry.id)))


@pytest.mark.parametrize("email", [MIA, " MIA@Desk.test "])
def test_the_right_password_opens_a_session(mia: Actor, email: str) -> None:
    with unit_of_work():
        token = sign_in(authenticated(email, PASSWORD))
    session = session_of(token)
    assert session is not None
    assert session.user.as_actor() == mia
    assert codes() == ["user_created", "signed_in"]


def test_wrong_password_unknown_address_and_disabled_person_read_the_same(mia: Actor) -> None:
    refused = []
    for email, password in ((MIA, PASSWORD + "!"), ("nobody@desk.test", PASSWORD), (MIA, "")):
        with pytest.raises(SignInRefused) as refusal, unit_of_work():
            authenticated(email, password)
        refused.append(str(refusal.value))
    with unit_of_work():
        get_user(MIA).disabled_at = now()
    with pytest.raises(SignInRefused) as refusal, unit_of_work():
        authenticated(MIA, PASSWORD)
    assert {*refused, str(refusal.value)} == {"The e-mail address or the password is wrong."}
    assert db.session.query(UserSession).count() == 0


def test_someone_without_a_password_comes_in_by_link_only(app: Flask, operator: Actor) -> None:
    with unit_of_work():
        user = create_user(email="ada@desk.test", role="manager", actor=operator)
        token = make_link(user, actor=operator)
    with pytest.raises(SignInRefused):
        authenticated("ada@desk.test", "")
    with pytest.raises(Invalid, match="You need it the next time"), unit_of_work():
        use_link(token)  # which leaves the link good
    with unit_of_work():
        session = session_of(use_link(token, password_hash=hashed(PASSWORD, "ada@desk.test")))
    assert session is not None
    assert session.user.email == "ada@desk.test"
    assert authenticated("ada@desk.test", PASSWORD).user_id == session.user_id


def test_no_token_and_no_password_is_stored(mia: Actor, operator: Actor) -> None:
    with unit_of_work():
        token = sign_in(authenticated(MIA, PASSWORD))
        link = make_link(get_user(MIA), actor=operator)
    user, session, stored = get_user(MIA), db.session.query(UserSession).one(), db.session.query(SignInLink).one()
    assert str(user.password_hash).startswith("$argon2id$")
    assert PASSWORD not in str(user.password_hash)
    assert (token in session.token_hash, link in stored.token_hash) == (False, False)


def test_a_session_ends_when_it_is_closed_expires_or_its_person_is_disabled(mia: Actor) -> None:
    with unit_of_work():
        closed, expired, kept = (open_session(get_user(MIA), how="password") for _ in range(3))
        close_session(closed, actor=mia)
    assert session_of(closed) is None
    assert session_of("made-up") is None
    assert session_of(kept) is not None
    with time_machine.travel(now() + SESSION_LIFE + timedelta(seconds=1)):
        assert session_of(expired) is None
    with unit_of_work():
        get_user(MIA).disabled_at = now()
    assert session_of(kept) is None


def test_a_link_works_once(mia: Actor, operator: Actor) -> None:
    with unit_of_work():
        token = make_link(get_user(MIA), actor=operator)
    with unit_of_work():
        assert session_of(use_link(token)) is not None
    with pytest.raises(LinkRefused, match="has been used or has expired"), unit_of_work():
        use_link(token)
    with pytest.raises(LinkRefused):
        find_link("made-up")


def test_a_link_works_once_also_at_the_same_instant(app: Flask, mia: Actor, operator: Actor) -> None:
    with unit_of_work():
        token = make_link(get_user(MIA), actor=operator)
    together = Barrier(4)

    def use() -> bool:
        together.wait(60)
        with app.app_context():
            try:
                with unit_of_work():
                    use_link(token)
            except LinkRefused:
                return False
            return True

    with ThreadPoolExecutor(4) as pool:
        used = [task.result(60) for task in [pool.submit(use) for _ in range(4)]]
    assert sorted(used) == [False, False, False, True]
    db.session.rollback()
    assert db.session.query(UserSession).count() == 1


def test_a_link_expires(mia: Actor, operator: Actor) -> None:
    with unit_of_work():
        token = make_link(get_user(MIA), actor=operator)
    with time_machine.travel(now() + LINK_LIFE + timedelta(seconds=1)), pytest.raises(LinkRefused), unit_of_work():
        use_link(token)


def test_a_link_of_somebody_disabled_is_refused(mia: Actor, operator: Actor) -> None:
    with unit_of_work():
        token = make_link(get_user(MIA), actor=operator)
        get_user(MIA).disabled_at = now()
    with pytest.raises(LinkRefused), unit_of_work():
        use_link(token)


def test_the_first_owner_is_set_up_once(app: Flask, operator: Actor) -> None:
    with unit_of_work():
        token = make_link(None, actor=operator)
    assert not has_owner()
    secret = hashed(PASSWORD, "zoe@desk.test")
    with pytest.raises(Invalid, match="E-mail"), unit_of_work():  # a mistake leaves the link good
        set_up_owner(token, email="zoe", name="Zoe", password_hash=secret)
    with unit_of_work():
        session = session_of(set_up_owner(token, email="zoe@desk.test", name="Zoe", password_hash=hashed(PASSWORD, "")))
    assert session is not None
    assert session.user.as_actor().rights == rights_of_built_in("owner")
    with pytest.raises(LinkRefused), unit_of_work():
        set_up_owner(token, email="eve@desk.test", name="Eve", password_hash=hashed(PASSWORD, ""))
    with pytest.raises(OwnerIsThere), unit_of_work():
        make_link(None, actor=operator)
    assert [user.email for user in db.session.query(User)] == ["zoe@desk.test"]


def test_a_newer_set_up_link_ends_the_older_one(app: Flask, operator: Actor) -> None:
    with unit_of_work():
        older = make_link(None, actor=operator)
    with unit_of_work():
        newer = make_link(None, actor=operator)
    with pytest.raises(LinkRefused), unit_of_work():
        set_up_owner(older, email="eve@desk.test", name="Eve", password_hash=hashed(PASSWORD, ""))
    with unit_of_work():
        set_up_owner(newer, email="zoe@desk.test", name="Zoe", password_hash=hashed(PASSWORD, ""))


def test_a_persons_link_sets_up_nobody(app: Flask, mia: Actor, operator: Actor) -> None:
    with unit_of_work():
        token = make_link(get_user(MIA), actor=operator)
    with pytest.raises(LinkRefused), unit_of_work():
        set_up_owner(token, email="eve@desk.test", name="Eve", password_hash=hashed(PASSWORD, ""))
    with unit_of_work():
        use_link(token)  # and is not spent by that


def test_a_weak_password_is_refused(app: Flask) -> None:
    for password in (
        "Short-1",
        "onlylowercaseletters",
        "ONLY UPPER CASE",
        "123456789012",
        "My-name-is-Mia-12",
        "x" * 30,
        "Aa1-" * 300,
    ):
        with pytest.raises(Invalid, match="Use at least 12 characters of three kinds"):
            hashed(password, MIA)
    assert hashed(PASSWORD, MIA).startswith("$argon2id$")


@pytest.mark.parametrize(
    ("email", "role", "sentence"),
    [
        ("mia", "clerk", "E-mail: This is not an e-mail address. Correct it."),
        ("", "clerk", "E-mail: This is not an e-mail address. Correct it."),
        (" MIA@desk.TEST", "clerk", "E-mail: Another person already has this e-mail address."),
        ("new@desk.test", "king", "Role: Choose one of these values: owner, manager, clerk, packer, read_only."),
    ],
)
def test_a_person_who_cannot_be_is_refused(mia: Actor, operator: Actor, email: str, role: str, sentence: str) -> None:
    with pytest.raises(Invalid) as refused, unit_of_work():
        create_user(email=email, role=role, actor=operator)
    assert str(refused.value) == sentence


def test_only_who_manages_people_adds_them(make_user: Callable[..., Actor]) -> None:
    clerk = make_user("clerk", "Carl")
    with pytest.raises(Forbidden, match="manage people"), unit_of_work():
        create_user(email="new@desk.test", role="clerk", actor=clerk)

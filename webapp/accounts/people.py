"""People's accounts: changes by those who manage people, and by each person to their own.

Nobody changes the account of a person with more rights, and the desk always keeps an owner: each change locks the
owners, the person and the actor, and decides by what it then reads, so that two changes at once can't lock everybody
out. An account is never deleted, so that acts keep the person's name. A new role holds from the person's next request;
disabling an account ends its sessions and live streams at once.
"""

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from unicodedata import combining, normalize

from sqlalchemy import Row, func, select
from sqlalchemy.orm import joinedload

from webapp.accounts.locking import lock_acting
from webapp.accounts.models import SignInLink, User, UserSession
from webapp.accounts.services import (
    OwnersServeAll,
    Proof,
    check_manages,
    check_role,
    check_unused,
    checked_email,
    checked_shops,
    create_user,
    end_links,
    end_sessions,
    flush_address,
    make_link,
    prove,
    renew_streams,
    set_name,
    set_password,
)
from webapp.audit.actor import Actor
from webapp.audit.rights import OWNER
from webapp.audit.services import audit
from webapp.clock import now
from webapp.db import db
from webapp.errors import DeskError, Forbidden, NotFound
from webapp.i18n import lazy_gettext as _l


class LastOwner(DeskError):
    """Without an owner nobody could give access to anybody any more."""

    code = "last_owner"
    sentence = _l("The desk needs an owner, and %(name)s is the only one. Make somebody else an owner first.")


class OwnAccount(DeskError):
    """The person would remove their own access."""

    code = "own_account"
    sentence = _l(
        "Nobody can disable their own account or change their own role or shops. Ask somebody else who manages people."
    )


@dataclass(frozen=True, slots=True)
class PersonRow:
    """A person as lists show them."""

    id: int
    name: str
    email: str
    role: str
    shops: tuple[int, ...] | None  # for which they work; None for all
    state: str  # see state_of
    signed_in_at: datetime | None


# --- Managing others --------------------------------------------------------------------------------------------------


def invite(
    *, email: str, role: str, actor: Actor, name: str = "", shops: Collection[int] | None = None
) -> tuple[User, str]:
    """Add a person; returns the person and the token of the link by which they choose a password."""
    actor.needs("users.edit")
    _found, acting = lock_acting(actor)
    user = create_user(email=email, role=role, actor=acting, name=name, shops=shops)
    return user, make_link(user, actor=acting)


def make_link_for(user_id: int, *, actor: Actor) -> str:
    """Make a new link for an existing person and return its token; earlier links end."""
    user, acting = _lock(user_id, actor)
    return make_link(user, actor=acting)


def change_role(user_id: int, role: str, *, actor: Actor) -> None:
    """Change a person's role, from their next request on.

    If the new role has more rights, the person's links end: somebody who may not manage such a person may have made
    one.
    """
    user, acting = _lock(user_id, actor)
    rights = check_role(role, acting)
    if role == user.role:
        return
    if refusal := removal_refusal(user, acting):
        raise refusal
    if role == OWNER and user.shops is not None:
        raise OwnersServeAll
    before, had = user.role, user.rights
    user.role = role
    db.session.flush()
    db.session.expire(user, ["changed_role"])
    if rights - had:
        end_links(user.id)
    renew_streams([user.id])
    audit("role_changed", actor=acting, user=user.id, before=before, after=role)


def change_shops(user_id: int, shops: Collection[int] | None, *, actor: Actor) -> None:
    """Let a person work only for these shops, or for all of them, from their next request on."""
    user, acting = _lock(user_id, actor)
    limits = checked_shops(shops, user.role, acting)
    if limits == user.shops:
        return
    if acting.is_person(user.id):
        raise OwnAccount
    before, user.shops = user.shops, limits
    if before is not None and not (limits is not None and set(limits) <= set(before)):
        end_links(user.id)  # somebody who may not manage such a person may have made one
    renew_streams([user.id])
    audit("shops_changed", actor=acting, user=user.id, before=before, after=limits)


def disable(user_id: int, *, actor: Actor) -> None:
    """Disable a person, and end their sessions, live streams and links at once."""
    user, acting = _lock(user_id, actor)
    if user.disabled_at is not None:
        return
    if refusal := removal_refusal(user, acting):
        raise refusal
    user.disabled_at = now()
    end_links(user.id)
    ended = end_sessions(user.id)
    audit("user_disabled", actor=acting, user=user.id, sessions=ended)


def enable(user_id: int, *, actor: Actor) -> None:
    """Enable a person again, with their former password and role."""
    user, acting = _lock(user_id, actor)
    if user.disabled_at is not None:
        user.disabled_at = None
        audit("user_enabled", actor=acting, user=user.id)


def sign_out(user_id: int, *, actor: Actor) -> int:
    """End all sessions of a person; returns their number."""
    user, acting = _lock(user_id, actor)
    ended = end_sessions(user.id)
    audit("sessions_ended", actor=acting, user=user_id, sessions=ended)
    return ended


def end_session(user_id: int, session_id: int, *, actor: Actor) -> None:
    """End one session of a person; no error if it has already ended."""
    user, acting = _lock(user_id, actor)
    if end_sessions(user.id, only=session_id):
        audit("sessions_ended", actor=acting, user=user_id, sessions=1)


def _lock(user_id: int, actor: Actor) -> tuple[User, Actor]:
    """The person, locked with the owners and the actor; and the actor with the rights of this moment, which alone
    decide. Raises `Forbidden`.
    """
    actor.needs("users.edit")
    found, acting = lock_acting(actor, user_id)
    acting.needs("users.edit")
    if user_id not in found:
        raise NotFound(name=user_id)
    check_manages(found[user_id], acting)
    return found[user_id], acting


def removal_refusal(user: User, actor: Actor) -> DeskError | None:
    """Why this person can neither be disabled nor get another role; certain only while the owners are locked."""
    if actor.is_person(user.id):
        return OwnAccount()
    others = select(User.id).where(User.role == OWNER, User.disabled_at.is_(None), User.id != user.id)
    if user.role == OWNER and user.disabled_at is None and db.session.scalar(others.limit(1)) is None:
        return LastOwner(name=user.name or user.email)
    return None


# --- One's own account ------------------------------------------------------------------------------------------------


def change_name(user_id: int, name: str) -> None:
    """Change one's own name, also where it is shown with past acts."""
    set_name(db.session.get_one(User, user_id), name)


def change_email(proof: Proof, email: str) -> None:
    """Change one's own address; links sent to the former address end."""
    user, address = prove(proof), checked_email(email)
    if address == user.email:
        return
    if address.lower() != user.email.lower():
        check_unused(address)
    user.email = address
    flush_address()
    end_links(user.id)
    audit("email_changed", actor=user.as_actor(), user=user.id)


def change_password(proof: Proof, password_hash: str, *, keep: int) -> None:
    """Change one's own password, which ends one's links and all sessions except the one to keep."""
    set_password(prove(proof), password_hash, keep=keep)


def end_own_sessions(user_id: int, *, keep: int | None = None, only: int | None = None) -> int:
    """End one's own sessions: all except one, or only one; returns their number."""
    ended = end_sessions(user_id, keep=keep, only=only)
    if ended:
        actor = db.session.get_one(User, user_id).as_actor()
        audit("sessions_ended", actor=actor, user=user_id, sessions=ended)
    return ended


# --- What pages read --------------------------------------------------------------------------------------------------


def get_person(user_id: int) -> User:
    """A person with their role, in one query; raises `NotFound`."""
    user = db.session.get(User, user_id, options=[joinedload(User.changed_role)])
    if user is None:
        raise NotFound(name=user_id)
    return user


def find_people(text: str = "", state: str = "") -> list[PersonRow]:
    """People whose name or address contains all the words, by name; with `state`, only those in this state.

    All people are read and filtered here: staff are few, and the two databases compare accents differently.
    """
    words = _folded(text).split()
    columns = (User.id, User.name, User.email, User.role, User.shops, User.disabled_at, User.password_hash)
    query = select(*columns, User.signed_in_at)
    found = []
    for row in db.session.execute(query):
        own, searched = state_of(row), _folded(f"{row.name} {row.email}")
        if (not state or own == state) and all(word in searched for word in words):
            shops = None if row.shops is None or row.role == OWNER else tuple(row.shops)
            found.append(PersonRow(row.id, row.name, row.email, row.role, shops, own, row.signed_in_at))
    return sorted(found, key=lambda person: (_folded(person.name or person.email), person.id))


def state_of(person: User | Row[*tuple[Any, ...]]) -> str:
    """`disabled`; `invited`: without a password and never signed in; or `active`."""
    if person.disabled_at:
        return "disabled"
    return "active" if person.password_hash or person.signed_in_at else "invited"


def _folded(text: str) -> str:
    """The text in lower case and without accents."""
    return "".join(letter for letter in normalize("NFKD", text.casefold()) if not combining(letter))


def session_counts(user_ids: Iterable[int]) -> dict[int, int]:
    """How many sessions of these people are open."""
    query = select(UserSession.user_id, func.count()).where(
        UserSession.user_id.in_(list(user_ids)), UserSession.expires_at > now()
    )
    return dict(db.session.execute(query.group_by(UserSession.user_id)).all())


def sessions_of(user_id: int) -> list[UserSession]:
    """The open sessions of a person, the most recently used first."""
    query = select(UserSession).where(UserSession.user_id == user_id, UserSession.expires_at > now())
    return list(db.session.scalars(query.order_by(UserSession.seen_at.desc(), UserSession.id.desc())))


def open_link_of(user_id: int) -> SignInLink | None:
    """The link by which this person can still sign in, if there is one."""
    query = select(SignInLink).where(SignInLink.user_id == user_id, SignInLink.used_at.is_(None))
    return db.session.scalar(query.where(SignInLink.expires_at > now()).order_by(SignInLink.id.desc()).limit(1))


def may_manage(user: User, actor: Actor) -> bool:
    """Whether the actor may change this person's account; each change checks again, with the rights of that moment."""
    if not actor.may("users.edit"):
        return False
    try:
        check_manages(user, actor)
    except Forbidden:
        return False
    return True

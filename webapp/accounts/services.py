"""Signing in and out, one-time links, the first owner.

Amazon's data protection policy asks for passwords of at least twelve characters of mixed kinds that do not hold the
user's name; the same rule holds for every desk.
"""

import hashlib
import re
import secrets
from datetime import timedelta

from argon2 import PasswordHasher
from argon2.exceptions import Argon2Error, InvalidHashError
from email_validator import EmailNotValidError, validate_email
from sqlalchemy import delete, func, select, update

from webapp.accounts.models import SignInLink, User, UserSession
from webapp.audit.actor import ROLES, Actor, ActorKind
from webapp.audit.services import audit
from webapp.clock import now
from webapp.db import db
from webapp.errors import DeskError, Invalid, NotFound
from webapp.i18n import lazy_gettext as _l

SESSION_LIFE = timedelta(days=14)
LINK_LIFE = timedelta(hours=24)
SEEN_STEP = timedelta(minutes=5)  # a session's last use is written at most this often
_hasher = PasswordHasher()


class SignInRefused(DeskError):
    """Wrong address or password; which of them is not said."""

    code, status = "sign_in_refused", 422
    sentence = _l("This e-mail address and password don't belong together.")


class OwnerIsThere(DeskError):
    """The set-up link is for a desk without an owner."""

    code = "owner_is_there"
    sentence = _l("This desk has an owner already. Name the person whom the link shall let in.")


class LinkRefused(DeskError):
    """The link was used, has expired, or never was."""

    code, status = "link_refused", 410
    sentence = _l("This link has been used or has expired. Ask for a new one: “python -m webapp user link”.")


def has_owner() -> bool:
    return (
        db.session.scalar(select(User.id).where(User.role == "owner", User.disabled_at.is_(None)).limit(1)) is not None
    )


def get_user(email: str) -> User:
    user = db.session.scalar(select(User).where(func.lower(User.email) == email.strip().lower()))
    if user is None:
        raise NotFound(name=email)
    return user


def create_user(*, email: str, role: str, password: str | None, actor: Actor, name: str = "") -> User:
    """A new person; without a password only a one-time link lets them in."""
    actor.needs("users.edit")
    if role not in ROLES:
        raise Invalid(field=_l("Role"), problem=_l("must be one of: %(choices)s.", choices=", ".join(ROLES)))
    address = _checked_email(email)
    if db.session.scalar(select(User.id).where(func.lower(User.email) == address.lower())):
        raise Invalid(field=_l("E-mail"), problem=_l("somebody with this address is here already."))
    user = User(email=address, name=name.strip(), role=role, created_at=now())
    if password is not None:
        user.password_hash = hashed(password, address)
    db.session.add(user)
    db.session.flush()
    audit("user_created", actor=actor, user=user.id, role=role)
    return user


def hashed(password: str, email: str) -> str:
    """The password's Argon2 hash; raises `Invalid` where it breaks the rule."""
    kinds = sum(bool(re.search(kind, password)) for kind in (r"[a-z]", r"[A-Z]", r"\d", r"[^A-Za-z\d]"))
    name = email.partition("@")[0].lower()
    if len(password) < 12 or kinds < 3 or (len(name) > 2 and name in password.lower()):
        raise Invalid(
            field=_l("Password"),
            problem=_l("at least 12 characters, of three kinds (a, A, 1, #), without your address in it."),
        )
    return _hasher.hash(password)


def authenticated(email: str, password: str) -> User:
    """The person of this address and password; as slow for an unknown address as for a known one.

    Hashing takes its time, so call it outside of a unit of work.
    """
    user = db.session.scalar(select(User).where(func.lower(User.email) == email.strip().lower()))
    known = user is not None and user.password_hash is not None and user.disabled_at is None
    if not _verified(user.password_hash if user is not None and known else None, password) or user is None:
        raise SignInRefused
    return user


def _verified(password_hash: str | None, password: str) -> bool:
    if password_hash is None:
        _hasher.hash(password)  # takes as long as a verification
        return False
    try:
        return _hasher.verify(password_hash, password)
    except (Argon2Error, InvalidHashError):
        return False


def open_session(user: User, *, how: str) -> str:
    """Sign this user in; the token goes to the browser, only its hash stays."""
    token = secrets.token_urlsafe(32)
    at = now()
    row = UserSession(
        token_hash=_digest(token), user_id=user.id, created_at=at, seen_at=at, expires_at=at + SESSION_LIFE
    )
    user.last_seen_at = at
    db.session.add(row)
    audit("signed_in", actor=user.as_actor(), how=how)
    return token


def session_of(token: str) -> UserSession | None:
    """The live session of a token; None where it was ended, has expired or its user was disabled."""
    row = db.session.scalar(select(UserSession).where(UserSession.token_hash == _digest(token)))
    if row is None or row.expires_at <= now() or row.user.disabled_at is not None:
        return None
    return row


def touch_session(session_id: int) -> None:
    db.session.execute(update(UserSession).where(UserSession.id == session_id).values(seen_at=now()))


def forget_ended() -> None:
    """Delete the sessions and links that have ended; the audit keeps that they were."""
    for model in (UserSession, SignInLink):
        db.session.execute(delete(model).where(model.expires_at < now()))


def close_session(token: str, *, actor: Actor) -> None:
    db.session.execute(delete(UserSession).where(UserSession.token_hash == _digest(token)))
    audit("signed_out", actor=actor)


def make_link(user: User | None, *, actor: Actor, life: timedelta = LINK_LIFE) -> str:
    """A one-time token; without a user it is the first owner's, and earlier ones of that kind end."""
    if user is None:
        if has_owner():
            raise OwnerIsThere
        db.session.execute(delete(SignInLink).where(SignInLink.user_id.is_(None)))
    token = secrets.token_urlsafe(24)
    db.session.add(
        SignInLink(
            token_hash=_digest(token), user_id=user.id if user else None, created_at=now(), expires_at=now() + life
        )
    )
    audit("link_made", actor=actor, user=user.id if user else None)
    return token


def find_link(token: str) -> SignInLink:
    """A link that may still be used; raises `LinkRefused`."""
    link = db.session.scalar(select(SignInLink).where(SignInLink.token_hash == _digest(token)))
    if link is None or link.used_at is not None or link.expires_at <= now():
        raise LinkRefused
    return link


def use_link(token: str) -> str:
    """Sign in by a user's link; a second use is refused, also at the same instant."""
    link = _spend(token)
    user = db.session.get(User, link.user_id) if link.user_id else None
    if user is None or user.disabled_at is not None:
        raise LinkRefused
    return open_session(user, how="link")


def set_up_owner(token: str, *, email: str, name: str, password: str) -> str:
    """Make the first owner by the set-up link and sign them in; a mistake in the form leaves the link good."""
    address, secret = _checked_email(email), hashed(password, email)
    link = _spend(token)
    if link.user_id is not None or has_owner():
        raise LinkRefused
    user = User(email=address, name=name.strip(), role="owner", password_hash=secret, created_at=now())
    db.session.add(user)
    db.session.flush()
    audit("user_created", actor=Actor(ActorKind.PERSON, id=user.id), user=user.id, role="owner")
    return open_session(user, how="set_up")


def _spend(token: str) -> SignInLink:
    link = find_link(token)
    spent = db.session.execute(
        update(SignInLink).where(SignInLink.id == link.id, SignInLink.used_at.is_(None)).values(used_at=now())
    )
    if spent.rowcount != 1:  # type: ignore[attr-defined]
        raise LinkRefused
    return link


def _checked_email(email: str) -> str:
    try:
        return validate_email(email.strip(), check_deliverability=False, test_environment=True).normalized
    except EmailNotValidError:
        raise Invalid(field=_l("E-mail"), problem=_l("this is no e-mail address.")) from None


def _digest(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()

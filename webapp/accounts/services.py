"""Passwords, signing in and out, one-time links, the first owner. Changes to people's accounts are in `people`.

A password is checked or hashed before the unit of work begins: it takes long, and nobody else shall wait for it.
Marketplaces ask for passwords of at least twelve characters of mixed kinds that do not hold the user's name; the rule
holds for every desk.
"""

import hashlib
import re
import secrets
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import timedelta

from argon2 import PasswordHasher
from argon2.exceptions import Argon2Error, InvalidHashError
from email_validator import EmailNotValidError, validate_email
from sqlalchemy import delete, func, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import joinedload

from webapp.accounts.hashing import turn
from webapp.accounts.locking import lock_user
from webapp.accounts.models import Role, SignInLink, User, UserSession, rights_of
from webapp.audit.actor import Actor, ActorKind
from webapp.audit.rights import BUILT_IN, OWNER
from webapp.audit.services import audit
from webapp.clock import now
from webapp.db import any_row, db, delete_some, once_a_transaction
from webapp.errors import DeskError, Invalid, NotFound
from webapp.i18n import lazy_gettext as _l
from webapp.jobs.models import Run
from webapp.live import ACCESS_CHANGED, publish

SESSION_LIFE = timedelta(days=14)
LINK_LIFE = timedelta(hours=24)
SEEN_STEP = timedelta(minutes=5)  # a session's last use is written at most this often
REFUNDING = "orders.refund"  # the right that limits of refunds are about
LONGEST_PASSWORD, LONGEST_NAME, LONGEST_AGENT = 1_000, 100, 300
_hasher = PasswordHasher()


@dataclass(frozen=True, slots=True)
class Proof:
    """Proof that somebody knew the password of an account; invalid once the password has changed."""

    user_id: int
    password_hash: str


@dataclass(frozen=True, slots=True)
class Device:
    """The browser from which somebody signs in, as the list of their sessions shows it."""

    agent: str = ""  # its User-Agent
    source: str = ""  # its network address


class SignInRefused(DeskError):
    """Wrong address or password; the message does not say which."""

    code, status = "sign_in_refused", 422
    sentence = _l("The e-mail address or the password is wrong.")


class OwnerIsThere(DeskError):
    """The set-up link is for a desk without an owner."""

    code = "owner_is_there"
    sentence = _l("This desk already has an owner. Give the e-mail address of the person who needs the link.")


class AccountDisabled(DeskError):
    """Nobody can sign in to a disabled account."""

    code = "account_disabled"
    sentence = _l("The account of %(name)s is disabled. Enable it first.")


class OwnLink(DeskError):
    """A link lets its bearer choose a password; for one's own account that requires the present password."""

    code = "own_link"
    sentence = _l(
        "Nobody can create a link for their own account. Change your password under “Your account”, or ask "
        "somebody else who manages people for a link."
    )


class LinkRefused(DeskError):
    """The link was used, has expired, or never existed."""

    code, status = "link_refused", 410
    sentence = _l("This link has been used or has expired. Ask for a new one: “python -m webapp user link”.")


def has_owner() -> bool:
    return db.session.scalar(select(User.id).where(User.role == OWNER, User.disabled_at.is_(None)).limit(1)) is not None


def starter_of(run: Run) -> Actor:
    """Who began the run, with the rights of this moment; whoever was let go since has none."""
    if run.actor_kind == ActorKind.OPERATOR:
        return Actor.operator()
    user = db.session.get(User, run.actor_id) if run.actor_kind == ActorKind.PERSON else None
    if user is None or user.disabled_at is not None:
        return Actor(ActorKind(run.actor_kind), id=run.actor_id)
    return user.as_actor()


class UnknownPerson(NotFound):
    """Nobody has this address, or who has it is disabled."""

    code = "unknown_person"
    sentence = _l("There is no person “%(name)s”.")


def get_user(email: str) -> User:
    user = db.session.scalar(select(User).where(func.lower(User.email) == email.strip().lower()))
    if user is None:
        raise UnknownPerson(name=email)
    return user


def create_user(
    *,
    email: str,
    role: str,
    actor: Actor,
    password_hash: str | None = None,
    name: str = "",
    shops: Collection[int] | None = None,
) -> User:
    """Add a person. Without a password, which is hashed before, they can only enter by a one-time link. Without
    `shops` they work for all of them.
    """
    actor.needs("users.edit")
    check_role(role, actor)
    limits = checked_shops(shops, role, actor)
    address = checked_email(email)
    check_unused(address)
    user = User(email=address, name=checked_name(name), role=role, password_hash=password_hash, created_at=now())
    user.shops = limits
    db.session.add(user)
    flush_address()
    audit("user_created", actor=actor, user=user.id, role=role, shops=limits)
    return user


def stored_role(code: str) -> Role | None:
    """The row of a role as it is now; None for an unchanged built-in role, and for an unknown code."""
    return db.session.get(Role, code, populate_existing=True) if code.isprintable() else None


def refund_limit(actor: Actor, currency: str) -> int | None:
    """The most that the actor may refund without somebody else's approval, in minor units; None: no limit. A role that
    has limits has none to give in a currency without one.
    """
    limits = refund_limits(actor)
    return limits.get(currency, 0) if limits else None


def refund_limits(actor: Actor) -> dict[str, int]:
    """The limits of the actor's role in minor units by currency; empty for none, as owners have."""
    if actor.kind is not ActorKind.PERSON:
        return {}
    return once_a_transaction(f"refund limits of {actor.id}", lambda: _refund_limits(actor.id))


def _refund_limits(user_id: int | None) -> dict[str, int]:
    query = select(Role.refund_limits).join(User, User.role == Role.code).where(User.id == user_id, Role.code != OWNER)
    return dict(db.session.scalar(query) or {})


class AboveOwnLimits(DeskError):
    """Nobody lets others, or themselves, refund more without approval than they may."""

    code, status = "above_own_limits", 403
    sentence = _l("People of this role could refund more without approval than you may.")


def check_limits(rights: Collection[str], limits: Mapping[str, int], actor: Actor) -> None:
    """Raise `AboveOwnLimits` if people with these rights and limits may refund more without approval than the actor."""
    own = refund_limits(actor)
    if not own or REFUNDING not in rights:
        return
    if not limits or any(minor > own.get(currency, 0) for currency, minor in limits.items()):
        raise AboveOwnLimits


def check_role(role: str, actor: Actor) -> frozenset[str]:
    """The rights of this role. Raises unless the role exists and the actor has all of its rights."""
    stored = stored_role(role)
    if stored is None and role not in BUILT_IN:
        added = select(Role.code).where(Role.code.not_in(BUILT_IN)).order_by(Role.code)
        known = (*BUILT_IN, *db.session.scalars(added))
        raise Invalid(
            field=_l("Role"), problem=_l("Choose one of these values: %(choices)s.", choices=", ".join(known))
        )
    found = rights_of(role, stored)
    check_rights(found, actor)
    check_limits(found, dict(stored.refund_limits or {}) if stored else {}, actor)
    return found


class OwnersServeAll(Invalid):
    """An owner must work for all shops."""

    def __init__(self) -> None:
        super().__init__(field=_l("Shops"), problem=_l("An owner always works for all shops."))


def checked_shops(shops: Collection[int] | None, role: str, actor: Actor) -> list[int] | None:
    """The shops for which a person of this role is to work. Raises `Forbidden` if the actor does not work for all of
    them.
    """
    if shops is None:
        actor.needs_all_shops()
        return None
    if role == OWNER:
        raise OwnersServeAll
    actor.needs_shops(shops)
    return sorted(set(shops))


def check_rights(rights: Iterable[str], actor: Actor) -> None:
    """Raise `Forbidden` if a person's rights go beyond the actor's: nobody manages a person with more rights."""
    for right in sorted(rights):
        actor.needs(right)


def check_manages(user: User, actor: Actor) -> None:
    """Raise `Forbidden` if this person has more rights than the actor, or works for other shops."""
    theirs = user.as_actor()
    check_rights(theirs.rights, actor)
    if theirs.shops is None:
        actor.needs_all_shops()
    else:
        actor.needs_shops(theirs.shops)


def check_unused(address: str) -> None:
    """Raise `Invalid` if an account has this e-mail address."""
    if db.session.scalar(select(User.id).where(func.lower(User.email) == address.lower())):
        raise _taken()


def flush_address() -> None:
    """Write a user's address; raises `Invalid` if another account got it at the same moment."""
    try:
        db.session.flush()
    except IntegrityError:
        raise _taken() from None


def _taken() -> Invalid:
    return Invalid(field=_l("E-mail"), problem=_l("Another person already has this e-mail address."))


def checked_name(name: str) -> str:
    """The name with single spaces and without invisible characters; raises `Invalid` for one too long for a page."""
    clean = "".join(letter for letter in " ".join(name.split()) if letter.isprintable())
    if len(clean) > LONGEST_NAME:
        raise Invalid(field=_l("Name"), problem=_l("Enter at most %(count)s characters.", count=LONGEST_NAME))
    return clean


def hashed(password: str, email: str) -> str:
    """The password's Argon2 hash; raises `Invalid` if the password breaks the rule, `TooManyAtOnce` if too many
    wait.
    """
    kinds = sum(bool(re.search(kind, password)) for kind in (r"[a-z]", r"[A-Z]", r"\d", r"[^A-Za-z\d]"))
    name = email.partition("@")[0].lower()
    fits = 12 <= len(password) <= LONGEST_PASSWORD
    if not fits or kinds < 3 or (len(name) > 2 and name in password.lower()):
        raise Invalid(
            field=_l("Password"),
            problem=_l("Use at least 12 characters of three kinds (a, A, 1, #), without your e-mail address."),
        )
    with turn(known=True):
        return _hasher.hash(password)


def authenticated(email: str, password: str, *, known: bool = False) -> Proof:
    """Proof that this is the account's password; as slow for an unknown address as for a known one.

    `known` people have places of their own in the queue for checking. Raises `SignInRefused` or `TooManyAtOnce`.
    """
    if "\0" in email:
        raise SignInRefused  # PostgreSQL does not accept such text
    query = select(User.id, User.password_hash).where(User.disabled_at.is_(None), User.password_hash.is_not(None))
    found = db.session.execute(query.where(func.lower(User.email) == email.strip().lower())).first()
    with turn(known=known):
        if not _verified(found.password_hash if found else None, password) or found is None:
            raise SignInRefused
    return Proof(found.id, found.password_hash)


def _verified(password_hash: str | None, password: str) -> bool:
    if len(password) > LONGEST_PASSWORD:
        return False
    if password_hash is None:
        _hasher.hash(password)  # takes as long as a verification
        return False
    try:
        return _hasher.verify(password_hash, password)
    except (Argon2Error, InvalidHashError):
        return False


def prove(proof: Proof) -> User:
    """The account, locked; raises `SignInRefused` if it was disabled or its password changed after the proof."""
    user = lock_user(proof.user_id)
    if user.disabled_at is not None or user.password_hash != proof.password_hash:
        raise SignInRefused
    return user


def sign_in(proof: Proof, *, device: Device = Device()) -> str:
    """Open a session for a proven password; returns its token."""
    return open_session(prove(proof), how="password", device=device)


def open_session(user: User, *, how: str, device: Device = Device()) -> str:
    """Open a session for this user; the token goes to the browser, only its hash is stored."""
    token = secrets.token_urlsafe(32)
    at = now()
    row = UserSession(
        token_hash=_digest(token),
        user_id=user.id,
        created_at=at,
        seen_at=at,
        expires_at=at + SESSION_LIFE,
        agent=device.agent[:LONGEST_AGENT],
        source=device.source,
    )
    user.signed_in_at = at
    db.session.add(row)
    audit("signed_in", actor=user.as_actor(), how=how)
    return token


def session_of(token: str) -> UserSession | None:
    """The live session of a token; None if it was ended, has expired or its user is disabled."""
    with_role = joinedload(UserSession.user, innerjoin=True).joinedload(User.changed_role)
    query = select(UserSession).where(UserSession.token_hash == _digest(token)).options(with_role)
    row = db.session.scalar(query)
    if row is None or row.expires_at <= now() or row.user.disabled_at is not None:
        return None
    return row


def touch_session(session_id: int) -> None:
    db.session.execute(update(UserSession).where(UserSession.id == session_id).values(seen_at=now()))


def forget_ended() -> bool:
    """Delete some of the sessions and links that have ended; the audit keeps them. Returns whether more may be left."""
    left = [delete_some(model, model.expires_at < now()) for model in (UserSession, SignInLink)]
    return any(left)


def any_ended() -> bool:
    """Whether there are sessions or links that have ended."""
    return any(any_row(model, model.expires_at < now()) for model in (UserSession, SignInLink))


def close_session(token: str, *, actor: Actor) -> None:
    """End the session of a token, with the live streams of its pages."""
    if row := db.session.scalar(select(UserSession).where(UserSession.token_hash == _digest(token))):
        end_sessions(row.user_id, only=row.id)
    audit("signed_out", actor=actor)


def make_link(user: User | None, *, actor: Actor, life: timedelta = LINK_LIFE) -> str:
    """Make a one-time link and return its token; the user's earlier links end. Without a user it is for the first
    owner.

    Raises `OwnLink` if the actor is the user: whoever had stolen the session could keep access by it.
    """
    if user is None:
        if has_owner():
            raise OwnerIsThere
    else:
        actor.needs("users.edit")
        check_manages(user, actor)
        if actor.is_person(user.id):
            raise OwnLink
        if user.disabled_at is not None:
            raise AccountDisabled(name=user.name or user.email)
    end_links(user.id if user else None)
    token = secrets.token_urlsafe(24)
    db.session.add(
        SignInLink(
            token_hash=_digest(token), user_id=user.id if user else None, created_at=now(), expires_at=now() + life
        )
    )
    audit("link_made", actor=actor, user=user.id if user else None)
    return token


def end_links(user_id: int | None) -> None:
    """End the links of this user, or those for the first owner."""
    db.session.execute(delete(SignInLink).where(SignInLink.user_id.is_not_distinct_from(user_id)))


def find_link(token: str) -> SignInLink:
    """A link that can still be used; raises `LinkRefused`."""
    link = db.session.scalar(select(SignInLink).where(SignInLink.token_hash == _digest(token)))
    if link is None or link.used_at is not None or link.expires_at <= now():
        raise LinkRefused
    return link


def use_link(
    token: str,
    *,
    password_hash: str | None = None,
    name: str = "",
    device: Device = Device(),
) -> str:
    """Sign in by a user's link; a second use is refused, also at the same moment.

    A new password ends the account's other sessions. An account without a password needs one here.
    """
    link = _spend(token)
    user = lock_user(link.user_id) if link.user_id else None
    if user is None or user.disabled_at is not None:
        raise LinkRefused
    if user.password_hash is None and password_hash is None:
        raise Invalid(field=_l("Password"), problem=_l("Choose a password. You need it the next time you sign in."))
    if name.strip():
        set_name(user, name)
    if password_hash is not None:
        set_password(user, password_hash)
    return open_session(user, how="link", device=device)


def set_name(user: User, name: str) -> None:
    """Change the account's name, also where it is shown with past acts."""
    if (new := checked_name(name)) != user.name:
        user.name = new
        audit("name_changed", actor=user.as_actor(), user=user.id)


def set_password(user: User, password_hash: str, *, keep: int | None = None) -> None:
    """Change the account's password, which ends its links and all its sessions except one."""
    user.password_hash = password_hash
    end_links(user.id)
    end_sessions(user.id, keep=keep)
    audit("password_changed", actor=user.as_actor(), user=user.id)


def end_sessions(user_id: int, *, keep: int | None = None, only: int | None = None) -> int:
    """End the sessions of a user (all except one, or only one), with the live streams of their pages; returns their
    number.
    """
    mine = select(UserSession.id).where(UserSession.user_id == user_id)
    mine = mine.where(UserSession.id != keep) if keep is not None else mine
    ended = list(db.session.scalars(mine.where(UserSession.id == only) if only is not None else mine))
    db.session.execute(delete(UserSession).where(UserSession.id.in_(ended)))
    publish(ACCESS_CHANGED, ended)
    return len(ended)


def renew_streams(user_ids: Iterable[int]) -> None:
    """Restart the live streams of these people, with what they may see now."""
    publish(ACCESS_CHANGED, list(db.session.scalars(select(UserSession.id).where(UserSession.user_id.in_(user_ids)))))


def set_up_owner(
    token: str,
    *,
    email: str,
    name: str,
    password_hash: str,
    device: Device = Device(),
) -> str:
    """Create the first owner by the set-up link and sign them in; an error in the form leaves the link valid."""
    address = checked_email(email)
    link = _spend(token)
    if link.user_id is not None or has_owner():
        raise LinkRefused
    user = User(email=address, name=checked_name(name), role=OWNER, password_hash=password_hash, created_at=now())
    db.session.add(user)
    db.session.flush()
    audit("user_created", actor=Actor(ActorKind.PERSON, id=user.id), user=user.id, role=OWNER)
    return open_session(user, how="set_up", device=device)


def _spend(token: str) -> SignInLink:
    link = find_link(token)
    spent = db.session.execute(
        update(SignInLink).where(SignInLink.id == link.id, SignInLink.used_at.is_(None)).values(used_at=now())
    )
    if spent.rowcount != 1:  # type: ignore[attr-defined]
        raise LinkRefused
    return link


def checked_email(email: str) -> str:
    """The address in its normal form; raises `Invalid` for text that is not an address."""
    try:
        return validate_email(email.strip(), check_deliverability=False, test_environment=True).normalized
    except EmailNotValidError:
        raise Invalid(field=_l("E-mail"), problem=_l("This is not an e-mail address. Correct it.")) from None


def _digest(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()

"""Roles: what the people who have one may do. Of the five built-in roles all but the owner's can be changed, and
others can be added.

Nobody changes a role to or from one with more rights than they have. Changes of people and roles wait for each other,
and decide by the rights of that moment. A change holds from the next request on.
"""

import hashlib
import json
import re
import secrets
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from unicodedata import normalize

from sqlalchemy import func, select

from webapp.accounts.locking import lock_acting
from webapp.accounts.models import Role, User
from webapp.accounts.refund_limits import read_limits, written
from webapp.accounts.services import check_limits, check_rights, checked_name, end_links, renew_streams, stored_role
from webapp.audit.actor import Actor
from webapp.audit.rights import BUILT_IN, OWNER, rights, rights_of_built_in
from webapp.audit.services import audit
from webapp.db import db
from webapp.errors import DeskError, Invalid, NotFound, Stale
from webapp.i18n import LazyString, lazy_gettext as _l

MOST = 50  # roles beside the built-in ones
_TAKEN = {"add"}  # stands for a role's code in an address


class OwnersRole(DeskError):
    """Without an owner who may do everything nobody could give a right again."""

    code = "owners_role"
    sentence = _l("Owners may do everything: this role can't be changed.")


class RoleInUse(DeskError):
    """People have the role."""

    code = "role_in_use"
    sentence = _l("The role “%(role)s” is in use (people: %(count)s). Give these people another role first.")


class RoleChanged(Stale):
    """Somebody else changed the role after its form was opened."""

    code = "role_changed"
    sentence = _l(
        "Somebody changed this role while you were looking at it. Check it and save again: what you chose is kept."
    )


@dataclass(frozen=True, slots=True)
class RoleRow:
    """A role as pages and lists show it."""

    code: str
    label: LazyString | str
    base: str
    rights: frozenset[str]
    changed: bool  # a built-in role that was changed
    limits: Mapping[str, int]  # of refunds without approval, in minor units by currency; empty: none

    @property
    def built_in(self) -> bool:
        return self.code in BUILT_IN

    @property
    def version(self) -> str:
        """Changes whenever the role's name, rights or limits change."""
        shown = json.dumps([self.label if not self.built_in else "", sorted(self.rights), sorted(self.limits.items())])
        return hashlib.sha256(shown.encode()).hexdigest()[:16]

    @property
    def words(self) -> list[LazyString | str]:
        """The role's rights, in words."""
        return [right.label for code, right in rights().items() if code in self.rights]


def roles() -> dict[str, RoleRow]:
    """All roles by code: the built-in ones, then those that were added, by name."""
    stored = {row.code: row for row in db.session.scalars(select(Role))}
    found = {code: _row(code, stored.get(code)) for code in BUILT_IN}
    added = sorted((row for row in stored.values() if row.code not in BUILT_IN), key=lambda row: row.name.casefold())
    return found | {row.code: _row(row.code, row) for row in added}


class UnknownRole(NotFound):
    """No role has this code."""

    code = "unknown_role"
    sentence = _l("There is no role “%(name)s”.")


def get_role(code: str) -> RoleRow:
    """A role by its code; raises `NotFound`."""
    row = stored_role(code)
    if row is None and code not in BUILT_IN:
        raise UnknownRole(name=code)
    return _row(code, row)


def _row(code: str, stored: Role | None) -> RoleRow:
    if stored is None:
        return RoleRow(code, BUILT_IN[code], code, rights_of_built_in(code), changed=False, limits={})
    limits = dict(stored.refund_limits or {})
    changed = bool(stored.given or stored.taken or limits)
    return RoleRow(code, stored.label, stored.base, stored.rights, changed, limits)


def people_by_role() -> dict[str, int]:
    """The number of people with each role, disabled ones included."""
    return dict(db.session.execute(select(User.role, func.count()).group_by(User.role)).all())


def add_role(name: str, like: str, *, actor: Actor) -> str:
    """Add a role with the rights and limits of another; returns its code. Raises `Invalid` or `Forbidden`."""
    acting = _acting(actor)
    if like == OWNER or (like not in BUILT_IN and stored_role(like) is None):
        raise Invalid(field="like", problem=_l("A new role can't be based on this role. Choose another one."))
    clean, model = _free_name(name), get_role(like)
    check_rights(model.rights, acting)
    check_limits(model.rights, model.limits, acting)
    if (db.session.scalar(select(func.count()).select_from(Role)) or 0) >= MOST + len(BUILT_IN):
        raise Invalid(
            field="name",
            problem=_l("There are %(count)s roles already, and no more can be added. Delete one first.", count=MOST),
        )
    row = Role(
        code=_free_code(clean),
        name=clean,
        base=model.base,
        given=[],
        taken=[],
        refund_limits=dict(model.limits) or None,
    )
    _store(row, model.rights)
    db.session.add(row)
    db.session.flush()
    audit("role_added", actor=acting, role=row.code, like=like)
    return row.code


def change_role_rights(
    code: str,
    chosen: Collection[str],
    *,
    actor: Actor,
    name: str | None = None,
    version: str | None = None,
    limits: str | None = None,
) -> None:
    """Set the rights of a role and, unless None, up to what its people refund without approval (see `refund_limits`).
    If there are more rights than before, the links of its people end. `version` is the version that the person saw;
    raises `RoleChanged` if the role has another one.
    """
    if code == OWNER:
        raise OwnersRole
    acting = _acting(actor)
    _check_known(chosen)
    check_rights(chosen, acting)
    before = get_role(code)
    check_rights(before.rights, acting)
    wanted = before.limits if limits is None else read_limits(limits)
    check_limits(before.rights, before.limits, acting)
    check_limits(chosen, wanted, acting)
    if version is not None and version != before.version:
        raise RoleChanged
    row = stored_role(code)
    if row is None:
        row = Role(code=code, name="", base=code, given=[], taken=[])
        db.session.add(row)
    if name is not None and not before.built_in and (clean := " ".join(name.split())) != row.name:
        row.name = _free_name(clean, code)
        audit("role_renamed", actor=acting, role=code, name=row.name)
    _store(row, chosen)
    row.refund_limits = dict(wanted) or None
    if wanted != before.limits:
        audit("role_limits_changed", actor=acting, role=code, before=written(before.limits), after=written(wanted))
    db.session.flush()
    if before.built_in and not (row.given or row.taken or row.refund_limits):
        db.session.delete(row)
        db.session.flush()
    after = get_role(code).rights
    if after == before.rights:
        return
    holders = list(db.session.scalars(select(User.id).where(User.role == code)))
    if after - before.rights:
        for user_id in holders:
            end_links(user_id)
    renew_streams(holders)
    audit(
        "role_rights_changed",
        actor=acting,
        role=code,
        given=sorted(after - before.rights),
        taken=sorted(before.rights - after),
    )


def adjust_role_rights(
    code: str, *, give: Collection[str], take: Collection[str], actor: Actor, limits: str | None = None
) -> None:
    """Add rights to a role and remove others, beside concurrent changes of other rights; with `limits`, set its limits
    of refunds.
    """
    _check_known({*give, *take})
    acting = _acting(actor)
    change_role_rights(code, (get_role(code).rights | set(give)) - set(take), actor=acting, limits=limits)


def delete_role(code: str, *, actor: Actor) -> None:
    """Delete a role that was added and that nobody has."""
    acting = _acting(actor)
    row = stored_role(code) if code not in BUILT_IN else None
    if row is None:
        raise UnknownRole(name=code)
    check_rights(row.rights, acting)
    if count := people_by_role().get(code):
        raise RoleInUse(count=count, role=row.name)
    db.session.delete(row)
    audit("role_deleted", actor=acting, role=code)


def _check_known(codes: Collection[str]) -> None:
    if unknown := sorted(set(codes) - rights().keys()):
        raise Invalid(field="rights", problem=_l("There is no right “%(right)s”.", right=unknown[0]))


def may_change(actor: Actor) -> bool:
    """Whether the actor may change roles, which may belong to people of every shop."""
    return actor.may("roles.edit") and actor.shops is None


def _acting(actor: Actor) -> Actor:
    """The actor with the rights of this moment, while nobody else changes people or roles."""
    actor.needs("roles.edit")
    _found, acting = lock_acting(actor)
    acting.needs("roles.edit")
    acting.needs_all_shops()
    return acting


def _store(row: Role, chosen: Collection[str]) -> None:
    """Store the difference from the base; rights whose plugin is not loaded now stay as they were."""
    usual, known, wanted = rights_of_built_in(row.base), rights().keys(), set(chosen)
    row.given = sorted((wanted - usual) | (set(row.given) - known))
    row.taken = sorted((usual - wanted) | (set(row.taken) - known))


def _free_name(name: str, code: str = "") -> str:
    clean = checked_name(name)
    if not clean:
        raise Invalid(field="name", problem=_l("Enter a value."))
    if any(str(role.label).casefold() == clean.casefold() for role in roles().values() if role.code != code):
        raise Invalid(field="name", problem=_l("Another role has this name. Choose another name."))
    return clean


def _free_code(name: str) -> str:
    """A code in plain letters, for the command line and the audit; it never changes."""
    plain = normalize("NFKD", name).encode("ascii", "ignore").decode().lower()
    code = re.sub(r"[^a-z0-9]+", "_", plain).strip("_")[:40] or "role"
    taken = _TAKEN | roles().keys()
    return code if code not in taken else f"{code}_{secrets.token_hex(3)}"

"""Users, their roles, the sessions that they can see and end, and one-time links. Of tokens only hashes are stored."""

from datetime import datetime
from typing import Any

from sqlalchemy import ForeignKey, Index, text
from sqlalchemy.orm import Mapped, mapped_column, relationship

from webapp.audit.actor import Actor, ActorKind
from webapp.audit.rights import BUILT_IN, OWNER, all_rights, rights_of_built_in
from webapp.db import Model
from webapp.i18n import LazyString


class Role(Model):
    """A role that was added here, or a built-in one that was changed; the rights of the other roles are in the code.

    Stored is the difference from a built-in role, so that a right of a new version or plugin reaches the people of the
    roles for which it is meant.
    """

    __tablename__ = "roles"

    code: Mapped[str] = mapped_column(primary_key=True)
    name: Mapped[str]  # empty for a built-in role, whose name is translated
    base: Mapped[str]  # the built-in role on which it is based; a built-in role is based on itself
    given: Mapped[list[str]]  # rights beyond those of the base
    taken: Mapped[list[str]]  # rights of the base that it lacks
    refund_limits: Mapped[dict[str, Any] | None]  # minor units by currency; None: none

    @property
    def rights(self) -> frozenset[str]:
        return (rights_of_built_in(self.base) | (all_rights() & set(self.given))) - set(self.taken)

    @property
    def label(self) -> LazyString | str:
        return self.name or BUILT_IN[self.code]


def rights_of(role: str, stored: Role | None) -> frozenset[str]:
    """The rights of a role, from its row if it has one; none if the role no longer exists."""
    return stored.rights if stored is not None else rights_of_built_in(role)


class User(Model):
    """A person who works at the desk."""

    __tablename__ = "users"
    __table_args__ = (Index("uq_users_email_folded", text("lower(email)"), unique=True),)

    id: Mapped[int] = mapped_column(primary_key=True)
    email: Mapped[str]
    name: Mapped[str] = mapped_column(default="")
    password_hash: Mapped[str | None]
    role: Mapped[str]  # the code of a built-in role, or of a row of `roles`
    shops: Mapped[list[Any] | None]  # ids of the shops for which they work; None: all, also future ones
    language: Mapped[str | None]
    created_at: Mapped[datetime]
    disabled_at: Mapped[datetime | None]
    signed_in_at: Mapped[datetime | None]  # the last sign-in
    start_view: Mapped[str] = mapped_column(default="")  # a view of orders, or `subject:view`; empty: the dashboard

    changed_role: Mapped[Role | None] = relationship(primaryjoin="foreign(User.role) == Role.code", viewonly=True)

    @property
    def rights(self) -> frozenset[str]:
        return rights_of(self.role, self.changed_role)

    @property
    def role_label(self) -> LazyString | str:
        return self.changed_role.label if self.changed_role is not None else BUILT_IN.get(self.role, self.role)

    def as_actor(self) -> Actor:
        limited = self.shops is not None and self.role != OWNER
        return Actor(
            ActorKind.PERSON,
            id=self.id,
            name=self.name or self.email,
            rights=self.rights,
            shops=frozenset(self.shops or ()) if limited else None,
        )


class UserSession(Model):
    """A signed-in browser; revoked by deleting the row."""

    __tablename__ = "user_sessions"

    id: Mapped[int] = mapped_column(primary_key=True)
    token_hash: Mapped[str] = mapped_column(unique=True)
    user_id: Mapped[int] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"), index=True)
    created_at: Mapped[datetime]
    seen_at: Mapped[datetime]
    expires_at: Mapped[datetime]
    agent: Mapped[str] = mapped_column(default="", server_default="")  # what the browser calls itself
    source: Mapped[str] = mapped_column(default="", server_default="")  # the network address it signed in from
    user: Mapped[User] = relationship(lazy="joined", innerjoin=True)


class SignInLink(Model):
    """A link by which one person can sign in once; without a user it lets the first owner set up the desk."""

    __tablename__ = "sign_in_links"

    id: Mapped[int] = mapped_column(primary_key=True)
    token_hash: Mapped[str] = mapped_column(unique=True)
    user_id: Mapped[int | None] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"))
    created_at: Mapped[datetime]
    expires_at: Mapped[datetime]
    used_at: Mapped[datetime | None]

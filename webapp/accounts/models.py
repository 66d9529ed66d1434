"""Users, the sessions that they can see and end, and one-time links. Tokens are stored as hashes only."""

from datetime import datetime

from sqlalchemy import ForeignKey, Index, text
from sqlalchemy.orm import Mapped, mapped_column, relationship

from webapp.audit.actor import ROLES, Actor, ActorKind
from webapp.db import Model


class User(Model):
    """A person who works at the desk."""

    __tablename__ = "users"
    __table_args__ = (Index("uq_users_email_folded", text("lower(email)"), unique=True),)

    id: Mapped[int] = mapped_column(primary_key=True)
    email: Mapped[str]
    name: Mapped[str] = mapped_column(default="")
    password_hash: Mapped[str | None]
    role: Mapped[str]
    language: Mapped[str | None]
    created_at: Mapped[datetime]
    disabled_at: Mapped[datetime | None]
    signed_in_at: Mapped[datetime | None]  # the last time
    start_view: Mapped[str] = mapped_column(default="")  # the page to begin with: a view's code; empty: the dashboard

    def as_actor(self) -> Actor:
        return Actor(ActorKind.PERSON, id=self.id, name=self.name or self.email, rights=ROLES[self.role])


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
    """A link that lets one person in once; without a user it lets the first owner set up the desk."""

    __tablename__ = "sign_in_links"

    id: Mapped[int] = mapped_column(primary_key=True)
    token_hash: Mapped[str] = mapped_column(unique=True)
    user_id: Mapped[int | None] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"))
    created_at: Mapped[datetime]
    expires_at: Mapped[datetime]
    used_at: Mapped[datetime | None]

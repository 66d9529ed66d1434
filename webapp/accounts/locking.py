"""Locking accounts, so that a decision about people uses the rights that hold at that moment."""

from sqlalchemy import or_, select

from webapp.accounts.models import User
from webapp.audit.actor import Actor, ActorKind
from webapp.audit.rights import OWNER
from webapp.db import db
from webapp.errors import Forbidden, NotFound
from webapp.i18n import lazy_gettext as _l


def lock_user(user_id: int) -> User:
    """The user, locked and read again: ending an account's sessions and opening one wait for each other."""
    query = select(User).where(User.id == user_id).with_for_update(key_share=True, of=User)
    user = db.session.scalar(query.execution_options(populate_existing=True))
    if user is None:
        raise NotFound(name=user_id)
    return user


def lock_acting(actor: Actor, *others: int) -> tuple[dict[int, User], Actor]:
    """Owners, the actor and others, locked and read again; and the actor with the rights of this moment.

    Roles are read after the locks: PostgreSQL reads the locked rows again after it has waited, but not the roles of
    these people.
    """
    wanted = [*others, actor.id] if actor.kind is ActorKind.PERSON else others
    locking = select(User.id).where(or_(User.id.in_(wanted), User.role == OWNER)).order_by(User.id)
    locked = list(db.session.scalars(locking.with_for_update(key_share=True)))
    query = select(User).where(User.id.in_(locked)).execution_options(populate_existing=True)
    found = {user.id: user for user in db.session.scalars(query)}
    if actor.kind is ActorKind.PERSON:
        acting = found.get(actor.id or 0)
        if acting is None or acting.disabled_at is not None:
            raise Forbidden(right=_l("manage people"))
        actor = acting.as_actor()
    return found, actor

"""The actor: a value that every service gets as an argument, made once at the door."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Self

from webapp.audit.rights import right_label
from webapp.errors import Forbidden
from webapp.i18n import lazy_gettext as _l


class ActorKind(StrEnum):
    """The kind of an actor: a person, a job, a channel."""

    PERSON = "person"
    PLUGIN = "plugin"
    CHANNEL = "channel"
    JOB = "job"
    OPERATOR = "operator"


@dataclass(frozen=True, slots=True)
class Actor:
    """A person or a part of the system that acts, with its rights and the shops for which it works; None: all shops.

    An actor with `everything` has each right, also those of plugins that are loaded later.
    """

    kind: ActorKind
    id: int | None = None
    name: str = ""
    rights: frozenset[str] = field(default_factory=frozenset)
    shops: frozenset[int] | None = None
    everything: bool = False

    @classmethod
    def operator(cls) -> Self:
        """A person with a shell on the desk's machine: has every right, and is named in the record."""
        return cls(ActorKind.OPERATOR, everything=True)

    @classmethod
    def job(cls, name: str) -> Self:
        """Background work of the desk itself."""
        return cls(ActorKind.JOB, name=name, everything=True)

    @classmethod
    def channel(cls, store_id: int) -> Self:
        """A channel, as the source of news, by the store."""
        return cls(ActorKind.CHANNEL, id=store_id, everything=True)

    def is_person(self, user_id: int) -> bool:
        """Whether the actor is the person of this account."""
        return self.kind is ActorKind.PERSON and self.id == user_id

    def may(self, right: str) -> bool:
        return self.everything or right in self.rights

    def needs(self, right: str) -> None:
        """Raise `Forbidden` if the actor lacks the right."""
        if not self.may(right):
            raise Forbidden(right=right_label(right))

    def serves(self, shops: Iterable[int]) -> bool:
        """Whether the actor works for any of these shops."""
        return self.shops is None or not self.shops.isdisjoint(shops)

    def needs_shops(self, shops: Iterable[int]) -> None:
        """Raise `Forbidden` unless the actor works for all of these shops."""
        if self.shops is not None and not self.shops.issuperset(shops):
            raise Forbidden(right=_l("work for all of its shops"))

    def needs_all_shops(self) -> None:
        """Raise `Forbidden` unless the actor works for all shops, future ones included."""
        if self.shops is not None:
            raise Forbidden(right=_l("work for all shops"))

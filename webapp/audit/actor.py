"""Who acts: a value that every service gets as an argument, made once at the door."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Self

from webapp.audit.rights import right_label
from webapp.errors import Forbidden
from webapp.i18n import lazy_gettext as _l


class ActorKind(StrEnum):
    """What acts: somebody, or something."""

    PERSON = "person"
    PLUGIN = "plugin"
    CHANNEL = "channel"
    JOB = "job"
    OPERATOR = "operator"


@dataclass(frozen=True, slots=True)
class Actor:
    """Somebody or something that acts, with its rights, and the shops for which it works: None for all of them.

    What may do `everything` has each right, those of plugins too that are loaded after it was made.
    """

    kind: ActorKind
    id: int | None = None
    name: str = ""
    rights: frozenset[str] = field(default_factory=frozenset)
    shops: frozenset[int] | None = None
    everything: bool = False

    @classmethod
    def operator(cls) -> Self:
        """Whoever has a shell on the desk's machine: may do everything, and is named in the record."""
        return cls(ActorKind.OPERATOR, everything=True)

    @classmethod
    def job(cls, name: str) -> Self:
        """Background work of the desk itself."""
        return cls(ActorKind.JOB, name=name, everything=True)

    @classmethod
    def channel(cls, store_id: int) -> Self:
        """A channel's news, by the store that brought it."""
        return cls(ActorKind.CHANNEL, id=store_id, everything=True)

    def is_person(self, user_id: int) -> bool:
        """Whether the person of this account acts."""
        return self.kind is ActorKind.PERSON and self.id == user_id

    def may(self, right: str) -> bool:
        return self.everything or right in self.rights

    def needs(self, right: str) -> None:
        """Raise `Forbidden` unless the right is there."""
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
        """Raise `Forbidden` unless the actor works for all shops, those to come too."""
        if self.shops is not None:
            raise Forbidden(right=_l("work for all shops"))

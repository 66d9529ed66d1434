"""Who acts: a value that every service gets as an argument, made once at the door."""

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Self

from webapp.errors import Forbidden
from webapp.i18n import LazyString, lazy_gettext as _l

RIGHTS: dict[str, LazyString] = {
    "orders.view": _l("see orders"),
    "buyers.see": _l("see buyer data"),
    "orders.ship": _l("ship orders"),
    "orders.comment": _l("comment on orders"),
    "orders.hold": _l("hold orders and release them"),
    "orders.organize": _l("assign, tag, date, label and archive orders"),
    "orders.address": _l("change delivery addresses"),
    "orders.raw": _l("see a channel's raw answers"),
    "orders.export": _l("export orders"),
    "views.share": _l("share saved views"),
    "stores.view": _l("see stores"),
    "stores.edit": _l("add and change stores"),
    "stores.sync": _l("start a sync"),
    "updates.retry": _l("send updates again"),
    "settings.edit": _l("change settings"),
    "users.edit": _l("manage people"),
    "owners.edit": _l("manage owners"),
    "plugins.view": _l("see plugins"),
}

_PACKER = frozenset({"orders.view", "buyers.see", "orders.ship", "orders.comment", "orders.hold", "stores.view"})
_CLERK = _PACKER | {"orders.organize", "orders.address", "stores.sync", "updates.retry"}
_MANAGER = _CLERK | {
    "orders.raw", "orders.export", "views.share", "stores.edit", "settings.edit", "users.edit", "plugins.view"
}  # fmt: skip
ROLES: dict[str, frozenset[str]] = {
    "owner": frozenset(RIGHTS),
    "manager": frozenset(_MANAGER),
    "clerk": frozenset(_CLERK),
    "packer": _PACKER,
    "read_only": frozenset({"orders.view", "stores.view"}),
}
ROLE_LABELS: dict[str, LazyString] = {
    "owner": _l("Owner"),
    "manager": _l("Manager"),
    "clerk": _l("Clerk"),
    "packer": _l("Packer"),
    "read_only": _l("Read-only"),
}


class ActorKind(StrEnum):
    """What acts: somebody, or something."""

    PERSON = "person"
    PLUGIN = "plugin"
    CHANNEL = "channel"
    JOB = "job"
    OPERATOR = "operator"


@dataclass(frozen=True, slots=True)
class Actor:
    """Somebody or something that acts, with its rights; `shops` None means all of them."""

    kind: ActorKind
    id: int | None = None
    name: str = ""
    rights: frozenset[str] = field(default_factory=frozenset)
    shops: frozenset[int] | None = None

    @classmethod
    def operator(cls) -> Self:
        """Whoever has a shell on the desk's machine: may do everything, and is named in the record."""
        return cls(ActorKind.OPERATOR, rights=frozenset(RIGHTS))

    @classmethod
    def job(cls, name: str) -> Self:
        """Background work of the desk itself."""
        return cls(ActorKind.JOB, name=name, rights=frozenset(RIGHTS))

    @classmethod
    def channel(cls, store_id: int) -> Self:
        """A channel's news, by the store that brought it."""
        return cls(ActorKind.CHANNEL, id=store_id, rights=frozenset(RIGHTS))

    def is_person(self, user_id: int) -> bool:
        """Whether the person of this account acts."""
        return self.kind is ActorKind.PERSON and self.id == user_id

    def may(self, right: str) -> bool:
        return right in self.rights

    def needs(self, right: str) -> None:
        """Raise `Forbidden` unless the right is there."""
        if not self.may(right):
            raise Forbidden(right=RIGHTS.get(right, right))

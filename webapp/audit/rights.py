"""Rights, and the built-in roles. Plugins add rights by `register_rights`."""

import re
from collections.abc import Mapping
from dataclasses import dataclass

from webapp.hooks.registered import KNOWS_RIGHT, registered
from webapp.i18n import LazyString, lazy_gettext as _l

OWNER, MANAGER, CLERK, PACKER, READ_ONLY = "owner", "manager", "clerk", "packer", "read_only"
BUILT_IN: dict[str, LazyString] = {
    OWNER: _l("Owner"),
    MANAGER: _l("Manager"),
    CLERK: _l("Clerk"),
    PACKER: _l("Packer"),
    READ_ONLY: _l("Read-only"),
}
_CODE = re.compile(r"[a-z][a-z0-9_]*\.[a-z][a-z0-9_]*")


@dataclass(frozen=True, slots=True)
class Right:
    """A right. `label` completes "This person may …".

    `roles` are the codes of the built-in roles that have it by default; the owner always has it. Raises `ValueError`
    for a code that is not two plain words with a dot between them, or an unknown role.
    """

    code: str  # "loyalty.grant": a subject, and what may be done with it
    label: LazyString | str
    roles: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not _CODE.fullmatch(self.code):
            raise ValueError("a right's code is two plain words with a dot between them")
        if unknown := sorted(set(self.roles) - set(BUILT_IN)):
            raise ValueError(f"no built-in role {unknown[0]!r}")


_EVERYBODY = (MANAGER, CLERK, PACKER, READ_ONLY)
_WORKERS = (MANAGER, CLERK, PACKER)
_DESK = (MANAGER, CLERK)
OURS = (
    Right("orders.view", _l("see orders"), _EVERYBODY),
    Right("buyers.see", _l("see buyer data"), _WORKERS),
    Right("orders.ship", _l("ship orders"), _WORKERS),
    Right("orders.invoice", _l("invoice orders"), _DESK),
    Right("orders.refund", _l("refund buyers"), _DESK),
    Right("orders.return", _l("request, receive and inspect returns"), _DESK),
    Right("messages.send", _l("write to buyers"), _DESK),
    Right("orders.cancel", _l("cancel orders"), (MANAGER,)),
    Right("orders.comment", _l("comment on orders"), _WORKERS),
    Right("orders.hold", _l("hold orders and release them"), _WORKERS),
    Right("orders.organize", _l("assign, tag, date, label and archive orders"), _DESK),
    Right("orders.address", _l("change delivery addresses"), _DESK),
    Right("orders.raw", _l("see a channel's raw answers"), (MANAGER,)),
    Right("orders.export", _l("export orders"), (MANAGER,)),
    Right("documents.archive", _l("open documents whose buyers are erased"), (MANAGER,)),
    Right("views.share", _l("share saved views"), (MANAGER,)),
    Right("stores.view", _l("see stores"), _EVERYBODY),
    Right("stores.edit", _l("add and change stores"), (MANAGER,)),
    Right("stores.sync", _l("start a sync"), _DESK),
    Right("updates.retry", _l("send updates again"), _DESK),
    Right("settings.edit", _l("change settings"), (MANAGER,)),
    Right("users.edit", _l("manage people"), (MANAGER,)),
    Right("roles.edit", _l("change what roles may do")),
    Right("owners.edit", _l("manage owners")),
    Right("plugins.view", _l("see plugins"), (MANAGER,)),
)


def rights() -> Mapping[str, Right]:
    """Every right by its code: the desk's own, then those of plugins, which can't replace one of the desk's."""
    brought = registered("register_rights", Right, unique=lambda right: right.code) or OURS
    return {right.code: right for right in brought}


KNOWS_RIGHT.append(lambda code: code in rights())


def all_rights() -> frozenset[str]:
    """The codes of all rights."""
    return frozenset(rights())


def rights_of_built_in(role: str) -> frozenset[str]:
    """The rights of a built-in role by default."""
    if role == OWNER:
        return all_rights()
    return frozenset(code for code, right in rights().items() if role in right.roles)


def right_label(code: str) -> LazyString | str:
    """The label of a right; its code if no plugin registers it any more."""
    right = rights().get(code)
    return right.label if right else code

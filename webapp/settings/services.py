"""Storing settings, and finding the groups that are registered."""

from collections.abc import Mapping, Sequence
from typing import Any

from webapp.audit.actor import Actor
from webapp.audit.services import audit
from webapp.db import db
from webapp.errors import NotFound
from webapp.hooks.registered import registered
from webapp.settings.declared import DESK, SHOP, STORE, SettingsGroup, parse_all
from webapp.settings.models import StoredSetting
from webapp.settings.stored import forget_rows, rows_of
from webapp.vault.key_file import seal_secret

RIGHTS = {DESK: "settings.edit", SHOP: "settings.edit", STORE: "stores.edit"}


def groups(scope: str) -> Sequence[SettingsGroup]:
    """The groups of the desk, of each shop or of each store; the desk's own first."""
    known = registered("register_settings", SettingsGroup, unique=lambda group: (group.scope, group.code))
    return [group for group in known if group.scope == scope]


def store_all(group: SettingsGroup, values: Mapping[str, Any], subject: Any = None) -> None:
    """Store these values of a group over what was there; an empty secret keeps the one it had. Raises `Invalid`."""
    declared, scope_id = group.declared(subject), group.id_of(subject)
    had = group.read(subject)
    kept = {
        setting.name
        for setting in declared
        if setting.secret and had[setting.name] and not str(values.get(setting.name) or "").strip()
    }
    parsed = parse_all(declared, had | {name: value for name, value in values.items() if name not in kept})
    rows = rows_of(group.scope, scope_id)
    for setting in declared:
        value, row = parsed[setting.name], rows.get((group.code, setting.name))
        if value == setting.default:
            if row is not None:
                db.session.delete(row)
            continue
        if row is None:
            row = StoredSetting(scope=group.scope, scope_id=scope_id, name=setting.name)
            db.session.add(row)
        row.group = group.code
        if not setting.secret or value != had[setting.name]:
            row.value = seal_secret(str(value)) if setting.secret else value
    db.session.flush()
    forget_rows(group.scope)


def change(group: SettingsGroup, values: Mapping[str, Any], subject: Any = None, *, actor: Actor) -> None:
    """Change the settings of one group: the desk's, or those of this shop or store. Raises `Invalid`."""
    actor.needs(RIGHTS[group.scope])
    store_all(group, values, subject)
    of: dict[str, Any] = {} if group.scope == DESK else {group.scope: group.id_of(subject)}
    audit("settings_changed", actor=actor, group=group.code, settings=sorted(values), **of)


def find_group(scope: str, code: str) -> SettingsGroup:
    """The group of this code. Raises `NotFound`."""
    for group in groups(scope):
        if group.code == code:
            return group
    raise NotFound(name=code)

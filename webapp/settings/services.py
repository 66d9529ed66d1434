"""Reading and storing settings."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import select

from webapp.audit.actor import Actor
from webapp.audit.services import audit
from webapp.db import db, forget_read, once_a_transaction
from webapp.errors import NotFound
from webapp.hooks.registered import registered
from webapp.i18n import LazyString
from webapp.settings.declared import Setting, parse_all
from webapp.settings.models import StoredSetting
from webapp.vault.key_file import open_secret, seal_secret

DESK, STORE = "desk", "store"


@dataclass(frozen=True, slots=True)
class SettingsGroup:
    """Settings of the desk that belong together and are drawn as one form."""

    code: str
    label: LazyString | str
    settings: Sequence[Setting]


def groups() -> Sequence[SettingsGroup]:
    return registered("register_settings", SettingsGroup)


def read(scope: str, scope_id: int, declared: Sequence[Setting]) -> dict[str, Any]:
    """Every declared setting with its stored value or its default; secrets opened. For services, never for a page."""
    stored = _stored(scope, scope_id)
    values = {}
    for setting in declared:
        value = stored[setting.name].value if setting.name in stored else setting.default
        values[setting.name] = open_secret(str(value)) if setting.secret and value and setting.name in stored else value
    return values


def given(scope: str, scope_id: int, declared: Sequence[Setting]) -> frozenset[str]:
    """The names that have a stored value; all that a page may know of a secret."""
    stored = _stored(scope, scope_id)
    return frozenset(setting.name for setting in declared if setting.name in stored)


def store_all(scope: str, scope_id: int, declared: Sequence[Setting], values: Mapping[str, Any]) -> None:
    """Store these values over what was there; an empty secret keeps the one it had. Raises `Invalid`."""
    had = read(scope, scope_id, declared)
    kept = {
        setting.name
        for setting in declared
        if setting.secret and had[setting.name] and not str(values.get(setting.name) or "").strip()
    }
    parsed = parse_all(declared, had | {name: value for name, value in values.items() if name not in kept})
    stored = _stored(scope, scope_id)
    for setting in declared:
        value = parsed[setting.name]
        row = stored.get(setting.name)
        if value == setting.default:
            if row is not None:
                db.session.delete(row)
            continue
        if row is None:
            row = StoredSetting(scope=scope, scope_id=scope_id, name=setting.name)
            db.session.add(row)
        if not setting.secret or value != had[setting.name]:
            row.value = seal_secret(str(value)) if setting.secret else value
    db.session.flush()
    forget_read(_kept_as(scope, scope_id))


def change_desk(group: SettingsGroup, values: Mapping[str, Any], *, actor: Actor) -> None:
    """Change the desk's settings of one group. Raises `Invalid`."""
    actor.needs("settings.edit")
    store_all(DESK, 0, group.settings, values)
    audit("settings_changed", actor=actor, group=group.code, settings=sorted(values))


def desk_setting(name: str) -> Any:
    """The value of one setting of the desk."""
    for group in groups():
        for setting in group.settings:
            if setting.name == name:
                return read(DESK, 0, [setting])[name]
    raise NotFound(name=name)


def _stored(scope: str, scope_id: int) -> dict[str, StoredSetting]:
    def read_rows() -> dict[str, StoredSetting]:
        query = select(StoredSetting).where(StoredSetting.scope == scope, StoredSetting.scope_id == scope_id)
        return {row.name: row for row in db.session.scalars(query)}

    return once_a_transaction(_kept_as(scope, scope_id), read_rows)


def _kept_as(scope: str, scope_id: int) -> str:
    return f"settings of {scope} {scope_id}"

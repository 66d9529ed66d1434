"""Storing settings, and finding the groups that are registered. Each change is reported to the hook
`settings_changed`.
"""

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from webapp.audit.actor import Actor
from webapp.audit.services import audit
from webapp.errors import DeskError, NotFound
from webapp.hooks.fence import ask
from webapp.hooks.registered import registered
from webapp.i18n import lazy_gettext as _l
from webapp.jobs.telling import declare, tell
from webapp.settings.declared import DESK, SHOP, STORE, Setting, SettingsChange, SettingsGroup, parse_all, usual_of
from webapp.settings.stored import write_values
from webapp.vault.key_file import seal_secret

declare("settings_changed", list[SettingsChange])

RIGHTS = {DESK: "settings.edit", SHOP: "settings.edit", STORE: "stores.edit"}


def groups(scope: str) -> Sequence[SettingsGroup]:
    """The groups of the desk, of each shop or of each store; the desk's own first."""
    known = registered("register_settings", SettingsGroup, unique=lambda group: (group.scope, group.code))
    return [group for group in known if group.scope == scope]


def store_all(
    group: SettingsGroup,
    values: Mapping[str, Any],
    subject: Any = None,
    *,
    unset: Collection[str] = (),
    added: bool = False,
) -> SettingsChange:
    """Store these values of a group, reset those in `unset` to their defaults, and call the listeners; an empty
    secret keeps the stored one. Raises `Invalid`. `added`: the store that they belong to is new.
    """
    declared, scope_id = group.declared(subject), group.id_of(subject)
    had = group.read(subject)
    parsed = _parsed(declared, had, values, unset)
    usual = [setting.name for setting in declared if parsed[setting.name] == setting.default]
    written = {
        setting.name: seal_secret(str(parsed[setting.name])) if setting.secret else parsed[setting.name]
        for setting in declared
        if setting.name not in usual and (not setting.secret or parsed[setting.name] != had[setting.name])
    }
    write_values(group.scope, scope_id, group.code, written, usual)
    names = tuple(setting.name for setting in declared if parsed[setting.name] != had[setting.name])
    told = SettingsChange(group.scope, scope_id, group.code, names, added)
    tell("settings_changed", [told])
    return told


def _parsed(
    declared: Sequence[Setting[Any]], had: dict[str, Any], values: Mapping[str, Any], unset: Collection[str]
) -> dict[str, str | int | bool]:
    """What a group would be with these values; an empty secret is the one that it had. Raises `Invalid`."""
    kept = {
        setting.name
        for setting in declared
        if setting.secret and had[setting.name] and not str(values.get(setting.name) or "").strip()
    }
    given = {name: value for name, value in values.items() if name not in kept}
    return parse_all(declared, had | given | usual_of(declared, unset, given))


def rehearse(
    group: SettingsGroup, values: Mapping[str, Any], subject: Any = None, *, unset: Collection[str] = ()
) -> dict[str, str | int | bool]:
    """What the settings of a group would be with these values, of which none is stored; secrets are open. Raises
    `Invalid`.
    """
    _check(group, values, subject, unset)
    return _parsed(group.declared(subject), group.read(subject), values, unset)


def _check(group: SettingsGroup, values: Mapping[str, Any], subject: Any, unset: Collection[str]) -> None:
    """Have the group check what a person gives; raises its `DeskError`."""
    if group.check is not None:
        given = {**values, **usual_of(group.declared(subject), unset, values)}
        ask(group, "setting", group.check, subject, group.read(subject), given, raises=DeskError)


def change(
    group: SettingsGroup,
    values: Mapping[str, Any],
    subject: Any = None,
    *,
    unset: Collection[str] = (),
    actor: Actor,
) -> None:
    """Change the settings of one group, of the desk or of this shop or store, and reset those in `unset` to their
    defaults. Raises `Invalid`.
    """
    actor.needs(RIGHTS[group.scope])
    if subject is None:
        actor.needs_all_shops()
    else:
        actor.needs_shops(subject.shop_ids)
    _check(group, values, subject, unset)
    changed = store_all(group, values, subject, unset=unset).names
    shown = [one for one in group.declared(subject) if one.name in changed and not one.secret]
    of: dict[str, Any] = {} if group.scope == DESK else {group.scope: group.id_of(subject)}
    told = group.read(subject, shown)
    audit("settings_changed", actor=actor, group=group.code, settings=sorted({*values, *unset}), values=told, **of)


class UnknownGroup(NotFound):
    """No group of settings has this code."""

    code = "unknown_group"
    sentence = _l("There is no group of settings “%(name)s”.")


def find_group(scope: str, code: str) -> SettingsGroup:
    """The group with this code. Raises `NotFound`."""
    for group in groups(scope):
        if group.code == code:
            return group
    raise UnknownGroup(name=code)

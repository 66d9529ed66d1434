"""Settings as forms: a store's name and what its channel declares, or a group of the desk's. Secrets are never
drawn.
"""

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from wtforms import Field

from webapp.channels.authorizing import Begun
from webapp.channels.contract import Channel
from webapp.channels.keeping import days_of, setting_of
from webapp.channels.models import Store
from webapp.channels.services import CONNECTION, endpoints_changed
from webapp.i18n import lazy_gettext as _l
from webapp.settings.declared import Setting, SettingsGroup
from webapp.ui import forms

_FORGET = "-forget"  # appended to the name of a secret: the checkbox that deletes it


class SettingsForm(forms.Form):
    """Settings as typed; `values` is what the services store, `unset` the secrets to delete. A secret that is left
    empty is the one of `kept`, which was typed before.
    """

    declared: list[Setting[Any]]
    kept: Mapping[str, str] = {}

    @property
    def values(self) -> dict[str, Any]:
        unset = self.unset
        kept = {name: secret for name, secret in self.kept.items() if name not in unset}
        return {
            setting.name: self[setting.name].data
            if setting.type is bool
            else self.text_of(setting.name).strip() or kept.get(setting.name, "")
            for setting in self.declared
        }

    @property
    def unset(self) -> list[str]:
        return [one.name for one in self.declared if one.name + _FORGET in self and self[one.name + _FORGET].data]


def settings_form(channel: Channel, store: Store | None = None, given: Any = None) -> SettingsForm:
    """The form for a known store, or an empty one for a new store. The marketplace of a practice store can't be
    changed.
    """
    declared = [setting for setting in channel.settings if not (setting.advanced and store and store.practice)]
    open_ones = [setting for setting in declared if not setting.secret]
    had = CONNECTION.read(store, open_ones) if store else {}
    stored = CONNECTION.stored(store) if store else frozenset()
    return _connection_form(declared, store.name if store else "", had, stored, given)


def retyped_form(channel: Channel, typed: Begun, given: Any = None) -> SettingsForm:
    """The form for a new store with what was typed before; its secrets are kept for another post, unless another
    endpoint is given.
    """
    secrets = {one.name: typed.values[one.name] for one in channel.settings if one.secret and typed.values[one.name]}
    form = _connection_form(list(channel.settings), typed.name, typed.values, secrets, given)
    if given is not None and endpoints_changed(typed.values, form.values):
        return settings_form(channel, given=given)
    form.kept = secrets
    return form


def _connection_form(
    declared: list[Setting[Any]], name: str, had: Mapping[str, Any], kept: Collection[str], given: Any
) -> SettingsForm:
    fields = {"name": forms.text(_l("Name"), required=True, help=_l("Your name for this store."))}
    fields |= _fields(declared, kept)
    data = {"name": name} | {one.name: had.get(one.name, one.default) for one in declared if not one.secret}
    form = SettingsForm(fields, given, data)
    form.declared = declared
    return form


def buyers_form(store: Store, given: Any = None) -> SettingsForm:
    """The form of how long a store's buyers are kept."""
    setting = setting_of(store)
    field = forms.text(
        setting.label, required=True, help=setting.help, kind="number", min=setting.minimum, max=setting.maximum
    )
    form = SettingsForm({setting.name: field}, given, {setting.name: days_of(store)})
    form.declared = [setting]
    return form


def group_form(group: SettingsGroup, given: Any = None, subject: Any = None) -> SettingsForm:
    """The form of a group of settings: the desk's, or those of this shop or store."""
    declared = list(group.declared(subject))
    open_ones = [setting for setting in declared if not setting.secret]
    form = SettingsForm(group_fields(group, subject), given, group.read(subject, open_ones))
    form.declared = declared
    for name, field in form._fields.items():  # a page contains the forms of several groups
        field.id = field.label.field_id = f"{group.code}-{name}"
    return form


def group_fields(group: SettingsGroup, subject: Any = None) -> dict[str, Field]:
    """A field for each setting of a group."""
    return _fields(group.declared(subject), group.stored(subject))


def _fields(declared: Sequence[Setting[Any]], stored: Collection[str]) -> dict[str, Field]:
    fields = {}
    for setting in declared:
        kept = setting.name in stored
        fields[setting.name] = _field(setting, kept=kept)
        if setting.secret and kept and not setting.required:
            which = _l("Delete the stored value: %(name)s", name=setting.label)
            fields[setting.name + _FORGET] = forms.tick(_l("Delete the stored value"), **{"aria-label": which})
    return fields


def _field(setting: Setting[Any], *, kept: bool) -> Field:
    if setting.secret:
        help = _l("A value is stored. Leave this empty to keep it.") if kept else setting.help
        return forms.secret(setting.label, required=setting.required and not kept, help=help, autocomplete="off")
    if setting.type is bool:
        return forms.tick(setting.label, help=setting.help)
    if setting.options is not None:
        choices = list(setting.options.items())
        return forms.choice(setting.label, choices, help=setting.help, default=str(setting.default or ""))
    if setting.lines > 1:
        return forms.text(
            setting.label, required=setting.required, help=setting.help, kind="textarea", rows=setting.lines
        )
    kind = "number" if setting.type is int else "day" if setting.day else "text"
    return forms.text(setting.label, required=setting.required, help=setting.help, kind=kind, autocomplete="off")

"""Settings as they are declared: in groups, each of the whole desk, of a shop or of a store.

A setting that belongs to a group is the handle by which code reads its value: `MOST.of(store)`. `services` stores
values, `ui` draws the form.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import Any, Generic, Protocol, TypeVar, cast

from webapp.errors import DeskError, Invalid
from webapp.hooks.fence import ask
from webapp.i18n import LazyString, lazy_gettext as _l
from webapp.settings.stored import values_of
from webapp.vault.key_file import open_secret

T = TypeVar("T", str, int, bool)
DESK, SHOP, STORE = "desk", "shop", "store"
_UNSEEN = dict.fromkeys((0x200B, 0x200C, 0x200D, 0x2060, 0xFEFF))  # characters without width, from pages and mails
_TRUE, _FALSE = {"1", "true", "yes", "on"}, {"0", "false", "no", "off", ""}


class Subject(Protocol):
    """A shop or a store, with what settings need of it."""

    @property
    def id(self) -> int: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting(Generic[T]):
    """One thing that can be set.

    The type is that of `default` (str, int, bool), unless `default` is None: then it is text and must be given. A
    secret is sealed before it is stored and never shown again. `check` raises ValueError with a sentence. White space
    in a `compact` text is dropped: it was pasted with a line's end. A `day` is a date as YYYY-MM-DD.
    """

    name: str
    label: LazyString | str
    default: T | None = ""  # type: ignore[assignment]  # text, unless another type is given
    help: LazyString | str = ""
    choices: Mapping[str, LazyString | str] | Callable[[], Mapping[str, LazyString | str]] | None = None
    secret: bool = False
    minimum: int | None = None
    maximum: int | None = None
    advanced: bool = False
    compact: bool = False
    day: bool = False
    lasts_days: int = 0  # of a store's credential: it expires so many days after its issue; 0: it does not
    lines: int = 1  # lines of text that a form shows; more than one allow line breaks
    check: Callable[[Any], object] | None = None
    group: SettingsGroup | None = field(default=None, init=False, repr=False, compare=False)  # set by the group

    def of(self, subject: Subject | None = None) -> T:
        """The value for this shop or store, or for the desk: the stored one or the default; a secret is opened.
        Stored values are read once a transaction. For services, never for a page.
        """
        if self.group is None:
            raise TypeError(f"the setting {self.name} belongs to no group")
        return cast("T", self.group.read(subject, [self])[self.name])

    @property
    def required(self) -> bool:
        return self.default is None

    @property
    def type(self) -> type:
        return str if self.default is None else type(self.default)

    @property
    def options(self) -> Mapping[str, LazyString | str] | None:
        """The choices, if they are limited. Raises `PluginFailed`."""
        if callable(self.choices):
            return ask(self.group or self, "setting", self.choices, gives=Mapping)
        return self.choices

    def parse(self, value: Any) -> str | int | bool:
        """The value in its type; raises `Invalid` with a sentence that names the setting."""
        text = "" if value is None else str(value).strip()
        if self.required and not text:
            raise self._invalid(_l("Enter a value."))
        if self.type is bool:
            if text.lower() not in _TRUE | _FALSE:
                raise self._invalid(_l("Enter yes or no."))
            return text.lower() in _TRUE
        if self.type is int:
            return self._number(text)
        if self.options is not None and text not in self.options:
            raise self._invalid(_l("Choose one of these values: %(choices)s.", choices=", ".join(self.options)))
        if self.compact:
            text = "".join(text.translate(_UNSEEN).split())
        if self.day and text and not is_day(text):
            raise self._invalid(_l("Enter a day, such as 2026-11-30."))
        if self.lines > 1:
            text = "\n".join(line.strip() for line in text.splitlines())
        return str(self._checked(text))

    def _number(self, text: str) -> int:
        try:
            number = int(text)
        except ValueError:
            raise self._invalid(_l("Enter a whole number.")) from None
        if self.minimum is not None and number < self.minimum:
            raise self._invalid(_l("Enter %(number)s or more.", number=self.minimum))
        if self.maximum is not None and number > self.maximum:
            raise self._invalid(_l("Enter %(number)s or less.", number=self.maximum))
        return int(self._checked(number))

    def _checked(self, value: Any) -> Any:
        if self.check is not None:
            try:
                ask(self.group or self, "setting", self.check, value, raises=(ValueError, DeskError))
            except ValueError as error:
                raise self._invalid(str(error)) from None
        return value

    def _invalid(self, problem: LazyString | str) -> Invalid:
        return Invalid(field=str(self.label) or self.name, problem=problem)


def is_day(text: str) -> bool:
    """Whether the text is a day as YYYY-MM-DD."""
    try:
        return date.fromisoformat(text).isoformat() == text
    except ValueError:
        return False


@dataclass(frozen=True, slots=True)
class SettingsGroup:
    """Settings that belong together and are drawn as one form: of the desk, of each shop or of each store.

    If they depend on the shop or store, `settings` is a function of it. `check` is called before somebody changes them,
    with the shop or store, the old values and the given ones; it raises a `DeskError`.
    """

    code: str
    label: LazyString | str
    settings: Sequence[Setting[Any]] | Callable[[Any], Sequence[Setting[Any]]]
    scope: str = DESK
    check: Callable[[Any, Mapping[str, Any], Mapping[str, Any]], None] | None = None

    def __post_init__(self) -> None:
        if self.scope not in (DESK, SHOP, STORE):
            raise ValueError(f"no scope {self.scope!r}")
        for setting in () if callable(self.settings) else self.settings:
            if setting.group is not None and (setting.group.scope, setting.group.code) != (self.scope, self.code):
                raise ValueError(f"the setting {setting.name} belongs to the group {setting.group.code}")
            object.__setattr__(setting, "group", self)

    def declared(self, subject: Any = None) -> Sequence[Setting[Any]]:
        """The settings of this shop or store. Raises `PluginFailed`."""
        if callable(self.settings):
            return ask(self, "setting", self.settings, subject, gives=Sequence, raises=DeskError)
        return self.settings

    def read(self, subject: Any = None, only: Sequence[Setting[Any]] | None = None) -> dict[str, Any]:
        """Every setting, or only these, with the stored value or the default; secrets are opened. For services,
        never for a page.
        """
        stored, values = values_of(self.scope, self.id_of(subject)), {}
        for setting in self.declared(subject) if only is None else only:
            key = (self.code, setting.name)
            value = stored.get(key, setting.default)
            values[setting.name] = open_secret(str(value)) if setting.secret and key in stored and value else value
        return values

    def stored(self, subject: Any = None) -> frozenset[str]:
        """The names that have a stored value; a page may know no more of a secret."""
        stored = values_of(self.scope, self.id_of(subject))
        return frozenset(one.name for one in self.declared(subject) if (self.code, one.name) in stored)

    def id_of(self, subject: Any) -> int:
        """The id under which values of this shop or store are stored; 0 for the desk."""
        return 0 if self.scope == DESK else int(subject.id)


@dataclass(frozen=True, slots=True)
class SettingsChange:
    """Settings of one group were written. It holds no values and so no secrets: a listener reads the settings that
    it needs.

    `id` is that of the shop or store, 0 for the desk. `names` are the settings whose value has changed; empty if the
    values saved were the stored ones. `added`: the store itself is being added.
    """

    scope: str
    id: int
    group: str
    names: Sequence[str]
    added: bool = False

    def concerns(self, group: SettingsGroup) -> bool:
        """Whether the settings are those of this group."""
        return (self.scope, self.group) == (group.scope, group.code)


def parse_all(declared: Sequence[Setting[Any]], given: Mapping[str, Any]) -> dict[str, str | int | bool]:
    """All declared settings from the given values, with defaults filled in. Raises `Invalid` for a name that is not
    declared.
    """
    known = _by_name(declared, given)
    return {
        name: setting.parse(given.get(name, setting.default if not setting.required else ""))
        for name, setting in known.items()
    }


def usual_of(
    declared: Sequence[Setting[Any]], unset: Collection[str], given: Mapping[str, Any]
) -> dict[str, str | int | bool]:
    """The defaults of settings that are reset. Raises `Invalid` for a setting that must be given, or that is given
    at the same time.
    """
    known = _by_name(declared, unset)
    for name in unset:
        if known[name].required:
            raise Invalid(field=str(known[name].label), problem=_l("Enter a value."))
        if known[name].secret and str(given.get(name) or "").strip():
            raise Invalid(
                field=str(known[name].label), problem=_l("A secret can't be removed and entered at the same time.")
            )
    return {name: known[name].parse(known[name].default) for name in unset}


def _by_name(declared: Sequence[Setting[Any]], names: Iterable[str]) -> dict[str, Setting[Any]]:
    """The settings by name. Raises `Invalid` for an unknown name."""
    known = {setting.name: setting for setting in declared}
    for name in names:
        if name not in known:
            raise Invalid(
                field=name,
                problem=_l("There is no setting with this name. The settings are: %(names)s.", names=", ".join(known)),
            )
    return known

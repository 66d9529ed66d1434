"""A setting as it is declared: its name, type, default and words. Storing is `services`, drawing a form is `ui`'s
work.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from webapp.errors import Invalid
from webapp.i18n import LazyString, lazy_gettext as _l

_TRUE, _FALSE = {"1", "true", "yes", "on"}, {"0", "false", "no", "off", ""}


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """One thing that can be set, for the whole desk or for a store.

    The type is that of `default` (str, int, bool), unless `default` is None: then it is text and must be given. A
    secret is sealed before it is stored and never shown again. `check` raises ValueError with a sentence.
    """

    name: str
    label: LazyString | str
    default: str | int | bool | None = ""
    help: LazyString | str = ""
    choices: Mapping[str, LazyString | str] | Callable[[], Mapping[str, LazyString | str]] | None = None
    secret: bool = False
    minimum: int | None = None
    maximum: int | None = None
    advanced: bool = False
    check: Callable[[Any], None] | None = None

    @property
    def required(self) -> bool:
        return self.default is None

    @property
    def type(self) -> type:
        return str if self.default is None else type(self.default)

    @property
    def options(self) -> Mapping[str, LazyString | str] | None:
        return self.choices() if callable(self.choices) else self.choices

    def parse(self, value: Any) -> str | int | bool:
        """The value in its type; raises `Invalid` with a sentence that names the setting."""
        text = "" if value is None else str(value).strip()
        if self.required and not text:
            raise self._invalid(_l("is needed."))
        if self.type is bool:
            if text.lower() not in _TRUE | _FALSE:
                raise self._invalid(_l("must be yes or no."))
            return text.lower() in _TRUE
        if self.type is int:
            return self._number(text)
        if self.options is not None and text not in self.options:
            raise self._invalid(_l("must be one of: %(choices)s.", choices=", ".join(self.options)))
        return str(self._checked(text))

    def _number(self, text: str) -> int:
        try:
            number = int(text)
        except ValueError:
            raise self._invalid(_l("must be a whole number.")) from None
        if self.minimum is not None and number < self.minimum:
            raise self._invalid(_l("must be at least %(number)s.", number=self.minimum))
        if self.maximum is not None and number > self.maximum:
            raise self._invalid(_l("must be at most %(number)s.", number=self.maximum))
        return int(self._checked(number))

    def _checked(self, value: Any) -> Any:
        if self.check is not None:
            try:
                self.check(value)
            except ValueError as error:
                raise self._invalid(str(error)) from None
        return value

    def _invalid(self, problem: LazyString | str) -> Invalid:
        return Invalid(field=str(self.label) or self.name, problem=problem)


def parse_all(declared: Sequence[Setting], given: Mapping[str, Any]) -> dict[str, str | int | bool]:
    """All declared settings from what was given, defaults filled in; a name that is not declared is refused."""
    known = {setting.name: setting for setting in declared}
    for name in given:
        if name not in known:
            raise Invalid(field=name, problem=_l("is no setting here; there are: %(names)s.", names=", ".join(known)))
    return {
        name: setting.parse(given.get(name, setting.default if not setting.required else ""))
        for name, setting in known.items()
    }

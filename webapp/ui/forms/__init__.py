"""Forms: fields drawn by WTForms, made from what an action or a setting declares. The rules are in the services.

A service that refuses input raises a `DeskError`; `complain` shows its sentence beside the field that it is about.
"""

from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

from flask import Flask
from wtforms import (
    BooleanField,
    Field,
    FileField,
    HiddenField,
    PasswordField,
    SelectField,
    SelectMultipleField,
    StringField,
    TextAreaField,
)
from wtforms.fields import EmailField, IntegerField, SelectChoice
from wtforms.form import BaseForm
from wtforms.validators import InputRequired
from wtforms.widgets import CheckboxInput, DateInput, DateTimeLocalInput, ListWidget

from webapp.errors import DeskError, Invalid
from webapp.i18n import LazyString, lazy_gettext as _l
from webapp.ui.forms.tokens import FormTokens

Translated: TypeAlias = LazyString | str
_NEEDED = _l("Enter a value.")
_NOTHING_CHOSEN = _l("Choose one.")


def init_app(app: Flask) -> None:
    app.config["WTF_CSRF_TIME_LIMIT"] = None  # a page may stay open all day; the token ends with the browser's session
    app.config["MAX_CONTENT_LENGTH"] = app.config["MAX_FORM_MEMORY_SIZE"] = 2 * 2**20
    FormTokens(app)


class DateTimeField(StringField):
    """A day and time in the shop's own zone; the service parses it, so that typed text is never lost."""

    widget = DateTimeLocalInput()


class DayField(StringField):
    """A day; the service parses it, so that typed text is never lost."""

    widget = DateInput()


class SuggestingField(StringField):
    """Text with suggested values."""

    suggestions: tuple[str, ...] = ()


_KINDS = {
    "text": StringField,
    "textarea": TextAreaField,
    "email": EmailField,
    "number": IntegerField,
    "datetime": DateTimeField,
    "day": DayField,
}


def text(
    label: Translated,
    *,
    required: bool = False,
    expected: bool = False,
    help: Translated = "",
    kind: str = "text",
    **attributes: Any,
) -> Field:
    """A field for text of one line or several, an e-mail address, a number, a day or a time, by `kind`.

    An `expected` field may be empty as far as the form knows, and is not labeled optional.
    """
    default = attributes.pop("default", None)
    checks = _required(required) or ([_Expected()] if expected else [])
    return _KINDS[kind](label, checks, description=help, default=default, render_kw=attributes)


def suggesting(label: Translated, suggestions: Sequence[str], *, help: Translated = "", **attributes: Any) -> Field:
    """A field for text with values to choose from; other text is allowed."""
    made = type("SuggestingField", (SuggestingField,), {"suggestions": tuple(suggestions)})
    return made(label, description=help, render_kw=attributes)


def upload(label: Translated, *, accept: str, help: Translated = "") -> Field:
    """A field for a file; the request has its content."""
    return FileField(label, _required(True), description=help, render_kw={"accept": accept})


def secret(label: Translated, *, required: bool = False, help: Translated = "", **attributes: Any) -> Field:
    """A field whose value is never drawn."""
    return PasswordField(label, _required(required), description=help, render_kw=attributes)


def choice(
    label: Translated,
    choices: list[tuple[str, Translated]],
    *,
    required: bool = True,
    help: Translated = "",
    default: str | None = None,
    further: Sequence[tuple[Translated, Sequence[tuple[str, Translated]]]] = (),
) -> Field:
    """A choice of one; without a default nothing is preselected, so that nothing is chosen by oversight. `further` are
    groups of choices, each under words.
    """
    options = choices if default is not None else [("", _l("Choose…")), *choices]
    offered = [SelectChoice(value, words) for value, words in options]
    offered += [SelectChoice(value, words, {}, str(group)) for group, within in further for value, words in within]
    return SelectField(
        label, _required(required), choices=offered, default=default or "", description=help, validate_choice=False
    )


def choices(
    label: Translated, choices: Sequence[tuple[str, Translated]], *, help: Translated = "", **attributes: Any
) -> Field:
    """A choice of several, each with a checkbox; none is preselected."""
    return SelectMultipleField(
        label,
        choices=[SelectChoice(value, words) for value, words in choices],
        description=help,
        validate_choice=False,
        widget=ListWidget(prefix_label=False),
        option_widget=CheckboxInput(),
        render_kw=attributes,
    )


def tick(label: Translated, *, help: Translated = "", default: bool = False, **attributes: Any) -> Field:
    return BooleanField(label, description=help, default=default, render_kw=attributes)


def hidden(value: Any = "") -> Field:
    return HiddenField(default=value)


class _Expected:
    """Marks a field as expected, and checks nothing: the act decides whether it can be empty."""

    field_flags = {"expected": True}

    def __call__(self, form: Any, field: Any) -> None:
        return None


def _required(required: bool) -> list[Any]:
    return [InputRequired(_NEEDED)] if required else []


class Form(BaseForm):
    """Fields by name; `typed` is what services take. A prefix distinguishes the forms of one page."""

    def __init__(
        self, fields: Mapping[str, Field], given: Any = None, data: Mapping[str, Any] | None = None, prefix: str = ""
    ) -> None:
        super().__init__(fields, prefix=prefix)
        self.process(given, data=dict(data or {}))

    @property
    def parts(self) -> Sequence[Any]:
        """The fields in their order, without hidden ones."""
        return [field for field in self if field.type not in ("HiddenField", "CSRFTokenField")]

    def typed(self, *names: str) -> dict[str, Any]:
        """The input of these fields (all visible ones, if none is named), without empty ones."""
        wanted = names or tuple(name for name, field in self._fields.items() if field.type != "HiddenField")
        return {name: value for name in wanted if (value := self[name].data) not in (None, "", False)}

    def text_of(self, name: str) -> str:
        data = self[name].data
        return "" if data is None else str(data)

    def complain(self, error: DeskError) -> None:
        """Show a refusal beside the field that it names, or above all fields."""
        field = self.field_of(error)
        if field is None:
            self.form_errors.append(str(error))
            return
        problem = error.values.get("problem") if isinstance(error, Invalid) else None
        if isinstance(field, SelectField) and not isinstance(field, SelectMultipleField) and not field.data:
            problem = _NOTHING_CHOSEN  # the sentence of a rule about a missing choice contains codes
        field.errors = [*field.errors, str(problem or error)]

    def field_of(self, error: DeskError) -> Field | None:
        """The field that a refusal names, by its name, its label, or its path (`packages.0.carrier`)."""
        named = str(error.values.get("field", "")) if isinstance(error, Invalid) else error.field
        for name, field in self._fields.items():
            if named and (name in named.split(".") or named == str(field.label.text)):
                return field
        return None

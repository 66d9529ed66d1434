"""The fields of an act's input: declared once with its type, for the form of one order and of many, the command line
and JSON.

A field of an `Input` that people fill in is `Annotated[type, FormField(label, kind, …)]`; the action's `offered` says
what the field offers for an order. A field without `FormField` exists for the command line and JSON alone.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias, get_args

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from webapp.errors import DeskError
from webapp.hooks.failures import NotTaken, WrongType
from webapp.hooks.fence import ask
from webapp.i18n import LazyString
from webapp.money import Money

if TYPE_CHECKING:
    from webapp.audit.actor import Actor
    from webapp.orders.contract import OrderAction
    from webapp.orders.models import Order

Words: TypeAlias = LazyString | str
PACKAGE = "package"  # the field in which an action on a package has its number


class Kind(StrEnum):
    """The kind of control with which a field is filled in."""

    TEXT = "text"
    LONG_TEXT = "long_text"
    TIME = "time"  # a day and time in the shop's zone
    CHOICE = "choice"  # one of the offered choices
    SEVERAL = "several"  # any of the offered choices
    TICK = "tick"
    QUANTITIES = "quantities"  # {order line id: units}; left out for all open units, empty for none if that is offered
    AMOUNTS = "amounts"  # {order line id: {"units": …, "amounts": {component: text}, "restock": …}}
    FILLING = (
        "filling"  # one of the offered choices, each a button: `OrderAction.filling` says what it puts into the form
    )
    FIXED = "fixed"  # not drawn: the form is about this value, such as the number of a package
    GROUPS = "groups"  # the same fields several times, such as parcels: a list of models whose fields are shown


@dataclass(frozen=True, slots=True)
class FormField:
    """The label, kind and texts of a field of an input.

    `needed` says whether the form requires the field; by default, whether its type does. A field that is only
    `expected` may be left empty, but is not marked as optional. `help` is shown below the field, unless `Offered` has
    another help for an order. A text or several choices with `only_with`, the name of a choice beside it and values of
    that, are drawn and sent only while one of these is chosen; without scripts always. `Offered` may have others.
    """

    label: Words
    kind: Kind = Kind.TEXT
    help: Words = ""
    needed: bool | None = None
    expected: bool = False
    each: Words = ""  # for groups: the name of one, with %(number)s
    add: Words = ""  # for groups: the button that adds one
    remove: Words = ""  # for groups: the button that removes one, with %(number)s
    only_with: tuple[str, ...] = ()


class UnitsOfLine(NamedTuple):
    """A line whose units can be chosen."""

    id: int
    title: str
    sku: str
    most: int


class AmountLeft(NamedTuple):
    """A component of a line, or its tax, of which an amount can be chosen."""

    code: str
    label: Words
    left: Money


class AmountsOfLine(NamedTuple):
    """A line of which units, and amounts by component, can be chosen. `done` says what was so far, in words."""

    id: int
    title: str
    sku: str
    most: int
    units: int  # at first
    amounts: Sequence[AmountLeft]
    done: Sequence[tuple[Words, Money]] = ()
    restock: int = 0  # units that go back to stock, at first


@dataclass(frozen=True, slots=True, kw_only=True)
class Offered:
    """What a field offers for an order, or for many: its choices, its value at first, whether it is shown. Fields one
    after another with the same `fold`, other than groups, are folded away under these words until one is filled in.
    """

    choices: Sequence[tuple[str, Words]] = ()
    further: Sequence[tuple[Words, Sequence[tuple[str, Words]]]] = ()  # for filling and choice: choices under words
    default: Any = None
    suggestions: Sequence[str] = ()
    lines: Sequence[UnitsOfLine] = ()  # for quantities
    none: Words = ""  # for quantities: the choice of no units at all; empty if there is no such choice
    amounts: Sequence[AmountsOfLine] = ()  # for amounts
    help: Words = ""
    expected: bool | None = None
    shown: bool = True
    fold: Words = ""
    only_with: tuple[str, ...] = ()
    fields: Mapping[str, "Offered"] = field(default_factory=lambda: MappingProxyType({}))  # for groups: by field
    most: int = 1  # for groups: the highest number of them


HIDDEN = Offered(shown=False)


@dataclass(frozen=True, slots=True)
class InputField:
    """A field of an input as it is drawn: its declaration, and what it offers."""

    name: str
    shown: FormField
    offered: Offered
    needed: bool
    longest: int | None
    fields: tuple["InputField", ...] = ()  # for groups: the fields of each

    @property
    def help(self) -> Words:
        return self.offered.help or self.shown.help

    @property
    def only_with(self) -> tuple[str, ...]:
        return self.offered.only_with or self.shown.only_with

    @property
    def expected(self) -> bool:
        return self.shown.expected if self.offered.expected is None else self.offered.expected


def input_fields(action: "OrderAction", order: "Order | None", actor: "Actor") -> tuple[InputField, ...]:
    """The fields of an action's form for this order, or for many if there is none. Raises `PluginFailed`."""
    offered = ask(action, "form", action.offered, order, actor, gives=Mapping, raises=DeskError)
    return _fields(action.Input, offered)


def fields_for(action: "OrderAction", order: "Order", number: int, actor: "Actor") -> tuple[InputField, ...]:
    """The fields of an action's form about one thing of the order, such as a package. Raises `PluginFailed`."""
    offered = ask(action, "form", action.offered_for, order, number, actor, gives=Mapping, raises=DeskError)
    return _fields(action.Input, {**offered, action.about: Offered(default=number)})


def check_input(model: object) -> None:
    """Raise `NotTaken` or `WrongType` for an input whose fields no form can draw."""
    if not (isinstance(model, type) and issubclass(model, BaseModel)):
        raise NotTaken("its Input is no ActionInput")
    for info in model.model_fields.values():
        shown = shown_of(info)
        if shown is not None and not isinstance(shown.kind, Kind):
            raise WrongType(shown.kind, Kind)
        if shown is not None and shown.kind is Kind.GROUPS:
            check_input(_model_of(info))


def _fields(model: type[BaseModel], offered: Mapping[str, Offered]) -> tuple[InputField, ...]:
    if unknown := sorted(offered.keys() - model.model_fields.keys()):
        raise ValueError(f"no field {unknown[0]!r} in {model.__name__}")
    found = []
    for name, info in model.model_fields.items():
        shown, own = shown_of(info), offered.get(name, Offered())
        if shown is None or not own.shown:
            continue
        needed = is_needed(info)
        longest = next(filter(None, (getattr(one, "max_length", None) for one in info.metadata)), None)
        within = _fields(_model_of(info), own.fields) if shown.kind is Kind.GROUPS else ()
        found.append(InputField(name, shown, own, needed, None if within else longest, within))
    return tuple(found)


def is_needed(info: FieldInfo) -> bool:
    """Whether a form requires the field."""
    shown = shown_of(info)
    return info.is_required() if shown is None or shown.needed is None else shown.needed


def shown_of(info: FieldInfo) -> FormField | None:
    """The declared form field; None for a field that no form shows."""
    return next((one for one in info.metadata if isinstance(one, FormField)), None)


def _model_of(info: FieldInfo) -> type[BaseModel]:
    """The model of each group: the field's type is a list of this model."""
    models = [one for one in get_args(info.annotation) if isinstance(one, type) and issubclass(one, BaseModel)]
    if len(models) != 1:
        raise NotTaken("groups are a list of one model")
    return models[0]


def label_of_way(model: type[BaseModel], way: Sequence[str]) -> Words | None:
    """The label of the field at the end of this path (`packages.0.carrier`), or of the last field on the path that
    has one.
    """
    label: Words | None = None
    for step in way:
        info = model.model_fields.get(step)
        shown = shown_of(info) if info is not None else None
        if info is not None and shown is not None:
            label = shown.label
            if shown.kind is Kind.GROUPS:
                model = _model_of(info)
    return label


def schema(action: "OrderAction", order: "Order | None", actor: "Actor") -> dict[str, Any]:
    """The input as JSON Schema, with the labels for people and the choices offered now."""
    made = action.Input.model_json_schema()
    _describe(made, made, action.Input, {one.name: one for one in input_fields(action, order, actor)})
    return made


def _describe(
    whole: dict[str, Any], part: dict[str, Any], model: type[BaseModel], drawn: Mapping[str, InputField]
) -> None:
    """Add labels, help and choices to the types of a model's schema."""
    for name, info in model.model_fields.items():
        shown, spec = shown_of(info), part["properties"][name]
        if shown is None:
            continue
        spec["title"] = str(shown.label)
        own = drawn.get(name)
        if help := str(own.help if own else shown.help):
            spec["description"] = help
        folded = [choice for _words, choices in own.offered.further for choice in choices] if own else []
        if own is not None and (choices := [*own.offered.choices, *folded]):
            spec["choices"] = [{"value": value, "label": str(words)} for value, words in choices]
        if shown.kind is Kind.GROUPS:
            each = whole["$defs"][_model_of(info).__name__]
            _describe(whole, each, _model_of(info), {one.name: one for one in own.fields} if own else {})

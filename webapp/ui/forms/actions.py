"""An order action as a form: its fields from the action's declaration, its key and the version that the person saw."""

import hashlib
import json
import re
import secrets
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import groupby
from typing import Any

from flask import url_for
from werkzeug.datastructures import MultiDict
from wtforms import Field

from webapp.audit.actor import Actor
from webapp.errors import DeskError, Invalid, InvalidInput, NotFound, Refusal, sentence_of
from webapp.hooks.fence import PluginFailed, ask
from webapp.i18n import lazy_gettext as _l
from webapp.orders.contract import OrderAction
from webapp.orders.inputs import InputField, Kind, fields_for, input_fields, label_of_way, shown_of
from webapp.orders.models import Order
from webapp.orders.queries import reference
from webapp.orders.services import find_action, read_input, refusal_of
from webapp.ui import forms
from webapp.ui.forms.amounts import AmountsField
from webapp.ui.forms.filling import FillingField
from webapp.ui.forms.quantities import QuantitiesField

KEY, VERSION = "submission_key", "order_version"
MOST_GROUPS = 20  # on one form
_ADDS, _REMOVES = re.compile(r"(\w+)-add"), re.compile(r"(\w+)-remove-(\d{1,2})")


@dataclass(frozen=True)
class Group:
    """One of several groups of fields, such as a parcel, as a form draws it."""

    label: str
    fields: list[Field]
    remove: str  # the name of the button that removes the group
    remove_label: str


@dataclass(frozen=True)
class Groups:
    """Groups with equal fields. A single group's fields are drawn among the other fields."""

    each: list[Group]
    add: str  # the name of the button that adds a group; empty if no more fit
    add_label: str


@dataclass(frozen=True)
class Fold:
    """Fields that are folded away, until one of them is filled in or has an error."""

    label: str
    folded: list[Field]

    @property
    def is_open(self) -> bool:
        return any(field.errors or field.data not in (field.default, None, "", False) for field in self.folded)


class ActionForm(forms.Form):
    """The form of one action on one order, or on many. The same key sent twice acts once."""

    def __init__(self, fields: Sequence[InputField], version: int, given: Any = None) -> None:
        self.declared = tuple(fields)
        self.counts = {one.name: _count_of(one, given) for one in fields if one.fields}
        made: dict[str, Field] = {}
        for one in fields:
            if not one.fields:
                made[one.name] = _field(one)
                continue
            made[_count(one.name)] = forms.hidden()
            for at in range(self.counts[one.name]):
                made |= {_name(one.name, at, within.name): _field(within) for within in one.fields}
        made[KEY] = forms.hidden(secrets.token_urlsafe(16))
        made[VERSION] = forms.hidden(version)
        super().__init__(made, _without_removed(fields, given))
        for name, count in self.counts.items():
            self[_count(name)].data = str(count)

    @property
    def key(self) -> str:
        return self.text_of(KEY)

    @property
    def version(self) -> int | None:
        text = self.text_of(VERSION)
        return int(text) if text.isdecimal() and len(text) < 10 else None

    @property
    def parts(self) -> list[Field | Groups | Fold]:
        """The fields, groups and folds in their order, without hidden fields."""
        drawn = [one for one in self.declared if one.shown.kind is not Kind.FIXED]
        found: list[Field | Groups | Fold] = []
        for fold, within in groupby(drawn, key=lambda one: "" if one.fields else str(one.offered.fold)):
            if fold:
                found.append(Fold(fold, [self[one.name] for one in within]))
            else:
                found += [self._drawn(one) if one.fields else self[one.name] for one in within]
        return found

    def _drawn(self, groups: InputField) -> Groups:
        count = self.counts[groups.name]
        each = [
            Group(
                label=str(groups.shown.each) % {"number": at + 1},
                fields=[self[_name(groups.name, at, within.name)] for within in groups.fields],
                remove=f"{groups.name}-remove-{at}",
                remove_label=str(groups.shown.remove) % {"number": at + 1},
            )
            for at in range(count)
        ]
        more = count < min(groups.offered.most, MOST_GROUPS)
        return Groups(each, f"{groups.name}-add" if more else "", str(groups.shown.add))

    @property
    def problems(self) -> list[Invalid]:
        """The errors that the form itself finds: empty required fields, quantities that can't be read."""
        found = []
        for name, field in self._fields.items():
            if field.flags.required and not field.data:
                found.append(Invalid(field=name, problem=_l("Enter a value.")))
            elif isinstance(field, QuantitiesField | AmountsField) and field.problem:
                found.append(Invalid(field=name, problem=field.problem))
        return found

    @property
    def input(self) -> dict[str, Any]:
        """The input for the action's `Input`; raises `InvalidInput` with all errors that the form finds."""
        if problems := self.problems:
            raise InvalidInput(problems)
        return self.so_far

    @property
    def so_far(self) -> dict[str, Any]:
        """What is filled in, though fields that are required may be empty."""
        alone = [one.name for one in self.declared if not one.fields]
        typed = self.typed(*alone) if alone else {}
        for one in self.declared:
            if one.fields:
                typed[one.name] = [self._group(one, at) for at in range(self.counts[one.name])]
            elif one.shown.kind is Kind.TEXT and one.offered.default and self[one.name].data == "":
                typed[one.name] = ""  # it was filled in, and somebody emptied it
        return typed

    def _group(self, groups: InputField, at: int) -> dict[str, Any]:
        names = {within.name: _name(groups.name, at, within.name) for within in groups.fields}
        typed = self.typed(*names.values())
        return {name: typed[own] for name, own in names.items() if own in typed}

    def shape(self, stopped: Refusal | None, beside: Sequence[Any] = ()) -> str:
        """A short code of what the form asks, offers and says, whatever is typed, and of what is drawn `beside` it: it
        changes when the order allows less or asks more. A form that is `stopped` says the refusal.
        """
        said = stopped.stored() if stopped else _shape(self.declared)
        return hashlib.sha256(json.dumps([said, *beside]).encode()).hexdigest()[:16]

    def renewed(self, version: int) -> "ActionForm":
        """This form with its input, for the order as it is now; the next try is another submission."""
        self[KEY].data, self[VERSION].data = secrets.token_urlsafe(16), version
        return self

    def field_of(self, error: DeskError) -> Field | None:
        """The field that a refusal names, also within a group (`packages.1.carrier`)."""
        way = str(error.values.get("field", "")).split(".") if isinstance(error, Invalid) else []
        if len(way) > 2 and way[0] in self.counts and way[1].isdecimal():
            found: Field | None = self._fields.get(_name(way[0], int(way[1]), way[2]))
            return found
        return super().field_of(error)


def _shape(fields: Sequence[InputField]) -> list[Any]:
    return [
        (
            one.name,
            str(one.help),
            [value for value, _words in one.offered.choices],
            [value for _group, choices in one.offered.further for value, _words in choices],
            [(line.id, line.most) for line in one.offered.lines],
            [(line.id, line.most, [str(left.left) for left in line.amounts]) for line in one.offered.amounts],
            _shape(one.fields),
        )
        for one in fields
    ]


def has_input(action: OrderAction, given: Mapping[str, str]) -> bool:
    """Whether anything was filled in, beside what the form is about."""
    hidden = {"csrf_token", KEY, VERSION, action.about} | {_count(name) for name in action.Input.model_fields}
    return any(value for name, value in given.items() if name not in hidden)


def asks_for_groups(given: Mapping[str, Any]) -> bool:
    """Whether a button was pressed that adds or removes a group, so that the act is not done."""
    return any(_ADDS.fullmatch(name) or _REMOVES.fullmatch(name) for name in given)


def asks_to_fill(action: OrderAction, given: Mapping[str, str]) -> tuple[str, str] | None:
    """The field and the choice of the button that was pressed, if it fills other fields, so that the act is not
    done.
    """
    for name, info in action.Input.model_fields.items():
        shown = shown_of(info)
        if shown is not None and shown.kind is Kind.FILLING and f"{name}-fill" in given:
            return name, given[f"{name}-fill"]
    return None


def _count(name: str) -> str:
    return f"{name}-count"


def _name(groups: str, at: int, name: str) -> str:
    """The name of a field within a group; the first group's fields have the names of a single group's."""
    return name if at == 0 else f"{groups}-{at}-{name}"


def _count_of(groups: InputField, given: Any) -> int:
    """The number of groups of the form, by what was sent."""
    sent = given.get(_count(groups.name), "1") if given else "1"
    count = int(sent) if sent.isascii() and sent.isdecimal() and len(sent) < 4 else 1
    if given and f"{groups.name}-add" in given:
        count += 1
    count = min(max(count, 1), MOST_GROUPS)
    removed = _removed(groups, given)
    return max(1, count - 1) if removed is not None and removed < count else count


def _removed(groups: InputField, given: Any) -> int | None:
    """The position of the group that a button removes."""
    for name in given or ():
        if (found := _REMOVES.fullmatch(name)) and found[1] == groups.name:
            return int(found[2])
    return None


def _without_removed(fields: Sequence[InputField], given: Any) -> Any:
    """The values that were sent, without the removed group; the groups after it move up by one."""
    for groups in fields:
        removed = _removed(groups, given) if groups.fields else None
        if removed is None:
            continue
        given = MultiDict(given)
        for at in range(removed, MOST_GROUPS):
            for within in groups.fields:
                here, after = _name(groups.name, at, within.name), _name(groups.name, at + 1, within.name)
                for name in [name for name in given if name == here or name.startswith(f"{here}-")]:
                    given.poplist(name)
                for name in [name for name in given if name == after or name.startswith(f"{after}-")]:
                    given.setlist(here + name.removeprefix(after), given.getlist(name))
    return given


def action_form(
    action: OrderAction, order: Order | None, given: Any = None, *, actor: Actor, about: str = ""
) -> ActionForm:
    """The action's form, empty or with the values that were sent, for this actor; without an order it is for many
    orders. What was sent, or else `about`, has the number of what an action with `about` is about.

    Raises `PluginFailed` if the action can't declare its form.
    """
    named = str(given.get(action.about, "")) if given else about
    number = int(named) if named.isascii() and named.isdecimal() and len(named) < 10 else None
    form = ask(action, "form", _form, action, order, given, actor, number, raises=DeskError)
    for name, field in form._fields.items():  # a page may have the forms of two actions
        field.id = field.label.field_id = f"{action.code}-{name}"
    return form


def drafted_form(action: OrderAction, order: Order, typed: Mapping[str, Any], *, actor: Actor) -> ActionForm:
    """The action's form with a draft, as far as its fields are still there."""
    fields = _posted(action, {name: one for name, one in typed.items() if name in action.Input.model_fields})
    return action_form(action, order, MultiDict(fields or ()), actor=actor)


def _form(action: OrderAction, order: Order | None, given: Any, actor: Actor, number: int | None) -> ActionForm:
    if action.about and order is not None and number is not None:
        return ActionForm(fields_for(action, order, number, actor), order.version, given)
    return ActionForm(input_fields(action, order, actor), order.version if order else 0, given)


def again(action: OrderAction, order: Order | None, given: Any, error: DeskError, *, actor: Actor) -> ActionForm:
    """The refused form: its input, with every error."""
    form = action_form(action, order, given, actor=actor).renewed(order.version if order else 0)
    found: Sequence[DeskError] = error.problems if isinstance(error, InvalidInput) else [error]
    for problem in form.problems or found:
        if isinstance(problem, Invalid) and form.field_of(problem) is None:
            problem = Invalid(field=action.label, problem=problem.values["problem"])
        form.complain(problem)
    return form


def in_words(action: OrderAction | None, order: Order, problem: dict[str, Any] | None) -> str | None:
    """Why an act on the order was refused, from its stored form; fields are named by the labels of the act's form."""
    if action is not None and problem and problem["code"] == Invalid.code:
        way = str(problem["values"]["field"]).split(".")
        with suppress(PluginFailed):
            label = ask(action, "form", label_of_way, action.Input, way) or action.label
            problem = {**problem, "values": {"field": str(label), "problem": problem["values"]["problem"]}}
    return sentence_of(problem)


def document_acts(
    order: Order, codes: Iterable[str], given: Mapping[str, Any], actor: Actor, *, version: int | None
) -> list[dict[str, Any]]:
    """The acts of these codes, which are possible with the part of the order that `given` names, each a button with its
    form; without those that the actor may not do. Without a version they are done whatever else has changed of the
    order.
    """
    if order.managed_at_channel:
        return []
    forms = [(code, _sent_by_button(order, code, given, version=version, actor=actor)) for code in codes]
    return [{"code": code, "label": find_action(code).label, "form": form} for code, form in forms if form]


def undo_form(
    order: Order, code: str, given: Mapping[str, Any], *, version: int | None, actor: Actor
) -> dict[str, Any] | None:
    """The fields that a message posts to undo an act: an act like any other, on the order as the first act left it.

    None if the undoing act needs more input, is not possible, or is not allowed to this person; also if its input is
    none that a form of single values can post.
    """
    form = _sent_by_button(order, code, given, version=version, actor=actor)
    if form is None:
        return None
    action = find_action(code)
    return None if refusal_of(action, order, actor, given.get(action.about)) else form


def _sent_by_button(
    order: Order, code: str, given: Mapping[str, Any], *, version: int | None, actor: Actor
) -> dict[str, Any] | None:
    """The fields that a button posts to do an act with this input. None if the act needs more input, or is not allowed
    to this person; also if its input is none that a form of single values can post.
    """
    try:
        action = find_action(code)
        read_input(action, given)
    except (NotFound, Invalid, PluginFailed):
        return None
    if not actor.may(action.right):
        return None
    url = url_for("orders.perform", number=reference(order), code=code)
    fields = _posted(action, given)
    if fields is None:
        return None
    seen = [] if version is None else [(VERSION, str(version))]
    return {"url": url, "fields": [*fields, (KEY, secrets.token_urlsafe(16)), *seen]}


def _posted(action: OrderAction, given: Mapping[str, Any]) -> list[tuple[str, str]] | None:
    """An action's input as its form posts it; None if it has values for which the form has no single field."""
    fields = []
    for name, value in given.items():
        info = action.Input.model_fields.get(name)
        shown = shown_of(info) if info is not None else None
        if shown is None or shown.kind in (Kind.QUANTITIES, Kind.AMOUNTS, Kind.GROUPS):
            return None
        values = value if isinstance(value, (list, tuple)) else [value]
        fields += [(name, "y" if one is True else str(one)) for one in values if one is not None and one is not False]
    return fields


def _field(one: InputField) -> Field:
    label, offered = one.shown.label, one.offered
    only_with = {}
    if one.only_with:
        choice, *values = one.only_with
        only_with["data-only-with"] = choice + "=" + "\n".join(values)
    match one.shown.kind:
        case Kind.QUANTITIES:
            return QuantitiesField(label, offered.lines, offered.none, description=one.help)
        case Kind.AMOUNTS:
            return AmountsField(label, offered.amounts, description=one.help)
        case Kind.FIXED:
            return forms.hidden("" if offered.default is None else offered.default)
        case Kind.FILLING:
            return FillingField(label, offered, description=one.help)
        case Kind.SEVERAL:
            return forms.choices(label, list(offered.choices), help=one.help, **only_with)
        case Kind.CHOICE:
            choices, default = list(offered.choices), offered.default
            more = {"default": default, "further": offered.further}
            return forms.choice(label, choices, required=one.needed, help=one.help, **more)
        case Kind.TICK:
            return forms.tick(label, help=one.help, default=bool(offered.default))
    if offered.suggestions:
        return forms.suggesting(label, offered.suggestions, help=one.help, autocomplete="off")
    more = {"autocomplete": "off", "default": offered.default, **only_with}
    more |= {"maxlength": one.longest} if one.longest else {}
    kind = {Kind.LONG_TEXT: "textarea", Kind.TIME: "datetime"}.get(one.shown.kind, "text")
    return forms.text(label, required=one.needed, expected=one.expected, help=one.help, kind=kind, **more)

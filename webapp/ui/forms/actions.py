"""An order action as a form: its fields from what the action declares, its key and the version that the person saw."""

import secrets
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any

from flask import url_for
from wtforms import Field

from webapp.audit.actor import Actor
from webapp.errors import DeskError, Invalid, NotFound, sentence_of
from webapp.hooks.fence import PluginFailed, ask
from webapp.i18n import lazy_gettext as _l
from webapp.orders.contract import OrderAction
from webapp.orders.models import Order
from webapp.orders.queries import reference
from webapp.orders.services import find_action, read_input, refusal_of
from webapp.ui import forms
from webapp.ui.forms.quantities import QuantitiesField, QuantityLine

KEY, VERSION = "submission_key", "order_version"


class ActionForm(forms.Form):
    """The form of one action on one order. The same key sent twice acts once."""

    @property
    def key(self) -> str:
        return self.text_of(KEY)

    @property
    def version(self) -> int | None:
        text = self.text_of(VERSION)
        return int(text) if text.isdecimal() and len(text) < 10 else None

    @property
    def missing(self) -> list[str]:
        """Needed fields that were left empty."""
        return [name for name, field in self._fields.items() if field.flags.required and not field.data]

    @property
    def input(self) -> dict[str, Any]:
        """What goes into the action's `Input`; raises `Invalid` for a needed field that was left empty."""
        for name in self.missing:
            raise _needed(name)
        for name, field in self._fields.items():
            if isinstance(field, QuantitiesField) and field.problem:
                raise Invalid(field=name, problem=field.problem)
        return self.typed()

    def renewed(self, version: int) -> "ActionForm":
        """This form with what was typed, for the order as it is now; another try is another submission."""
        self[KEY].data, self[VERSION].data = secrets.token_urlsafe(16), version
        return self


def action_form(
    action: OrderAction, order: Order, given: Any = None, *, actor: Actor, many: bool = False
) -> ActionForm:
    """The action's form, empty or with what was sent, as it is for who asks; with `many` the order is a sample.

    Raises `PluginFailed` where the action can't say what its form is.
    """
    fields = ask(action, "form", _fields, action, order, actor, many, raises=DeskError)
    fields[KEY] = forms.hidden(secrets.token_urlsafe(16))
    fields[VERSION] = forms.hidden(order.version)
    form = ActionForm(fields, given)
    for name, field in form._fields.items():  # a page may hold the forms of two actions
        field.id = field.label.field_id = f"{action.code}-{name}"
    return form


def _fields(action: OrderAction, order: Order, actor: Actor, many: bool) -> dict[str, Field]:
    specs = action.fields_for_many(order, actor) if many else action.fields_for(order, actor)
    return {name: _field(spec) for name, spec in specs.items()}


def again(
    action: OrderAction, order: Order, given: Any, error: DeskError, *, actor: Actor, many: bool = False
) -> ActionForm:
    """The form that was refused: as typed, with the reason."""
    form = action_form(action, order, given, actor=actor, many=many).renewed(order.version)
    problems: list[DeskError] = [_needed(name) for name in form.missing] or [error]
    for problem in problems:
        if isinstance(problem, Invalid) and form.field_of(problem) is None:
            problem = Invalid(field=action.label, problem=problem.values["problem"])
        form.complain(problem)
    return form


def in_words(action: OrderAction | None, order: Order, problem: dict[str, Any] | None) -> str | None:
    """Why an act on the order was refused, as it was stored; a field has the label that the act's form gives it."""
    if action is not None and problem and problem["code"] == Invalid.code:
        way = str(problem["values"]["field"]).split(".")
        with suppress(PluginFailed):
            label = ask(action, "form", _label_of, action, order, way)
            problem = {**problem, "values": {**problem["values"], "field": label}}
    return sentence_of(problem)


def _label_of(action: OrderAction, order: Order, way: Sequence[str]) -> str:
    """What the act's form calls the field that this way leads to."""
    fields = action.form_fields(order)
    return str(next((fields[name]["label"] for name in reversed(way) if name in fields), action.label))


def undo_form(
    order: Order, code: str, given: Mapping[str, Any], *, version: int, actor: Actor
) -> dict[str, Any] | None:
    """What a message posts to take an act back: by the rules of any act, on the order as that act left it.

    None where the act that would do it needs more, is not possible, or is not this person's.
    """
    try:
        action = find_action(code)
        read_input(action, given)
    except (NotFound, Invalid):
        return None
    if not actor.may(action.right) or refusal_of(action, order, actor):
        return None
    url = url_for("orders.perform", number=reference(order), code=code)
    params = {**given, KEY: secrets.token_urlsafe(16), VERSION: str(version)}
    fields = [(name, value) for name, some in params.items() for value in ([some] if isinstance(some, str) else some)]
    return {"url": url, "fields": fields}


def _needed(name: str) -> Invalid:
    return Invalid(field=name, problem=_l("is needed."))


def _field(spec: Mapping[str, Any]) -> Field:
    label, help, required = spec["label"], spec.get("help", ""), bool(spec.get("required"))
    if spec.get("type") == "quantities":
        return QuantitiesField(label, [QuantityLine(*line) for line in spec["lines"]], description=help)
    if "choices" in spec:
        offered = list(spec["choices"])
        if spec.get("type") == "several":
            return forms.choices(label, offered, help=help)
        required = bool(spec.get("required", "default" not in spec))
        return forms.choice(label, offered, required=required, help=help, default=spec.get("default"))
    if spec.get("type") == "checkbox":
        return forms.tick(label, help=help, default=bool(spec.get("default")))
    if "suggestions" in spec:
        return forms.suggesting(label, spec["suggestions"], help=help, autocomplete="off")
    more = {"autocomplete": "off", "default": spec.get("default")}
    more |= {"maxlength": spec["longest"]} if "longest" in spec else {}
    expected = bool(spec.get("expected"))
    return forms.text(label, required=required, expected=expected, help=help, kind=spec.get("type", "text"), **more)

"""One declaration of an act's input: the form, many orders, JSON and its schema say the same; all errors at once."""

from collections.abc import Callable, Mapping
from typing import Annotated, Any

import pytest
from flask import Flask
from pydantic import BaseModel, Field
from werkzeug.datastructures import MultiDict

from webapp.audit.actor import Actor
from webapp.db import unit_of_work
from webapp.errors import DeskError, Invalid, InvalidInput, Refusal, Stale
from webapp.hooks import hookimpl, hooks
from webapp.hooks.failures import Failure
from webapp.orders.contract import ActionInput, OrderAction
from webapp.orders.events import events_of
from webapp.orders.inputs import HIDDEN, FormField, Kind, Offered, UnitsOfLine, input_fields, schema
from webapp.orders.models import Order
from webapp.orders.queries import locked, locked_all
from webapp.orders.services import Done, Wanted, act, act_many, actions, comment, find_action, read_input
from webapp.ui.forms.actions import action_form, again

MakeOrder = Callable[..., Order]


class Box(BaseModel):
    """A box with its name and units."""

    name: Annotated[str, Field(max_length=20), FormField("Name", needed=True)] = ""
    lines: Annotated[dict[int, int], FormField("Units", Kind.QUANTITIES)] = Field(default_factory=dict)


class PackInput(ActionInput):
    boxes: Annotated[
        list[Box], FormField("Boxes", Kind.GROUPS, each="Box %(number)s", add="Add", remove="Remove %(number)s")
    ]
    how: Annotated[str, FormField("How", Kind.CHOICE)]
    note: Annotated[str, Field(max_length=5), FormField("Note", help="A word.")] = ""
    secret: int = 0  # for the command line alone


class Pack(OrderAction):
    """An action with every kind of field; what it did is written in comments."""

    code, label, right, bulk = "pack", "Pack", "orders.ship", True
    Input = PackInput

    def __init__(self) -> None:
        self.sets: list[list[int]] = []
        self.fails_for: set[int] = set()

    def refusal(self, order: Order, actor: Actor) -> Refusal | None:
        return None

    def perform(self, order: Order, data: PackInput, actor: Actor) -> None:
        comment(order, f"{len(data.boxes)} boxes", actor=actor)
        if order.id in self.fails_for:
            raise RuntimeError("torn")

    def perform_many(self, orders: Any, data: PackInput, actor: Actor) -> None:
        self.sets.append([order.id for order in orders])
        super().perform_many(orders, data, actor)

    def offered(self, order: Order | None, actor: Actor) -> Mapping[str, Offered]:
        how = Offered(choices=[("flat", "Flat"), ("long", "Long")], default="flat")
        if order is None:
            return {"how": how, "boxes": HIDDEN}
        lines = [UnitsOfLine(line.id, line.title, line.sku, line.open) for line in order.lines]
        return {"how": how, "boxes": Offered(fields={"lines": Offered(lines=lines)}, most=3)}


@pytest.fixture
def pack(app: Flask) -> Pack:
    action = Pack()

    class Plugin:
        @hookimpl
        def register_order_actions(self) -> list[OrderAction]:
            return [action]

    hooks.manager.register(Plugin(), name="packing")
    return action


def form_of(order: Order, actor: Actor, given: dict[str, Any] | None = None) -> Any:
    return action_form(find_action("pack"), order, MultiDict(given) if given else None, actor=actor)


# --- The form ---------------------------------------------------------------------------------------------------------


def test_the_form_has_the_declared_fields_in_their_order(make_order: MakeOrder, mia: Actor, pack: Pack) -> None:
    form = form_of(make_order(), mia)
    groups, how, note = form.parts
    assert [field.name for field in groups.each[0].fields] == ["name", "lines"]
    assert (how.data, note.description, note.render_kw["maxlength"]) == ("flat", "A word.", 5)
    assert how.flags.required
    assert not note.flags.required
    assert "secret" not in form


def test_a_group_is_added_taken_away_and_keeps_what_was_typed(make_order: MakeOrder, mia: Actor, pack: Pack) -> None:
    order = make_order(quantity=3)
    line = order.lines[0].id
    typed = {"name": "A", "note": "x", "how": "long", "boxes-count": "1", "boxes-add": "1"}
    form = form_of(order, mia, typed)
    assert [group.label for group in form.parts[0].each] == ["Box 1", "Box 2"]
    assert (form["name"].data, form["boxes-1-name"].data, form["boxes-count"].data) == ("A", None, "2")
    typed = {
        "name": "A", "boxes-1-name": "B", "boxes-2-name": "C", "boxes-count": "3", "how": "flat",
        "boxes-2-lines": "some", "boxes-2-lines-line": str(line), f"boxes-2-lines-{line}": "2",
    }  # fmt: skip
    form = form_of(order, mia, typed)
    assert form.parts[0].add == ""  # no more fit
    one, two, three = {"name": "A"}, {"name": "B"}, {"name": "C", "lines": {line: 2}}
    assert form.input["boxes"] == [one, two, three]
    assert form_of(order, mia, typed | {"boxes-remove-0": "1"}).input["boxes"] == [two, three]
    assert form_of(order, mia, typed | {"boxes-remove-1": "1"}).input["boxes"] == [one, three]
    assert form_of(order, mia, typed | {"boxes-remove-2": "1"}).input["boxes"] == [one, two]


ODD = [{"boxes-count": count} for count in ("-4", "x", "²", "9" * 9, "999")]


@pytest.mark.parametrize("sent", [*ODD, {"boxes-remove-7": "1"}, {"boxes-remove-0": "1"}])
def test_counts_of_groups_that_can_not_be_are_made_to_fit(
    make_order: MakeOrder, mia: Actor, pack: Pack, sent: dict[str, str]
) -> None:
    form = form_of(make_order(), mia, {"name": "A", "how": "flat"} | sent)
    assert 1 <= len(form.parts[0].each) <= 20


def test_all_that_is_wrong_is_said_at_once_each_beside_its_field(make_order: MakeOrder, mia: Actor, pack: Pack) -> None:
    order = make_order()
    given = MultiDict({"boxes-count": "2", "name": "A", "how": "", "note": "much too long"})
    form = action_form(pack, order, given, actor=mia)
    with pytest.raises(InvalidInput) as refused:
        _ = form.input
    assert {problem.values["field"] for problem in refused.value.problems} == {"boxes-1-name", "how"}
    form = again(pack, order, given, refused.value, actor=mia)
    assert (form["boxes-1-name"].errors, bool(form["how"].errors), [*form["name"].errors]) == (
        ["Enter a value."],
        True,
        [],
    )
    given = {"boxes": [{"name": "A" * 21}, {"name": "B" * 21}], "note": "much too long"}
    with pytest.raises(InvalidInput) as refused:
        read_input(pack, given)
    assert [problem.values["field"] for problem in refused.value.problems] == [
        "boxes.0.name",
        "boxes.1.name",
        "how",
        "note",
    ]
    typed = MultiDict({"boxes-count": "2", "name": "A", "boxes-1-name": "B", "how": "flat"})
    form = again(pack, order, typed, refused.value, actor=mia)
    assert (
        form["name"].errors
        == form["boxes-1-name"].errors
        == form["note"].errors
        == ["This text is too long. Shorten it."]
    )


def test_a_field_that_is_not_there_is_a_fault_of_the_action(
    make_order: MakeOrder, mia: Actor, pack: Pack, monkeypatch: pytest.MonkeyPatch, plugin_failures: list[Failure]
) -> None:
    monkeypatch.setattr(Pack, "offered", lambda self, order, actor: {"hwo": Offered()})
    with pytest.raises(DeskError, match="failed"):
        form_of(make_order(), mia)
    assert [failure.plugin for failure in plugin_failures] == ["packing"]
    plugin_failures.clear()


# --- The schema -------------------------------------------------------------------------------------------------------


def test_the_schema_says_what_the_form_says(make_order: MakeOrder, mia: Actor, pack: Pack) -> None:
    told = schema(pack, make_order(), mia)
    assert list(told["properties"]) == ["boxes", "how", "note", "secret"]
    assert told["required"] == ["boxes", "how"]
    assert told["properties"]["how"]["choices"] == [
        {"value": "flat", "label": "Flat"},
        {"value": "long", "label": "Long"},
    ]
    assert (told["properties"]["note"]["title"], told["properties"]["note"]["description"]) == ("Note", "A word.")
    assert told["$defs"]["Box"]["properties"]["name"]["title"] == "Name"


def test_every_action_of_the_desk_has_a_form_and_a_schema(make_order: MakeOrder, mia: Actor) -> None:
    order = make_order(quantity=2)
    for action in actions().values():
        for subject in (order, None):
            fields = input_fields(action, subject, mia)
            assert all(str(field.shown.label) for field in fields)
            told = schema(action, subject, mia)["properties"]
            assert {field.name for field in fields} <= set(told)
            assert all(told[field.name]["title"] == str(field.shown.label) for field in fields)


# --- One order and many -----------------------------------------------------------------------------------------------


def given(**more: Any) -> dict[str, Any]:
    return {"boxes": [{"name": "A"}], "how": "flat"} | more


def acted(orders: list[Order], actor: Actor, *inputs: dict[str, Any]) -> list[Done | Exception]:
    action = find_action("pack")
    with unit_of_work():
        found = locked_all([order.id for order in orders], actor)
        wanted = [
            Wanted(order, read_input(action, inputs[at % len(inputs)]), f"k{at}") for at, order in enumerate(found)
        ]
        return act_many(action, wanted, actor)


def test_orders_with_the_same_input_are_one_act(make_order: MakeOrder, mia: Actor, pack: Pack) -> None:
    orders = [make_order() for _ in range(4)]
    outcomes = acted(orders, mia, given(), given(note="x"))
    assert all(isinstance(outcome, Done) for outcome in outcomes)
    assert pack.sets == [[orders[0].id, orders[2].id], [orders[1].id, orders[3].id]]
    assert acted(orders, mia, given(), given(note="x")) == outcomes  # by their keys: nothing was done twice
    assert len(pack.sets) == 2
    assert [len(events_of(order)) for order in orders] == [2] * 4


def test_where_a_set_fails_each_is_tried_by_itself(
    make_order: MakeOrder, mia: Actor, pack: Pack, plugin_failures: list[Failure]
) -> None:
    orders = [make_order() for _ in range(3)]
    pack.fails_for = {orders[1].id}
    outcomes = acted(orders, mia, given())
    assert [type(outcome).__name__ for outcome in outcomes] == ["Done", "PluginFailed", "Done"]
    assert [order.comments for order in orders] == [1, 0, 1]  # nothing of the failed set remains
    assert pack.sets == [[order.id for order in orders], *[[order.id] for order in orders]]
    assert [failure.place for failure in plugin_failures] == ["action"]
    plugin_failures.clear()


def test_what_fails_for_many_alone_is_noted_all_the_same(
    make_order: MakeOrder, mia: Actor, pack: Pack, monkeypatch: pytest.MonkeyPatch, plugin_failures: list[Failure]
) -> None:
    def perform_many(self: Pack, orders: Any, data: Any, actor: Actor) -> None:
        if len(orders) > 1:
            raise RuntimeError("several at once")
        self.perform(orders[0], data, actor)

    monkeypatch.setattr(Pack, "perform_many", perform_many)
    outcomes = acted([make_order() for _ in range(3)], mia, given())
    assert all(isinstance(outcome, Done) for outcome in outcomes)
    assert [(failure.plugin, failure.problem) for failure in plugin_failures] == [("packing", "RuntimeError")]
    plugin_failures.clear()


def test_versions_and_keys_are_asked_of_each(make_order: MakeOrder, mia: Actor, pack: Pack) -> None:
    order, other = make_order(), make_order()
    data = read_input(pack, given())
    with unit_of_work():
        stale, done = act_many(
            pack, [Wanted(locked(order), data, version=order.version + 1), Wanted(locked(other), data, key="one")], mia
        )
    assert isinstance(stale, Stale)
    with unit_of_work():
        assert act(pack, locked(other), data, mia, key="one") == done
    with pytest.raises(Stale), unit_of_work():
        act(pack, locked(order), data, mia, version=order.version + 1)


def test_invalid_input_can_be_stored_and_read_again(pack: Pack) -> None:
    with pytest.raises(InvalidInput) as refused:
        read_input(pack, {})
    assert refused.value.stored()["code"] == Invalid.code
    assert str(refused.value) == "boxes: Enter a value. how: Enter a value."

"""Everything that plugins register is checked at the start: its type, its code, its right."""

import copy
import dataclasses
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Annotated, Any

import pytest
from flask import Flask

from tests.ui.conftest import Browser
from webapp.audit.actor import Actor
from webapp.cli.main import main
from webapp.hooks import hookimpl, hooks, specs
from webapp.hooks.discovery import PluginState
from webapp.hooks.failures import Failure
from webapp.hooks.registered import faults_of, is_ours, owner_of
from webapp.orders.contract import ActionInput, OrderAction, Panel
from webapp.orders.inputs import FormField, Kind
from webapp.registrations import ASKED, check_all

pytestmark = pytest.mark.parametrize("database", ["sqlite"], indirect=True)
HOOKS = sorted(name for name in vars(specs) if name.startswith("register_") and name != "register_commands")


class Brings:
    """A plugin that registers these things by one hook."""

    def __init__(self, hook: str, *things: Any) -> None:
        setattr(self, hook, hookimpl(lambda: list(things)))
        getattr(self, hook).waybill_impl = {"specname": hook} | _OPTIONS


_OPTIONS = {"hookwrapper": False, "wrapper": False, "optionalhook": False, "tryfirst": False, "trylast": False}


@contextmanager
def plugged(**plugins: tuple[str, list[Any]]) -> Iterator[None]:
    """Register plugins by name, each with a hook and its things, in this order."""
    for name, (hook, things) in plugins.items():
        hooks.manager.register(Brings(hook, *things), name=name)
    yield
    for name in plugins:
        hooks.manager.unregister(name=name)


def with_(thing: Any, **changes: Any) -> Any:
    if dataclasses.is_dataclass(thing) and not isinstance(thing, type):
        return dataclasses.replace(thing, **changes)
    changed = copy.copy(thing)
    for name, value in changes.items():
        setattr(changed, name, value)
    return changed


def a_thing(hook: str) -> Any:
    """A thing that this hook can register."""
    for implementation in getattr(hooks.manager.hook, hook).get_hookimpls():
        for thing in implementation.function():
            return thing
    if hook == "register_panels":
        return Panel(code="p", label="P", render=lambda order, actor: "")
    raise AssertionError(f"nobody brings anything by {hook}")


@pytest.mark.own_desk
def test_every_hook_that_registers_is_asked_at_the_start(app: Flask) -> None:
    assert sorted(ASKED) == HOOKS
    assert set(HOOKS) <= hooks.manager.answers.keys()
    assert hooks.manager.faults == {}


def test_a_thing_of_another_type_is_left_out_by_name(app: Flask, plugin_failures: list[Failure]) -> None:
    for hook in HOOKS:
        with plugged(odd=(hook, [object()])):
            check_all(app)
            [why] = faults_of("odd")
            assert why.startswith(f"{hook}: gave “object” where “")
    assert {one.plugin for one in plugin_failures} == {"odd"}
    plugin_failures.clear()


# These have no code that addresses them, and nobody registers them here.
WITHOUT_CODE = {"register_schedules", "register_blueprints", "register_menu_entries"}
ADDRESS = {"register_streams": "lane", "register_processes": "name"}


def test_of_two_plugins_with_one_code_the_first_keeps_it(app: Flask, plugin_failures: list[Failure]) -> None:
    for hook in sorted(set(HOOKS) - WITHOUT_CODE):
        thing, name = a_thing(hook), ADDRESS.get(hook, "code")
        if hook == "register_settings":
            thing = with_(thing, settings=())
        code = "twin.code" if hook == "register_rights" else "twin"
        twins = [with_(thing, **{name: code}) for _ in range(2)]
        other = with_(thing, **{name: f"{code}_other"})
        with plugged(first=(hook, twins[:1]), second=(hook, [twins[1], other])):
            check_all(app)
            assert faults_of("first") == []
            [why] = faults_of("second")
            assert why.startswith(f"{hook}: ")
            assert why.endswith(" is there already")
    plugin_failures.clear()


def test_a_right_to_undo_that_nobody_brings_leaves_the_kind_out(app: Flask, plugin_failures: list[Failure]) -> None:
    [thing, *_] = ASKED["register_outward_kinds"]().values()
    for code, named in (("dare", "daring.undo"), ("usual", ""), ("known", "orders.ship")):
        with plugged(daring=("register_outward_kinds", [with_(thing, code=code, undo_right=named)])):
            check_all(app)
            assert (code in ASKED["register_outward_kinds"]()) == (code != "dare")
            expected = ["register_outward_kinds: there is no right daring.undo"] if code == "dare" else []
            assert faults_of("daring") == expected
    plugin_failures.clear()


def test_a_right_that_nobody_brings_leaves_the_thing_out(app: Flask, plugin_failures: list[Failure]) -> None:
    things = {hook: a_thing(hook) for hook in sorted(set(HOOKS) - WITHOUT_CODE)}
    having = {hook: thing for hook, thing in things.items() if hasattr(thing, "right")}
    assert having.keys() == {
        "register_cards",
        "register_list_subjects",
        "register_order_actions",
        "register_outward_kinds",
        "register_panels",
    }
    for hook, thing in having.items():
        with plugged(daring=(hook, [with_(thing, code="dare", right="daring.do")])):
            check_all(app)
            assert faults_of("daring") == [f"{hook}: there is no right daring.do"]
    plugin_failures.clear()


def test_a_plugin_stands_in_the_place_of_the_desks_own_where_the_guide_says_so(app: Flask) -> None:
    for hook in ("register_badges", "register_cards", "register_query_keys"):
        [thing, *_] = ASKED[hook]().values()
        assert is_ours(owner_of(thing))
        with plugged(better=(hook, [with_(thing)])):
            assert owner_of(ASKED[hook]()[thing.code]) == "better"
            assert faults_of("better") == []


def test_no_plugin_stands_in_the_place_of_a_list_of_the_desks_own(app: Flask, plugin_failures: list[Failure]) -> None:
    orders = ASKED["register_list_subjects"]()["orders"]
    with plugged(bold=("register_list_subjects", [with_(orders)])):
        assert ASKED["register_list_subjects"]()["orders"] is orders
        assert faults_of("bold") == ["register_list_subjects: orders is there already"]
    plugin_failures.clear()


def test_check_and_the_plugins_page_say_it_at_once(
    app: Flask, make_user: Callable[..., Actor], plugin_failures: list[Failure], capsys: pytest.CaptureFixture[str]
) -> None:
    hooks.manager.register(Brings("register_badges", object()), name="odd")
    app.extensions["waybill.plugins"] = [PluginState("odd", "plugins/odd")]
    check_all(app)
    plugin_failures.clear()
    main(["check"])
    why = "register_badges: gave “object” where “Badge” is needed"
    assert f"NO  plugins: not loaded: of odd: {why}" in capsys.readouterr().out
    shown = Browser(app).enter(make_user("manager", "Max")).get("/plugins/").text
    assert f"Not loaded: {why}" in shown
    assert "Partly loaded" in shown


def test_an_action_with_a_field_that_fills_others_says_how(app: Flask, plugin_failures: list[Failure]) -> None:
    class Input(ActionInput):
        start: Annotated[str, FormField("Start", Kind.FILLING)] = ""

    class Mute(OrderAction):
        code, label, right = "mute", "Mute", "orders.comment"

        def refusal(self, order: Any, actor: Any) -> None:
            return None

        def perform(self, order: Any, data: Any, actor: Any) -> None:
            raise AssertionError("nobody does it")

    Mute.Input = Input
    with plugged(mute=("register_order_actions", [Mute()])):
        check_all(app)
        [why] = faults_of("mute")
    assert why.endswith("a field of its Input fills others, and its filling does not say how")
    plugin_failures.clear()

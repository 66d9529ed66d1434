"""Every hook registers things, is asked, or is told; and is called accordingly."""

import ast
import inspect
from collections.abc import Iterator
from importlib import import_module

import pytest

from webapp.config import ROOT
from webapp.hooks import HookClass, class_of, specs
from webapp.jobs import telling

HOOKS = {name: spec for name, spec in vars(specs).items() if hasattr(spec, "waybill_spec")}
CALLED_BY = {
    "ask_listeners": HookClass.ASKED,
    "refusals": HookClass.ASKED,
    "kept_now": HookClass.ASKED,
    "tell": HookClass.TOLD,
}


def calls() -> Iterator[tuple[str, str]]:
    """Every hook that is called by its name, with the function that calls it."""
    for path in sorted((ROOT / "webapp").rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            match node:
                case ast.Call(ast.Name(how), [ast.Constant(str(hook)), *_]) if how in CALLED_BY and hook in HOOKS:
                    yield how, hook


@pytest.mark.parametrize("name", HOOKS)
def test_each_is_of_one_class(name: str) -> None:
    assert (class_of(HOOKS[name]) is None) is name.startswith("register_")


def test_each_is_called_as_what_it_is() -> None:
    found = dict.fromkeys(hook for _, hook in calls())
    assert [(how, hook) for how, hook in calls() if CALLED_BY[how] is not class_of(HOOKS[hook])] == []
    assert set(found) == {name for name in HOOKS if class_of(HOOKS[name])}


@pytest.mark.parametrize("name", [name for name in HOOKS if class_of(HOOKS[name]) is HookClass.TOLD])
def test_what_is_told_can_be_kept_and_told_again(name: str) -> None:
    """The hook takes one list of facts, whose type is declared and can be stored as JSON."""
    for path in (ROOT / "webapp").glob("*/hookimpls.py"):  # where facts are declared
        import_module(f"webapp.{path.parent.name}.hookimpls")
    assert len(inspect.signature(HOOKS[name]).parameters) == 1
    assert telling._adapter(name).dump_python([], mode="json") == []
    telling._adapter(name).json_schema()  # raises where it holds what JSON can't

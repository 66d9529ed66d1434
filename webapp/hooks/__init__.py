"""Hooks: how floors speak upwards and how plugins take part. `specs` lists them all, `discovery` finds the plugins.

A hook `register_…` collects what there is. Each other hook is either asked, before something is done and able to refuse
it, or told, once something has happened.
"""

from collections.abc import Callable
from enum import StrEnum
from typing import Any, TypeVar

import pluggy

F = TypeVar("F", bound=Callable[..., Any])
PROJECT = "waybill"
hookspec = pluggy.HookspecMarker(PROJECT)
hookimpl = pluggy.HookimplMarker(PROJECT)


class HookClass(StrEnum):
    """When a hook is called, and what happens if a plugin's listener fails."""

    ASKED = "asked"  # before it is done: a listener that fails refuses (`asking`)
    TOLD = "told"  # after it has happened: a listener that fails is called again (`webapp.jobs.telling`)


def asked(spec: F) -> F:
    """Mark the specification of a hook that is asked before something is done."""
    return _of_class(spec, HookClass.ASKED)


def told(spec: F) -> F:
    """Mark the specification of a hook that tells what has happened, as a list of facts."""
    return _of_class(spec, HookClass.TOLD)


def _of_class(spec: F, hook_class: HookClass) -> F:
    setattr(spec, "hook_class", hook_class)  # noqa: B010 - functions declare no such attribute
    return hookspec(spec)


def class_of(spec: Callable[..., Any]) -> HookClass | None:
    """The class of a hook by its specification; None for a hook that registers things."""
    return getattr(spec, "hook_class", None)


class Manager(pluggy.PluginManager):
    """The plugins, with what was learned of them; it keeps what hooks answered until one comes or goes, since what one
    brings may follow from what another did.
    """

    def __init__(self) -> None:
        super().__init__(PROJECT)
        self.answers: dict[str, tuple[Any, ...]] = {}  # what was registered, or who listens, by hook
        # Whose each thing is, by its id; and whose those are that the desk made of what a plugin registered.
        self.owners: dict[int, tuple[Any, str]] = {}
        self.makers: dict[int, tuple[Any, str]] = {}
        # What was registered and can't be there, by hook: the plugin and the reason.
        self.faults: dict[str, list[tuple[str, str]]] = {}

    def register(self, plugin: object, name: str | None = None) -> str | None:
        self.answers.clear()
        return super().register(plugin, name)

    def unregister(self, plugin: object | None = None, name: str | None = None) -> Any | None:
        self.answers.clear()
        return super().unregister(plugin, name)


class Hooks:
    """The only access to the plugin manager; `asking`, `telling` and `registered` call the listeners."""

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        """Forget every plugin; the next `discovery.load()` starts from none."""
        from webapp.hooks import specs  # the specifications name types of higher floors, under TYPE_CHECKING only

        self.manager = Manager()
        self.manager.add_hookspecs(specs)


hooks = Hooks()

__all__ = ["HookClass", "asked", "class_of", "hookimpl", "hooks", "hookspec", "told"]

"""Hooks: how floors speak upwards and how plugins take part. `specs` lists them all, `discovery` finds the plugins."""

from typing import Any

import pluggy

PROJECT = "waybill"
hookspec = pluggy.HookspecMarker(PROJECT)
hookimpl = pluggy.HookimplMarker(PROJECT)


class Hooks:
    """The one door to the plugin manager: `hooks.shipments_created(shipments=[…])` calls whoever listens."""

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        """Forget every plugin; the next `discovery.load()` starts from none."""
        from webapp.hooks import specs  # the specs name types of floors above, under TYPE_CHECKING only

        self.manager = pluggy.PluginManager(PROJECT)
        self.manager.add_hookspecs(specs)
        # What `registered` was given, by hook, with the implementations that gave it; and whose each thing is, by id.
        self.answers: dict[str, tuple[list[Any], tuple[Any, ...]]] = {}
        self.owners: dict[int, tuple[Any, str]] = {}

    def __getattr__(self, name: str) -> Any:
        return getattr(self.manager.hook, name)


hooks = Hooks()

__all__ = ["hookimpl", "hooks", "hookspec"]

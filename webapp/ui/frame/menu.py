"""Entries of the main menu that plugins bring."""

from dataclasses import dataclass

from webapp.i18n import LazyString


@dataclass(frozen=True, slots=True)
class MenuEntry:
    """A way from every page to a page of the plugin that brings it, for whoever has the right that its view declares.

    `endpoint` is the page's own: the blueprint's name, a dot, and the view's.
    """

    label: LazyString | str
    endpoint: str

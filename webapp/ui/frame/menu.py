"""Entries of the main menu that plugins register."""

from dataclasses import dataclass

from webapp.i18n import LazyString


@dataclass(frozen=True, slots=True)
class MenuEntry:
    """A link from every page to a page of the plugin that registers it, for people with the right that its view
    declares.

    `endpoint` is the page's own: the blueprint's name, a dot, and the view's name.
    """

    label: LazyString | str
    endpoint: str

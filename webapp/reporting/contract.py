"""What a card of the dashboard implements."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from webapp.audit.actor import Actor
from webapp.i18n import LazyString


@dataclass(frozen=True, slots=True, kw_only=True)
class Card:
    """A card of the dashboard that loads by itself, after the page; where it fails, its place says so.

    `render` gives HTML and asks no network; what it asks of the database is stopped after `seconds`.
    """

    code: str
    label: LazyString | str
    render: Callable[[Actor], str]
    right: str = "orders.view"
    seconds: float = 1.0
    wide: bool = False

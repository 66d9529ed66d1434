"""The contract of a dashboard card."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from webapp.audit.actor import Actor
from webapp.i18n import LazyString


@dataclass(frozen=True, slots=True, kw_only=True)
class Card:
    """A card of the dashboard that loads by itself, after the page; if it fails, an error is shown in its place.

    `render` returns HTML and calls no network; its database queries are stopped after `seconds`.
    """

    code: str
    label: LazyString | str
    render: Callable[[Actor], str]
    right: str = "orders.view"
    seconds: float = 1.0
    wide: bool = False

"""Collecting at the start everything that the desk and its plugins register, so that `check` and the page of plugins
name a faulty registration at once, and not when it is first used.
"""

from collections.abc import Callable
from typing import Any

from flask import Flask

from webapp.audit.rights import rights
from webapp.channels.registered import channels
from webapp.cli.practice_stores import processes
from webapp.fulfillment.services import providers
from webapp.jobs import schedule
from webapp.orders import attention
from webapp.orders.badges import badges
from webapp.orders.events import event_words
from webapp.orders.services import actions
from webapp.search.registered import list_columns, query_keys, subjects, word_sources
from webapp.settings.declared import DESK
from webapp.settings.services import groups
from webapp.sync.streams import streams
from webapp.ui.desk import cards
from webapp.ui.frame import plugin_pages
from webapp.ui.orders import panels
from webapp.updates import kinds

# One for each hook that registers things, except for commands, which are collected when the command line needs them.
ASKED: dict[str, Callable[[], Any]] = {
    "register_rights": rights,  # first, since others name them
    "register_attention_kinds": attention.kinds,
    "register_badges": badges,
    "register_blueprints": plugin_pages.blueprints,
    "register_cards": cards.every,
    "register_channels": channels,
    "register_columns": list_columns,
    "register_event_words": event_words,
    "register_fulfillment_providers": providers,
    "register_list_subjects": subjects,
    "register_menu_entries": plugin_pages.entries,
    "register_order_actions": actions,
    "register_outward_kinds": kinds.kinds,
    "register_panels": panels.every,
    "register_processes": processes,
    "register_query_keys": query_keys,
    "register_schedules": schedule.registered,
    "register_settings": lambda: groups(DESK),
    "register_streams": streams,
    "register_word_sources": word_sources,
}


def check_all(app: Flask) -> None:
    """Collect everything; faulty registrations are left out."""
    with app.app_context():
        for ask in ASKED.values():
            ask()

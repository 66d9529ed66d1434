"""The settings that the desk itself declares: the legal face of each shop; the connection of each store with the age of
its credentials, and how long its buyers are kept.
"""

from webapp.channels.ages import AGES, entered
from webapp.channels.keeping import BUYERS
from webapp.channels.legal_face import FACE, SENDER
from webapp.channels.models import Store
from webapp.channels.services import CONNECTION
from webapp.db import db
from webapp.hooks import hookimpl
from webapp.settings.declared import SettingsChange, SettingsGroup


@hookimpl
def register_settings() -> list[SettingsGroup]:
    return [FACE, SENDER, CONNECTION, AGES, BUYERS]


@hookimpl
def settings_changed(changes: list[SettingsChange]) -> None:
    """Record the day on which a credential was entered."""
    for change in changes:
        if change.concerns(CONNECTION) and change.names:
            entered(db.session.get_one(Store, change.id), change.names)

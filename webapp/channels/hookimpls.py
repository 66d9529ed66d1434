"""The settings that the desk itself declares: the legal face of each shop; the connection of each store, and how its
orders and buyers are treated.
"""

from webapp.channels.keeping import BUYERS
from webapp.channels.legal_face import FACE, SENDER
from webapp.channels.order_settings import NEW_ORDERS
from webapp.channels.services import CONNECTION
from webapp.hooks import hookimpl
from webapp.settings.declared import SettingsGroup


@hookimpl
def register_settings() -> list[SettingsGroup]:
    return [FACE, SENDER, CONNECTION, NEW_ORDERS, BUYERS]

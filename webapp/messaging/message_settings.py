"""The settings of a store about writing to its buyers: how long it can be undone, whether it goes by e-mail, too, and
which mails go by themselves.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from webapp.channels.described import mail_route
from webapp.channels.messages import MailRoute
from webapp.channels.models import Store
from webapp.i18n import lazy_gettext as _l
from webapp.messaging.documents import CREDIT_MEMO, INVOICE, SHIPMENT
from webapp.settings.declared import STORE, Setting, SettingsGroup
from webapp.settings.stored import stored_everywhere

MESSAGE_HOLD = Setting(
    name="message_hold",
    label=_l("Seconds in which a message can be undone"),
    default=60,
    minimum=0,
    maximum=3600,
    help=_l("A message waits for this time before it is sent. 0: messages are sent at once."),
)
MESSAGES = SettingsGroup("messages", _l("Messages to buyers"), (MESSAGE_HOLD,), scope=STORE)
BY_MAIL = Setting(
    name="by_mail",
    label=_l("Also write to buyers by e-mail"),
    default=False,
    help=_l("E-mails are sent from the shop's sender of messages through the desk's mail server."),
)
AUTOMATIC: dict[str, Setting[bool]] = {
    INVOICE: Setting(name="mail_invoices", label=_l("Send each invoice by e-mail once it is issued"), default=False),
    CREDIT_MEMO: Setting(
        name="mail_memos", label=_l("Send each credit memo by e-mail once it is issued"), default=False
    ),
    SHIPMENT: Setting(name="mail_shipments", label=_l("Send an e-mail about each shipment"), default=False),
}


def _settings(store: Store) -> Sequence[Setting[Any]]:
    route = mail_route(store.channel)
    by_mail = replace(BY_MAIL, help=route.help) if route and route.help else BY_MAIL
    return () if route is None else (by_mail, *(one for kind, one in AUTOMATIC.items() if kind in route.documents))


BUYER_MAIL = SettingsGroup("buyer_mail", _l("E-mail to buyers"), _settings, scope=STORE)


def route_of(store: Store) -> MailRoute | None:
    """How the buyers of a store are written to by e-mail; None if its channel, or the store, does not want it."""
    route = mail_route(store.channel)
    return route if route is not None and BUYER_MAIL.read(store, [BY_MAIL])[BY_MAIL.name] else None


def goes_by_itself(store: Store, kind: str) -> bool:
    """Whether documents of this kind are mailed once they are issued."""
    route = route_of(store)
    return route is not None and kind in route.documents and store.id in stores_that_mail(kind)


def stores_that_mail(kind: str) -> list[int]:
    """The ids of the stores whose documents of this kind are mailed, if they are written to by e-mail at all."""
    return [id_ for id_, on in stored_everywhere(STORE, BUYER_MAIL.code, AUTOMATIC[kind].name).items() if on]

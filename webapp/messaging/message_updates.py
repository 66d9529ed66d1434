"""The kind of outward act that sends a message to a buyer. What became of one can't be looked up at a channel, so one
whose answer was lost is unknown until a person decides.
"""

from collections.abc import Mapping
from typing import Any, Final

from webapp.audit.actor import Actor
from webapp.channels.incoming import IncomingOrder
from webapp.channels.messages import MESSAGE, TEXT
from webapp.db import db
from webapp.errors import Refusal
from webapp.i18n import lazy_gettext as _l
from webapp.messaging.message_words import REFUSED, REFUSED_EVENT, SENT
from webapp.messaging.models import Message
from webapp.messaging.services import SEALED, SENDING, BuyerIsErased
from webapp.orders.events import record
from webapp.orders.models import Order
from webapp.settings.declared import STORE, Setting, SettingsGroup
from webapp.updates.contract import OutwardKind
from webapp.updates.models import ChannelUpdate, UpdateState
from webapp.vault import services as vault

VERSION: Final = 1
MESSAGE_HOLD = Setting(
    name="message_hold",
    label=_l("Seconds in which a message can be undone"),
    default=60,
    minimum=0,
    maximum=3600,
    help=_l("A message waits for so long before it goes to the channel. 0: it goes at once."),
)
SETTINGS = SettingsGroup("messages", _l("Messages to buyers"), (MESSAGE_HOLD,), scope=STORE)
_WORDS = {UpdateState.EFFECTIVE: SENT, UpdateState.REFUSED: REFUSED_EVENT}


class MessageToBuyer(OutwardKind):
    """A message to the buyer of an order, by its id."""

    code, label, right = MESSAGE, _l("Message to the buyer"), SENDING
    hold = MESSAGE_HOLD
    provable = False
    trouble = REFUSED.code

    def reference(self, source: Message) -> str:
        return str(source.id)

    def payload(self, order: Order, source: Message) -> Mapping[str, Any]:
        return {"version": VERSION, "message": source.kind}

    def private(self, update: ChannelUpdate) -> Mapping[str, Any]:
        row = db.session.get_one(Message, update.source_id)
        sealed = [(row.order_id, SEALED, row.sealed)]
        [said] = vault.reveal_sealed(Actor.job("messages"), sealed, purpose="message to the buyer")
        return {TEXT: said["text"] if said else ""}

    def stands(self, update: ChannelUpdate, order: Order) -> Refusal | None:
        return BuyerIsErased() if vault.erased([order.id]) else None

    def shown_by(self, update: ChannelUpdate, reading: IncomingOrder) -> None:
        return None

    def settled(self, update: ChannelUpdate) -> None:
        words = _WORDS.get(UpdateState(update.state))
        if words is not None:
            record(update.order, words.code, actor=Actor.channel(update.store_id))

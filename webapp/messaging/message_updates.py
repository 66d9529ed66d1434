"""The kind of outward act that sends a message to a buyer. What became of one can't be looked up at a channel, so one
whose answer was lost is unknown until a person decides.
"""

from collections.abc import Mapping
from typing import Any, Final

from webapp.audit.actor import Actor
from webapp.channels.incoming import IncomingOrder
from webapp.channels.messages import FILES, MESSAGE, TEXT
from webapp.db import db
from webapp.errors import Refusal
from webapp.i18n import lazy_gettext as _l
from webapp.messaging.documents import files_of
from webapp.messaging.message_settings import MESSAGE_HOLD
from webapp.messaging.message_words import REFUSED, REFUSED_EVENT, SENT
from webapp.messaging.models import Message
from webapp.messaging.sealing import BuyerIsErased, said_in
from webapp.messaging.services import SENDING
from webapp.orders.events import record
from webapp.orders.models import Order
from webapp.updates.contract import OutwardKind
from webapp.updates.models import ChannelUpdate, UpdateState
from webapp.vault import services as vault

VERSION: Final = 1
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
        row, worker = db.session.get_one(Message, update.source_id), Actor.job("messages")
        said = said_in(row, worker, purpose="message to the buyer")
        return {TEXT: said["text"] if said else "", FILES: files_of(row, worker)}

    def stands(self, update: ChannelUpdate, order: Order) -> Refusal | None:
        return BuyerIsErased() if vault.erased([order.id]) else None

    def shown_by(self, update: ChannelUpdate, reading: IncomingOrder) -> None:
        return None

    def settled(self, update: ChannelUpdate) -> None:
        words = _WORDS.get(UpdateState(update.state))
        if words is not None:
            record(update.order, words.code, actor=Actor.channel(update.store_id))

"""What messages say, sealed under the keys of their orders: it is erased with the buyer."""

from webapp.audit.actor import Actor
from webapp.errors import Refusal
from webapp.i18n import lazy_gettext as _l
from webapp.messaging.models import Message, Said
from webapp.vault import services as vault

SEALED = "message"  # the kind under which it is sealed


class BuyerIsErased(Refusal):
    code = "message_buyer_erased"
    sentence = _l("The buyer's data were erased, so no message can be sent to the buyer.")


def sealed(order_id: int, said: Said) -> bytes:
    return vault.seal(order_id, SEALED, said)


def said_in(message: Message, actor: Actor, *, purpose: str = "messages") -> Said | None:
    """What a message says, None if it was erased. Revealing it is recorded; raises `Forbidden`."""
    said: Said | None
    [said] = vault.reveal_sealed(actor, [(message.order_id, SEALED, message.sealed)], purpose=purpose)
    return said

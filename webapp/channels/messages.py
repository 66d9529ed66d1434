"""What can be written to buyers through a channel's own messages: the kinds that it knows, and how one is sent.

A channel that carries them has the kind of update `message`; which kinds it allows for an order now it says when it is
asked (`Channel.messages_allowed`). Nothing here uses the database or the network.
"""

from dataclasses import dataclass
from typing import Final

from webapp.i18n import LazyString

MESSAGE: Final = "message"  # the kind of update
TEXT: Final = "text"  # the name of the text among what an update has beside its payload


@dataclass(frozen=True, slots=True)
class MessageKind:
    """A kind of message to a buyer.

    `longest` is the number of characters that its text may have; `help` says when it is meant to be used. The payload
    of an update has its code under `message`.
    """

    code: str
    label: LazyString | str
    longest: int
    help: LazyString | str = ""

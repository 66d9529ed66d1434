"""What can be written to buyers: the kinds of a channel's own messages, how one is sent, and the route by e-mail.

A channel that carries them has the kind of update `message`; which kinds it allows for an order now it says when it is
asked (`Channel.messages_allowed`). Nothing here uses the database or the network.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Final

from webapp.i18n import LazyString

MESSAGE: Final = "message"  # the kind of update
TEXT: Final = "text"  # the names of the text, and of the files, among what an update has beside its payload
FILES: Final = "files"
MAIL: Final = "mail"  # the kind of a message that goes by e-mail instead


@dataclass(frozen=True, slots=True)
class MessageKind:
    """A kind of message to a buyer.

    `longest` is the number of characters that its text may have; 0: it has no text, but documents, at least one. `help`
    says when it is meant to be used. The payload of an update has its code under `message`. `situations` are those of
    the desk's templates that it is meant for (`webapp.messaging.situations`): choosing such a template chooses the
    kind. `documents` are the kinds of documents that may go with it, `invoice` and `credit_memo`, `most_documents` of
    them at most.
    """

    code: str
    label: LazyString | str
    longest: int
    help: LazyString | str = ""
    situations: Sequence[str] = ()
    documents: Collection[str] = ()
    most_documents: int = 5


@dataclass(frozen=True, slots=True)
class MessagesAnswer:
    """What a channel says of messages about an order: the codes of the kinds that it allows now, and the buyer's
    language, such as "fr_FR"; empty if the channel does not say.
    """

    kinds: Sequence[str] = ()
    language: str = ""


@dataclass(frozen=True, slots=True)
class MailRoute:
    """That buyers of a channel may be written to by e-mail, at the address that their orders have.

    `relayed` means that this is an address of the channel, which passes a mail on: it takes mails of registered senders
    only, and forbids in them what it forbids in its own messages. `documents` are the kinds of documents that may go
    with a mail, or be what it is about: `invoice`, `credit_memo`, `shipment`.
    """

    relayed: bool = False
    documents: Collection[str] = ("invoice", "credit_memo", "shipment")
    help: LazyString | str = ""

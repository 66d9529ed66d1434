"""Write to the buyer by the channel's own messages, of the kinds that it allows for the order now."""

from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import Field

from webapp.api import (
    ActionInput,
    Actor,
    FormField,
    Kind,
    NoMessageWaits,
    Offered,
    Order,
    OrderAction,
    PartAction,
    Place,
    Preview,
    Refusal,
    lazy_gettext as _l,
    message_refusal,
    messages_offered,
    preview_message,
    undo_message,
    undo_message_refusals,
    write_message,
)


class MessageInput(ActionInput):
    """What the buyer gets: a kind of message that the channel allows, and its text."""

    kind: Annotated[str, Field(max_length=100), FormField(_l("Kind of message"), Kind.CHOICE, needed=True)] = ""
    text: Annotated[
        str,
        Field(max_length=10_000),
        FormField(
            _l("Message to the buyer"),
            Kind.LONG_TEXT,
            needed=True,
            help=_l("The buyer reads this. No links, e-mail addresses, telephone numbers or advertising."),
        ),
    ] = ""


class WriteToBuyer(OrderAction):
    """Write to the buyer; the message waits a moment before it leaves."""

    code, label, right, icon = "message", _l("Write to buyer"), "messages.send", "message"
    previews = asks_messages = True
    Input = MessageInput

    def refusal(self, order: Order, actor: Actor) -> Refusal | None:
        return message_refusal(order, actor)

    def perform(self, order: Order, data: MessageInput, actor: Actor) -> None:
        write_message(order, data.kind, data.text, actor=actor)

    def dry_run(self, order: Order, data: MessageInput, actor: Actor) -> Preview:
        return preview_message(order, data.kind, data.text)

    def offered(self, order: Order | None, actor: Actor) -> Mapping[str, Offered]:
        if order is None:
            return {}
        kinds, help_ = messages_offered(order)
        return {"kind": Offered(choices=[(one.code, one.label) for one in kinds], help=help_)}

    def undo_in_run(self, since: int, version: int) -> tuple[str, Mapping[str, Any]]:
        return UndoMessage.code, {"since": since, "until": version}

    def for_version(self, data: MessageInput) -> bool:
        return False  # a message is valid whatever changed on the order; the channel decides


class UndoMessageInput(ActionInput):
    """A message by its id. Without one it is the latest that has not left, of those by which the order's version rose
    from `since` to `until`.
    """

    message: Annotated[int, FormField(_l("Message to the buyer"), Kind.FIXED)] = 0
    since: Annotated[int, FormField(_l("Message to the buyer"), Kind.FIXED)] = 0
    until: Annotated[int | None, FormField(_l("Message to the buyer"), Kind.FIXED)] = None


class UndoMessage(PartAction):
    """Take back a message that has not left yet."""

    code, label, right, icon = "undo_message", _l("Undo message"), "messages.send", "player-play"
    place, about, Input, nothing = Place.MESSAGES, "message", UndoMessageInput, NoMessageWaits

    def refusals(self, order: Order, actor: Actor) -> Mapping[int, Refusal | None]:
        return undo_message_refusals(order)

    def perform(self, order: Order, data: UndoMessageInput, actor: Actor) -> None:
        undo_message(order, data.message, since=data.since, until=data.until, actor=actor)

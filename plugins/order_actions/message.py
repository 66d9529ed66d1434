"""Write to the buyer, by the channel's own messages, of the kinds that it allows for the order now, or by e-mail; and
what is done about the buyer's answers.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Annotated, Any

from pydantic import Field

from webapp.api import (
    HIDDEN,
    MAIL,
    ActionInput,
    Actor,
    ActorKind,
    ComposedMessage,
    Filling,
    FormField,
    Invalid,
    Kind,
    LazyString,
    NoAnswerOpen,
    NoMessageWaits,
    NothingUndecided,
    Offered,
    Order,
    OrderAction,
    PartAction,
    Place,
    Preview,
    Refusal,
    assign_answer,
    composed_message,
    documents_of_many,
    documents_offered,
    fill_from_template,
    find_person,
    finish_answer,
    finish_answered,
    kinds_by_route,
    lazy_gettext as _l,
    mail_arrived,
    mails_undecided,
    message_addressee,
    message_refusal,
    messages_offered,
    ngettext,
    open_answer_refusals,
    people,
    preview_message,
    send_mail_again,
    situations_offered,
    templates_offered,
    undo_message,
    undo_message_refusals,
    write_message,
)

ME, NOBODY = "me", "nobody"


class MessageInput(ActionInput):
    """What the buyer gets: a kind of message that the channel allows, or e-mail, and its text, or a template instead of
    it; an e-mail may have a subject of its own. A text that was typed names the template that it was `started_from`, or
    has the `template` beside it. Documents go with an e-mail, and with kinds that take them, by their
    names, such as `invoice:1001`; some kinds are documents alone. And the received message that it answers, which is
    done by that.
    """

    answers: Annotated[int, FormField(_l("Buyer's answer"), Kind.FIXED)] = 0
    situation: Annotated[
        str,
        Field(max_length=100),
        FormField(
            _l("Text"),
            Kind.CHOICE,
            help=_l("Each buyer receives the text in their language, with the data of their order."),
        ),
    ] = ""
    template: Annotated[str, Field(max_length=100), FormField(_l("Start from a template"), Kind.FILLING)] = ""
    started_from: Annotated[str, Field(max_length=100), FormField(_l("Start from a template"), Kind.FIXED)] = ""
    kind: Annotated[str, Field(max_length=100), FormField(_l("Kind of message"), Kind.CHOICE, needed=True)] = ""
    subject: Annotated[
        str,
        Field(max_length=1000),
        FormField(
            _l("Subject"),
            help=_l("The subject is used for e-mails. If it is empty, the order number is used."),
            only_with=("kind", MAIL),
        ),
    ] = ""
    attach: Annotated[
        list[str],
        Field(max_length=20),
        FormField(
            _l("Documents"),
            Kind.SEVERAL,
            help=_l("The documents are attached as PDF to e-mails and to kinds of messages that accept them."),
        ),
    ] = []
    text: Annotated[
        str,
        Field(max_length=10_000),
        FormField(
            _l("Message to the buyer"),
            Kind.LONG_TEXT,
            expected=True,
            help=_l(
                "The buyer reads this text. It can't contain links, e-mail addresses, phone numbers or advertising."
            ),
        ),
    ] = ""


class WriteToBuyer(OrderAction):
    """Write to the buyer; the message waits a moment before it leaves."""

    code, label, right, bulk, icon = "message", _l("Write to buyer"), "messages.send", True, "message"
    previews = asks_messages = drafts = True
    about, prefills = "answers", frozenset({"kind", "attach"})
    Input = MessageInput

    def doing(self, count: int) -> str:
        return str(
            ngettext("A message to %(num)s buyer is being sent.", "Messages to %(num)s buyers are being sent.", count)
        )

    def done(self, count: int) -> str:
        return str(ngettext("%(num)s message queued", "%(num)s messages queued", count))

    def refusal(self, order: Order, actor: Actor) -> Refusal | None:
        return message_refusal(order, actor)

    def perform(self, order: Order, data: MessageInput, actor: Actor) -> None:
        composed = self._composed(order, data, actor)
        with_it = data.subject, data.attach, data.answers
        write_message(order, composed.kind, composed.text, *with_it, started_from=composed.started_from, actor=actor)
        if data.answers:
            finish_answered(order, data.answers, actor=actor)

    def dry_run(self, order: Order, data: MessageInput, actor: Actor) -> Preview:
        composed = self._composed(order, data, actor)
        with_it = data.subject, data.attach, data.answers
        return preview_message(order, composed.kind, composed.text, *with_it, actor=actor)

    def _composed(self, order: Order, data: MessageInput, actor: Actor) -> ComposedMessage:
        named, started_from = data.template or data.situation, data.started_from or data.template
        return composed_message(order, data.kind, data.text, named, actor, started_from=started_from)

    def filling(self, order: Order, field: str, choice: str, data: Mapping[str, Any], actor: Actor) -> Filling:
        return fill_from_template(order, choice, str(data.get("kind", "")), actor)

    def addressee(self, order: Order) -> LazyString | str:
        return message_addressee(order)

    def offered(self, order: Order | None, actor: Actor) -> Mapping[str, Offered]:
        if order is None:  # what a channel allows is asked for one order at a time
            typed = _l("The text below")
            return {
                "situation": Offered(choices=[("", typed), *situations_offered()]),
                "template": HIDDEN,
                "kind": Offered(choices=[(MAIL, _l("E-mail"))], default=MAIL),
                "attach": Offered(choices=documents_of_many()),
            }
        kinds, help_ = messages_offered(order)
        documents, with_which = documents_offered(order)
        by_mail = any(one.code == MAIL for one in kinds)
        return {
            "situation": HIDDEN,
            "template": templates_offered(order),
            "kind": Offered(further=kinds_by_route(order, kinds), help=help_),
            "subject": Offered() if by_mail else HIDDEN,
            "attach": Offered(choices=documents, help=with_which) if documents else HIDDEN,
        }

    def offered_for(self, order: Order, number: int, actor: Actor) -> Mapping[str, Offered]:
        """A reply goes as the answer came, by e-mail, unless something else is chosen, and with its subject."""
        offered = self.offered(order, actor)
        if offered["subject"] is HIDDEN:
            return offered
        usual = _l(
            "The subject is used for e-mails. If it is empty, “Re:” and the subject of the buyer's answer are used."
        )
        return {**offered, "kind": replace(offered["kind"], default=MAIL), "subject": Offered(help=usual)}

    def undo_in_run(self, since: int, version: int) -> tuple[str, Mapping[str, Any]]:
        return UndoMessage.code, {"since": since, "until": version}

    def for_version(self, data: MessageInput) -> bool:
        return False  # a message is valid whatever changed on the order; the channel decides


class UndoMessageInput(ActionInput):
    """A message by its id. Without one it is the latest that has not left, of those by which the order's version rose
    from `since` to `until`.
    """

    message: Annotated[int, FormField(_l("Message to the buyer"), Kind.FIXED)] = 0
    since: Annotated[int, Field(ge=0, lt=2**31), FormField(_l("Message to the buyer"), Kind.FIXED)] = 0
    until: Annotated[int | None, Field(ge=0, lt=2**31), FormField(_l("Message to the buyer"), Kind.FIXED)] = None


class UndoMessage(PartAction):
    """Take back a message that has not left yet."""

    code, label, right, icon = "undo_message", _l("Undo message"), "messages.send", "player-play"
    place, about, Input, nothing = Place.MESSAGES, "message", UndoMessageInput, NoMessageWaits

    def refusals(self, order: Order, actor: Actor) -> Mapping[int, Refusal | None]:
        return undo_message_refusals(order)

    def perform(self, order: Order, data: UndoMessageInput, actor: Actor) -> None:
        undo_message(order, data.message, since=data.since, until=data.until, actor=actor)


class MailInput(ActionInput):
    """A mail to the buyer by the id of its message."""

    message: Annotated[int, FormField(_l("Message to the buyer"), Kind.FIXED)]


class SendMailAgain(PartAction):
    """Send a mail again that was refused, or that may not have arrived."""

    code, label, right, icon = "send_mail_again", _l("Send again"), "messages.send", "refresh"
    place, about, Input, nothing = Place.MESSAGES, "message", MailInput, NothingUndecided

    def refusals(self, order: Order, actor: Actor) -> Mapping[int, Refusal | None]:
        return dict.fromkeys(mails_undecided(order))

    def perform(self, order: Order, data: MailInput, actor: Actor) -> None:
        send_mail_again(order, data.message, actor=actor)


class MailArrived(PartAction):
    """Say that a mail arrived of which nobody knew whether it did."""

    code, label, right, icon = "mail_arrived", _l("Mark as arrived"), "messages.send", "check"
    place, about, Input, nothing = Place.MESSAGES, "message", MailInput, NothingUndecided

    def refusals(self, order: Order, actor: Actor) -> Mapping[int, Refusal | None]:
        return {id_: None for id_, state in mails_undecided(order).items() if state == "unknown"}

    def perform(self, order: Order, data: MailInput, actor: Actor) -> None:
        mail_arrived(order, data.message, actor=actor)


class AnswerInput(ActionInput):
    """A received message by its id; without one, the newest that is not done."""

    message: Annotated[int, FormField(_l("Buyer's answer"), Kind.FIXED)] = 0


class FinishAnswer(PartAction):
    """Mark a received message as done."""

    code, label, right, icon = "message_done", _l("Mark as done"), "messages.send", "check"
    place, about, Input, nothing = Place.MESSAGES, "message", AnswerInput, NoAnswerOpen

    def refusals(self, order: Order, actor: Actor) -> Mapping[int, Refusal | None]:
        return open_answer_refusals(order)

    def perform(self, order: Order, data: AnswerInput, actor: Actor) -> None:
        finish_answer(order, data.message, actor=actor)

    def for_version(self, data: AnswerInput) -> bool:
        return False  # whatever else changed on the order, the message was read


class AssignAnswerInput(AnswerInput):
    # "me", "nobody", an id or an e-mail address
    assignee: Annotated[str, Field(max_length=320), FormField(_l("Assignee"), Kind.CHOICE)] = NOBODY


class AssignAnswer(PartAction):
    """Assign a received message to a person."""

    code, label, right, icon = "assign_message", _l("Assign"), "messages.send", "user"
    place, about, Input, nothing = Place.MESSAGES, "message", AssignAnswerInput, NoAnswerOpen

    def refusals(self, order: Order, actor: Actor) -> Mapping[int, Refusal | None]:
        return open_answer_refusals(order)

    def perform(self, order: Order, data: AssignAnswerInput, actor: Actor) -> None:
        assignee = data.assignee or NOBODY
        if assignee == ME and actor.kind is not ActorKind.PERSON:
            raise Invalid(
                field="assignee",
                problem=_l("“Me” works only for a signed-in user. Enter the user's id or e-mail address."),
            )
        user_id = None if assignee == NOBODY else actor.id if assignee == ME else find_person(assignee).id
        assign_answer(order, data.message, user_id, actor=actor)

    def offered(self, order: Order | None, actor: Actor) -> Mapping[str, Offered]:
        named = [(str(user.id), user.name or user.email) for user in people()]
        return {"assignee": Offered(choices=[(ME, _l("Me")), (NOBODY, _l("Nobody")), *named])}

    def for_version(self, data: AssignAnswerInput) -> bool:
        return False

"""The messages of an order, as its page shows them."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

from webapp.audit.actor import Actor
from webapp.errors import sentence_of
from webapp.hooks.fence import PluginFailed, ask
from webapp.mail.models import STATE_LABELS, STATE_TONES, Mail, MailState
from webapp.messaging.documents import names_of
from webapp.messaging.queries import Written
from webapp.messaging.services import kind_name
from webapp.messaging.templates import template_of
from webapp.orders.contract import PartAction, Place
from webapp.orders.models import Order
from webapp.orders.services import actions
from webapp.ui.forms.actions import document_acts
from webapp.ui.orders import received_messages, shown


def shown_thread(
    order: Order, found: Sequence[Written], updates: Sequence[Mapping[str, Any]], actor: Actor
) -> list[dict[str, Any]]:
    """The messages, each with how far it has come and what can be done about it."""
    possible, by_id = _possible(order, actor), {update["id"]: update for update in updates}
    documents = names_of([one for written in found for one in written.documents])
    bounced = {one.received.bounced_id: one.received.problem for one in found if one.received}
    thread = []
    for one in found:
        acts = document_acts(order, possible[one.message.id], {"message": one.message.id}, actor, version=None)
        if one.received is not None:
            thread.append(received_messages.shown(order, one, one.received, acts))
            continue
        thread.append(
            {
                "received": False,
                "id": one.message.id,
                "kind": kind_name(order.store.channel, one.message.kind),
                "subject": one.said["subject"] if one.said else "",
                "text": one.said["text"] if one.said else None,
                "at": one.message.written_at,
                "by": shown.author_of(one.message, order.store),
                "template": template_of(one.message),
                "carried": by_id.get(one.update_id),
                "bounced": sentence_of(bounced.get(one.message.id)),
                "mail": _mail(one.mail) if one.mail else None,
                "documents": [documents[file.kind, file.document_id] for file in one.documents],
                "acts": acts,
            }
        )
    return thread


def _mail(mail: Mail) -> dict[str, Any]:
    return {
        "state": mail.state,
        "label": STATE_LABELS[mail.state],
        "tone": STATE_TONES[MailState(mail.state)],
        "goes_at": mail.next_at if mail.state == MailState.QUEUED else None,
        "problem": sentence_of(mail.problem) or "",
    }


def _possible(order: Order, actor: Actor) -> dict[int, list[str]]:
    """The codes of what can be done about each message."""
    found: dict[int, list[str]] = defaultdict(list)
    for action in actions().values():
        if action.place is not Place.MESSAGES or not isinstance(action, PartAction) or not actor.may(action.right):
            continue
        try:
            refusals = ask(action, "action", action.refusals, order, actor, gives=Mapping)
        except PluginFailed:  # the others are possible all the same
            continue
        for message_id, refusal in refusals.items():
            if refusal is None:
                found[message_id].append(action.code)
    return found

"""What the form of a message offers and shows before it is sent."""

from collections.abc import Sequence
from datetime import timedelta

from webapp.channels.messages import MessageKind
from webapp.channels.services import channel_name
from webapp.clock import now
from webapp.i18n import LazyString, lazy_gettext as _l
from webapp.messaging.message_updates import MESSAGE_HOLD
from webapp.messaging.services import allowed, checked_text, kinds_allowed, nothing_allowed, problem_of, unsaid
from webapp.messaging.text_rules import phone_in, site_in
from webapp.orders.contract import Preview
from webapp.orders.models import Order
from webapp.updates.queries import why_nothing_goes


def messages_offered(order: Order) -> tuple[Sequence[MessageKind], LazyString | str]:
    """The kinds of messages that the channel allows for the order, and a sentence about its answer."""
    if (refusal := nothing_allowed(order)) is not None:
        return (), str(refusal)
    answer, channel = allowed(order), channel_name(order.store.channel)
    if problem := problem_of(answer):
        return kinds_allowed(order), problem
    if unsaid(order) is not None:
        being_asked = _l("%(channel)s is being asked what it allows; this takes a few seconds.", channel=channel)
        return kinds_allowed(order), being_asked
    return kinds_allowed(order), ""


def preview_message(order: Order, kind: str, text: str) -> Preview:
    """The text exactly as it is sent, and when. Raises what `write_message` raises for the text."""
    checked = checked_text(order, kind, text)
    sentences: list[tuple[LazyString | str, dict[str, object]]] = []
    channel = channel_name(order.store.channel)
    held = MESSAGE_HOLD.of(order.store)
    if (stopped := why_nothing_goes(order.store)) is not None:
        sentences.append((stopped, {}))
    elif held:
        goes = _l("%(channel)s gets it at %(goes)s at the earliest; you can undo it until then.")
        sentences.append((goes, {"channel": channel, "goes": now() + timedelta(seconds=held)}))
    else:
        sentences.append((_l("%(channel)s gets it at once: it can't be undone."), {"channel": channel}))
    for found, looks in (
        (phone_in(checked), _l("“%(found)s” looks like a telephone number, which %(channel)s forbids.")),
        (site_in(checked), _l("“%(found)s” looks like a link, which %(channel)s forbids.")),
    ):
        if found:
            sentences.append((looks, {"found": found, "channel": channel}))
    return Preview(text=checked, sentences=sentences)

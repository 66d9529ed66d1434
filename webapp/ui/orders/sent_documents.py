"""Whether documents of an order, and mails about its shipments, went to the buyer, as its page shows it, with the link
that sends a document.
"""

from collections.abc import Sequence
from typing import Any, TypeVar

from flask import url_for

from webapp.billing.models import CreditMemo, Invoice
from webapp.channels.described import mail_route
from webapp.channels.messages import MAIL
from webapp.fulfillment.services import shipments_of
from webapp.i18n import gettext as _
from webapp.messaging.documents import SHIPMENT
from webapp.messaging.sent_documents import sending_kind, sendings
from webapp.orders.models import Order
from webapp.orders.queries import reference
from webapp.orders.services import Offer
from webapp.ui.orders import shown

D = TypeVar("D", Invoice, CreditMemo)


def with_sent(
    order: Order, documents: Sequence[D], kind: str, writing: Offer | None
) -> list[tuple[D, dict[str, Any] | None]]:
    """Documents of one kind, each with whether it went to the buyer, and the address of the form that writes to the
    buyer with it; None for those that are not issued. `writing` is the act that writes, as the order offers it.
    """
    issued = {one.id: f"{kind}:{one.number}" for one in documents if one.number}
    found, by = sendings(kind, list(issued)), None
    if issued and writing is not None and not writing.refusal and not order.managed_at_channel:
        by = sending_kind(order, kind)

    def sent(document_id: int, name: str) -> dict[str, Any]:
        state = shown.sending(found.get(document_id))
        if writing is None or by is None:
            return state | {"form": None, "label": ""}
        form = url_for("orders.choose", number=reference(order), code=writing.code, kind=by.code, attach=name)
        return state | {"form": form, "label": _("Send by e-mail") if by.code == MAIL else _("Send to the buyer")}

    return [(one, sent(one.id, issued[one.id]) if one.id in issued else None) for one in documents]


def mails_shipments(order: Order) -> bool:
    """Whether buyers of the order's channel may get mails about shipments."""
    route = mail_route(order.store.channel)
    return route is not None and SHIPMENT in route.documents


def shipment_mails(order: Order) -> list[dict[str, Any]]:
    """How far the mails about shipments of the order have come, each with the numbers of the shipment's packages."""
    shipments = shipments_of(order)
    found = sendings(SHIPMENT, [one.id for one in shipments])
    return [
        shown.sending(found[one.id]) | {"packages": [package.number for package in one.packages]}
        for one in shipments
        if one.id in found
    ]

"""The contents of one order's page: each part is read when a template asks for it, and once.

The tab determines the parts of a page; acting is in `orders`, the channel's own data in `channel_side`, what a
credit memo, a transaction and a return show in `refunds` and `returns`.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from functools import cached_property
from operator import attrgetter
from typing import Any
from urllib.parse import parse_qs, quote, urlsplit

from flask import g, url_for
from sqlalchemy import select
from sqlalchemy.orm import joinedload, selectinload
from sqlalchemy.orm.attributes import set_committed_value

from webapp.audit.actor import Actor
from webapp.billing.corrections import correction_refusals
from webapp.billing.models import CreditMemo, Invoice
from webapp.billing.queries import invoices_of, memos_of
from webapp.billing.transactions import transactions_of
from webapp.channels import described
from webapp.channels.incoming import BUYER_FIELDS
from webapp.channels.review_requests import REVIEW_REQUEST
from webapp.clock import iso, now, parse_instant
from webapp.db import db
from webapp.documents.packing import slip_refusal
from webapp.documents.return_slips import return_refusal
from webapp.documents.upload_settings import carries_uploads
from webapp.documents.upload_words import STATE_LABELS as UPLOAD_STATES
from webapp.documents.uploads import upload_among
from webapp.errors import Refusal, sentence_of
from webapp.fulfillment.canceling import asked
from webapp.fulfillment.confirmations import SHIPMENT, confirmations_of, held_shipments
from webapp.fulfillment.services import shipments_of, shipping_refusal
from webapp.hooks.fence import PluginFailed, ask
from webapp.i18n import LazyString, gettext as _, lazy_gettext as _l
from webapp.jobs.telling import missed_of
from webapp.messaging import reviews
from webapp.messaging.documents import CREDIT_MEMO, INVOICE
from webapp.messaging.queries import SHOWN as MESSAGES_SHOWN, thread_of
from webapp.messaging.review_settings import rule_of, window_of
from webapp.orders import addresses, of_buyer
from webapp.orders.cancel_requests import asks_to_cancel, is_answered_elsewhere, request_of
from webapp.orders.contract import OrderAction, Place
from webapp.orders.drafts import Draft, draft_of, with_draft
from webapp.orders.models import Order, OrderComment, OrderHold, OrderLine
from webapp.orders.organizing import people
from webapp.orders.postal import hints
from webapp.orders.postal_lines import Address, address_of, readers_home
from webapp.orders.queries import find_order, reference
from webapp.orders.services import (
    Offer,
    action_at,
    actions,
    bar,
    offers,
    package_offers,
    refusal_of,
)
from webapp.orders.states import OPEN_STATES
from webapp.orders.statuses import all_statuses, status_name
from webapp.orders.tags import tags_of
from webapp.returns.queries import returns_of
from webapp.search.contract import Label
from webapp.sync.call_list import calls_of_order, message, operation_label, seconds_of
from webapp.sync.call_log import OUTCOMES, TONES
from webapp.ui.forms.actions import ActionForm, action_form, document_acts, undo_form
from webapp.ui.frame import htmx
from webapp.ui.orders import refunds, returns, shown, timeline
from webapp.ui.orders.messages import shown_thread
from webapp.ui.orders.sent_documents import mails_shipments, shipment_mails, with_sent
from webapp.updates import deciding
from webapp.updates.kinds import why_not
from webapp.updates.models import STATE_TONES, UNSETTLED, ChannelUpdate, UpdateState
from webapp.updates.queries import goes_at, list_updates, why_it_waits, why_nothing_goes
from webapp.vault import services as vault

OVERVIEW, SHIPMENTS, INVOICES, REFUNDS, CHANNEL = "overview", "shipments", "invoices", "refunds", "channel"
RETURNS, MESSAGES = "returns", "messages"
TABS: dict[str, LazyString] = {
    OVERVIEW: _l("Overview"),
    SHIPMENTS: _l("Shipments"),
    INVOICES: _l("Invoices"),
    REFUNDS: _l("Refunds"),
    RETURNS: _l("Returns"),
    MESSAGES: _l("Messages"),
    "updates": _l("Channel updates"),
    "timeline": _l("Timeline"),
    CHANNEL: _l("Channel side"),
}
PLACES = {  # the place of an act's form: the part, and its element
    Place.ACTIONS: ("orders/_actions.html", "#order-actions"),
    Place.COMMENTS: ("orders/_comments.html", "#order-comments"),
    Place.ADDRESSES: ("orders/_addresses.html", "#order-addresses"),
    Place.PACKAGES: ("orders/_tab.html", "#order-tab"),
    Place.DOCUMENTS: ("orders/_tab.html", "#order-tab"),
    Place.RETURNS: ("orders/_tab.html", "#order-tab"),
    Place.MESSAGES: ("orders/_tab.html", "#order-tab"),
}
_FORM = re.compile(r"/actions/(\w+)$")  # the address of an act's form
# The places with a tab of their own.
TAB_OF = {Place.PACKAGES: SHIPMENTS, Place.RETURNS: RETURNS, Place.MESSAGES: MESSAGES}
# Cards about the buyer, by the field that tells what each shows.
_OF_BUYER = {"buyer": "orders/_buyer.html", "addresses": PLACES[Place.ADDRESSES][0]}
ASIDE = "orders/_aside.html"
RECENT = 8  # events beside the overview
_AROUND = (
    joinedload(Order.assignee),
    joinedload(Order.running_hold).joinedload(OrderHold.person),
    joinedload(Order.other_orders_setting),
)
_FIGURES = (joinedload(Order.own_amounts), selectinload(Order.lines).joinedload(OrderLine.amounts))


def open_order(number: str, actor: Actor, tab: str = OVERVIEW, *, action: OrderAction | None = None) -> Order:
    """The order with the data of its head, in one query; for tabs with figures, its lines and all amounts in
    another. With an action that has drafts, the person's draft of it, too.
    """
    drafts = [with_draft(action.code, actor)] if action and action.drafts else []
    if tab not in (OVERVIEW, INVOICES, CHANNEL):
        return find_order(number, actor, *_AROUND, *drafts)
    order = find_order(number, actor, *_AROUND, *_FIGURES, *drafts)
    amounts = [*order.own_amounts, *(amount for line in order.lines for amount in line.amounts)]
    set_committed_value(order, "amounts", sorted(amounts, key=attrgetter("id")))
    return order


def url_of(order: Order, tab: str = OVERVIEW) -> str:
    """The address of the order's page, or of one of its tabs."""
    return url_for("orders.show", number=reference(order), tab=None if tab == OVERVIEW else tab)


def tab_of(place: Place) -> str:
    """The tab on which the forms of this place are: some places have their own, the others go by the page.
    Acts on documents are also on the dashboard: what they change is among the refunds.
    """
    if place in TAB_OF:
        return TAB_OF[place]
    tab = current_tab()
    return REFUNDS if place is Place.DOCUMENTS and tab == OVERVIEW else tab


def current_tab() -> str:
    """The tab of the page that sent the htmx request; a form that was opened by its address is on the tab of its
    place.
    """
    address = urlsplit(htmx.current_url())
    if (of_form := _FORM.search(address.path)) and of_form[1] in actions():
        return TAB_OF.get(actions()[of_form[1]].place, OVERVIEW)
    tab = parse_qs(address.query).get("tab", [OVERVIEW])[0]
    return tab if tab in TABS else OVERVIEW


def live_parts(tab: str) -> list[str]:
    """The read-only parts of a tab that are on its page: renewed while somebody types elsewhere on it."""
    if tab != OVERVIEW:
        return ["orders/_summary.html"]
    names = ("summary", "tabs", "writing", "information", "payment", "totals", "comment_list")
    return [*(f"orders/_{name}.html" for name in names), ASIDE]


def outdated(view: "OrderView", shown: Mapping[str, str]) -> list[str]:
    """The cards about the buyer whose content is outdated: only they are drawn again, since that reveals the buyer
    and is recorded. A card with an open form does not report its content.
    """
    return [part for name, part in _OF_BUYER.items() if name in shown and shown[name] != getattr(view, f"{name}_mark")]


def facts(order: Order, actor: Actor, *, tab: str = OVERVIEW, reveals: bool = False) -> dict[str, Any]:
    """The context of every template of the page; `reveals` says that it shows the buyer to people who may see
    buyers.
    """
    g.zone, g.has_practice, g.order_reference = order.shop.zone, order.store.practice, reference(order)
    view = OrderView(order, actor, reveals=reveals)
    usual: dict[str, Any] = {"action": None, "form": None, "meanwhile": [], "stopped": None, "loaded": False}
    usual |= {"preview": None, "why_not": "", "kept_at": None}
    return usual | {"order": shown.ShownOrder(order), "view": view, "tab": tab, "tabs_shown": TABS}


class OrderView:
    """One order as its page draws it. A part that no template asks for is not read."""

    comment_problem = channel_url_problem = ""  # errors of plugins, after their parts were read
    most_messages = MESSAGES_SHOWN

    def __init__(self, order: Order, actor: Actor, *, reveals: bool) -> None:
        self.order, self.actor, self._reveals = order, actor, reveals

    # --- Head ---------------------------------------------------------------------------------------------------------

    @cached_property
    def _every_offer(self) -> list[Any]:
        return offers(self.order, self.actor, of_parts=False)

    @cached_property
    def offers(self) -> list[Any]:
        """The acts in the bar; acts with a place of their own on the page are offered there."""
        return [offer for offer in bar(self._every_offer) if offer.action.place is Place.ACTIONS]

    def shape_of(self, action: OrderAction, form: ActionForm, stopped: Refusal | None) -> str:
        """The shape of an action's form with the buttons that are drawn with it: see `ActionForm.shape`."""
        beside = self.offers if action.place is Place.ACTIONS else []
        return form.shape(
            stopped, [(offer.code, offer.refusal.stored() if offer.refusal else None) for offer in beside]
        )

    @cached_property
    def readdressing(self) -> OrderAction | None:
        """The act that changes the address, if it is possible now."""
        found = [offer for offer in self._every_offer if offer.action.place is Place.ADDRESSES]
        return found[0].action if found and found[0].refusal is None else None

    def draft_of(self, action: OrderAction) -> Draft | None:
        """The person's draft of an action, with which the order was opened."""
        return draft_of(self.order, self.keys) if action.drafts and self.order.drafts else None

    @cached_property
    def commenting(self) -> OrderAction | None:
        """The act whose form is below the comments, if a plugin registers one and the actor may do it."""
        return action_at(Place.COMMENTS, self.actor)

    @cached_property
    def slip_refusal(self) -> Refusal | None:
        return slip_refusal(self.order, self.actor)

    @cached_property
    def return_refusal(self) -> Refusal | None:
        return return_refusal(self.order)

    @cached_property
    def next_step(self) -> tuple[str, str]:
        return shown.next_step(self.order, shipping_refusal(self.order, self.actor))

    @cached_property
    def hold(self) -> dict[str, Any] | None:
        """Why, since when, until when and by whom the order is held; the reason only for people who may see buyers."""
        row = self.order.running_hold if self.order.on_hold else None
        if row is None:
            return None
        reason = ""
        if self.actor.may("buyers.see") and row.sealed:
            reason = str(self._open([("hold", row.sealed)])[0] or "")
        return {"reason": reason, "at": row.at, "until": row.until, "by": shown.author_of(row, self.order.store)}

    @cached_property
    def canceling(self) -> dict[str, Any] | None:
        """The running cancellation: why, how much of the order, and how far it is."""
        if (found := asked(self.order)) is None:
            return None
        row, update = found
        channel, may = self.order.store.channel, self.actor.may(deciding.right_to_undo(update))
        return {
            "reason": described.cancel_reason_label(channel, self.order.marketplace, row.reason),
            "units": None if row.whole else sum(row.lines.values()),
            "update_id": update.id,
            "left": not update.never_left,
            "stopped": why_nothing_goes(update.store) is not None,
            "goes_at": goes_at(update),
            "waits": why_it_waits(update) or sentence_of(update.problem),
            "can_undo": may and deciding.undo_refusal(update) is None,
        }

    def addressee_of(self, action: OrderAction) -> str:
        """Whom what is typed in the action's form reaches outside the desk."""
        try:
            return str(ask(action, "form", action.addressee, self.order, gives=(str, LazyString)))
        except PluginFailed:
            return ""

    def place_of(self, action: OrderAction) -> str:
        """The element of the page that holds the action's form."""
        return PLACES[action.place][1]

    @cached_property
    def cancel_request(self) -> dict[str, Any] | None:
        """What the buyer says who wants to cancel, since when it is known, and the acts that answer it, or where it is
        answered.
        """
        order = self.order
        if not asks_to_cancel(order):
            return None
        request, elsewhere = request_of(order), is_answered_elsewhere(order)
        offered = [] if elsewhere else self._every_offer
        return {
            "reasons": request.reasons,
            "since": request.since,
            "elsewhere": elsewhere,
            "cost": "" if elsewhere else described.unanswered_request(order.store.channel),
            "answers": [offer for offer in offered if offer.action.answers_cancel_request],
        }

    @cached_property
    def missed(self) -> Mapping[str, datetime]:
        """Plugins that have missed facts about the order, each with the time of its next try."""
        return missed_of(self.order.id)

    @cached_property
    def assignee(self) -> str:
        return shown.name_of(self.order.assignee) if self.order.assignee_id else ""

    @cached_property
    def status(self) -> Label | None:
        """The merchant's own status."""
        code = self.order.status
        if not code:
            return None
        tone = next((row.tone for row in all_statuses() if row.code == code), "calm")
        return Label(status_name(code), tone)

    @cached_property
    def tags(self) -> list[Label]:
        return [Label(tag.name, tag.tone) for tag in tags_of(self.order)] if self.order.tags else []

    @cached_property
    def channel_url(self) -> str:
        """The order on the channel's own site; empty if it has no page there, or `channel_url_problem` says why."""
        try:
            return described.order_url(self.order.store, self.order.channel_order_number, self.order.marketplace)
        except PluginFailed as problem:
            self.channel_url_problem = str(problem)
            return ""

    # --- Overview -----------------------------------------------------------------------------------------------------

    @cached_property
    def totals(self) -> shown.Totals:
        return shown.totals_of(self.order)

    def lines(self, find: str = "", whole: bool = False) -> shown.ShownLines:
        return shown.lines_of(self.order, find=find, whole=whole)

    @cached_property
    def payment_methods(self) -> str:
        return ", ".join(self.order.channel_order.facts.get("payment_methods") or [])

    @cached_property
    def sides_disagree(self) -> bool:
        """Whether our state and the channel's stage contradict each other."""
        stage, state = self.order.channel_order.stage, self.order.state
        return (stage == "shipped" and bool(self.order.unshipped)) or (stage == "canceled") != (state == "canceled")

    @cached_property
    def buyer(self) -> list[tuple[str, str, str]]:
        """The buyer's facts without the address, in the order of the contract; texts by line with the line's SKU."""
        lines = {line.channel_line_number: line.sku or line.title for line in self.order.lines}
        rows: list[tuple[str, str, str]] = []
        for name, label in BUYER_FIELDS.items():
            value = self._channel_buyer.get(name)
            if name == vault.ADDRESS or not value:
                continue
            if isinstance(value, dict):
                texts = [(lines.get(number, number), text) for number, text in value.items() if text]
                value = "\n".join(_("%(name)s: %(text)s", name=line, text=text) for line, text in texts)
            rows.append((name, str(label), str(value)))
        return rows

    @cached_property
    def offers_other_orders(self) -> bool:
        """Whether the buyer's other orders can be loaded: the store wants them shown, and there is an address to find
        them by.
        """
        return of_buyer.may_be_shown(self.order) and any(name == "email" for name, _label, _text in self.buyer)

    @cached_property
    def addresses_mark(self) -> str:
        """A mark that changes once the addresses were written again, or can no longer be changed because the order
        has moved on.
        """
        return f"{self.buyer_mark}{' changeable' if self.readdressing else ''}"

    @cached_property
    def buyer_mark(self) -> str:
        """A mark that changes once the buyer's data was written again; reading it reveals nothing."""
        return iso(self.keys.sealed_at.get(self.order.id)) or ""

    @cached_property
    def erased(self) -> bool:
        """The order's key was destroyed, and the buyer's data with it."""
        return self.order.id not in self._revealed

    @cached_property
    def address(self) -> Address | None:
        """The delivery address: the one that replaced it here, or the channel's."""
        return address_of(self._address.address, readers_home(self.order))

    @cached_property
    def channel_address(self) -> Address | None:
        """The channel's own address, if another replaced it."""
        return address_of(self._address.there, readers_home(self.order))

    @cached_property
    def address_hints(self) -> list[LazyString]:
        """What is unusual about the delivery address."""
        return hints(self._address.address)

    @cached_property
    def corrected_at(self) -> datetime | None:
        return parse_instant(self._address.corrected_at) if self._address.corrected_at else None

    @cached_property
    def _address(self) -> addresses.ShownAddress:
        return addresses.of_keys(self._revealed, self.order.id)

    @cached_property
    def _revealed(self) -> vault.DataKeys:
        """Buyer data, with an access record; for people who may see buyers."""
        return vault.reveal_kinds(self.actor, [self.order.id], purpose="order", kinds=addresses.KINDS)

    @cached_property
    def _channel_buyer(self) -> Mapping[str, Any]:
        found: Mapping[str, Any] = self._revealed.opened(vault.BUYER).get(self.order.id) or {}
        return found

    def _open(self, values: Sequence[tuple[str, bytes]]) -> list[Any]:
        """Values that the desk itself sealed, for people who may see buyers."""
        return vault.open_sealed([(self.order.id, kind, body) for kind, body in values], self.keys)

    @cached_property
    def keys(self) -> vault.DataKeys:
        """The order's data key, for people who may see buyers."""
        return self._revealed if self._reveals else vault.DataKeys([self.order.id], addresses.KINDS)

    # --- Comments -----------------------------------------------------------------------------------------------------

    @cached_property
    def comments(self) -> list[dict[str, Any]] | None:
        """Pinned comments first, then the newest; None for people who may not see buyers, since comments name them
        too.
        """
        if not self.actor.may("buyers.see"):
            return None
        if not self.order.comments:
            return []
        query = select(OrderComment).where(OrderComment.order_id == self.order.id).order_by(OrderComment.id.desc())
        rows = list(db.session.scalars(query.options(joinedload(OrderComment.person))))
        texts = self._open([("comment", row.sealed) for row in rows])
        comments = [
            {
                "id": row.id,
                "at": row.at,
                "author": shown.author_of(row, self.order.store),
                "text": text,
                "pinned": row.pinned_at is not None,
                "status": status_name(row.status) if row.status else "",
            }
            for row, text in zip(rows, texts, strict=True)
        ]
        return sorted(comments, key=lambda comment: not comment["pinned"])

    @cached_property
    def writing(self) -> Offer | None:
        """The act that writes to the buyer, as the order offers it; None if there is none, or the actor may not do
        it.
        """
        action = next((one for one in actions().values() if one.asks_messages and self.actor.may(one.right)), None)
        return Offer(action, refusal_of(action, self.order, self.actor)) if action else None

    @cached_property
    def thread(self) -> list[dict[str, Any]] | None:
        """The messages to and from the buyer, newest first; None for people who may not see buyers."""
        found = thread_of(self.order, self.actor)
        if not found:
            return None if found is None else []
        return shown_thread(self.order, found, self.updates, self.actor)

    @cached_property
    def review_planned(self) -> datetime | None:
        """When the store's rule requests a review of the order."""
        return reviews.planned_for(self.order)

    @cached_property
    def review_waits(self) -> bool:
        """Whether it would have requested it, were the order shipped."""
        return self.review_planned is not None and self.order.state in OPEN_STATES and self.review_planned < now()

    @cached_property
    def review(self) -> dict[str, Any] | None:
        """What became of a review request, or will, and the acts about it; None for a channel that takes none."""
        if window_of(self.order.store.channel) is None:
            return None
        row, rule = reviews.request_of(self.order), rule_of(self.order.store)
        update = next((one for one in self._updates if one.kind == REVIEW_REQUEST), None) if row else None
        action = actions().get("request_review")
        offered = action is not None and self.actor.may(action.right)
        stoppable = reviews.stop_review_refusal(self.order, self.actor) is None
        why_left_out = reviews.left_out(self.order, rule) if rule and row is None else None
        return {
            "state": row.state if row else "",
            "at": row.at if row else None,
            "by": shown.author_of(row, self.order.store) if row else "",
            "why_not": (sentence_of(row.problem) if row else str(why_left_out or "")) or "",
            "carried": _update(self.order, update, self.actor) if update is not None else None,
            "offer": Offer(action, refusal_of(action, self.order, self.actor)) if action and offered else None,
            "acts": document_acts(self.order, ["stop_review"] if stoppable else [], {}, self.actor, version=None),
        }

    @cached_property
    def answering(self) -> list[tuple[str, str]]:
        """To whom a received message can be assigned."""
        named = [(str(user.id), user.name or user.email) for user in people()]
        return [("nobody", str(_("Nobody"))), *named]

    @cached_property
    def comment_form(self) -> ActionForm | None:
        """The form below the comments."""
        try:
            return action_form(self.commenting, self.order, actor=self.actor) if self.commenting else None
        except PluginFailed as problem:
            self.comment_problem = str(problem)
            return None

    # --- Shipments, updates, events -----------------------------------------------------------------------------------

    @cached_property
    def packages(self) -> list[dict[str, Any]]:
        """Every package with its contents."""
        return _packages(self.order, {line.id: line for line in self.order.lines})

    @cached_property
    def mails_shipments(self) -> bool:
        """Whether there may be mails about its shipments."""
        return mails_shipments(self.order)

    @cached_property
    def shipment_mails(self) -> list[dict[str, Any]]:
        """How far the mails about its shipments have come."""
        return shipment_mails(self.order)

    @cached_property
    def package_offers(self) -> Mapping[int, Sequence[Offer]]:
        """By package number, the acts on one package."""
        return package_offers(self.order, self.actor)

    @cached_property
    def held_packages(self) -> list[dict[str, Any]]:
        """The shipments whose confirmations are sent later, with the time, or why the store sends nothing; the latest
        can be undone as a whole.
        """
        return self._held(confirmations_of(self.order))

    @cached_property
    def held_parcels(self) -> list[dict[str, Any]]:
        """The shipments whose confirmations are sent later, read from the updates where all of these are shown."""
        return self._held([row for row in self._updates if row.kind == SHIPMENT])

    def _held(self, rows: Sequence[ChannelUpdate]) -> list[dict[str, Any]]:
        held = held_shipments(shipments_of(self.order), rows)
        undo = undo_form(self.order, "take_back", {}, version=self.order.version, actor=self.actor) if held else None
        stopped = why_nothing_goes(self.order.store)
        return [{"goes_at": one.goes_at, "stopped": stopped, "undo": undo if one.undoable else None} for one in held]

    @cached_property
    def parcels(self) -> list[dict[str, Any]]:
        """Every package in brief: the number of its units."""
        return _packages(self.order, {})

    @cached_property
    def invoices(self) -> list[dict[str, Any]]:
        """Every issued invoice with its lines, oldest first."""
        return [
            {
                "id": row.id,
                "number": row.number,
                "issued_at": row.issued_at,
                "by": shown.author_of(row, self.order.store),
                "total": row.total,
                "lines": [shown.document_line(line, row.currency) for line in row.lines],
                "correcting": self._correcting(row),
                "upload": self._upload(row),
                "sent": sent,
            }
            for row, sent in with_sent(self.order, invoices_of(self.order), INVOICE, self.writing)
        ]

    def _upload(self, document: Invoice | CreditMemo) -> dict[str, Any] | None:
        """How far the upload of a document to the channel is, and what can be decided about it; None if there is
        none.
        """
        row = upload_among(self._updates, document) if carries_uploads(self.order.store.channel) else None
        if row is None:
            return None
        return _update(self.order, row, self.actor) | {
            "label": UPLOAD_STATES[row.state],
            "tone": STATE_TONES[UpdateState(row.state)],
        }

    def _correcting(self, row: Invoice) -> dict[str, Any]:
        """The act that takes an invoice back, or why it can't be taken back."""
        refusal = self._not_corrected[row.id]
        return {
            "why_not": str(refusal or ""),
            "acts": [] if refusal else self._acts(["correct_invoice"], {"invoice": row.id}),
        }

    @cached_property
    def _not_corrected(self) -> Mapping[int, Refusal | None]:
        return correction_refusals(self.order)

    def _acts(self, codes: Iterable[str], values: Mapping[str, Any]) -> list[dict[str, Any]]:
        return document_acts(self.order, codes, values, self.actor, version=self.order.version)

    @cached_property
    def memos(self) -> list[dict[str, Any]]:
        """Every credit memo with its lines, oldest first, and what can be done about it."""
        return [
            refunds.shown_memo(self.order, row, self.actor, self._upload(row)) | {"sent": sent}
            for row, sent in with_sent(self.order, memos_of(self.order), CREDIT_MEMO, self.writing)
        ]

    @cached_property
    def transactions(self) -> list[dict[str, Any]]:
        """What the channel's accounts say of the order, oldest first, and what can be done about it."""
        return [refunds.shown_transaction(self.order, row, self.actor) for row in transactions_of(self.order)]

    @cached_property
    def returns(self) -> list[dict[str, Any]]:
        """Every return with its lines and credit memos, oldest first, and what can be done about it."""
        return [returns.shown_return(self.order, row, self.actor) for row in returns_of(self.order)]

    @cached_property
    def updates(self) -> list[dict[str, Any]]:
        return [_update(self.order, row, self.actor) for row in self._updates]

    @cached_property
    def unsettled(self) -> bool:
        return any(row.state in UNSETTLED for row in self._updates)

    @cached_property
    def _updates(self) -> list[ChannelUpdate]:
        return list_updates(self.actor, order=self.order)

    @cached_property
    def calls(self) -> list[dict[str, Any]]:
        """The last calls to the channel about the order, those that failed first."""
        channel = self.order.store.channel
        return [
            {
                "what": operation_label(channel, call.operation),
                "outcome": OUTCOMES.get(call.outcome, call.outcome),
                "tone": TONES.get(call.outcome, "info"),
                "at": call.at,
                "seconds": seconds_of(call.took),
                "status": call.status,
                "request_id": call.request_id,
                "message": message(channel, call, call.status),
            }
            for call in calls_of_order(self.order.id)
        ]

    @cached_property
    def recent(self) -> timeline.Timeline:
        """The newest events, without their sealed values."""
        return timeline.timeline_of(self.order, limit=RECENT)


def _packages(order: Order, lines: Mapping[int, OrderLine]) -> list[dict[str, Any]]:
    """Every package with its carrier's name, oldest first, and the units of these lines in it."""
    try:
        carriers = {one.code: one for one in described.carriers(order.store.channel, order.marketplace)}
    except PluginFailed:  # the carriers' codes are enough
        carriers = {}
    found = []
    for shipment in shipments_of(order):
        for package in shipment.packages:
            carrier = carriers.get(package.carrier)
            url = carrier.tracking_url if carrier else ""
            found.append(
                {
                    "number": package.number,
                    "origin": shipment.origin,
                    "carrier": package.carrier_name or (carrier.label if carrier else package.carrier),
                    "service": package.service,
                    "tracking_number": package.tracking_number,
                    "tracking_url": url.replace("{number}", quote(package.tracking_number, safe="")) if url else "",
                    "shipped_at": package.shipped_at,
                    "units": sum(row.quantity for row in package.lines),
                    "lines": [
                        {"sku": lines[row.line_id].sku, "title": lines[row.line_id].title, "quantity": row.quantity}
                        for row in package.lines
                        if row.line_id in lines
                    ],
                }
            )
    return found


def _is_wanted(row: ChannelUpdate, order: Order) -> bool:
    """Whether the update could be sent again; its kind is asked again when somebody tries."""
    try:
        return why_not(row, order) is None
    except PluginFailed:
        return True


def _offers(row: ChannelUpdate, order: Order, actor: Actor) -> list[deciding.Offer]:
    """What the actor can decide about an update; nobody is offered to send again what is no longer wanted."""
    found = deciding.offers(row, actor)
    return [offer for offer in found if offer.code != "retry" or _is_wanted(row, order)]


def _update(order: Order, row: ChannelUpdate, actor: Actor) -> dict[str, Any]:
    return {
        "id": row.id,
        "kind_label": described.kind_label(order.store.channel, row.kind),
        "reference": row.reference,
        "state": row.state,
        "created_at": row.created_at,
        "due_at": row.due_at,
        "sent_at": row.sent_at,
        "effective_at": row.effective_at,
        "refused_at": row.refused_at,
        "settled_at": row.refused_at or row.effective_at,
        "attempts": row.attempts,
        "message": sentence_of(row.problem) or why_it_waits(row),
        "goes_at": goes_at(row),
        "offers": _offers(row, order, actor),
    }

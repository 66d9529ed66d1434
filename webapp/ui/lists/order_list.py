"""The list of orders in the browser, on the blueprint of the order's own pages."""

from collections.abc import Callable, Sequence
from functools import partial

from flask import url_for

from webapp.audit.actor import Actor
from webapp.billing.models import CreditMemo, Invoice
from webapp.billing.queries import document_ids_of
from webapp.channels import described
from webapp.channels.services import channel_name
from webapp.db import time_limit
from webapp.documents.packing import slip_refusal
from webapp.documents.return_slips import return_refusal
from webapp.errors import NotFound, SeveralFit, TooSlow
from webapp.fulfillment.services import shipping_refusal
from webapp.i18n import gettext as _
from webapp.lists.listing import list_page
from webapp.orders import bulk
from webapp.orders.listing import ORDER_LIST
from webapp.orders.models import Order
from webapp.orders.predefined_views import CANCEL_REQUESTS
from webapp.orders.queries import find_order, reference
from webapp.orders.services import refusal_of
from webapp.search.compiling import compile_query
from webapp.search.numbers import bare_number, spellings
from webapp.search.query import parse
from webapp.ui.frame.pages import shown_stores
from webapp.ui.lists.acts import Act, any_without
from webapp.ui.lists.bulk import bar_actions
from webapp.ui.lists.chosen import Chosen
from webapp.ui.lists.list_pages import SECONDS, ListPages
from webapp.ui.lists.list_request import ListRequest
from webapp.ui.lists.order_cells import OrderTable
from webapp.ui.orders.order import bp

_LONGEST_NUMBER = 60
_ENDING = 4  # digits by which channels' numbers and phones are found, too


class OrderPages(ListPages):
    """The pages of the list of orders."""

    table = OrderTable

    def acts(self, actor: Actor) -> list[Act]:
        bulk_url, export = url_for("bulk.choose"), super().acts(actor)
        ship = Act(_("Ship"), "truck-delivery", url_for("ship_list.give"), possible=_any(shipping_refusal, actor))
        slips, *papers = [
            Act(word, "printer", url_for(f"documents.{endpoint}"), possible=possible, of_all=True)
            for endpoint, word, possible in (
                ("packing_slips", _("Packing slips"), _any(slip_refusal, actor)),
                ("picking", _("Pick list"), _any(slip_refusal, actor)),
                ("invoices", _("Print invoices"), _has_any(Invoice)),
                ("credit_memos", _("Print credit memos"), _has_any(CreditMemo)),
                ("return_slips_of_many", _("Return slips"), any_without(return_refusal)),
            )
        ]
        known = [
            Act(action.label, action.icon, bulk_url, "action", action.code, _any(partial(refusal_of, action), actor))
            for action in bar_actions(actor)
        ]
        others = [Act(_("Other actions"), "dots", bulk_url, of_rows=False, of_all=True)] if known else []
        return [*([ship] if actor.may("orders.ship") else []), slips, *known, *papers, *export, *others]

    def tools(self, actor: Actor) -> list[Act]:
        may = actor.may("orders.ship")
        return [Act(_("Ship from a list"), "truck-delivery", url_for("ship_list.give"))] if may else []

    def first_chosen(self, chosen: Chosen, actor: Actor) -> Sequence[Order]:
        return bulk.orders_to_look_at(actor, **chosen.where(actor))

    def notes(self, asked: ListRequest) -> list[str]:
        """In the view of buyers' requests to cancel, what waiting costs at each channel."""
        if asked.view is None or asked.view.code != CANCEL_REQUESTS:
            return []
        codes = dict.fromkeys(store.channel for store in shown_stores() if store.archived_at is None)
        costs = {code: cost for code in codes if (cost := described.unanswered_request(code))}
        if len(costs) < 2:
            return list(costs.values())
        return [str(_("%(name)s: %(text)s", name=channel_name(code), text=cost)) for code, cost in costs.items()]

    def url_of_number(self, text: str, actor: Actor) -> str:
        """The URL of the order, if the text is the number of one. Digits that may also be the end of another number, or
        a postcode, lead to it only if the list finds no other order.
        """
        number = bare_number(text)
        if not number or len(number) > _LONGEST_NUMBER:
            return ""
        try:
            order = find_order(number, actor)
        except SeveralFit:
            return url_for(".show", number=number)
        except NotFound:
            return ""
        whole = {order.number, order.channel_order_number, reference(order)}.intersection(spellings(number))
        if whole or not number.isdecimal() or len(number) < _ENDING or self._finds_one(number, actor):
            return url_for(".show", number=reference(order))
        return ""

    def _finds_one(self, number: str, actor: Actor) -> bool:
        try:
            with time_limit(SECONDS):
                return len(list_page(self.subject, actor, compile_query(parse(number), actor), limit=2).rows) == 1
        except TooSlow:  # as the list itself then says
            return False


def _any(refusal: Callable[[Order, Actor], object], actor: Actor) -> Callable[[Sequence[Order]], bool]:
    return any_without(lambda order: refusal(order, actor))


def _has_any(kind: type[Invoice] | type[CreditMemo]) -> Callable[[Sequence[Order]], bool]:
    """Whether any of the orders has a document of this kind with a number."""
    return lambda orders: any(document_ids_of(kind, [order.id for order in orders]).values())


OrderPages(ORDER_LIST).add_to(bp)

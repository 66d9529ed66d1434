"""The list of orders in the browser, on the blueprint of the order's own pages."""

from flask import url_for

from webapp.audit.actor import Actor
from webapp.channels import described
from webapp.channels.services import channel_name
from webapp.db import time_limit
from webapp.errors import NotFound, SeveralFit, TooSlow
from webapp.i18n import gettext as _
from webapp.lists.listing import list_page
from webapp.orders.listing import ORDER_LIST
from webapp.orders.predefined_views import CANCEL_REQUESTS
from webapp.orders.queries import find_order, reference
from webapp.search.compiling import compile_query
from webapp.search.numbers import bare_number, spellings
from webapp.search.query import parse
from webapp.ui.frame.pages import shown_stores
from webapp.ui.lists.list_pages import SECONDS, ListPages
from webapp.ui.lists.list_request import ListRequest
from webapp.ui.lists.order_cells import OrderTable
from webapp.ui.orders.order import bp

_LONGEST_NUMBER = 60
_ENDING = 4  # digits by which channels' numbers and phones are found, too


class OrderPages(ListPages):
    """The pages of the list of orders."""

    table = OrderTable
    acts_on_orders = True

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


OrderPages(ORDER_LIST).add_to(bp)

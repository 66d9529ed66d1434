"""The list of orders in the browser, on the blueprint of the order's own pages."""

from flask import url_for

from webapp.audit.actor import Actor
from webapp.channels import described
from webapp.channels.services import channel_name
from webapp.errors import NotFound, SeveralFit
from webapp.i18n import gettext as _
from webapp.orders.listing import ORDER_LIST
from webapp.orders.predefined_views import CANCEL_REQUESTS
from webapp.orders.queries import find_order, reference
from webapp.ui.frame.pages import shown_stores
from webapp.ui.lists.list_pages import ListPages
from webapp.ui.lists.list_request import ListRequest
from webapp.ui.lists.order_cells import OrderTable
from webapp.ui.orders.order import bp


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
        """The URL of the order, if the text is the whole number of one."""
        number = text.strip().strip('"')
        if not number or len(number) > 60 or any(char.isspace() for char in number):
            return ""
        try:
            order = find_order(number, actor)
        except SeveralFit:
            return url_for(".show", number=number)
        except NotFound:
            return ""
        return url_for(".show", number=reference(order))


OrderPages(ORDER_LIST).add_to(bp)

"""The list of orders in the browser, on the blueprint of the order's own pages."""

from flask import url_for

from webapp.audit.actor import Actor
from webapp.errors import NotFound, SeveralFit
from webapp.orders.listing import ORDER_LIST
from webapp.orders.queries import find_order, reference
from webapp.ui.lists.list_pages import ListPages
from webapp.ui.lists.order_cells import OrderTable
from webapp.ui.orders.order import bp


class OrderPages(ListPages):
    """The pages of the list of orders."""

    table = OrderTable
    acts_on_orders = True

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

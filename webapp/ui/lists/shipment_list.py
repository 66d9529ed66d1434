"""The list of shipments in the browser."""

from flask import Blueprint

from webapp.fulfillment.shipment_list import SHIPMENT_LIST
from webapp.lists.contract import PlainRow
from webapp.ui.lists.cells import Beneath
from webapp.ui.lists.list_pages import ListPages
from webapp.ui.lists.order_cells import OrderTable

bp = Blueprint(SHIPMENT_LIST.code, __name__)


class ShipmentTable(OrderTable):
    """Draws the rows of packages; columns of orders are drawn as in the list of orders."""

    def is_dim(self, row: PlainRow) -> bool:
        return False

    def beneath(self, code: str) -> Beneath | None:
        return super().beneath(code) if code != "units" else None


class ShipmentPages(ListPages):
    """The pages of the list of shipments."""

    table = ShipmentTable


ShipmentPages(SHIPMENT_LIST).add_to(bp)

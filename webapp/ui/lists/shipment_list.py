"""The list of shipments in the browser, beside which is that of returns."""

from flask import Blueprint, url_for

from webapp.fulfillment.shipment_list import SHIPMENT_LIST
from webapp.lists.contract import PlainRow
from webapp.returns.return_list import RETURN_LIST
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


def goods_lists() -> list[tuple[str, str, str]]:
    """The lists of what leaves and of what comes back, as tabs."""
    return [(one.code, str(one.label), url_for(f"{one.code}.index")) for one in (SHIPMENT_LIST, RETURN_LIST)]


class ShipmentPages(ListPages):
    """The pages of the list of shipments."""

    table = ShipmentTable

    def beside(self) -> list[tuple[str, str, str]]:
        return goods_lists()


ShipmentPages(SHIPMENT_LIST).add_to(bp)

"""The list of transactions in the browser."""

from flask import Blueprint

from webapp.billing.transaction_list import TRANSACTION_LIST
from webapp.lists.contract import PlainRow
from webapp.ui.lists.list_pages import ListPages
from webapp.ui.lists.order_cells import OrderTable

bp = Blueprint(TRANSACTION_LIST.code, __name__)


class TransactionTable(OrderTable):
    """Draws the rows of transactions; columns of orders are drawn as in the list of orders."""

    def is_dim(self, row: PlainRow) -> bool:
        return False


class TransactionPages(ListPages):
    """The pages of the list of transactions."""

    table = TransactionTable


TransactionPages(TRANSACTION_LIST).add_to(bp)

"""The views of every desk: what must be done today, and the orders in each state.

They are queries like anybody's, so their results can be filtered, saved under another name, or exported.
"""

from webapp.i18n import lazy_gettext as _l, lazy_pgettext
from webapp.lists.saved_views import EVERYTHING, View
from webapp.orders.cancel_requests import CANCEL_REASON, CANCEL_SINCE, TO_DECIDE

TO_SHIP = "state:processing fulfilled-by:merchant"  # orders on hold or being canceled don't leave today
CANCEL_REQUESTS = "cancel"
REFUNDS_TO_APPROVE = "refund:proposed"  # a key of `webapp.billing`
PREDEFINED_VIEWS = (
    View(EVERYTHING, _l("Everything"), ""),
    View("to_ship", _l("To ship"), TO_SHIP, "ship_by"),
    View("today", _l("To ship today"), f"{TO_SHIP} due:<=today", "ship_by", tone="info"),
    View("pending", _l("Pending"), "state:pending"),
    View("shipped", lazy_pgettext("orders", "Shipped"), "state:complete"),
    View("canceled", lazy_pgettext("orders", "Canceled"), "state:canceled"),
    View("late", _l("Late"), f"{TO_SHIP} due:late", "ship_by", tone="bad"),
    View("attention", _l("Attention"), "attention:yes", tone="warn"),
    View(CANCEL_REQUESTS, _l("Buyer wants to cancel"), TO_DECIDE, adds=(CANCEL_SINCE, CANCEL_REASON), tone="bad"),
    View("refunds", _l("Refunds to approve"), REFUNDS_TO_APPROVE, tone="warn"),
    View("hold", lazy_pgettext("orders", "On hold"), "hold:yes", tone="warn"),
)

"""The views and cards of every desk: what must be done today, and how many orders are in each state.

They are queries like anybody's, so their results can be filtered, saved under another name, or exported.
"""

from webapp.i18n import lazy_gettext as _l, lazy_pgettext
from webapp.lists.contract import StatusCard
from webapp.lists.saved_views import EVERYTHING, View
from webapp.orders.cancel_requests import CANCEL_REASON, CANCEL_SINCE, TO_DECIDE

TO_SHIP = "state:processing fulfilled-by:merchant"  # orders on hold or being canceled don't leave today
CANCEL_REQUESTS = "cancel"
REFUNDS_TO_APPROVE = "refund:proposed"  # a key of `webapp.billing`
PREDEFINED_VIEWS = (
    View("today", _l("To ship today"), f"{TO_SHIP} due:<=today", "ship_by"),
    View("late", _l("Late"), f"{TO_SHIP} due:late", "ship_by"),
    View(CANCEL_REQUESTS, _l("Buyer wants to cancel"), TO_DECIDE, adds=(CANCEL_SINCE, CANCEL_REASON)),
    View("refunds", _l("Refunds to approve"), REFUNDS_TO_APPROVE),
    View("attention", _l("Attention"), "attention:yes"),
    View("hold", lazy_pgettext("orders", "On hold"), "hold:yes"),
    View(EVERYTHING, _l("Everything"), ""),
)


CARDS = (
    StatusCard("to_ship", _l("To ship"), TO_SHIP, "info", "ship_by"),
    StatusCard("due_today", _l("Due today"), f"{TO_SHIP} due:today -due:late", "warn", "ship_by"),
    StatusCard("late", _l("Late"), f"{TO_SHIP} due:late", "bad", "ship_by"),
    StatusCard("pending", _l("Pending"), "state:pending"),
    StatusCard("attention", _l("Attention"), "attention:yes", "warn"),
    StatusCard("on_hold", lazy_pgettext("orders", "On hold"), "hold:yes", "warn"),
    StatusCard("shipped", lazy_pgettext("orders", "Shipped"), "state:complete", "good"),
    StatusCard("canceled", lazy_pgettext("orders", "Canceled"), "state:canceled"),
)

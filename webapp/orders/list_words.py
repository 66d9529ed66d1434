"""The texts of the pages of the order list."""

from webapp.i18n import lazy_gettext as _l, ngettext
from webapp.lists.contract import ListWords

WORDS = ListWords(
    every=_l("All orders"),
    region=_l("Order list"),
    select=_l("Select all orders of this page"),
    older=_l("No older orders"),
    none=_l("No orders match"),
    empty=_l("No orders yet"),
    empty_text=_l(
        "The first orders appear here as soon as they have been imported from your store. The Runs page "
        "shows the progress."
    ),
    show=_l("Show the orders"),
    search=_l("Search orders"),
    placeholder=_l("Search orders: number, buyer, SKU, tracking, or state:open"),
    filter=_l("Filter the orders"),
    choose=_l("Choose at least one order first."),
    chosen=_l("For the selected orders"),
    save=_l("Filter or search the orders, then save the list under a name from its Views menu."),
    back=_l("Back to the orders"),
    where=_l("Orders by state"),
    counted=lambda count: ngettext("%(num)s order", "%(num)s orders", count),
    counted_more=_l("%(count)s+ orders"),
    newer=lambda count: ngettext("%(num)s new order", "%(num)s new orders", count),
    in_background=_l(
        "Excel workbooks and exports of more than %(count)s orders are prepared in the background. You can "
        "then download the file from the run's page."
    ),
)

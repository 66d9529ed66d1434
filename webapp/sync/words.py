"""Words about a channel's news: the sentences of its events, and the attention that it can cause."""

from webapp.i18n import lazy_gettext as _l
from webapp.orders.attention import AttentionKind
from webapp.orders.events import EventGroup, EventWords
from webapp.orders.postal import FIELDS as ADDRESS_LABELS

NEWS = EventGroup("news", _l("News from the channel"), 10)
WORDS = (
    EventWords("placed", _l("The order arrived"), NEWS),
    EventWords("changed_there", _l("News from the channel"), NEWS),
    EventWords("numbered", _l("The order got its number, because the orders of its store are imported now"), NEWS),
)
_TIMES = {
    "ship_from": _l("Ship from"),
    "ship_by": _l("Ship by"),
    "deliver_from": _l("Deliver from"),
    "deliver_by": _l("Deliver by"),
    "shipped_at": _l("Shipped"),
}
_REASONS = {
    "odd_shape": _l("a value is not plain text, a whole number, yes or no, or a list of texts"),
    "unkept_text": _l("a value has a character that can't be saved"),
    "too_long": _l("the details are longer than 8 KB"),
}
KINDS = (
    AttentionKind(
        "unmatched_sku",
        _l("Unknown product"),
        _l("The channel sent no SKU for this order line."),
        _l("Identify the product by its title when you ship, and add a SKU to the listing on the channel."),
    ),
    AttentionKind(
        "odd_address",
        _l("Address incomplete"),
        _l("These parts of the delivery address are missing: %(missing)s."),
        _l("Before you ship, ask the buyer or check the order on the channel's own page."),
        ADDRESS_LABELS,
    ),
    AttentionKind(
        "unknown_status",
        _l("Unknown status"),
        _l("The channel sent the status “%(status)s”, which Waybill does not know."),
        _l("Check the order on the channel's own page before you process it."),
    ),
    AttentionKind(
        "canceled_after_shipping",
        _l("Canceled after shipping"),
        _l("The channel canceled this order after you had shipped it."),
        _l("Ask the carrier to return the parcel, or contact the buyer."),
    ),
    AttentionKind(
        "conflict",
        _l("Shipped quantities differ"),
        _l("Shipped units of %(sku)s: %(there)s on the channel, %(here)s in Waybill."),
        _l("Compare the packages on the channel with the packages here."),
    ),
    AttentionKind(
        "overcanceled",
        _l("Canceled quantities differ"),
        _l("The channel canceled %(there)s units of %(sku)s, but only %(here)s were still unshipped."),
        _l(
            "Compare the order on the channel with the order here, and ask the carrier to return the units that "
            "should not have shipped."
        ),
    ),
    AttentionKind(
        "incomplete",
        _l("Incomplete order data"),
        _l("The channel did not send these parts of the order: %(missing)s."),
        _l("Check the permissions of the application on the channel. The next sync loads the missing parts."),
    ),
    AttentionKind(
        "odd_extra",
        _l("Details not saved"),
        _l("The channel's plugin sent details that Waybill can't save: %(reasons)s."),
        _l(
            "The rest of the order was imported. Report this to the author of the plugin. Once it is corrected, "
            "the next sync saves the details."
        ),
        _REASONS,
    ),
    AttentionKind(
        "odd_time",
        _l("Invalid date"),
        _l("The channel sent dates before 1970 or after 2199, so Waybill did not save them: %(times)s."),
        _l("Check on the channel's own page by when the order must ship."),
        _TIMES,
    ),
)

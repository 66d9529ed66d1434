"""Words about a channel's news: the sentences of its events, and the attention that it can cause."""

from webapp.i18n import lazy_gettext as _l
from webapp.orders.attention import AttentionKind
from webapp.orders.events import EventGroup, EventWords
from webapp.orders.postal import FIELDS as ADDRESS_LABELS

NEWS = EventGroup("news", _l("News from the channel"), 10)
WORDS = (
    EventWords("placed", _l("The order arrived"), NEWS),
    EventWords("changed_there", _l("News from the channel"), NEWS),
    EventWords("numbered", _l("Numbered, since its store's orders are imported now"), NEWS),
)
_TIMES = {
    "ship_from": _l("Ship from"),
    "ship_by": _l("Ship by"),
    "deliver_from": _l("Deliver from"),
    "deliver_by": _l("Deliver by"),
    "shipped_at": _l("Shipped"),
}
_REASONS = {
    "odd_shape": _l("they are not plain text, whole numbers, yes or no, and lists of text"),
    "unkept_text": _l("they hold a character that can't be kept"),
    "too_long": _l("they are longer than 8 KB"),
}
KINDS = (
    AttentionKind(
        "unmatched_sku",
        _l("Product not known"),
        _l("The channel named no SKU for this line."),
        _l("Ship it by its title, and give the listing a SKU on the channel."),
    ),
    AttentionKind(
        "odd_address",
        _l("Address incomplete"),
        _l("The delivery address lacks: %(missing)s."),
        _l("Ask the buyer, or look at the order on the channel's own page, before it leaves."),
        ADDRESS_LABELS,
    ),
    AttentionKind(
        "unknown_status",
        _l("Unknown status"),
        _l("The channel calls this order “%(status)s”, a word the desk does not know."),
        _l("Look at the order on the channel's own page before working it."),
    ),
    AttentionKind(
        "canceled_after_shipping",
        _l("Canceled there after it left"),
        _l("The channel canceled this order after the desk had shipped it."),
        _l("Ask the carrier to return the parcel, or agree with the buyer."),
    ),
    AttentionKind(
        "conflict",
        _l("Quantities disagree"),
        _l("The channel counts %(there)s shipped of %(sku)s, the desk %(here)s."),
        _l("Compare the packages of both sides."),
    ),
    AttentionKind(
        "overcanceled",
        _l("Canceled quantities disagree"),
        _l("The channel counts %(there)s canceled of %(sku)s, and only %(here)s had not left."),
        _l("Compare both sides, and ask the carrier to return what should not have left."),
    ),
    AttentionKind(
        "incomplete",
        _l("Incomplete answer"),
        _l("The channel left out: %(missing)s."),
        _l("Check the permissions of the app on the channel; the next sync fills the gaps."),
    ),
    AttentionKind(
        "odd_extra",
        _l("Facts left out"),
        _l("The channel's plugin gave facts of its own that the desk can't keep: %(reasons)s."),
        _l("Everything else of the order is here. Tell who made the plugin; the next reading mends it."),
        _REASONS,
    ),
    AttentionKind(
        "odd_time",
        _l("Impossible time"),
        _l("The channel gave times before 1970 or after 2199, so the desk left them out: %(times)s."),
        _l("Look at the order on the channel's own page for when it must leave."),
        _TIMES,
    ),
)

"""Why goods come back, in the desk's own words: on return slips, in return requests, and matched with the reasons for
which a channel refunds.
"""

from collections.abc import Mapping
from enum import StrEnum

from webapp.i18n import LazyString, lazy_gettext as _l


class ReturnReason(StrEnum):
    """Why a buyer sends units back, in the order in which reasons are offered."""

    NO_LONGER_WANTED = "no_longer_wanted"
    ORDERED_BY_MISTAKE = "ordered_by_mistake"
    DOES_NOT_FIT = "does_not_fit"
    NOT_AS_DESCRIBED = "not_as_described"
    DEFECTIVE = "defective"
    WRONG_PRODUCT = "wrong_product"
    TOO_LATE = "too_late"
    OTHER = "other"


REASON_LABELS: Mapping[str, LazyString] = {
    ReturnReason.NO_LONGER_WANTED: _l("No longer wanted"),
    ReturnReason.ORDERED_BY_MISTAKE: _l("Ordered by mistake"),
    ReturnReason.DOES_NOT_FIT: _l("Does not fit, or not as expected"),
    ReturnReason.NOT_AS_DESCRIBED: _l("Not as described"),
    ReturnReason.DEFECTIVE: _l("Damaged or defective"),
    ReturnReason.WRONG_PRODUCT: _l("Wrong product"),
    ReturnReason.TOO_LATE: _l("Arrived too late"),
    ReturnReason.OTHER: _l("Another reason"),
}

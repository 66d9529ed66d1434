"""The carriers for which Amazon has codes, by country, and their tracking pages.

Amazon publishes no list by marketplace for shipment confirmations. These codes are those of its order feeds, offered in
countries where the carrier works; any other carrier is sent as "Other" with its name.
"""

from functools import cache

from plugins.amazon.marketplaces import MARKETPLACES
from webapp.api import Carrier, lazy_gettext as _l

_TRACKING = {
    "UPS": "https://www.ups.com/track?tracknum={number}",
    "FedEx": "https://www.fedex.com/fedextrack/?trknbr={number}",
    "USPS": "https://tools.usps.com/go/TrackConfirmAction?tLabels={number}",
    "DHL": "https://www.dhl.com/global-en/home/tracking.html?tracking-id={number}",
    "GLS": "https://gls-group.com/track/{number}",
    "Royal Mail": "https://www.royalmail.com/track-your-item#/tracking-results/{number}",
    "La Poste": "https://www.laposte.fr/outils/suivre-vos-envois?code={number}",
    "Canada Post": "https://www.canadapost-postescanada.ca/track-reperage/en#/search?searchFor={number}",
    "SAGAWA": "https://k2k.sagawa-exp.co.jp/p/web/okurijosearch.do?okurijoNo={number}",
    "JP_EXPRESS": "https://trackings.post.japanpost.jp/services/srv/search/direct?reqCodeNo1={number}",
    "OnTrac": "https://www.ontrac.com/tracking/?number={number}",
}
_LABELS = {
    "SAGAWA": "Sagawa",
    "YAMATO": "Yamato",
    "NITTSU": "Nippon Express",
    "JP_EXPRESS": "Japan Post",
    "FEDEX_JP": "FedEx",
    "Hermes Logistik Gruppe": "Hermes",
}
_EVERYWHERE = ("DHL", "FedEx", "UPS")
_BY_COUNTRY = {
    "US": ("USPS", "UPS", "FedEx", "DHL", "DHL Global Mail", "UPS Mail Innovations", "FedEx SmartPost", "OnTrac",
           "Lasership", "Newgistics", "OSM", "Streamlite", "Blue Package"),
    "CA": ("Canada Post", "Canpar", "UPS", "FedEx", "DHL", "USPS"),
    "GB": ("Royal Mail", "Parcelforce", "DPD", "Yodel", "Parcelnet", "DHL", "UPS", "FedEx", "TNT"),
    "IE": ("DPD", "DHL", "UPS", "FedEx", "TNT"),
    "DE": ("DHL", "Deutsche Post", "DPD", "GLS", "Hermes Logistik Gruppe", "UPS", "FedEx", "TNT", "GO!"),
    "FR": ("La Poste", "Chronopost", "DPD", "GLS", "DHL", "UPS", "FedEx", "TNT"),
    "IT": ("Poste Italiane", "SDA", "GLS", "DHL", "UPS", "FedEx", "TNT"),
    "ES": ("DHL", "GLS", "UPS", "FedEx", "TNT"),
    "NL": ("DHL", "DPD", "GLS", "UPS", "FedEx", "TNT"),
    "BE": ("DHL", "DPD", "GLS", "UPS", "FedEx", "TNT"),
    "PL": ("DHL", "DPD", "GLS", "UPS", "FedEx"),
    "IN": ("India Post", "BlueDart", "Delhivery", "DTDC", "First Flight", "Overnite Express", "Professional"),
    "JP": ("YAMATO", "SAGAWA", "JP_EXPRESS", "NITTSU", "FEDEX_JP", "DHL", "UPS"),
    "AU": ("Fastway", "Smartmail", "DHL", "FedEx", "UPS", "TNT"),
}  # fmt: skip
_OTHER = Carrier("Other", _l("Other"), needs_name=True)


@cache
def carriers(marketplace: str) -> tuple[Carrier, ...]:
    """The carriers of a marketplace, the usual ones first, and "Other" at the end."""
    known = MARKETPLACES.get(marketplace)
    codes = _BY_COUNTRY.get(known.country, _EVERYWHERE) if known else _EVERYWHERE
    return (*(Carrier(code, _LABELS.get(code, code), tracking_url=_TRACKING.get(code, "")) for code in codes), _OTHER)

"""The website workflow of Amazon: a seller consents in Seller Central, and comes back with a code for a refresh token.

The code is used at once: it lasts five minutes. A store that was authorized before stays with its seller.
"""

from collections.abc import Mapping
from typing import Any
from urllib.parse import urlencode

from plugins.amazon.accounts import Account, check_seller_id, is_of_amazon
from plugins.amazon.client import Client
from plugins.amazon.credentials import APPLICATION_IDS
from plugins.amazon.errors import AnotherSeller, ConsentRefused, ConsentUnclear
from plugins.amazon.marketplaces import DOMAINS, chosen
from webapp.api import StoreAccess, gettext

GIVES = ("refresh_token", "seller_id")
PRACTICE_APPLICATION = "amzn1.sp.solution.practice"
_CONSENT = "/apps/authorize/consent"
_SELLER_CENTRAL = {  # of a region, unless the store names marketplaces
    "na": "sellercentral.amazon.com",
    "eu": "sellercentral-europe.amazon.com",
    "fe": "sellercentral.amazon.co.jp",
}


def check_application_id(text: str) -> None:
    """Check an application id for the settings: ValueError with a sentence for anything that is none."""
    if text and not text.startswith(APPLICATION_IDS):
        raise ValueError(gettext("Enter an application ID that begins with %(prefix)s.", prefix=APPLICATION_IDS[0]))


def consent_url(store: StoreAccess, state: str, back: str) -> str | None:
    """The page on which the seller consents; None without an application id."""
    settings = store.settings
    application = str(settings.get("application_id") or "") or (PRACTICE_APPLICATION if store.practice else "")
    if not application:
        return None
    params = {"application_id": application, "state": state, "redirect_uri": back}
    if settings.get("draft", True):
        params["version"] = "beta"
    return f"{_site(store)}{_CONSENT}?{urlencode(params)}"


def _site(store: StoreAccess) -> str:
    custom = str(store.settings.get("endpoint") or "").strip()
    if custom and not is_of_amazon(custom):  # a practice or test server, which has a consent page of its own
        return custom.rstrip("/")
    sites = chosen(str(store.settings.get("marketplaces") or ""))
    region = str(store.settings.get("region") or "na")
    return f"https://sellercentral.{DOMAINS[sites[0].id]}" if sites else f"https://{_SELLER_CENTRAL[region]}"


def granted(client: Client, store: StoreAccess, answer: Mapping[str, str], back: str) -> dict[str, Any]:
    """The refresh token and the seller id behind the parameters with which Amazon sent the seller back."""
    if answer.get("error"):
        raise ConsentRefused
    code, seller = answer.get("spapi_oauth_code", ""), answer.get("selling_partner_id", "")
    try:
        check_seller_id(seller)
    except ValueError:
        raise ConsentUnclear from None
    if not code:
        raise ConsentUnclear
    known = str(store.settings.get("seller_id") or "").strip()
    if known and known != seller:
        raise AnotherSeller(seller=seller, known=known)
    return {"refresh_token": client.exchange(Account.of(store), code, back), "seller_id": seller}

"""The practice seller: one account per region, its marketplaces, and the credentials that open them and its mailbox.

Marketplace ids are Amazon's own; sellers, names and secrets are made up. How an order is drawn from a marketplace is
`composing.py`.
"""

from dataclasses import dataclass
from typing import Final

CLIENT_ID: Final = "amzn1.application-oa2-client.practice"
CLIENT_SECRET: Final = "amzn1.oa2-cs.v1.practice-secret"
REFRESH_TOKENS: Final = {"na": "Atzr|practice-na", "eu": "Atzr|practice-eu", "fe": "Atzr|practice-fe"}
SELLERS: Final = {"na": "A1PRACTICENA", "eu": "A2PRACTICEEU", "fe": "A3PRACTICEFE"}
REGION_OF: Final = {seller: region for region, seller in SELLERS.items()}
AUTHORIZATION_CODES: Final = {region: f"practice-code-{region}" for region in REFRESH_TOKENS}
STORE_NAME: Final = "Practice Store"
MAILBOX: Final = "desk@practice.example"  # the seller's address, and the user of the mailbox
MAILBOX_PASSWORD: Final = "practice-mailbox"
SMTP_PORT: Final = 9525  # of the mail server, and of the mailbox, where nothing else is said
IMAP_PORT: Final = 9643


@dataclass(frozen=True)
class Marketplace:
    """One country's site, with the data of its orders: currency, whether prices include tax, order number prefixes."""

    code: str
    id: str
    region: str
    name: str
    domain: str
    currency: str
    language: str
    country: str
    weight: int  # share of the practice orders; 0: the seller does not take part
    tax_percent: int
    tax_included: bool
    prefixes: tuple[str, ...]
    email_domain: str

    @property
    def decimals(self) -> int:
        """The number of decimals of an amount here."""
        return 0 if self.currency == "JPY" else 2


def _market(  # one line per country reads better than fourteen names each
    code: str,
    id: str,
    region: str,
    tld: str,
    currency: str,
    language: str,
    weight: int,
    tax: int,
    prefixes: str,
) -> Marketplace:
    return Marketplace(
        code, id, region, f"Amazon.{tld}", f"www.amazon.{tld}", currency, language, "GB" if code == "UK" else code,
        weight, tax, region != "na", tuple(prefixes.split()), f"marketplace.amazon.{tld}",
    )  # fmt: skip


MARKETPLACES: Final = {
    market.code: market
    for market in (
        _market("US", "ATVPDKIKX0DER", "na", "com", "USD", "en_US", 34, 8, "111 112 113 114"),
        _market("CA", "A2EUQ1WTGCTBG2", "na", "ca", "CAD", "en_CA", 4, 13, "701 702"),
        _market("MX", "A1AM78C64UM0Y8", "na", "com.mx", "MXN", "es_MX", 0, 16, "701"),
        _market("UK", "A1F83G8C2ARO7P", "eu", "co.uk", "GBP", "en_GB", 8, 20, "202 203 206"),
        _market("DE", "A1PA6795UKMFR9", "eu", "de", "EUR", "de_DE", 24, 19, "302 303 304 305 306"),
        _market("FR", "A13V1IB3VIYZZH", "eu", "fr", "EUR", "fr_FR", 12, 20, "402 403 404 405 408"),
        _market("IT", "APJ6JRA9NG5V4", "eu", "it", "EUR", "it_IT", 3, 22, "402 405 408"),
        _market("ES", "A1RKKUPIHCS9HS", "eu", "es", "EUR", "es_ES", 3, 21, "402 404 406"),
        _market("JP", "A1VC38T7YXB528", "fe", "co.jp", "JPY", "ja_JP", 12, 10, "249 250 503"),
        _market("AU", "A39IBJ37TRP1C6", "fe", "com.au", "AUD", "en_AU", 0, 10, "249 250"),
    )
}
BY_ID: Final = {market.id: market for market in MARKETPLACES.values()}
NON_AMAZON_ID: Final = "A2ZV50J4W1RKNI"  # the pseudo-marketplace of multi-channel orders: listed, never searchable
REGIONS: Final = tuple(REFRESH_TOKENS)


def participations(region: str) -> list[dict[str, object]]:
    """The answer of getMarketplaceParticipations for the seller of a region."""
    answer: list[dict[str, object]] = [
        _participation(m.id, m.country, m.name, m.currency, m.language, m.domain, m.weight > 0)
        for m in MARKETPLACES.values()
        if m.region == region
    ]
    if region == "na":
        answer.append(
            _participation(NON_AMAZON_ID, "US", "Non-Amazon US", "USD", "en_US", "siprod.stores.amazon.com", True)
        )
    return answer


def _participation(
    id: str, country: str, name: str, currency: str, language: str, domain: str, takes_part: bool
) -> dict[str, object]:
    return {
        "marketplace": {
            "id": id,
            "countryCode": country,
            "name": name,
            "defaultCurrencyCode": currency,
            "defaultLanguageCode": language,
            "domainName": domain,
        },
        "storeName": STORE_NAME,
        "participation": {"isParticipating": takes_part, "hasSuspendedListings": False},
    }

"""What a person reads who tests a store at Amazon: each check by itself, with the name of the role that is missing.

Amazon lists an application's roles nowhere, so they show by what it answers: a denied operation, a denied data set, or
open orders without a single name or address. The test takes one search of orders, up to four if Amazon denies data, one
reading of feeds, one of transactions, and one of the messages and one of the requests that an open order allows,
and nothing that changes anything. It only takes calls that the sync can spare; what there is none for is not asked.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from plugins.amazon.accounts import Account
from plugins.amazon.asking import named_in, site_of
from plugins.amazon.client import (
    GET_FEEDS,
    GET_MESSAGES,
    GET_ORDER,
    GET_SOLICITATIONS,
    LIST_TRANSACTIONS,
    SEARCH_ORDERS,
    Answer,
    Client,
    Operation,
)
from plugins.amazon.datasets import PERSONAL
from plugins.amazon.errors import (
    AccessDenied,
    ApplicationNotAllowed,
    ApplicationRefused,
    NothingSold,
    PermissionWithdrawn,
    WrongRegion,
)
from plugins.amazon.feeds.messages import ACKNOWLEDGEMENT
from plugins.amazon.marketplaces import MARKETPLACES, chosen
from webapp.api import ChannelError, Check, Connection, LazyString, StoreAccess, Throttled, lazy_gettext as _l, now

# Roles in Amazon's words, which it translates nowhere
TRACKING = "Inventory and Order Tracking"
SHIPPING = "Direct-to-Consumer Shipping (Restricted)"
TAX = "Tax Invoicing (Restricted)"
FINANCE = "Finance and Accounting"
COMMUNICATION = "Buyer Communication"
SOLICITATION = "Buyer Solicitation"
LOOKED_AT = "10"  # orders: one of them will have an address
RECENT = timedelta(days=30)
INVENTED = "000-0000000-0000000"  # the number of no order
LABELS: Mapping[str, LazyString] = {
    "application": _l("Client id and secret"),
    "authorization": _l("Refresh token"),
    "region": _l("Region"),
    "marketplaces": _l("Marketplaces"),
    "seller_id": _l("Seller ID"),
    "orders": _l("Reading orders"),
    "addresses": _l("Delivery addresses"),
    "buyers": _l("Names of buyers"),
    "cancellations": _l("Submitting cancellations and refunds"),
    "transactions": _l("Reading transactions"),
    "messages": _l("Messages to buyers"),
    "reviews": _l("Review requests"),
    "shipments": _l("Confirming shipments"),
}
SIGNING_IN = ("application", "authorization", "region", "marketplaces")
FAILED_AT: Mapping[type[ChannelError], str] = {
    ApplicationRefused: "application",
    ApplicationNotAllowed: "application",
    PermissionWithdrawn: "authorization",
    AccessDenied: "region",
    WrongRegion: "region",
    NothingSold: "marketplaces",
}


@dataclass(frozen=True, slots=True)
class Checking:
    """The checks of one store."""

    client: Client
    store: StoreAccess

    def checks(self, connection: Connection) -> list[Check]:
        """All checks, given what connecting found."""
        found = dict(self._signing_in(connection))
        found |= {one.name: one for one in self._roles()} if connection.ok else {}
        later = (
            _l("This is checked once the checks above have passed.")
            if found
            else _l("This was not checked, because the connection failed.")
        )
        return [found.get(name) or _check(name, None, later) for name in LABELS]

    def _signing_in(self, connection: Connection) -> Iterator[tuple[str, Check]]:
        stage = next((stage for kind, stage in FAILED_AT.items() if type(connection.problem) is kind), None)
        if connection.problem is not None and stage is None:  # nothing was learned, as when Amazon is out of reach
            return
        good = {
            "application": _l("Amazon knows the application and accepts its secret."),
            "authorization": _l("The seller has authorized the application."),
            "region": _l("The account belongs to this region."),
            "marketplaces": ", ".join(one.name for one in connection.marketplaces),
        }
        for name in SIGNING_IN:
            if name == stage:
                yield name, _check(name, False, str(connection.problem))
                return
            yield name, _check(name, True, good[name])
        yield (
            "seller_id",
            _check(
                "seller_id",
                None,
                _l(
                    "Amazon shows the seller only when you authorize the application from here. Compare the "
                    "ID with Seller Central, Settings, Account Info."
                ),
            ),
        )

    def _roles(self) -> Iterator[Check]:
        account = Account.of(self.store)
        yield from self._orders(account)
        yield self._feeds(account)
        yield self._transactions(account)
        yield _check(
            "shipments",
            None,
            _l("This can be checked only with the first shipment, because there is no test confirmation."),
        )

    def _orders(self, account: Account) -> list[Check]:
        try:
            return self._orders_and_roles(account)
        except ChannelError as error:
            return [_check("orders", None, str(error))]

    def _orders_and_roles(self, account: Account) -> list[Check]:
        try:
            found = self._personal(account)
        except AccessDenied as error:
            return [_check("orders", False, self._denied(account, error))]
        read = _check("orders", True, _l("Orders can be read."))
        return [read, _addresses(found), _buyers(found), self._messages(account, found), self._reviews(account, found)]

    def _personal(self, account: Account) -> dict[str, list[dict[str, Any]] | None]:
        """Open orders with each of the personal data sets; None for a set that Amazon denies. Raises AccessDenied if
        orders without them are denied, too.
        """
        try:
            return dict.fromkeys(PERSONAL, self._search(account, PERSONAL, renew=True))
        except AccessDenied as error:
            named = {name for name in PERSONAL if re.search(rf"\b{name}\b", error.named)}
        self._search(account, ())
        return {name: None if name in named else self._search_or_none(account, name) for name in PERSONAL}

    def _search_or_none(self, account: Account, name: str) -> list[dict[str, Any]] | None:
        try:
            return self._search(account, (name,))
        except AccessDenied:
            return None

    def _search(self, account: Account, sets: Sequence[str], *, renew: bool = False) -> list[dict[str, Any]]:
        params: dict[str, str] = {
            "createdAfter": (now() - RECENT).strftime("%Y-%m-%dT%H:%M:%SZ"),
            "fulfillmentStatuses": "UNSHIPPED,PARTIALLY_SHIPPED",
            "fulfilledBy": "MERCHANT",
            "maxResultsPerPage": LOOKED_AT,
        }
        if sites := chosen(str(self.store.settings.get("marketplaces") or "")):
            params["marketplaceIds"] = ",".join(site.id for site in sites)
        if sets:
            params["includedData"] = ",".join(sets)
        answer = self._spare(account, SEARCH_ORDERS, params=params, renew=renew)
        return [one for one in answer.body.get("orders") or () if isinstance(one, dict)]

    def _spare(self, account: Account, operation: Operation, **asked: Any) -> Answer:
        """Make a call that leaves the sync its allowance. Raises Throttled if there is none to spare."""
        return self.client.request(account, operation, start=operation.plan.burst, spare=True, **asked)

    def _denied(self, account: Account, error: AccessDenied) -> LazyString | str:
        """Why a search was denied: if a single order may be read, it is not for want of the role."""
        if named := named_in(error.named, MARKETPLACES):
            sites = ", ".join(map(site_of, named))
            return _l(
                "Amazon does not permit reading the orders of %(sites)s. The orders of the other marketplaces are "
                "imported.",
                sites=sites,
            )
        try:
            self._spare(account, GET_ORDER, path={"order": INVENTED}, renew=False)
        except AccessDenied:
            return _l(
                "Amazon does not permit reading orders, because the application lacks the role “%(role)s”. "
                "Add the role to your developer profile and to the application, then authorize the "
                "application again.",
                role=TRACKING,
            )
        except Throttled:
            raise
        except ChannelError:  # there is no such order
            pass
        return _l(
            "Amazon permits reading single orders, but not all marketplaces of the account, because one "
            "marketplace is not permitted. The next sync finds that marketplace and imports the orders of the "
            "others."
        )

    def _feeds(self, account: Account) -> Check:
        params = {"feedTypes": ACKNOWLEDGEMENT, "pageSize": "1"}
        try:
            self._spare(account, GET_FEEDS, params=params, renew=False)
        except AccessDenied:
            return _check(
                "cancellations",
                False,
                _l(
                    "Amazon does not permit feeds, which send cancellations and refunds, because the "
                    "application lacks the role “%(role)s”. Add the role to your developer profile and to the "
                    "application, then authorize the application again.",
                    role=TRACKING,
                ),
            )
        except ChannelError as error:
            return _check("cancellations", None, str(error))
        return _check("cancellations", True, _l("Feeds, which send cancellations and refunds, are permitted."))

    def _transactions(self, account: Account) -> Check:
        params = {"postedAfter": (now() - timedelta(days=1)).strftime("%Y-%m-%dT%H:%M:%SZ")}
        try:
            self._spare(account, LIST_TRANSACTIONS, params=params, renew=False)
        except AccessDenied:
            return _check(
                "transactions",
                False,
                _l(
                    "Amazon does not permit reading transactions, which show refunds, because the application "
                    "lacks the role “%(role)s”. Add the role to your developer profile and to the "
                    "application, then authorize the application again.",
                    role=FINANCE,
                ),
            )
        except ChannelError as error:
            return _check("transactions", None, str(error))
        return _check("transactions", True, _l("Transactions can be read."))

    def _messages(self, account: Account, found: Mapping[str, list[dict[str, Any]] | None]) -> Check:
        if (asked := _about_an_order(found)) is None:
            return _check("messages", None, _no_order())
        try:
            self._spare(account, GET_MESSAGES, **asked, renew=False)
        except AccessDenied:
            return _check(
                "messages",
                False,
                _l(
                    "Amazon does not permit messages to buyers, because the application lacks the role "
                    "“%(role)s”. Add the role to your developer profile and to the application, then "
                    "authorize the application again.",
                    role=COMMUNICATION,
                ),
            )
        except ChannelError as error:
            return _check("messages", None, str(error))
        return _check("messages", True, _l("Messages to buyers can be sent."))

    def _reviews(self, account: Account, found: Mapping[str, list[dict[str, Any]] | None]) -> Check:
        if (asked := _about_an_order(found)) is None:
            return _check("reviews", None, _no_order())
        try:
            self._spare(account, GET_SOLICITATIONS, **asked, renew=False)
        except AccessDenied:
            return _check(
                "reviews",
                False,
                _l(
                    "Amazon does not permit review requests, because the application lacks the role "
                    "“%(role)s”. Add the role to your developer profile and to the application, then "
                    "authorize the application again.",
                    role=SOLICITATION,
                ),
            )
        except ChannelError as error:
            return _check("reviews", None, str(error))
        return _check("reviews", True, _l("Reviews can be requested."))


def _about_an_order(found: Mapping[str, list[dict[str, Any]] | None]) -> dict[str, dict[str, str]] | None:
    """The path and the parameters of a call about one of the orders that were found; None if there is none."""
    order = next((one for orders in found.values() for one in orders or ()), None)
    if order is None:
        return None
    marketplace = str((order.get("salesChannel") or {}).get("marketplaceId"))
    return {"path": {"order": str(order.get("orderId"))}, "params": {"marketplaceIds": marketplace}}


def _check(name: str, ok: bool | None, sentence: LazyString | str) -> Check:
    return Check(name=name, label=LABELS[name], ok=ok, sentence=sentence)


def _addresses(found: Mapping[str, list[dict[str, Any]] | None]) -> Check:
    orders = found["RECIPIENT"]
    if orders == []:
        return _check("addresses", None, _no_order())
    if any(_holds(order, "recipient", "deliveryAddress", "addressLine1") for order in orders or ()):
        return _check("addresses", True, _l("Amazon provides delivery addresses."))
    return _check(
        "addresses",
        False,
        _l(
            "Amazon does not provide delivery addresses, because the application lacks the role “%(role)s”. "
            "Add the role to your developer profile and to the application, then authorize the application "
            "again.",
            role=SHIPPING,
        ),
    )


def _buyers(found: Mapping[str, list[dict[str, Any]] | None]) -> Check:
    orders = found["BUYER"]
    if orders == []:
        return _check("buyers", None, _no_order())
    if any(_holds(order, "buyer", "buyerName") for order in orders or ()):
        return _check("buyers", True, _l("Amazon provides the names of buyers."))
    return _check(
        "buyers",
        False,
        _l(
            "Amazon does not provide the names of buyers, because the application lacks the role “%(role)s”. "
            "Add the role to your developer profile and to the application, then authorize the application "
            "again.",
            role=TAX,
        ),
    )


def _holds(order: Mapping[str, Any], *path: str) -> bool:
    value: Any = order
    for name in path:
        value = value.get(name) if isinstance(value, dict) else None
    return bool(value)


def _no_order() -> LazyString | str:
    return _l("This can be checked only with an open order, and there was none in the last 30 days.")

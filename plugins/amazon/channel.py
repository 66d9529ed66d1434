"""Amazon as a channel: the calls for each task of the contract, and the meaning of their answers for the desk.

`client` makes the calls, `mapping` reads orders, `finances` what the accounts say, `shipping` confirms shipments,
`canceling` writes cancellations, `refunding` refunds, `uploading` uploads documents, and `feeds` carries them;
`messaging` writes to buyers, `solicitations` requests reviews.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any, ClassVar

from plugins.amazon import (
    authorizing,
    canceling,
    carriers,
    finances,
    messaging,
    refunding,
    shipping,
    solicitations,
    uploading,
)
from plugins.amazon.accounts import Account, account_key, check_endpoint, check_seller_id
from plugins.amazon.asking import Place, named_in, site_of
from plugins.amazon.checking import Checking
from plugins.amazon.client import (
    CONFIRM_SHIPMENT,
    CREATE_DESTINATION,
    CREATE_DOCUMENT,
    CREATE_FEED,
    CREATE_INVOICE_FEED,
    DOWNLOAD,
    GET_ATTRIBUTES,
    GET_DOCUMENT,
    GET_FEED,
    GET_FEEDS,
    GET_MESSAGES,
    GET_ORDER,
    GET_SOLICITATIONS,
    LIST_TRANSACTIONS,
    PARTICIPATIONS,
    REQUEST_REVIEW,
    SEARCH_ORDERS,
    SEND_MESSAGE,
    UPLOAD,
    UPLOAD_ATTACHMENT,
    Client,
)
from plugins.amazon.credentials import GUIDE, check_client_id, check_refresh_token, check_secret
from plugins.amazon.datasets import DataSetMemory
from plugins.amazon.errors import (
    AccessDenied,
    MarketplaceDenied,
    NothingSold,
    NotThere,
    RequestRefused,
    Unintelligible,
    WrongRegion,
)
from plugins.amazon.feeds import submitting
from plugins.amazon.feeds.finding import Finder
from plugins.amazon.feeds.messages import FULFILLMENT
from plugins.amazon.mapping import read_order
from plugins.amazon.marketplaces import (
    DOMAINS,
    ENDPOINTS,
    MARKETPLACES,
    REGIONS,
    TAKING_INVOICES,
    chosen,
    region_of,
)
from plugins.amazon.reading import Reading
from plugins.amazon.shared import Shared
from plugins.amazon.tokens import SIGN_IN
from webapp.api import (
    Batch,
    CancelReason,
    Carrier,
    Channel,
    ChannelError,
    Connection,
    Denial,
    DeniedThing,
    Flag,
    GuideStep,
    IncomingOrder,
    LazyString,
    MailRoute,
    Marketplace,
    MessageKind,
    MessagesAnswer,
    OrdersPage,
    OrdersWindow,
    Outcome,
    PageRefused,
    ProductCode,
    RefundPlan,
    RefundReason,
    RefundRequest,
    Setting,
    StoreAccess,
    TransactionsPage,
    TransactionsWindow,
    UnreadableOrder,
    Update,
    UpdateKind,
    iso,
    lazy_gettext as _l,
    now,
    parse_instant,
)

OPEN = "PENDING_AVAILABILITY,PENDING,UNSHIPPED,PARTIALLY_SHIPPED"
PAGE = "100"
NUMBER = re.compile(r"[0-9A-Z]{3}-[0-9]{7}-[0-9]{7}")
EDGE = timedelta(minutes=2)  # changes become searchable this late
RESTED = timedelta(hours=1.5)  # after so long without a search, its allowance is full again
# Kinds that are lanes of their own.
WITHOUT_FEED = frozenset({shipping.KIND.code, messaging.KIND.code, solicitations.KIND.code})
STATUSES: Mapping[str, LazyString] = {
    "PENDING_AVAILABILITY": _l("Pre-ordered"),
    "PENDING": _l("Payment pending"),
    "UNSHIPPED": _l("Unshipped"),
    "PARTIALLY_SHIPPED": _l("Partly shipped"),
    "SHIPPED": _l("Shipped"),
    "CANCELLED": _l("Canceled"),
    "UNFULFILLABLE": _l("Can't be fulfilled"),
}
PACKAGE_STATUSES: Mapping[str, LazyString] = {
    "PENDING": _l("Being prepared"),
    "SHIPPED": _l("Dispatched"),
    "IN_TRANSIT": _l("In transit"),
    "DELIVERED": _l("Delivered"),
    "UNDELIVERABLE": _l("Couldn't be delivered"),
    "CANCELLED": _l("Dispatch canceled"),
}
SERVICES: Mapping[str, LazyString] = {
    "EXPEDITED": _l("Expedited"),
    "FREE_ECONOMY": _l("Free economy"),
    "NEXT_DAY": _l("Next day"),
    "PRIORITY": _l("Priority"),
    "SAME_DAY": _l("Same day"),
    "SCHEDULED": _l("Scheduled"),
    "SECOND_DAY": _l("Second day"),
    "STANDARD": _l("Standard"),
}
FLAGS = (  # with Amazon's own names for its programs
    Flag(code="prime", label=_l("Prime"), tone="info", icon="bolt"),
    Flag(code="premium", label=_l("Premium"), key=False),
    Flag(code="business", label=_l("Business"), icon="briefcase"),
    Flag(
        code="label_required",
        label="Ship+",
        help=_l("The shipping label of this order must be bought through Amazon."),
        tone="info",
        icon="rocket",
        key=False,
        row=False,
    ),
)
OPERATIONS: Mapping[str, LazyString] = {
    SEARCH_ORDERS.name: _l("Reading orders"),
    GET_ORDER.name: _l("Reading a single order"),
    LIST_TRANSACTIONS.name: _l("Reading transactions"),
    CONFIRM_SHIPMENT.name: _l("Confirming shipments"),
    PARTICIPATIONS.name: _l("Listing the marketplaces"),
    CREATE_DOCUMENT.name: _l("Preparing a feed"),
    UPLOAD: _l("Uploading a feed"),
    CREATE_FEED.name: _l("Submitting a feed"),
    CREATE_INVOICE_FEED.name: _l("Uploading an invoice"),
    GET_FEED.name: _l("Checking a feed"),
    GET_FEEDS.name: _l("Finding a feed"),
    GET_DOCUMENT.name: _l("Requesting a feed's report"),
    DOWNLOAD: _l("Reading a feed's report"),
    GET_MESSAGES.name: _l("Checking which messages are allowed"),
    GET_ATTRIBUTES.name: _l("Reading the buyer's language"),
    CREATE_DESTINATION.name: _l("Preparing a message attachment"),
    UPLOAD_ATTACHMENT: _l("Uploading a message attachment"),
    SEND_MESSAGE.name: _l("Sending a message to the buyer"),
    GET_SOLICITATIONS.name: _l("Checking whether a review can be requested"),
    REQUEST_REVIEW.name: _l("Requesting a review"),
    SIGN_IN: _l("Signing in"),
}
DATA_SETS: Mapping[str, LazyString] = {
    "BUYER": _l("Buyers"),
    "RECIPIENT": _l("Delivery addresses"),
    "PROCEEDS": _l("Prices and totals"),
    "EXPENSE": _l("Points and expenses"),
    "PROMOTION": _l("Promotions"),
    "CANCELLATION": _l("Cancellations"),
    "FULFILLMENT": _l("Order statuses and deadlines"),
    "PACKAGES": _l("Packages"),
    "TAX": _l("Tax numbers"),
    "PAYMENT": _l("Payments"),
    "FULFILLMENT_ORDERS": _l("Multi-channel orders"),
}


def _check_marketplaces(text: str) -> None:
    chosen(text)


class AmazonChannel(Channel):
    """Amazon's marketplaces, by its Selling Partner API.

    `practice_settings` returns the settings of a store at a practice Amazon, by its URL, if there is one.
    """

    code = "amazon"
    label = "Amazon"
    settings: ClassVar[Sequence[Setting[Any]]] = (
        Setting(
            name="client_id",
            label=_l("Client ID"),
            default=None,
            help=_l("The client ID of your application, shown in Seller Central."),
            compact=True,
            check=check_client_id,
        ),
        Setting(
            name="client_secret",
            label=_l("Client secret"),
            default=None,
            secret=True,
            compact=True,
            lasts_days=180,
            check=check_secret,
        ),
        Setting(
            name="refresh_token",
            label=_l("Refresh token"),
            default=None,
            secret=True,
            compact=True,
            lasts_days=365,
            check=check_refresh_token,
        ),
        Setting(
            name="seller_id",
            label=_l("Seller ID"),
            default=None,
            help=_l("Also called merchant token. It is shown in Seller Central under Settings, Account Info."),
            compact=True,
            check=check_seller_id,
        ),
        Setting(
            name="application_id",
            label=_l("Application ID"),
            help=_l("Needed only for the button “Authorize at Amazon”. It begins with amzn1.sp.solution."),
            compact=True,
            check=authorizing.check_application_id,
        ),
        Setting(
            name="draft",
            label=_l("The application is a draft"),
            default=True,
            help=_l("Choose this as long as the application is not listed in Amazon's Appstore."),
        ),
        Setting(name="region", label=_l("Region"), default="na", choices=REGIONS),
        Setting(
            name="marketplaces",
            label=_l("Marketplaces"),
            help=_l(
                "Enter country codes separated by commas, such as DE, FR. If empty, all marketplaces of the "
                "account are used."
            ),
            check=_check_marketplaces,
        ),
        Setting(
            name="import_from",
            label=_l("Days of the first import"),
            default=30,
            minimum=1,
            maximum=730,
            help=_l("The first import reads the orders of so many past days. Open orders are imported first."),
        ),
        Setting(name="endpoint", label=_l("Endpoint"), advanced=True, check=check_endpoint),
        Setting(name="token_endpoint", label=_l("Token endpoint"), advanced=True, check=check_endpoint),
    )
    guide: ClassVar[Sequence[GuideStep]] = GUIDE
    authorizes: ClassVar[Sequence[str]] = authorizing.GIVES
    kinds: ClassVar[Sequence[UpdateKind]] = (
        shipping.KIND,
        canceling.KIND,
        refunding.KIND,
        *uploading.KINDS,
        messaging.KIND,
        solicitations.KIND,
    )
    product_code = ProductCode("asin", _l("ASIN"))
    flags: ClassVar[Sequence[Flag]] = FLAGS
    operations: ClassVar[Mapping[str, LazyString | str]] = OPERATIONS
    buyers_kept_at_most = 30  # Data Protection Policy, 2.1
    cancels_lines = True
    has_transactions = True
    transactions_late = finances.LATE
    message_kinds: ClassVar[Sequence[MessageKind]] = messaging.MESSAGES
    mail: ClassVar[MailRoute | None] = messaging.BY_MAIL
    review_window = solicitations.WINDOW
    unanswered_request = _l(
        "Each hour without an answer counts against your account, and after the ship-by time the order is "
        "also late. If you cancel at the buyer's request, the cancellation does not count against you."
    )

    def __init__(
        self, shared: Shared | None = None, practice_settings: Callable[[str], Mapping[str, Any]] | None = None
    ) -> None:
        self._shared = shared or Shared()
        self._practice_settings = practice_settings
        self._client = Client(self._shared)
        self._sets = DataSetMemory(self._shared)

    # --- Connecting --------------------------------------------------------------------------------------------------

    def connect(self, store: StoreAccess) -> Connection:
        """Find out whether the credentials work and for which marketplaces."""
        try:
            account = Account.of(store)
            self._sets.forget(account.key)  # somebody tests now: denied data sets are asked for again, too
            return Connection(self._open_marketplaces(store, account, self._taken(account)), account=account.key)
        except ChannelError as error:
            return Connection(problem=error)

    def test(self, store: StoreAccess) -> Connection:
        """Connect, and find out which roles the application lacks."""
        connection = self.connect(store)
        return replace(connection, checks=Checking(self._client, store).checks(connection))

    def authorize_url(self, store: StoreAccess, state: str, back: str) -> str | None:
        return authorizing.consent_url(store, state, back)

    def authorized(self, store: StoreAccess, answer: Mapping[str, str], back: str) -> Mapping[str, Any]:
        return authorizing.granted(self._client, store, answer, back)

    def _taken(self, account: Account) -> list[Marketplace]:
        """The sites at which the account sells. If Amazon denies them, other regions are asked for the account."""
        try:
            return self._sites(account)
        except AccessDenied:
            for region in REGIONS:
                elsewhere = account.in_region(region) if region != account.region else None
                found: list[Marketplace] = []
                with suppress(ChannelError):
                    found = self._sites(elsewhere, renew=False) if elsewhere else []
                if found:
                    raise _wrong_region(found, region) from None
            raise

    def _sites(self, account: Account, *, renew: bool = True) -> list[Marketplace]:
        answer = self._client.request(account, PARTICIPATIONS, start=PARTICIPATIONS.plan.burst, renew=renew)
        try:
            taken = [one["marketplace"] for one in answer.body["payload"] if one["participation"]["isParticipating"]]
            return [_marketplace(site) for site in taken if _is_site(site)]
        except (KeyError, TypeError):
            raise Unintelligible(problem="no participations") from None

    def _open_marketplaces(
        self, store: StoreAccess, account: Account, found: Sequence[Marketplace]
    ) -> list[Marketplace]:
        if found and all(region_of(one.id) not in (None, account.region) for one in found):
            raise _wrong_region(found, region_of(found[0].id) or "")
        wanted = {marketplace.id for marketplace in _chosen(store)}
        open_ones = [marketplace for marketplace in found if not wanted or marketplace.id in wanted]
        if not open_ones:
            raise NothingSold(channel="Amazon", problem="", chosen=str(store.settings.get("marketplaces") or "–"))
        return open_ones

    # --- Orders in ---------------------------------------------------------------------------------------------------

    def fetch_orders(self, store: StoreAccess, window: OrdersWindow) -> OrdersPage:
        """One page of 100 orders. The call sets no upper bound: Amazon's clock decides until when its results are
        complete.
        """
        chosen_ones = [marketplace.id for marketplace in _chosen(store)]
        if window.only and chosen_ones and window.only not in chosen_ones:  # the store no longer wants it
            return OrdersPage([])
        low = iso(window.low.replace(microsecond=0))
        params = {"createdAfter": low, "fulfillmentStatuses": OPEN} if window.open_only else {"lastUpdatedAfter": low}
        params["maxResultsPerPage"] = PAGE
        place = self._place(store, window, chosen_ones)
        if place.ids:
            params["marketplaceIds"] = ",".join(place.ids)
        if place.token:
            params["paginationToken"] = place.token
        asked = now()
        rested = window.open_only or (window.page is None and asked - window.low > RESTED)
        start = SEARCH_ORDERS.plan.burst if rested else None
        try:
            reading = Reading(
                self._client, self._sets, Account.of(store), SEARCH_ORDERS, params, start=start, spare=window.spare
            )
            if not window.only and not place.read:  # otherwise the marketplace is denied, and no data set
                sites = {*MARKETPLACES, *store.marketplaces, *place.ids}
                reading.may_be_data = lambda words: not named_in(words, sites)
            answer, missing = reading.answer()
        except AccessDenied as error:
            return self._page_of_denials(store, window, place, error)
        listed = answer.body.get("orders")
        if not isinstance(listed, list):
            raise Unintelligible(problem="no orders")
        orders: list[IncomingOrder] = []
        unreadable: list[UnreadableOrder] = []
        for raw in listed:
            order = read_order(raw, missing=missing)
            if isinstance(order, IncomingOrder):
                orders.append(order)
            else:
                unreadable.append(order)
        pagination = answer.body.get("pagination") or {}
        after = place.after(pagination.get("nextToken") or None)
        return OrdersPage(
            orders=orders,
            unreadable=unreadable,
            next_page=after.page,
            bound=_bound(answer.body, asked),
            calls=answer.calls,
            denied=[*_denied(after), *(Denial(DeniedThing.DATA, name) for name in missing)],
        )

    def _place(self, store: StoreAccess, window: OrdersWindow, wanted: Sequence[str]) -> Place:
        """The place at which the page begins, with its marketplaces."""
        if window.only:
            return Place.of(window.page, [window.only])
        ids = [id_ for id_ in wanted or self._served(store) if id_ not in window.without] if window.without else wanted
        if window.without and not ids:  # each of them is tried alone
            raise _nothing_open(store)
        place = Place.of(window.page, ids)
        if wanted and not set(place.ids) <= set(wanted):  # the store's settings changed meanwhile
            raise PageRefused(channel=self.label)
        return place

    def _served(self, store: StoreAccess) -> Sequence[str]:
        if store.marketplaces:
            return store.marketplaces
        account = Account.of(store)
        return [marketplace.id for marketplace in self._open_marketplaces(store, account, self._sites(account))]

    def _page_of_denials(
        self, store: StoreAccess, window: OrdersWindow, place: Place, error: AccessDenied
    ) -> OrdersPage:
        """A page without orders that says how the window continues after a denial; raises the error if everything is
        denied.
        """
        if window.only:
            raise MarketplaceDenied(channel="Amazon", problem="", name=window.only, site=site_of(window.only)) from None
        candidates = place.ids or tuple(id_ for id_ in self._served(store) if id_ not in window.without)
        less = place.without(error.named, candidates)
        if less is None:
            raise error
        return OrdersPage([], next_page=less.page, denied=_denied(less))

    def fetch_order(self, store: StoreAccess, number: str) -> IncomingOrder | UnreadableOrder | None:
        """One order, without the delay of two minutes that a search has."""
        return self._order(store, number, reserve=0)

    def _order(self, store: StoreAccess, number: str, *, reserve: float) -> IncomingOrder | UnreadableOrder | None:
        if not NUMBER.fullmatch(number):
            return None
        try:
            answer, missing = Reading(
                self._client, self._sets, Account.of(store), GET_ORDER, {}, path={"order": number}, reserve=reserve
            ).answer()
        except NotThere:
            return None
        except RequestRefused as error:
            if number in error.named:  # Amazon also says so about a number that it never gave out
                return None
            raise
        return read_order(answer.body.get("order"), missing=missing)

    # --- Money -------------------------------------------------------------------------------------------------------

    def refund_reasons(self, marketplace: str) -> Sequence[RefundReason]:
        return refunding.REASONS

    def refund_plan(self, request: RefundRequest) -> RefundPlan:
        return refunding.plan(request)

    def takes_documents(self, marketplace: str) -> bool:
        return marketplace in TAKING_INVOICES

    def fetch_transactions(self, store: StoreAccess, window: TransactionsWindow) -> TransactionsPage:
        return finances.fetch(self._client, Account.of(store), window)

    # --- Messages ----------------------------------------------------------------------------------------------------

    def messages_allowed(self, store: StoreAccess, order_number: str, marketplace: str) -> MessagesAnswer:
        return messaging.asked(self._client, store, order_number, marketplace)

    # --- Updates out -------------------------------------------------------------------------------------------------

    def deliver(self, store: StoreAccess, updates: Batch) -> Mapping[int, Outcome]:
        """Confirm shipments, one call each unless very many wait; if the allowance is used up or Amazon can't be
        reached, the rest waits. Cancellations travel together, in a feed, and so do refunds; each document is a feed.
        Messages and review requests are sent one by one.
        """
        lane = self._lane_of(updates[0])
        if lane == uploading.LANE:
            return uploading.deliver(self._client, store, updates)
        if lane == messaging.KIND.code:
            return messaging.deliver(self._client, store, updates)
        if lane == solicitations.KIND.code:
            return solicitations.deliver(self._client, store, updates)
        if lane != shipping.KIND.code:
            compose = refunding.message if updates[0].kind == refunding.KIND.code else canceling.message
            return submitting.deliver(self._client, store, updates, lane, compose)
        sent = shipping.together(
            updates, lambda: submitting.deliver(self._client, store, updates, FULFILLMENT, shipping.message)
        )
        return shipping.deliver(self._client, store, updates, self._look) if sent is None else sent

    def look_up(self, store: StoreAccess, updates: Sequence[Update]) -> Mapping[int, Outcome]:
        """Read each order once and check whether it shows the packages; of what went in a feed, find out what became of
        the feed; of review requests, whether Amazon would still take them. Of messages, nothing can be found out.
        """
        lane = self._lane_of(updates[0])
        if lane == messaging.KIND.code:
            return messaging.look_up(updates)
        if lane == solicitations.KIND.code:
            return solicitations.look_up(self._client, store, updates)
        if lane == uploading.LANE:
            return uploading.look_up(self._client, self._shared, store, updates, self.poll_interval(store))
        finder = Finder(self._client, self._shared, Account.of(store), lane, canceling.KIND.batch)
        if lane != shipping.KIND.code:
            return finder.look_up(updates)
        outcomes = shipping.of_feeds(updates, finder.learn)
        rest = [one for one in updates if one.id not in outcomes]
        return outcomes | shipping.look_up(store, rest, self._look)

    def lane(self, kind: str, payload: Mapping[str, Any]) -> str:
        """Feeds of one type share a lane; shipments, messages and review requests go without a feed."""
        if kind in uploading.CODES:
            return uploading.LANE
        if kind == refunding.KIND.code:
            return refunding.LANE
        return kind if kind in WITHOUT_FEED else canceling.lane(payload)

    def _lane_of(self, update: Update) -> str:
        return self.lane(update.kind, update.payload)

    def when(self, store: StoreAccess, lane: str, *, urgent: bool = False) -> float:
        """The time until Amazon takes another feed; other calls need not wait for each other."""
        if lane in WITHOUT_FEED:  # asked for every batch of shipments: the settings need not be read
            return 0.0
        seller, region = str(store.settings.get("seller_id") or ""), str(store.settings.get("region") or "na")
        if not seller:
            return 0.0
        endpoint = (str(store.settings.get("endpoint") or "").strip() or ENDPOINTS[region]).rstrip("/")
        operation = CREATE_INVOICE_FEED if lane == uploading.LANE else CREATE_FEED
        return self._client.wait(account_key(str(store.settings["client_id"]), seller, region, endpoint), operation)

    def _look(self, store: StoreAccess, number: str) -> IncomingOrder | None:
        order = self._order(store, number, reserve=2)
        return order if isinstance(order, IncomingOrder) else None

    # --- Words and addresses -----------------------------------------------------------------------------------------

    def carriers(self, marketplace: str) -> Sequence[Carrier]:
        return carriers.carriers(marketplace)

    def cancel_reasons(self, marketplace: str) -> Sequence[CancelReason]:
        return canceling.REASONS

    def marketplace(self, marketplace: str) -> Marketplace | None:
        return MARKETPLACES.get(marketplace)

    def poll_interval(self, store: StoreAccess) -> float:
        """Every five minutes: 12 of the 20 searches that Amazon allows in an hour; 8 are left for a backlog."""
        return 5.0 if store.practice else self.poll_every

    def status_label(self, status: str) -> LazyString | str:
        return STATUSES.get(status, status)

    def package_status_label(self, status: str) -> LazyString | str:
        return PACKAGE_STATUSES.get(status, status)

    def service_label(self, level: str) -> LazyString | str:
        return SERVICES.get(level, level)

    def denied_label(self, denial: Denial) -> LazyString | str:
        if denial.thing is DeniedThing.MARKETPLACE:
            return site_of(denial.name)
        return {**OPERATIONS, **DATA_SETS}.get(denial.name, denial.name)

    def order_url(self, store: StoreAccess, number: str, marketplace: str) -> str | None:
        if store.practice or marketplace not in DOMAINS:
            return None
        return f"https://sellercentral.{DOMAINS[marketplace]}/orders-v3/order/{number}"

    def practice_settings(self, url: str) -> Mapping[str, Any] | None:
        return self._practice_settings(url) if self._practice_settings else None


def _denied(place: Place) -> list[Denial]:
    return [MarketplaceDenied(channel="Amazon", problem="", name=id_, site=site_of(id_)).denial for id_ in place.found]


def _wrong_region(found: Sequence[Marketplace], region: str) -> WrongRegion:
    countries = ", ".join(one.country for one in found)
    return WrongRegion(channel="Amazon", problem="", countries=countries, region=region)


def _nothing_open(store: StoreAccess) -> AccessDenied:
    region = str(store.settings.get("region") or "").upper()
    return AccessDenied(channel="Amazon", problem="", region=region, operation=SEARCH_ORDERS.name)


def _chosen(store: StoreAccess) -> list[Marketplace]:
    return chosen(str(store.settings.get("marketplaces") or ""))


def _is_site(site: Mapping[str, Any]) -> bool:
    """Whether this marketplace is a country's site; Amazon also lists marketplaces for other channels."""
    return site["id"] in MARKETPLACES or site["domainName"].startswith("www.amazon.")


def _marketplace(site: Mapping[str, Any]) -> Marketplace:
    """The published facts of a marketplace; for one that opened later, those in Amazon's answer."""
    return MARKETPLACES.get(site["id"]) or Marketplace(
        site["id"], site["countryCode"], site["name"], site["defaultCurrencyCode"], site["defaultLanguageCode"], "UTC",
    )  # fmt: skip


def _bound(body: Mapping[str, Any], asked: datetime) -> datetime:
    """The time until which Amazon's results are complete; if the answer has none, a time that is certainly early
    enough.
    """
    stated = body.get("lastUpdatedBefore") or body.get("createdBefore")
    try:
        return parse_instant(stated) if stated else asked - 2 * EDGE
    except (ValueError, TypeError):
        raise Unintelligible(problem="no bound") from None

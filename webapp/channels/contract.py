"""What a channel plugin implements, and how it describes its orders.

A channel is a kind of marketplace. The desk asks the channel for changed orders (`incoming`), a page at a time, and
gives it updates to deliver (`outgoing`), a batch at a time; both need the access to a seller's account (`connecting`).
The desk never learns how the channel does either. Nothing in these four modules uses the database or the network, so a
channel can be tested with values alone. All types are plain data: the channel builds them and the desk reads them, or
the reverse.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from webapp.channels.connecting import Connection, Denial, GuideStep, Marketplace, StoreAccess
from webapp.channels.incoming import IncomingOrder, OrdersPage, OrdersWindow, UnreadableOrder
from webapp.channels.messages import MailRoute, MessageKind, MessagesAnswer
from webapp.channels.outgoing import Batch, CancelReason, Carrier, Outcome, Update, UpdateKind
from webapp.channels.refunds import RefundPlan, RefundReason, RefundRequest
from webapp.channels.review_requests import ReviewWindow
from webapp.channels.transactions import TransactionsPage, TransactionsWindow
from webapp.i18n import LazyString, lazy_gettext as _l
from webapp.settings.declared import Setting


@dataclass(frozen=True, slots=True)
class ProductCode:
    """The name of a channel's own product code: the code for queries and JSON, the label for people."""

    code: str  # small letters, digits and _
    label: LazyString | str


NO_CODE = ProductCode("product_code", _l("Product code"))  # for a channel that declares none; it gives no query key


@dataclass(frozen=True, slots=True, kw_only=True)
class Flag:
    """Something that a channel says about an order as a whole, such as a program to which the order belongs.

    Its badge, its word in the timeline, its query key and its row on the channel's side of the order are derived from
    it. If the desk has a badge or a key with this code (gift, replacement, label_required), this declaration only gives
    the badge other words for the channel's own orders.
    """

    code: str  # small letters, digits and _, as `IncomingOrder.flags` has it
    label: LazyString | str
    help: LazyString | str = ""
    tone: str = "calm"
    icon: str = ""
    key: bool = True  # whether the query bar and the filters have a key for it, besides `flag:`
    row: bool = True  # whether the channel's side of every order shows yes or no for it


class Channel(ABC):
    """A kind of marketplace. One object serves all its stores; everything that differs by store comes as
    `StoreAccess`.
    """

    code: ClassVar[str]
    label: ClassVar[LazyString | str]
    settings: ClassVar[Sequence[Setting[Any]]] = ()
    guide: ClassVar[Sequence[GuideStep]] = ()  # how a person gets what `settings` ask for
    authorizes: ClassVar[Sequence[str]] = ()  # names of the settings that a consent at the channel's own site gives
    kinds: ClassVar[Sequence[UpdateKind]] = ()
    product_code: ClassVar[ProductCode] = NO_CODE
    flags: ClassVar[Sequence[Flag]] = ()
    operations: ClassVar[Mapping[str, LazyString | str]] = {}  # what its calls ask for, in words for people, by code
    poll_every: ClassVar[float] = 300.0  # seconds between two windows while nothing is waiting
    overlap: ClassVar[float] = 600.0  # seconds by which a window reaches behind the cursor
    buyers_kept_at_most: ClassVar[int | None] = None  # days after delivery; None: the merchant decides alone
    unanswered_request: ClassVar[LazyString | str] = ""  # what a buyer's request to cancel costs while nobody answers
    cancels_lines: ClassVar[bool] = False  # whether it can cancel a part of an order, for a store that has the kind
    has_transactions: bool = False  # whether `fetch_transactions` can be asked
    message_kinds: ClassVar[Sequence[MessageKind]] = ()  # all that it knows, for a store that has the kind of update
    mail: ClassVar[MailRoute | None] = None  # None: its buyers are never written to by e-mail
    review_window: ClassVar[ReviewWindow | None] = None  # for a channel that has the kind of update `review_request`
    transactions_late: ClassVar[float] = 0.0  # seconds by which its accounts show a transaction at the latest

    @abstractmethod
    def connect(self, store: StoreAccess) -> Connection:
        """Find out whether the credentials work and for which marketplaces; problems are returned, not raised."""

    def test(self, store: StoreAccess) -> Connection:
        """Like `connect`, for a person who waits for the answer: it may look at more, such as missing permissions, and
        says what it looked at in `Connection.checks`.
        """
        return self.connect(store)

    def authorize_url(self, store: StoreAccess, state: str, back: str) -> str | None:
        """The page of the channel on which a seller consents, which then sends them to `back` with this `state`; None
        if the store's settings lack something for it. It may not use the network, and settings may come without
        secrets.
        """
        return None

    def authorized(self, store: StoreAccess, answer: Mapping[str, str], back: str) -> Mapping[str, Any]:
        """The settings of `authorizes`, by the parameters with which the channel sent the seller back. Raises a
        `DeskError` with a sentence if the seller refused, the answer came too late, or is of another account.
        """
        return {}

    @abstractmethod
    def fetch_orders(self, store: StoreAccess, window: OrdersWindow) -> OrdersPage:
        """One page of orders; raises ChannelError (Throttled, PageRefused, Denied, Disconnected)."""

    @abstractmethod
    def fetch_order(self, store: StoreAccess, number: str) -> IncomingOrder | UnreadableOrder | None:
        """One order by the channel's number, as it is now; None if the channel has no such order."""

    @abstractmethod
    def deliver(self, store: StoreAccess, updates: Batch) -> Mapping[int, Outcome]:
        """Carry the updates out. Every update gets an outcome, but never `NothingLearned`; refusals by the channel are
        outcomes and are not raised.

        A channel that sends updates one by one iterates over `updates` itself, which skips those that another worker
        has taken over. Updates that are not repeatable are sent by `updates.attempt(…).call(…)` alone.
        """

    @abstractmethod
    def look_up(self, store: StoreAccess, updates: Sequence[Update]) -> Mapping[int, Outcome]:
        """Find out what became of updates that were sent or whose answer was lost; updates of one attempt are passed
        together. The desk itself reads the orders of those that were accepted or stay unknown.

        `Sent` and `Accepted` mean that no effect is shown yet. `NotCarriedOut`, and `NotYet` for an update whose answer
        was lost, mean that the update was certainly not carried out: it is sent again. `NothingLearned` means that the
        lookup itself failed: it is repeated. A `NotYet` with a reason is rejected, since a lookup can't say why an
        update did not leave.
        """

    def lane(self, kind: str, payload: Mapping[str, Any]) -> str:
        """The lane of an update, decided when it is stored: updates of an exclusive kind in one lane wait for each
        other.
        """
        return kind

    def when(self, store: StoreAccess, lane: str, *, urgent: bool = False) -> float:
        """Seconds until the next batch of this lane goes, as far as is known here; until then its updates can be
        undone. `urgent`: until it can go at the earliest. It may not use the network, and the store's settings come
        without its secrets.
        """
        return 0.0

    def carriers(self, marketplace: str) -> Sequence[Carrier]:
        """The carriers that this marketplace accepts."""
        return ()

    def cancel_reasons(self, marketplace: str) -> Sequence[CancelReason]:
        """The reasons that this marketplace accepts for a cancellation, in the order in which people read them."""
        return ()

    def refund_reasons(self, marketplace: str) -> Sequence[RefundReason]:
        """The reasons that this marketplace accepts for a refund, in the order in which people read them."""
        return ()

    def refund_plan(self, request: RefundRequest) -> RefundPlan:
        """The parts in which a credit memo would be sent, for a channel that carries the kind `refund`; its update's
        payload has them as `parts`. Raises a `Refusal` if it can't be carried. It may not use the network.
        """
        raise NotImplementedError

    def messages_allowed(self, store: StoreAccess, order_number: str, marketplace: str) -> MessagesAnswer:
        """The kinds of messages that may be sent about an order now, and the buyer's language. Calls the channel;
        raises `ChannelError`. Asked only of a channel with `message_kinds`. An update of the kind `message` has its
        kind's code as `payload["message"]`, its text as `private["text"]`, empty for a kind without one, and the
        documents that go with it as `private["files"]`, each an `AttachedFile`.
        """
        return MessagesAnswer()

    def takes_documents(self, marketplace: str) -> bool:
        """Whether sellers upload their invoices and credit memos to this marketplace, for a channel that carries the
        kinds `invoice_upload` and `credit_memo_upload`. Their updates have an `UploadedDocument` in
        `private["document"]`.
        """
        return False

    def fetch_transactions(self, store: StoreAccess, window: TransactionsWindow) -> TransactionsPage:
        """One page of what the seller's accounts say, for a channel that has `has_transactions`; raises ChannelError
        (Throttled, PageRefused, Denied, Disconnected).
        """
        raise NotImplementedError

    def marketplace(self, marketplace: str) -> Marketplace | None:
        """The facts about a marketplace by its id, also before a store is connected to it."""
        return None

    def poll_interval(self, store: StoreAccess) -> float:
        """Seconds between two windows of this store."""
        return self.poll_every

    def practice_settings(self, url: str) -> Mapping[str, Any] | None:
        """The settings of a store at a practice marketplace with this address; None if there is no practice
        marketplace.
        """
        return None

    def status_label(self, status: str) -> LazyString | str:
        """The channel's status of an order in words for people; by default, the status itself."""
        return status

    def package_status_label(self, status: str) -> LazyString | str:
        """The channel's status of a package in words for people; by default, the status itself."""
        return status

    def service_label(self, level: str) -> LazyString | str:
        """The shipping service that the buyer chose, in words for people; by default, its code."""
        return level

    def denied_label(self, denial: Denial) -> LazyString | str:
        """The words for people for a denied thing; by default its name."""
        return denial.name

    def order_url(self, store: StoreAccess, number: str, marketplace: str) -> str | None:
        """The URL of this order on the channel's own site; None if it has no page there. It may not use the network,
        and the store's settings come without its secrets.
        """
        return None

"""What a channel plugin implements, and the words in which orders travel between channels and the desk.

A channel is a kind of marketplace. The desk asks it for changed orders a page at a time and hands it updates to
deliver a batch at a time; it never learns how either is done. Nothing here touches the database or the network, so a
channel can be tested with values alone. Everything is plain data that a channel builds and the desk reads, or the
other way round.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field as default, replace
from datetime import datetime
from enum import StrEnum
from typing import Any, ClassVar, ParamSpec, TypeVar, overload

from webapp.errors import DeskError
from webapp.i18n import LazyString, lazy_gettext as _l
from webapp.settings.declared import Setting

P = ParamSpec("P")
T = TypeVar("T")

# --- Orders coming in ---


class ChannelStage(StrEnum):
    """Where an order stands on its channel, in the few words the desk reasons with; the channel's own word is kept
    too.
    """

    AWAITING_PAYMENT = "awaiting_payment"
    OPEN = "open"
    SHIPPED = "shipped"
    CANCELED = "canceled"
    UNKNOWN = "unknown"


class FulfilledBy(StrEnum):
    """Who ships an order: the merchant, or the channel from its own warehouse."""

    MERCHANT = "merchant"
    CHANNEL = "channel"


class Component(StrEnum):
    """What an amount was charged for."""

    ITEM = "item"
    SHIPPING = "shipping"
    GIFT_WRAP = "gift_wrap"
    COD = "cod"
    TIP = "tip"
    OTHER = "other"


@dataclass(frozen=True, slots=True)
class IncomingAmount:
    """Charged, tax and discount of one component, in minor units of the order's currency, none negative but `charged`.

    What the buyer pays for the component is charged + tax − discount; where a channel's price includes tax, `charged`
    is without it.
    """

    component: Component
    charged: int = 0
    tax: int = 0
    discount: int = 0


@dataclass(frozen=True, slots=True)
class IncomingLine:
    """A line as the channel lists it. Quantities there stand on the channel line and never overwrite the desk's."""

    number: str  # the channel's id of the line
    ordered: int
    fulfilled: int = 0
    unfulfilled: int | None = None  # None: not said
    sku: str = ""
    product_code: str = ""  # as `Channel.product_code` calls it
    title: str = ""
    condition: str = ""
    unit_price: int | None = None  # minor units; None: withheld
    total: int | None = None
    amounts: tuple[IncomingAmount, ...] = ()
    programs: tuple[str, ...] = ()
    promotions: tuple[str, ...] = ()
    needs_codes: bool = False  # authenticity codes must be given when it ships
    gift: bool = False
    cancel_requested: bool = False
    cancel_reason: str = ""
    canceled_by: str = ""


@dataclass(frozen=True, slots=True)
class IncomingPackage:
    """A parcel that the channel lists, whoever confirmed it."""

    number: str  # the reference it carries there
    lines: Mapping[str, int]  # line number -> units
    carrier: str = ""
    service: str = ""
    tracking_number: str = ""
    shipped_at: datetime | None = None
    status: str = ""
    delivered: bool = default(default=False, repr=False)  # the status says so: it adds nothing to what is compared


@dataclass(frozen=True, slots=True)
class IncomingOrder:
    """One order as the channel tells it now, in the desk's words; absent is None or empty, never invented."""

    number: str
    created_at: datetime
    updated_at: datetime  # stale answers never win by this
    marketplace: str  # the channel's id of it
    stage: ChannelStage
    status: str  # the channel's own word
    fulfilled_by: FulfilledBy
    currency: str | None
    total: int | None  # the channel's grand total in minor units; None: withheld
    lines: tuple[IncomingLine, ...]
    amounts: tuple[IncomingAmount, ...] = ()  # of the order itself, beside its lines'
    packages: tuple[IncomingPackage, ...] = ()
    is_sale: bool = True  # False: mirrored only, in no list and no figure
    ship_from: datetime | None = None
    ship_by: datetime | None = None
    deliver_from: datetime | None = None
    deliver_by: datetime | None = None
    service_level: str = ""
    flags: tuple[str, ...] = ()  # the desk's own (gift, replacement, label_required) and those of `Channel.flags`
    programs: tuple[str, ...] = ()  # the channel's words behind them
    payment_methods: tuple[str, ...] = ()
    replaces: str | None = None  # channel number of the order that this one replaces
    missing: tuple[str, ...] = ()  # parts that the channel refused to tell this time
    buyer: Mapping[str, Any] = default(default_factory=dict)  # personal: see BUYER_FIELDS; goes into the vault
    raw: Mapping[str, Any] = default(default_factory=dict, repr=False)  # the answer itself; goes into the vault
    extra: Mapping[str, Any] = default(default_factory=dict, repr=False)  # the channel's own facts: see EXTRA_AT_MOST
    odd_extra: tuple[str, ...] = default(default=(), repr=False)  # filled by the desk: why it left `extra` out
    odd_times: tuple[str, ...] = default(default=(), repr=False)  # filled by the desk: times that it left out

    def without_raw(self) -> "IncomingOrder":
        """This order without the answer itself, once that is packed: most of what would travel between processes."""
        return replace(self, raw={})


EXTRA_AT_MOST = 8192  # bytes of `extra` as JSON: text, whole numbers, yes or no, none, and lists of text, by name


BUYER_FIELDS = {
    "name": _l("Buyer"),
    "email": _l("E-mail"),
    "company": _l("Company"),
    "purchase_order": _l("Purchase order"),
    "address": _l("Delivery address"),  # a mapping of ADDRESS_FIELDS
    "instructions": _l("Delivery instructions"),
    "gift_messages": _l("Gift messages"),  # line number -> text
    "customizations": _l("Customizations"),  # line number -> text or address
}
ADDRESS_FIELDS = (
    "name", "company", "line1", "line2", "line3", "city", "district", "region", "postal_code", "country", "phone",
    "kind", )  # fmt: skip


ORDER_PROBLEMS = {  # why an order could not be taken in: codes are stored, words are for whoever reads them
    "missing": _l("is missing"),
    "odd_shape": _l("has a shape that the desk does not know"),
    "not_a_list": _l("is not a list"),
    "not_text": _l("is not text"),
    "not_whole": _l("is not a whole number"),
    "not_a_number": _l("is not a number"),
    "not_a_time": _l("is not a point in time"),
    "odd_time": _l("lies outside the years 1970 to 2199"),
    "not_money": _l("is not an amount with a currency"),
    "not_a_currency": _l("is not a currency"),
    "no_currency": _l("has amounts without a currency"),
    "second_currency": _l("is in a second currency"),
    "negative": _l("is below zero"),
    "too_many": _l("is more than the desk can count"),
    "too_large": _l("is a larger amount than the desk can keep"),
    "line_twice": _l("holds the same line twice"),
    "unkept_text": _l("is empty, or holds a character that can't be kept"),
    "too_long": _l("is longer than the desk can keep"),
    "refused_by_database": _l("was refused by the database"),
    "plugin_failed": _l("could not be read: the plugin of its channel failed. The Plugins page says how."),
    "not_written": _l("could not be taken in: the log of the worker says why"),
}


@dataclass(frozen=True, slots=True)
class UnreadableOrder:
    """An order of a page that could not be put into our words: it is quarantined with its cause, the page goes on."""

    number: str
    field: str
    problem: str  # a code of ORDER_PROBLEMS
    raw: Mapping[str, Any] = default(default_factory=dict, repr=False)


@dataclass(frozen=True, slots=True)
class OrdersPage:
    """One page of changed orders."""

    orders: Sequence[IncomingOrder]
    unreadable: Sequence[UnreadableOrder] = ()
    next_page: str | None = None  # the token of the next page; None: this was the last
    bound: datetime | None = None  # until when the channel vouches for these results: the next cursor
    calls: int = 1
    denied: Sequence["Denial"] = ()  # marketplaces that were found to be denied, and every data set that is left out


@dataclass(frozen=True, slots=True)
class OrdersWindow:
    """What to ask for: changes since `low`, or on the first connection open orders created since `low`.

    `without` may grow from page to page. A channel whose tokens hold on to marketplaces keeps them in its tokens.
    """

    low: datetime
    page: str | None = None
    open_only: bool = False
    without: Sequence[str] = ()  # ids of marketplaces that the account is denied
    only: str = ""  # id of the one marketplace to ask for, to see whether it still is denied
    spare: bool = False  # not urgent: to take at most a quarter of the allowance, and nothing that others need


# --- What is denied ---


DENIED_FOR = 6 * 3600.0  # seconds until what was denied is tried again


class DeniedThing(StrEnum):
    """What a channel may deny while the account's credentials are good and everything else goes on."""

    MARKETPLACE = "marketplace"
    DATA = "data"
    OPERATION = "operation"
    ORDER = "order"


@dataclass(frozen=True, slots=True)
class Denial:
    """One thing that the channel denies the account."""

    thing: DeniedThing
    name: str  # the marketplace's id, the data set, the operation, or the channel's number of the order
    problem: Mapping[str, Any] = default(default_factory=dict)  # a stored DeskError


# --- What goes out ---


@dataclass(frozen=True, slots=True)
class Update:
    """One owed act, as the channel gets it."""

    id: int
    kind: str
    order_number: str  # the channel's
    marketplace: str
    reference: str  # what the channel sees of us; the same on every repetition
    payload: Mapping[str, Any]
    handle: str | None = None
    attempts: int = 0
    revision: int = 1  # of what this reference tells: 2 is the first correction
    private: Mapping[str, Any] = default(default_factory=dict, repr=False)  # never kept: texts, files
    begun: "Begun | None" = None  # when it is looked up: the attempt in which it may have left
    look_from: datetime | None = None  # when it is looked up: it may have left at any time since then


@dataclass(frozen=True, slots=True)
class Begun:
    """An attempt to send updates together, as it was stored before it left."""

    id: int
    key: str  # what the channel called it
    messages: int
    at: datetime
    channel_at: datetime | None  # by the channel's own clock


@dataclass(frozen=True, slots=True)
class Effective:
    """The channel shows the effect."""

    done_elsewhere: bool = False


@dataclass(frozen=True, slots=True)
class Sent:
    """The channel took it; look again later whether it took effect."""

    handle: str | None = None


@dataclass(frozen=True, slots=True)
class Accepted:
    """The channel carried it out without complaint, and the effect is still to be seen; perhaps with a warning."""

    sentence: str = ""


@dataclass(frozen=True, slots=True)
class NotCarriedOut:
    """The channel took it, but it surely did not happen: it is sent again, with at most so many together."""

    together: int = 1


@dataclass(frozen=True, slots=True)
class Refused:
    """The channel said no, in its own sentence; `cause` is a stored DeskError where we know a better one."""

    sentence: str
    cause: Mapping[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class Unknown:
    """Nobody knows whether it happened: the answer was lost."""

    problem: str = ""


@dataclass(frozen=True, slots=True)
class NotYet:
    """It did certainly not happen and is sent again after so many seconds (throttled, unreachable, paused). A look says
    so without a reason.

    `problem` is the channel's own sentence; `cause` is a stored DeskError where we know the reason ourselves.
    """

    seconds: float
    problem: str = ""
    cause: Mapping[str, Any] | None = None
    denial: Denial | None = None  # what the channel denies, where that is the reason


@dataclass(frozen=True, slots=True)
class NothingLearned:
    """A look could not find out what became of it, and is made again after so many seconds; it is not sent. An answer
    of `look_up` alone, with the reason in the words of `NotYet`.
    """

    seconds: float
    problem: str = ""
    cause: Mapping[str, Any] | None = None
    denial: Denial | None = None


Outcome = Effective | Sent | Accepted | Refused | Unknown | NotYet | NotCarriedOut | NothingLearned


OF_DELIVERY = (Effective, Sent, Accepted, Refused, Unknown, NotYet, NotCarriedOut)
OF_LOOK = (*OF_DELIVERY, NothingLearned)


@dataclass(frozen=True, slots=True)
class UpdateKind:
    """How a channel carries one kind of outward act."""

    code: str
    label: LazyString
    repeatable: bool  # sending the same twice has the effect of once
    batch: int = 1  # how many go in one call of `deliver`
    exclusive: bool = False  # only one batch of its lane is under way in an account, until there is a handle
    gather: float = 0.0  # seconds for which one that is owed waits for others to go with it
    look_after: float = 90.0  # seconds until the effect of a sent one is looked up
    look_steps: Sequence[float] = (300.0, 900.0, 3600.0)  # seconds between further looks; the last goes on
    unseen_after: float = 86_400.0  # seconds after which one that is not shown needs a person


class Attempt(ABC):
    """A try to send updates together, which is stored by now. What can't be undone is called through it."""

    id: int

    @abstractmethod
    def call(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """What this irreversible call gives. Raises `TooLate` instead of calling, where more than 30 seconds have gone
        by since the attempt was stored, by any clock: another worker may look up by then what became of it.
        """


class Batch(Sequence[Update]):
    """Updates of one kind that are to be delivered. Going through them leaves out what another worker has by now."""

    def __init__(self, updates: Sequence[Update]) -> None:
        self._updates = updates

    def __len__(self) -> int:
        return len(self._updates)

    @overload
    def __getitem__(self, place: int) -> Update: ...
    @overload
    def __getitem__(self, place: slice) -> Sequence[Update]: ...
    def __getitem__(self, place: int | slice) -> Update | Sequence[Update]:
        return self._updates[place]

    @abstractmethod
    def attempt(self, updates: Sequence[Update], *, key: str = "", channel_at: datetime | None = None) -> Attempt:
        """Store that these are about to be sent together. A kind that is not repeatable is sent in no other way.

        `key` is what the channel will call the attempt, and `channel_at` its own time, where they are known: who looks
        up later what became of it gets both. Raises `LeaseLost` where another worker has any of them by now.
        """


# --- Words and abilities ---


@dataclass(frozen=True, slots=True)
class ProductCode:
    """What a channel's own code of a product is called: in queries and in JSON, and by its label for people."""

    code: str  # small letters, digits and _
    label: LazyString | str


NO_CODE = ProductCode("product_code", _l("Product code"))  # of a channel that declares none, so that it has no key


@dataclass(frozen=True, slots=True, kw_only=True)
class Flag:
    """Something that a channel says of an order as a whole, such as a program that it belongs to.

    Its badge, its word in the timeline, its query key and its row on the channel's side of the order follow from it.
    Where the desk has a badge or a key of this code (gift, replacement, label_required), this gives the badge other
    words for the channel's own orders.
    """

    code: str  # small letters, digits and _, as `IncomingOrder.flags` has it
    label: LazyString | str
    help: LazyString | str = ""
    tone: str = "calm"
    icon: str = ""
    key: bool = True  # whether the query bar and the filters have a key of its own, `flag:` aside
    row: bool = True  # whether the channel's side of every order says yes or no to it


@dataclass(frozen=True, slots=True)
class Marketplace:
    id: str
    country: str  # ISO 3166
    name: str
    currency: str
    language: str
    zone: str  # IANA


@dataclass(frozen=True, slots=True)
class Carrier:
    """A carrier by the code the channel knows; `needs_name` for the way out ("Other")."""

    code: str
    label: LazyString | str
    needs_name: bool = False
    tracking_url: str = ""  # with {number}


@dataclass(frozen=True, slots=True)
class StoreAccess:
    """A store as its channel sees it: what it needs to reach the seller's account. Never logged: it holds secrets."""

    id: int
    settings: Mapping[str, Any]
    practice: bool = False
    marketplaces: Sequence[str] = ()  # ids of those that connecting named

    def __repr__(self) -> str:
        return f"StoreAccess({self.id})"


@dataclass(frozen=True, slots=True)
class Connection:
    """The result of testing a store: the marketplaces it may serve, or the problem in one sentence."""

    marketplaces: Sequence[Marketplace] = ()
    problem: DeskError | None = None
    account: str = ""  # names the seller's account: stores of one account share its lanes; it gives nothing away

    @property
    def ok(self) -> bool:
        return self.problem is None


class ChannelError(DeskError):
    """The channel could not be asked. `retry_after` seconds: when it is worth trying again; None: not by itself."""

    code = "channel_failed"
    status = 502
    sentence = _l("%(channel)s answered in a way the desk can't use: %(problem)s")
    retry_after: float | None = 60.0


class Throttled(ChannelError):
    """The allowance of calls is used up for now; nothing went wrong."""

    code = "channel_throttled"
    sentence = _l("%(channel)s allows no more calls just now; the desk goes on in %(seconds)s seconds.")

    def __init__(self, *, seconds: float, **values: Any) -> None:
        super().__init__(seconds=round(seconds), **values)
        self.retry_after = seconds


class LeaseLost(ChannelError):
    """Another worker has these updates by now: nothing of them may be sent here."""

    code = "lease_lost"
    sentence = _l("Another worker took this over.")
    retry_after = 1.0


class TooLate(ChannelError):
    """Too much time went by between an attempt and its call, which was not made."""

    code = "attempt_too_late"
    sentence = _l("The machine stood still at the wrong moment: it is tried again.")
    retry_after = 1.0


class PageRefused(ChannelError):
    """The page token is no longer good: the window starts again."""

    code = "channel_page_refused"
    sentence = _l("%(channel)s no longer knows the page; the desk reads from the start again.")


class Disconnected(ChannelError):
    """The sign-in is refused: nothing is tried again until somebody gives new credentials. Raised for nothing else: a
    permission that is missing for one thing is `Denied`.
    """

    code = "channel_disconnected"
    sentence = _l("%(channel)s refuses the desk's credentials: %(problem)s")
    retry_after = None


class Denied(ChannelError):
    """The credentials are good, but not for this one thing: all else goes on, and it is tried again by itself."""

    code = "channel_denied"
    sentence = _l("%(channel)s denies the desk this: %(problem)s")
    retry_after = DENIED_FOR
    thing: ClassVar[DeniedThing] = DeniedThing.OPERATION

    def __init__(self, *, name: str = "", **values: Any) -> None:
        super().__init__(**values)
        self.name = name

    @property
    def denial(self) -> Denial:
        """What is denied, as it is kept."""
        return Denial(self.thing, self.name, self.stored())


class Channel(ABC):
    """A kind of marketplace. One object serves all its stores; what differs by store comes as `StoreAccess`."""

    code: ClassVar[str]
    label: ClassVar[LazyString | str]
    settings: ClassVar[Sequence[Setting[Any]]] = ()
    kinds: ClassVar[Sequence[UpdateKind]] = ()
    product_code: ClassVar[ProductCode] = NO_CODE
    flags: ClassVar[Sequence[Flag]] = ()
    poll_every: ClassVar[float] = 300.0  # seconds between two windows while nothing is waiting
    overlap: ClassVar[float] = 600.0  # seconds by which a window reaches behind the cursor
    buyers_kept_at_most: ClassVar[int | None] = None  # days after delivery; None: the merchant decides alone

    @abstractmethod
    def connect(self, store: StoreAccess) -> Connection:
        """Ask whether the credentials work and which marketplaces they open; problems are returned, not raised."""

    @abstractmethod
    def fetch_orders(self, store: StoreAccess, window: OrdersWindow) -> OrdersPage:
        """One page of orders; raises ChannelError (Throttled, PageRefused, Denied, Disconnected)."""

    @abstractmethod
    def fetch_order(self, store: StoreAccess, number: str) -> IncomingOrder | UnreadableOrder | None:
        """One order by the channel's number, now; None where the channel knows none."""

    @abstractmethod
    def deliver(self, store: StoreAccess, updates: Batch) -> Mapping[int, Outcome]:
        """Carry the updates out; every update gets an outcome, though never `NothingLearned`, and nothing is raised for
        what the channel says.

        Who sends them one by one goes through `updates` itself: it leaves out what another worker has by now. What is
        not repeatable is sent by `updates.attempt(…).call(…)` alone.
        """

    @abstractmethod
    def look_up(self, store: StoreAccess, updates: Sequence[Update]) -> Mapping[int, Outcome]:
        """Find out what became of updates that were sent or whose answer was lost; those of one attempt come together.

        `Sent` and `Accepted` say that nothing is shown yet. `NotCarriedOut`, and of one whose answer was lost `NotYet`,
        say that it surely did not happen: it is sent again. `NothingLearned` says that the look itself failed: it is
        made again. A reason why something did not leave has no place here: a `NotYet` with one is refused.
        """

    def lane(self, kind: str, payload: Mapping[str, Any]) -> str:
        """By which way out an update goes, as it is owed: those of an exclusive kind wait in it for each other."""
        return kind

    def when(self, store: StoreAccess, lane: str) -> float:
        """Seconds until the next batch of this lane can go, as far as is known here: no network is asked, and the
        store's settings are there without its secrets.
        """
        return 0.0

    def carriers(self, marketplace: str) -> Sequence[Carrier]:
        """The carriers this marketplace knows."""
        return ()

    def marketplace(self, marketplace: str) -> Marketplace | None:
        """What is known of a marketplace by its id, also before a store was connected to it."""
        return None

    def poll_interval(self, store: StoreAccess) -> float:
        """Seconds between two windows of this store."""
        return self.poll_every

    def practice_settings(self, url: str) -> Mapping[str, Any] | None:
        """The settings of a store at a practice marketplace that answers at this address; None where there is none."""
        return None

    def status_label(self, status: str) -> LazyString | str:
        """The channel's status word for people; a word it does not know stands for itself."""
        return status

    def service_label(self, level: str) -> LazyString | str:
        """The shipping service that the buyer chose, for people; a word it does not know stands for itself."""
        return level

    def denied_label(self, denial: Denial) -> LazyString | str:
        """What people call a thing that is denied; by default its name."""
        return denial.name

    def order_url(self, store: StoreAccess, number: str, marketplace: str) -> str | None:
        """Where the merchant finds this order on the channel's own site; None where it has no page there. No network is
        asked, and the store's settings are there without its secrets.
        """
        return None

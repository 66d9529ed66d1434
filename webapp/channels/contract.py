"""What a channel plugin implements, and the types in which orders travel between channels and the desk.

A channel is a kind of marketplace. The desk asks the channel for changed orders, a page at a time, and gives it updates
to deliver, a batch at a time; the desk never learns how the channel does either. Nothing here uses the database or the
network, so a channel can be tested with values alone. All types are plain data: the channel builds them and the desk
reads them, or the reverse.
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
    """The stage of an order on its channel, reduced to the few that the desk's logic needs; the channel's own status
    is kept too.
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
    """The component of a price to which an amount belongs."""

    ITEM = "item"
    SHIPPING = "shipping"
    GIFT_WRAP = "gift_wrap"
    COD = "cod"
    TIP = "tip"
    OTHER = "other"


@dataclass(frozen=True, slots=True)
class IncomingAmount:
    """Charged amount, tax and discount of one component, in minor units of the order's currency; only `charged` may be
    negative.

    The buyer pays charged + tax − discount for the component; if a channel's price includes tax, `charged` is the price
    without it.
    """

    component: Component
    charged: int = 0
    tax: int = 0
    discount: int = 0


@dataclass(frozen=True, slots=True)
class IncomingLine:
    """A line as the channel lists it. Its quantities are kept on the channel line and never overwrite the desk's."""

    number: str  # the channel's id of the line
    ordered: int
    fulfilled: int = 0
    unfulfilled: int | None = None  # None: not said
    sku: str = ""
    product_code: str = ""  # of the kind that `Channel.product_code` names
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


def units_canceled(line: IncomingLine, first_ordered: int) -> int:
    """The units of a line that are canceled there. Channels don't tell them: they show fewer units ordered, or fewer
    unfulfilled ones without more fulfilled.
    """
    unfulfilled = line.ordered - line.fulfilled if line.unfulfilled is None else line.unfulfilled
    return first_ordered - line.fulfilled - unfulfilled


@dataclass(frozen=True, slots=True)
class IncomingPackage:
    """A parcel that the channel lists, whoever confirmed it."""

    number: str  # the package's reference at the channel
    lines: Mapping[str, int]  # line number -> units
    carrier: str = ""
    service: str = ""
    tracking_number: str = ""
    shipped_at: datetime | None = None
    status: str = ""
    delivered: bool = default(default=False, repr=False)  # from the status: ignored in comparisons


@dataclass(frozen=True, slots=True)
class IncomingOrder:
    """One order as the channel reports it now, in the desk's types; a missing value is None or empty, never
    invented.
    """

    number: str
    created_at: datetime
    updated_at: datetime  # decides between answers: an older one never replaces a newer one
    marketplace: str  # the channel's id of the marketplace
    stage: ChannelStage
    status: str  # the channel's own status
    fulfilled_by: FulfilledBy
    currency: str | None
    total: int | None  # the channel's grand total in minor units; None: withheld
    lines: tuple[IncomingLine, ...]
    amounts: tuple[IncomingAmount, ...] = ()  # those of the order itself, besides its lines'
    packages: tuple[IncomingPackage, ...] = ()
    is_sale: bool = True  # False: mirrored only, in no list and no figure
    ship_from: datetime | None = None
    ship_by: datetime | None = None
    deliver_from: datetime | None = None
    deliver_by: datetime | None = None
    service_level: str = ""
    flags: tuple[str, ...] = ()  # the desk's own (gift, replacement, label_required) and those of `Channel.flags`
    programs: tuple[str, ...] = ()  # the channel's own codes behind the flags
    payment_methods: tuple[str, ...] = ()
    replaces: str | None = None  # channel number of the order that this one replaces
    missing: tuple[str, ...] = ()  # parts that the channel refused to send this time
    buyer: Mapping[str, Any] = default(default_factory=dict)  # personal: see BUYER_FIELDS; goes into the vault
    raw: Mapping[str, Any] = default(default_factory=dict, repr=False)  # the channel's answer; goes into the vault
    extra: Mapping[str, Any] = default(default_factory=dict, repr=False)  # the channel's own facts: see EXTRA_AT_MOST
    odd_extra: tuple[str, ...] = default(default=(), repr=False)  # filled by the desk: why it left `extra` out
    odd_times: tuple[str, ...] = default(default=(), repr=False)  # filled by the desk: times that it left out

    def without_raw(self) -> "IncomingOrder":
        """This order without the channel's answer, once the answer is packed: it is the largest part of what would
        travel between processes.
        """
        return replace(self, raw={})


EXTRA_AT_MOST = 8192  # bytes of `extra` as JSON: text, whole numbers, booleans, None, and lists of text, by name


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


ORDER_PROBLEMS = {  # why an order could not be imported: codes are stored, the texts are for readers
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
    """An order of a page that could not be read: it is quarantined with its cause, and the page's other orders are
    imported.
    """

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
    bound: datetime | None = None  # the channel's results are complete until then: the next cursor
    calls: int = 1
    denied: Sequence["Denial"] = ()  # newly denied marketplaces, and every data set that is left out


@dataclass(frozen=True, slots=True)
class OrdersWindow:
    """The window to ask for: changes since `low`, or on the first connection open orders created since `low`.

    `without` may grow from page to page. A channel whose page tokens are bound to marketplaces keeps these in its
    tokens.
    """

    low: datetime
    page: str | None = None
    open_only: bool = False
    without: Sequence[str] = ()  # ids of marketplaces that are denied to the account, or switched off
    only: str = ""  # id of the one marketplace to ask for, to find out whether it is still denied
    spare: bool = False  # not urgent: uses at most a quarter of the allowance, and nothing that other calls need


# --- What is denied ---


DENIED_FOR = 6 * 3600.0  # seconds until something denied is tried again


class DeniedThing(StrEnum):
    """The kinds of things that a channel may deny while the account's credentials are good and all other traffic
    continues.
    """

    MARKETPLACE = "marketplace"
    DATA = "data"
    OPERATION = "operation"
    ORDER = "order"


@dataclass(frozen=True, slots=True)
class Denial:
    """One thing that the channel denies to the account."""

    thing: DeniedThing
    name: str  # the marketplace's id, the data set, the operation, or the channel's number of the order
    problem: Mapping[str, Any] = default(default_factory=dict)  # a stored DeskError


# --- What goes out ---


@dataclass(frozen=True, slots=True)
class Update:
    """One act for the channel to carry out, as the channel plugin gets it."""

    id: int
    kind: str
    order_number: str  # the channel's
    marketplace: str
    reference: str  # our reference at the channel; the same on every repetition
    payload: Mapping[str, Any]
    handle: str | None = None
    attempts: int = 0
    revision: int = 1  # of the content under this reference: 2 is the first correction
    private: Mapping[str, Any] = default(default_factory=dict, repr=False)  # never kept: texts, files
    begun: "Begun | None" = None  # only for `look_up`: the attempt in which the update may have left
    look_from: datetime | None = None  # only for `look_up`: the update may have left at any time since then
    known: frozenset[str] = frozenset()  # only for `look_up` without a handle: the account's other handles since then
    accepted: bool = False  # only for `look_up`: the channel carried it out; only its effect is still to be seen


@dataclass(frozen=True, slots=True)
class Begun:
    """An attempt to send updates together, as it was stored before the call."""

    id: int
    key: str  # the channel's name for the attempt
    messages: int
    at: datetime
    channel_at: datetime | None  # by the channel's own clock
    updates: frozenset[int] = frozenset()  # the ids of all its updates, also of those that have ended since


@dataclass(frozen=True, slots=True)
class Effective:
    """The channel shows the update's effect."""

    done_elsewhere: bool = False


@dataclass(frozen=True, slots=True)
class Sent:
    """The channel received the update; whether it took effect is looked up later."""

    handle: str | None = None


@dataclass(frozen=True, slots=True)
class Accepted:
    """The channel carried the update out without an error, perhaps with a warning; its effect is not shown yet."""

    sentence: str = ""


@dataclass(frozen=True, slots=True)
class NotCarriedOut:
    """The channel received the update but certainly did not carry it out: it is sent again, with at most
    `together` of them in one attempt.
    """

    together: int = 1


@dataclass(frozen=True, slots=True)
class Refused:
    """The channel refused the update, with its own sentence; `cause` is a stored DeskError if we know a better
    reason.
    """

    sentence: str
    cause: Mapping[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class Unknown:
    """It is unknown whether the update was carried out: the answer was lost."""

    problem: str = ""


@dataclass(frozen=True, slots=True)
class NotYet:
    """The update was certainly not carried out and is sent again after so many seconds (throttled, unreachable,
    paused). When a lookup returns it, it has no reason.

    `problem` is the channel's own sentence; `cause` is a stored DeskError if we know the reason ourselves.
    """

    seconds: float
    problem: str = ""
    cause: Mapping[str, Any] | None = None
    denial: Denial | None = None  # what the channel denies, if that is the reason


@dataclass(frozen=True, slots=True)
class NothingLearned:
    """A lookup could not find out what became of an update; it is repeated after so many seconds, and the update is
    not sent. Only `look_up` returns it; the fields for the reason are those of `NotYet`.
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
    """How a channel carries out one kind of outward act."""

    code: str
    label: LazyString
    repeatable: bool  # sending an update twice has the same effect as sending it once
    batch: int = 1  # the number of updates in one call of `deliver`
    many: int = 0  # if at least so many are due, one call gets so many; 0: never more than `batch`
    exclusive: bool = False  # only one batch of a lane is under way in an account, until it has a handle
    gather: float = 0.0  # seconds for which an update waits for others, to go with them
    look_after: float = 90.0  # seconds from sending to the first lookup of the effect
    look_steps: Sequence[float] = (300.0, 900.0, 3600.0)  # seconds between further lookups; the last one repeats
    unseen_after: float = 86_400.0  # seconds after which an update without visible effect needs a person


class Attempt(ABC):
    """An attempt to send updates together, stored before it begins. Calls that can't be undone are made through it."""

    id: int

    @abstractmethod
    def call(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Make this irreversible call and return its result. Raises `TooLate` instead of calling if more than 30
        seconds have passed since the attempt was stored, by any clock: another worker may be looking up its effect
        by then.
        """


class Batch(Sequence[Update]):
    """Updates of one kind to deliver. Iterating skips updates that another worker has taken over meanwhile."""

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
        """Store that these updates are about to be sent together. Updates of a kind that is not repeatable are sent in
        no other way.

        `key` is the channel's name for the attempt, and `channel_at` the channel's own time, if they are known: a later
        lookup gets both. Raises `LeaseLost` if another worker has taken over any of the updates.
        """


# --- Words and abilities ---


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
    """A carrier by the channel's code; with `needs_name` ("Other"), an update must also name the carrier."""

    code: str
    label: LazyString | str
    needs_name: bool = False
    tracking_url: str = ""  # with {number}


class CallOutcome(StrEnum):
    """What became of a call to the seller's API."""

    OK = "ok"
    REFUSED = "refused"  # the channel answered that it does not do this
    THROTTLED = "throttled"  # it allows no more calls just now
    FAILED = "failed"  # it could not be reached, or its answer can't be used
    LOST = "lost"  # no answer to something that may have had an effect


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """One call that a channel made to the seller's API, for the communication log. It never holds a body, an address, a
    token, or anything about a buyer.
    """

    operation: str  # the channel's code for what was called: see `Channel.operations`
    outcome: CallOutcome
    at: datetime
    seconds: float  # that the channel took to answer, all tries together
    status: int | None = None  # of HTTP; None: no answer
    request_id: str = ""  # the channel's own
    tries: int = 1
    problem: str = ""  # the code of the `DeskError` that the call ended with
    detail: str = ""  # the channel's own code for the problem, such as QuotaExceeded; anything but a code is dropped
    orders: Sequence[str] = ()  # the channel's numbers of the orders that it was about; many found by a search are none
    updates: Sequence[int] = ()  # ids of the updates that it carried


def _drop(call: Call) -> None:
    """Nobody keeps the call: for a test of a channel, or a plugin's own question."""


@dataclass(frozen=True, slots=True)
class StoreAccess:
    """A store as its channel gets it: all that is needed to access the seller's account. Never logged: it holds
    secrets.

    A channel reports each call that it makes by `report`, at best through `calling`. The desk collects the calls and
    writes them later: reporting one writes nothing and never fails.
    """

    id: int
    settings: Mapping[str, Any]
    practice: bool = False
    marketplaces: Sequence[str] = ()  # ids of those that the last connection named
    report: Callable[[Call], None] = default(default=_drop, compare=False)

    def __repr__(self) -> str:
        return f"StoreAccess({self.id})"


@dataclass(frozen=True, slots=True, kw_only=True)
class GuideStep:
    """One step of what a person does at the channel's own site to get the credentials of a store."""

    title: LazyString | str
    text: LazyString | str
    url: str = ""  # of the page where it is done or explained


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """One thing that a test of a store looked at. Its sentence says what was found, and what to do about it."""

    name: str  # for scripts: small letters, digits and _
    label: LazyString | str
    ok: bool | None  # None: not asked
    sentence: LazyString | str = ""


@dataclass(frozen=True, slots=True)
class Connection:
    """The result of testing a store: the marketplaces it may serve, or the problem in one sentence."""

    marketplaces: Sequence[Marketplace] = ()
    problem: DeskError | None = None
    account: str = ""  # identifies the seller's account: stores of one account share its lanes; it reveals nothing
    checks: Sequence[Check] = ()  # what `Channel.test` looked at one by one, in the order in which people read it

    @property
    def ok(self) -> bool:
        return self.problem is None


@dataclass(frozen=True, slots=True, kw_only=True)
class CancelReason:
    """A reason that the channel accepts for a cancellation by the merchant."""

    code: str
    label: LazyString | str
    for_buyer: bool = False  # whether it is the reason that answers a buyer's request


class ChannelError(DeskError):
    """The channel could not be asked. `retry_after`: seconds until it is worth trying again; None: it is not tried
    again.
    """

    code = "channel_failed"
    status = 502
    sentence = _l("%(channel)s answered in a way the desk can't use: %(problem)s")
    retry_after: float | None = 60.0
    outcome: ClassVar[CallOutcome] = CallOutcome.FAILED  # of a call that ends with this error


class Throttled(ChannelError):
    """The allowance of calls is used up for now; this is no failure."""

    code = "channel_throttled"
    outcome = CallOutcome.THROTTLED
    sentence = _l("%(channel)s allows no more calls just now; the desk goes on in %(seconds)s seconds.")

    def __init__(self, *, seconds: float, **values: Any) -> None:
        super().__init__(seconds=round(seconds), **values)
        self.retry_after = seconds


class LeaseLost(ChannelError):
    """Another worker has taken over these updates: none of them may be sent here."""

    code = "lease_lost"
    sentence = _l("Another worker took this over.")
    retry_after = 1.0


class TooLate(ChannelError):
    """Too much time passed between storing an attempt and its call, which was not made."""

    code = "attempt_too_late"
    sentence = _l("The machine stood still at the wrong moment: it is tried again.")
    retry_after = 1.0


class PageRefused(ChannelError):
    """The page token is no longer valid: the window starts again."""

    code = "channel_page_refused"
    outcome = CallOutcome.REFUSED
    sentence = _l("%(channel)s no longer knows the page; the desk reads from the start again.")


class Disconnected(ChannelError):
    """The sign-in is refused: nothing is tried again until somebody enters new credentials. Raise it for nothing
    else: a missing permission for one thing is `Denied`.
    """

    code = "channel_disconnected"
    outcome = CallOutcome.REFUSED
    sentence = _l("%(channel)s refuses the desk's credentials: %(problem)s")
    retry_after = None


class Denied(ChannelError):
    """The credentials are good, but not for this one thing: all other traffic continues, and the thing is tried
    again.
    """

    code = "channel_denied"
    outcome = CallOutcome.REFUSED
    sentence = _l("%(channel)s denies the desk this: %(problem)s")
    retry_after = DENIED_FOR
    thing: ClassVar[DeniedThing] = DeniedThing.OPERATION

    def __init__(self, *, name: str = "", **values: Any) -> None:
        super().__init__(**values)
        self.name = name

    @property
    def denial(self) -> Denial:
        """The denied thing in its stored form."""
        return Denial(self.thing, self.name, self.stored())


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

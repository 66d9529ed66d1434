"""How the desk reaches a seller's account at a channel: what a store's access and its tests are, the calls that were
made, and what may go wrong with any of them.

An account may be denied one thing while its credentials are good (`Denial`); only `Disconnected` stops a store. Orders
that come in are in `incoming`, updates that go out in `outgoing`.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field as default
from datetime import datetime
from enum import StrEnum
from typing import Any, ClassVar

from webapp.errors import DeskError
from webapp.i18n import LazyString, lazy_gettext as _l

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


@dataclass(frozen=True, slots=True)
class Marketplace:
    id: str
    country: str  # ISO 3166
    name: str
    currency: str
    language: str
    zone: str  # IANA


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


class ChannelError(DeskError):
    """The channel could not be asked. `retry_after`: seconds until it is worth trying again; None: it is not tried
    again.
    """

    code = "channel_failed"
    status = 502
    sentence = _l("%(channel)s sent an answer that Waybill can't process: %(problem)s")
    retry_after: float | None = 60.0
    outcome: ClassVar[CallOutcome] = CallOutcome.FAILED  # of a call that ends with this error


class Throttled(ChannelError):
    """The allowance of calls is used up for now; this is no failure."""

    code = "channel_throttled"
    outcome = CallOutcome.THROTTLED
    sentence = _l("%(channel)s accepts no more calls at the moment. Waybill continues in %(seconds)s seconds.")

    def __init__(self, *, seconds: float, **values: Any) -> None:
        super().__init__(seconds=round(seconds), **values)
        self.retry_after = seconds


class Disconnected(ChannelError):
    """The sign-in is refused: nothing is tried again until somebody enters new credentials. Raise it for nothing
    else: a missing permission for one thing is `Denied`.
    """

    code = "channel_disconnected"
    outcome = CallOutcome.REFUSED
    sentence = _l("%(channel)s refuses Waybill's credentials: %(problem)s")
    retry_after = None


class Denied(ChannelError):
    """The credentials are good, but not for this one thing: all other traffic continues, and the thing is tried
    again.
    """

    code = "channel_denied"
    outcome = CallOutcome.REFUSED
    sentence = _l("%(channel)s denies Waybill access: %(problem)s")
    retry_after = DENIED_FOR
    thing: ClassVar[DeniedThing] = DeniedThing.OPERATION

    def __init__(self, *, name: str = "", **values: Any) -> None:
        super().__init__(**values)
        self.name = name

    @property
    def denial(self) -> Denial:
        """The denied thing in its stored form."""
        return Denial(self.thing, self.name, self.stored())

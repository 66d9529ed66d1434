"""What goes out to a channel: updates and the batches and attempts in which they are sent, what became of each, and how
a channel carries out each kind.

The desk stores an update as a row of `webapp.updates`, which manages its states; the channel gets it as an `Update` and
returns an `Outcome`.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field as default
from datetime import datetime
from typing import Any, ParamSpec, TypeVar, overload

from webapp.channels.connecting import ChannelError, Denial
from webapp.i18n import LazyString, lazy_gettext as _l

P = ParamSpec("P")
T = TypeVar("T")


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
    `together` of them in one attempt, and not before so many seconds.

    `problem` is the channel's own sentence, if it gave one.
    """

    together: int = 1
    seconds: float = 0.0
    problem: str = ""


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
    paused). When a lookup returns it, it has no reason; of a repeatable kind, it may return it without knowing.

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


@dataclass(frozen=True, slots=True)
class Carrier:
    """A carrier by the channel's code; with `needs_name` ("Other"), an update must also name the carrier."""

    code: str
    label: LazyString | str
    needs_name: bool = False
    tracking_url: str = ""  # with {number}


@dataclass(frozen=True, slots=True, kw_only=True)
class CancelReason:
    """A reason that the channel accepts for a cancellation by the merchant."""

    code: str
    label: LazyString | str
    for_buyer: bool = False  # whether it is the reason that answers a buyer's request


class LeaseLost(ChannelError):
    """Another worker has taken over these updates: none of them may be sent here."""

    code = "lease_lost"
    sentence = _l("Another worker took over this update.")
    retry_after = 1.0


class TooLate(ChannelError):
    """Too much time passed between storing an attempt and its call, which was not made."""

    code = "attempt_too_late"
    sentence = _l("The server paused just before the update was sent. Waybill retries automatically.")
    retry_after = 1.0

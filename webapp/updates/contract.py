"""The contract of a kind of outward act, declared by the domain that owns its source, or by a plugin.

The channel defines how a kind is sent (`webapp.channels.outgoing.UpdateKind`); `sync` manages the life of a row and
knows no kind by its name. Nothing here calls a channel, and everything runs within a unit of work, under the order's
lock unless it says otherwise.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, ClassVar

from webapp.channels.incoming import IncomingOrder
from webapp.errors import DeskError, Refusal
from webapp.i18n import LazyString
from webapp.settings.declared import Setting

if TYPE_CHECKING:
    from webapp.orders.models import Order
    from webapp.updates.models import ChannelUpdate


@dataclass(frozen=True, slots=True)
class Owing:
    """An update that a channel is to be owed: its order, locked, and the document that it is about."""

    order: Order
    source: Any
    deadline: datetime | None = None


@dataclass(frozen=True, slots=True)
class Waits:
    """The update can't be sent yet, for a reason that ends by itself; it is asked again after so many seconds, or
    when an update of a kind that it waits for is settled.
    """

    cause: DeskError
    seconds: float = 300.0


@dataclass(frozen=True, slots=True)
class Impossible:
    """The update can't be sent, and will not be by itself: it is refused before it leaves."""

    cause: DeskError


@dataclass(frozen=True, slots=True)
class Shown:
    """The reading shows the effect."""


@dataclass(frozen=True, slots=True)
class DoneElsewhere:
    """The reading shows that somebody else did it."""


@dataclass(frozen=True, slots=True)
class Contradicted:
    """The reading shows that it did not, and will not, happen."""

    cause: DeskError


@dataclass(frozen=True, slots=True)
class UpdateSettled:
    """A fact for hooks: an update has ended."""

    update_id: int
    order_id: int
    store_id: int
    kind: str
    state: str  # an UpdateState: effective, refused, withdrawn, done_elsewhere; for kinds alone, also accepted


@dataclass(frozen=True, slots=True)
class UpdateOwed:
    """A fact for hooks: an update is to be sent as soon as it is due."""

    update_id: int
    order_id: int
    store_id: int
    kind: str
    lane: str


class OutwardKind(ABC):
    """A kind of outward act: what it sends, whether it is still wanted, and what a reading shows of it."""

    code: ClassVar[str]
    label: ClassVar[LazyString | str]
    right: ClassVar[str] = "updates.retry"  # the right to send it again, undo or close it
    undo_right: ClassVar[str] = ""  # the right to undo it, where it differs from `right`
    hold: ClassVar[Setting[int] | None] = None  # a setting of stores: the seconds in which it can be undone
    provable: ClassVar[bool] = True  # whether a lost one can be looked up; otherwise a person decides
    confirmable: ClassVar[bool] = True  # whether a person may say that it happened, though no reading shows it
    elsewhere: ClassVar[bool] = True  # whether a person may say that what was refused was done elsewhere
    trouble: ClassVar[str] = ""  # the kind of attention that a refusal sets, instead of the desk's own for any update
    trouble_unsent: ClassVar[str] = ""  # the kind that one sets which can't be sent, so that no channel is asked
    waits_for: ClassVar[Sequence[str]] = ()  # kinds of the same order that `ready` may wait for
    goes_first: ClassVar[bool] = False  # whether lanes with such an update are served before all others that are due
    never_with: ClassVar[Sequence[str]] = ()  # kinds of the same order that are never under way beside it
    disowned_after: ClassVar[timedelta] = timedelta(0)  # how long after it left a person may say that it did not happen

    @abstractmethod
    def reference(self, source: Any) -> str:
        """The desk's name for the thing at the channel; a correction of the same thing has the same reference."""

    @abstractmethod
    def payload(self, order: Order, source: Any) -> Mapping[str, Any]:
        """What is sent to the channel, with a `version`, as JSON. No buyer data: see `private`."""

    def private(self, update: ChannelUpdate) -> Mapping[str, Any]:
        """What is sent beside the payload and never stored: texts and files, read by id just before the network is
        called, with an access record.
        """
        return {}

    def stands(self, update: ChannelUpdate, order: Order) -> Refusal | None:
        """Why the update is no longer wanted; asked when it is owed, sent again, sent now, and claimed."""
        return None

    def undo_refusal(self, update: ChannelUpdate) -> Refusal | None:
        """Why a person may not withdraw the update before it leaves; such an update is not held either. A list asks it
        of the values that it has read.
        """
        return None

    def ready(self, update: ChannelUpdate, order: Order) -> Waits | Impossible | None:
        """Why the update can't be sent now; asked when it is claimed."""
        return None

    @abstractmethod
    def shown_by(self, update: ChannelUpdate, reading: IncomingOrder) -> Shown | DoneElsewhere | Contradicted | None:
        """What a reading of the order shows of the update; None if nothing. Asked of refused updates too."""

    def accepted(self, updates: Sequence[ChannelUpdate]) -> None:  # noqa: B027 - most kinds have nothing to do
        """React to the channel's having carried updates out without complaint, before their effect is seen: those of a
        batch together. An update may be settled without ever having been accepted.
        """

    def settled(self, update: ChannelUpdate) -> None:  # noqa: B027 - most kinds have nothing to do
        """React to the end of an update, in the transaction that writes it; its state names the end."""

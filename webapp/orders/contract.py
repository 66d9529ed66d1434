"""What an order action implements, and the facts that hooks get of orders that change.

An action's `refusal` is the function that its service asks itself, so that a button never lies. `Input` is declared
once: the form, the command line, bulk input and the API's schema all come from it.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple

from pydantic import BaseModel, ConfigDict

from webapp.audit.actor import Actor
from webapp.errors import Refusal
from webapp.i18n import LazyString, ngettext

if TYPE_CHECKING:
    from webapp.orders.models import Order


class ActionInput(BaseModel):
    """The input of an action; fields carry their label as `title` and their words as `description`."""

    model_config = ConfigDict(extra="forbid", str_strip_whitespace=True)


class OrderAction(ABC):
    """Something a merchant can do to an order."""

    code: ClassVar[str]
    label: ClassVar[LazyString | str]
    right: ClassVar[str]
    bulk: ClassVar[bool] = False
    icon: ClassVar[str] = "dots"
    counterpart: ClassVar[str] = ""  # the code of the act that undoes this one: a bar shows whichever is possible
    Input: ClassVar[type[ActionInput]] = ActionInput

    def doing(self, count: int) -> str:
        """What is so while it is being done to so many orders: a whole sentence."""
        return str(
            ngettext(
                "%(action)s: %(num)s order is being worked.",
                "%(action)s: %(num)s orders are being worked.",
                count,
                action=self.label,
            )
        )

    def done(self, count: int) -> str:
        """To how many orders it was done, in a few words that others may follow, as in "34 shipped"."""
        return str(ngettext("%(num)s done", "%(num)s done", count))

    @abstractmethod
    def refusal(self, order: Order, actor: Actor) -> Refusal | None:
        """Why it is not possible now; None where it is. The very predicate that the service asks."""

    @abstractmethod
    def perform(self, order: Order, data: Any, actor: Actor) -> None:
        """Do it; the caller holds the order's lock and has asked right, version and refusal."""

    def undo(self, order: Order, data: Any) -> tuple[str, Mapping[str, Any]] | None:
        """What takes the act back: the code of an act and its input; None where nothing does. Asked before `perform`,
        while the order still shows what was; the pages offer it where that act is then possible with that input.
        """
        return (self.counterpart, {}) if self.counterpart else None

    def form_fields(self, order: Order) -> Mapping[str, Mapping[str, Any]]:
        """What the form knows beyond `Input`: per field, `choices` and `default` for this order."""
        return {}

    def fields_for(self, order: Order, actor: Actor) -> Mapping[str, Mapping[str, Any]]:
        """What the form knows where it depends on who asks: what they may choose, what of the buyer stands there."""
        return self.form_fields(order)

    def fields_for_many(self, sample: Order, actor: Actor) -> Mapping[str, Mapping[str, Any]]:
        """What the form of a bulk act knows: this person's choices, nothing of the sample that others don't share."""
        return self.form_fields(sample)


@dataclass(frozen=True, slots=True, kw_only=True)
class Badge:
    """A short word that some orders carry wherever they are shown: Prime, gift, buyer wants to cancel.

    In label and help `%(channel)s` stands for what the order's channel is called.
    """

    code: str
    label: LazyString | str
    shows: Callable[[Order], bool]  # of columns of the order alone: it is asked for every row
    tone: str = "calm"
    icon: str = ""
    help: LazyString | str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Panel:
    """A part of the order page that loads by itself, after the page; where it fails, its place says so.

    `render` gives HTML and asks no network; what it asks of the database is stopped after `seconds`.
    """

    code: str
    label: LazyString | str
    render: Callable[[Order, Actor], str]
    right: str = "orders.view"
    shows: Callable[[Order], bool] = lambda order: True
    seconds: float = 1.0


class Amount(NamedTuple):
    """What is charged for one component, its tax and its discount, in minor units of the order's currency."""

    charged: int = 0
    tax: int = 0
    discount: int = 0

    @property
    def net(self) -> int:
        """What the buyer pays for it: charged + tax − discount."""
        return self.charged + self.tax - self.discount


@dataclass(frozen=True, slots=True)
class AmountChange:
    """What the channel charges otherwise than before: for a component of a line, or of the order itself (no line)."""

    order_id: int
    line_id: int | None
    component: str
    before: Amount
    after: Amount


class Origin(StrEnum):
    """Where something was done: at the desk, or elsewhere, such as on the channel's own page."""

    DESK = "desk"
    ELSEWHERE = "elsewhere"


class Move(StrEnum):
    """What becomes of units of an order line."""

    SHIPPED = "shipped"
    UNSHIPPED = "unshipped"  # a shipment was taken back
    CANCELED = "canceled"
    WITHDRAWN = "withdrawn"
    RETURNED = "returned"


@dataclass(frozen=True, slots=True)
class UnitsMoved:
    """Units of a line that went the same way. All moves of a line add up to what its counters gained."""

    order_id: int
    line_id: int
    move: Move
    units: int
    origin: Origin


@dataclass(frozen=True, slots=True)
class OrdersChange:
    """What happened to one known order: the code of its event, and the columns that changed, with what they held."""

    order_id: int
    code: str
    changed: Mapping[str, Any] = field(default_factory=dict)
    before: Mapping[str, Any] = field(default_factory=dict)

"""What an order action implements, and the facts that hooks get of orders that change.

An action's `refusal` is the function that its service asks itself, so that a button never lies. `Input` is declared
once (`webapp.orders.inputs`): the form, the command line, bulk input and the JSON schema all come from it.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple

from pydantic import BaseModel, ConfigDict

from webapp.audit.actor import Actor
from webapp.errors import Refusal
from webapp.i18n import LazyString, ngettext
from webapp.orders.inputs import Offered

if TYPE_CHECKING:
    from webapp.orders.models import Order


class ActionInput(BaseModel):
    """The input of an action; a field that people fill in is `Annotated` with `FormField`."""

    model_config = ConfigDict(extra="forbid", str_strip_whitespace=True)


class Place(StrEnum):
    """Where the form of an action stands on the order's page."""

    ACTIONS = "actions"  # under the bar of buttons
    COMMENTS = "comments"  # as the box under the comments
    ADDRESSES = "addresses"  # in the card of the addresses


class OrderAction(ABC):
    """Something a merchant can do to an order."""

    code: ClassVar[str]
    label: ClassVar[LazyString | str]
    right: ClassVar[str]
    bulk: ClassVar[bool] = False
    icon: ClassVar[str] = "dots"
    listed: ClassVar[bool] = False  # in bulk each order has an input of its own: a list of them is given, not a form
    place: ClassVar[Place] = Place.ACTIONS
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

    def perform_many(self, orders: Sequence[Order], data: Any, actor: Actor) -> None:
        """Do it to all of these orders; where it fails for one, it fails, and each is tried by itself."""
        for order in orders:
            self.perform(order, data, actor)

    def undo(self, order: Order, data: Any) -> tuple[str, Mapping[str, Any]] | None:
        """What takes the act back: the code of an act and its input; None where nothing does. Asked before `perform`,
        while the order still shows what was; the pages offer it where that act is then possible with that input.
        """
        return (self.counterpart, {}) if self.counterpart else None

    def offered(self, order: Order | None, actor: Actor) -> Mapping[str, Offered]:
        """What the fields of `Input` offer this person for this order, as far as it is more than was declared: choices,
        defaults, whether a field is there. Without an order it is for many: nothing of one of them may show.
        """
        return {}

    def for_version(self, data: Any) -> bool:
        """Whether it is for the order as the person saw it: somebody else's change meanwhile then asks again."""
        return True


@dataclass(frozen=True, slots=True, kw_only=True)
class Badge:
    """A short word that some orders carry wherever they are shown: a gift, a replacement, a buyer who wants to cancel.

    `reads` names the columns of orders that `shows` asks, beside store and shop, so that lists need not read whole
    orders for it. In label and help `%(channel)s` stands for what the order's channel is called.
    """

    code: str
    label: LazyString | str
    shows: Callable[[Order], bool]  # of columns of the order alone: it is asked for every row
    tone: str = "calm"
    icon: str = ""
    help: LazyString | str = ""
    reads: Sequence[str] | None = None


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

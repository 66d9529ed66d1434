"""What an order action implements, and the facts that hooks get about changed orders.

The service asks an action's `refusal` itself, so that a button and the service never disagree. `Input` is declared once
(`webapp.orders.inputs`): the form, the command line, bulk input and the JSON schema all come from it.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from enum import StrEnum
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple

from pydantic import BaseModel, ConfigDict

from webapp.audit.actor import Actor
from webapp.errors import Refusal
from webapp.i18n import LazyString, lazy_gettext as _l, ngettext
from webapp.money import Money
from webapp.orders.inputs import PACKAGE, Offered

if TYPE_CHECKING:
    from webapp.orders.models import Order


class ActionInput(BaseModel):
    """The input of an action; a field that people fill in is `Annotated` with `FormField`."""

    model_config = ConfigDict(extra="forbid", str_strip_whitespace=True)


class Place(StrEnum):
    """The place of an action's form on the order's page."""

    ACTIONS = "actions"  # under the bar of buttons
    COMMENTS = "comments"  # as the box under the comments
    ADDRESSES = "addresses"  # in the card of the addresses
    PACKAGES = "packages"  # with one of the packages: see `PackageAction`
    DOCUMENTS = "documents"  # beside one of the documents, as a button without a form
    RETURNS = "returns"  # with one of the returns
    MESSAGES = "messages"  # beside one of the messages to the buyer, as a button without a form


@dataclass(frozen=True, slots=True, kw_only=True)
class DraftRow:
    """A row of a document that an act would make: units of a product, or an amount beside the products.

    `net` is the amount without tax; `tax_rate` is a fraction of 1, or None if it is unknown.
    """

    title: LazyString | str = ""
    sku: str = ""
    component: str = ""  # the component of a price
    units: int = 0
    net: Money
    tax: Money
    tax_rate: Decimal | None = None


@dataclass(frozen=True, slots=True)
class Preview:
    """What an act would do, shown below its form while it is filled in: a text exactly as it would be sent; the rows of
    a document that it would make; amounts with their labels, the last of which is the total; and sentences with their
    values. `warnings` are sentences that speak against it, which the form for many orders shows, too. Money and times
    are written by the reader's locale.
    """

    text: str = ""
    rows: Sequence[DraftRow] = ()
    amounts: Sequence[tuple[LazyString | str, Money]] = ()
    sentences: Sequence[tuple[LazyString | str, Mapping[str, Any]]] = ()
    warnings: Sequence[tuple[LazyString | str, Mapping[str, Any]]] = ()


@dataclass(frozen=True, slots=True)
class Filling:
    """What a choice puts into a form: the `text` for the field `into`, where the cursor is; values of other fields, in
    the place of theirs, or several to be ticked; and sentences with their values that say what was done.
    """

    into: str
    text: str
    values: Mapping[str, str | Sequence[str]] = field(default_factory=dict)
    sentences: Sequence[tuple[LazyString | str, Mapping[str, Any]]] = ()


class OrderAction(ABC):
    """Something a merchant can do to an order."""

    code: ClassVar[str]
    label: ClassVar[LazyString | str]
    right: ClassVar[str]
    bulk: ClassVar[bool] = False
    icon: ClassVar[str] = "dots"
    listed: ClassVar[bool] = False  # in bulk, each order has an input of its own, from a list instead of a form
    place: ClassVar[Place] = Place.ACTIONS
    foremost: ClassVar[bool] = False  # its button is always in sight; the others are in the menu "More"
    about: ClassVar[str] = ""  # a field of the kind `fixed`: what of the order the form is about, by its number
    counterpart: ClassVar[str] = ""  # the code of the act that undoes this one: a bar shows the possible one
    lets_leave: ClassVar[bool] = False  # its orders leave: they are read again first if their facts are too old
    reads_accounts: ClassVar[bool] = False  # opening its form has the channel's transactions of the order read
    asks_messages: ClassVar[bool] = False  # opening its form has the channel asked which messages it allows
    prefills: ClassVar[frozenset[str]] = frozenset()  # fields that a link to its form may fill in, as ?kind=mail
    drafts: ClassVar[bool] = False  # what a person types into its form is kept for that person until it is done
    answers_cancel_request: ClassVar[LazyString | str] = ""  # its button beside a buyer's request to cancel
    previews: ClassVar[bool] = False  # whether its `dry_run` is shown below the form while it is filled in
    Input: ClassVar[type[ActionInput]] = ActionInput

    def doing(self, count: int) -> str:
        """What is being done to this number of orders, as a whole sentence."""
        return str(
            ngettext(
                "%(action)s: %(num)s order is being processed.",
                "%(action)s: %(num)s orders are being processed.",
                count,
                action=self.label,
            )
        )

    def done(self, count: int) -> str:
        """What was done to this number of orders, in a few words that others may follow, such as "34 shipped"."""
        return str(ngettext("%(num)s done", "%(num)s done", count))

    @abstractmethod
    def refusal(self, order: Order, actor: Actor) -> Refusal | None:
        """Why the action is not possible now; None if it is. The service asks the same function."""

    @abstractmethod
    def perform(self, order: Order, data: Any, actor: Actor) -> None:
        """Perform the action; the caller holds the order's lock and has checked right, version and refusal."""

    def perform_many(self, orders: Sequence[Order], data: Any, actor: Actor) -> None:
        """Perform the action on all of these orders. If it fails for one it fails for all, and the caller tries each
        order alone.
        """
        for order in orders:
            self.perform(order, data, actor)

    def dry_run(self, order: Order, data: Any, actor: Actor) -> Preview:
        """What the act would do with this input; it changes nothing, and raises what `perform` would raise."""
        return Preview()

    def filling(self, order: Order, field: str, choice: str, data: Mapping[str, Any], actor: Actor) -> Filling:
        """What a choice of a field of the kind `filling` puts into the form in which `data` is typed so far. It changes
        nothing, and raises a `DeskError` if there is no such choice.
        """
        raise NotImplementedError

    def addressee(self, order: Order) -> LazyString | str:
        """Whom what is typed in its form reaches outside the desk, as the heading of the form; empty for nobody."""
        return ""

    def undo(self, order: Order, data: Any) -> tuple[str, Mapping[str, Any]] | None:
        """The act that undoes this one: its code and its input; None if there is none. It is asked before `perform`,
        while the order still has its earlier values; pages offer the undo if that act is then possible with that
        input. For an act that leaves this as it is they ask `undo_in_run` afterwards.
        """
        return (self.counterpart, {}) if self.counterpart else None

    def undo_in_run(self, since: int, version: int) -> tuple[str, Mapping[str, Any]] | None:
        """The act that undoes what this one did to an order, alone or in a bulk run, and by which it raised the order's
        version from `since` to `version`: its code and its input. None if it can't be undone.
        """
        return (self.counterpart, {}) if self.counterpart else None

    def run_undoable(self, order_ids: Sequence[int]) -> bool:
        """Whether anything of what a run did to these orders may still be undone; a page asks it, in few statements."""
        return True

    def offered(self, order: Order | None, actor: Actor) -> Mapping[str, Offered]:
        """What the fields of `Input` offer this person for this order, beyond what was declared: choices, defaults,
        whether a field is shown. Without an order the form is for many orders, and may show nothing of a single one.
        """
        return {}

    def offered_for(self, order: Order, number: int, actor: Actor) -> Mapping[str, Offered]:
        """What the fields offer this person if the form is about what the field `about` names by this number, such as
        one package or one return of the order.
        """
        return self.offered(order, actor)

    def for_version(self, data: Any) -> bool:
        """Whether this input depends on the order as the person saw it: if somebody else has changed the order, the
        person is then asked again.
        """
        return True


class PartAction(OrderAction):
    """Something a merchant can do to one part of an order, such as a package, a return or an invoice. `Input` names it
    by its number in the field `about`, which is of the kind `fixed`; the order's page has the action beside each part
    with which it is possible.
    """

    nothing: ClassVar[type[Refusal]]  # why the action is not possible if the order has no such part

    @abstractmethod
    def refusals(self, order: Order, actor: Actor) -> Mapping[int, Refusal | None]:
        """By the number of each part that the action can be about, why it is not possible with it now, or None. The
        service asks the same function.
        """

    def refusal(self, order: Order, actor: Actor) -> Refusal | None:
        """Why the action is possible with no part of the order; None if it is with any."""
        found = list(self.refusals(order, actor).values()) or [self.nothing()]
        return None if None in found else found[-1]

    def refusal_of(self, order: Order, part: int, actor: Actor) -> Refusal | None:
        """Why the action is not possible with the part that has this number. A number that no part has is left to
        `perform`.
        """
        return self.refusals(order, actor).get(part)


class NothingShipped(Refusal):
    """The order has no package."""

    code = "nothing_shipped"
    sentence = _l("Nothing has shipped yet.")


class PackageAction(PartAction):
    """Something a merchant can do to one package of an order, whose number is in the field `package`; each package on
    the order's page has the action, or the reason why it is not possible.
    """

    place: ClassVar[Place] = Place.PACKAGES
    about: ClassVar[str] = PACKAGE
    nothing: ClassVar[type[Refusal]] = NothingShipped


@dataclass(frozen=True, slots=True, kw_only=True)
class Badge:
    """A short word shown wherever some orders are shown: a gift, a replacement, a buyer who wants to cancel.

    `reads` names the columns of orders that `shows` reads, besides store and shop, so that lists need not load whole
    orders for the badge. In label and help, `%(channel)s` is replaced by the name of the order's channel.
    """

    code: str
    label: LazyString | str
    shows: Callable[[Order], bool]  # reads columns of the order alone, since it is called for every row
    tone: str = "calm"
    icon: str = ""
    help: LazyString | str = ""
    reads: Sequence[str] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Panel:
    """A part of the order page that loads after the page itself; if it fails, an error is shown in its place.

    `render` returns HTML and uses no network; its statements in the database are stopped after `seconds`.
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

    def plus(self, other: Amount) -> Amount:
        """Both together, figure by figure."""
        return Amount(self.charged + other.charged, self.tax + other.tax, self.discount + other.discount)

    def minus(self, other: Amount) -> Amount:
        """What is left without the other, figure by figure."""
        return Amount(self.charged - other.charged, self.tax - other.tax, self.discount - other.discount)


@dataclass(frozen=True, slots=True)
class AmountChange:
    """A changed amount of one component, of a line or of the order itself (no line)."""

    order_id: int
    line_id: int | None
    component: str
    before: Amount
    after: Amount


class Origin(StrEnum):
    """Where an act was done: at the desk, or elsewhere, such as on the channel's own page."""

    DESK = "desk"
    ELSEWHERE = "elsewhere"


class Move(StrEnum):
    """A way in which units of an order line moved."""

    SHIPPED = "shipped"
    UNSHIPPED = "unshipped"  # a shipment was undone
    CANCELED = "canceled"
    WITHDRAWN = "withdrawn"
    RETURNED = "returned"


@dataclass(frozen=True, slots=True)
class UnitsMoved:
    """Units of a line that moved in the same way. All moves of a line add up to the change of its counters."""

    order_id: int
    line_id: int
    move: Move
    units: int
    origin: Origin


@dataclass(frozen=True, slots=True)
class OrdersChange:
    """A change of one order that the desk already had: the code of its event, and the changed columns with their
    values before.
    """

    order_id: int
    code: str
    changed: Mapping[str, Any] = field(default_factory=dict)
    before: Mapping[str, Any] = field(default_factory=dict)

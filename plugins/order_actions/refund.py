"""Refund the buyer of an order by a credit memo; decide about proposals; take refunds back. The rules are the desk's
own (`refund_refusal`, `Refundable`).
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from webapp.api import (
    COMPONENT_LABELS,
    HIDDEN,
    ActionInput,
    Actor,
    AmountLeft,
    AmountsOfLine,
    Component,
    FormField,
    Invalid,
    Kind,
    LineWish,
    Money,
    NoCreditMemo,
    NotAnAmount,
    NothingProposed,
    NothingToAdopt,
    Offered,
    Order,
    OrderAction,
    PartAction,
    Place,
    Preview,
    Refundable,
    RefundReason,
    Refusal,
    Wish,
    adopt_transaction,
    adoption_refusals,
    any_refund_undoable,
    approve_refund,
    decimals,
    decision_refusals,
    decline_refund,
    lazy_gettext as _l,
    ngettext,
    note_refund,
    preview_refund,
    record_refunds,
    refund_of_return,
    refund_reasons,
    refund_refusal,
    reversal_refusals,
    reverse_memo,
    stores,
    undo_refund,
    undo_refund_refusal,
)

TAX = "_tax"  # after a component's code: its tax
_AMOUNTS = 40  # letters of a typed amount


def _as_text(value: Any) -> Any:
    """An amount that JSON gives as a number."""
    return str(value) if isinstance(value, int | float) and not isinstance(value, bool) else value


AmountText = Annotated[str, BeforeValidator(_as_text), Field(max_length=_AMOUNTS)]


class RefundLine(BaseModel):
    """What to refund of one line: units, and amounts by component (`item`) or its tax (`item_tax`) in place of those in
    proportion to the units.
    """

    model_config = ConfigDict(extra="forbid", str_strip_whitespace=True)

    units: int = 0
    amounts: dict[str, AmountText] = Field(default_factory=dict)
    restock: int = 0


class RefundInput(ActionInput):
    """What the buyer gets back. Amounts are of goods before tax, whose tax follows in proportion unless it is given.
    `return_id` is the return whose goods are refunded, if they came back with one.
    """

    return_id: Annotated[int | None, FormField(_l("Return"), Kind.FIXED)] = None
    reason: Annotated[str, Field(max_length=100), FormField(_l("Reason"), Kind.CHOICE, needed=True)] = ""
    whole: Annotated[
        bool,
        FormField(
            _l("Everything that is left"),
            Kind.TICK,
            help=_l("This refunds all lines with their taxes, and all shipping."),
        ),
    ] = False
    lines: Annotated[dict[int, RefundLine], FormField(_l("What to refund"), Kind.AMOUNTS)] = Field(default_factory=dict)
    all_shipping: Annotated[bool, FormField(_l("All shipping that is left"), Kind.TICK)] = False
    shipping: Annotated[AmountText, FormField(_l("Shipping"))] = ""
    shipping_tax: AmountText = ""
    adjustment_refund: Annotated[
        AmountText,
        FormField(
            _l("Adjustment refund"),
            help=_l("An extra amount that belongs to no line, up to the amount that can still be refunded."),
        ),
    ] = ""
    adjustment_fee: Annotated[
        AmountText, FormField(_l("Adjustment fee"), help=_l("The amount that you withhold, such as for restocking."))
    ] = ""
    comment: Annotated[
        str,
        Field(max_length=5000),
        FormField(_l("Private comment"), Kind.LONG_TEXT, help=_l("For your colleagues; the buyer never sees it.")),
    ] = ""


class RefundOrder(OrderAction):
    """Record a credit memo; its channel is told where it can be."""

    code, label, right, bulk, icon = "refund", _l("Refund buyer"), "orders.refund", True, "arrow-left"
    counterpart, about = "undo_refund", "return_id"
    previews = reads_accounts = True
    Input = RefundInput

    def doing(self, count: int) -> str:
        return str(ngettext("%(num)s order is being refunded.", "%(num)s orders are being refunded.", count))

    def done(self, count: int) -> str:
        return str(ngettext("%(num)s refund recorded", "%(num)s refunds recorded", count))

    def undo_in_run(self, since: int, version: int) -> tuple[str, Mapping[str, Any]] | None:
        return self.counterpart, {"since": since, "until": version}

    def run_undoable(self, order_ids: Sequence[int]) -> bool:
        return any_refund_undoable(order_ids)

    def refusal(self, order: Order, actor: Actor) -> Refusal | None:
        return refund_refusal(order, actor)

    def perform(self, order: Order, data: RefundInput, actor: Actor) -> None:
        self.perform_many([order], data, actor)

    def perform_many(self, orders: Sequence[Order], data: RefundInput, actor: Actor) -> None:
        by_currency: dict[str, list[Order]] = {}
        for order in orders:
            by_currency.setdefault(order.currency or "", []).append(order)
        for currency, some in by_currency.items():
            made = record_refunds(some, wish_of(data, currency), data.reason, comment=data.comment, actor=actor)
            if data.return_id is not None:
                for order, memo in zip(some, made, strict=True):
                    note_refund(order, data.return_id, memo, actor=actor)

    def dry_run(self, order: Order, data: RefundInput, actor: Actor) -> Preview:
        return preview_refund(order, wish_of(data, order.currency or ""), data.reason, actor=actor)

    def offered(self, order: Order | None, actor: Actor) -> Mapping[str, Offered]:
        if order is None:
            return {
                "reason": _reasons(_common(actor)),
                "return_id": HIDDEN,
                "lines": HIDDEN,
                "adjustment_refund": Offered(help=_l("An extra amount for each order, in its own currency.")),
            }
        return {"return_id": HIDDEN, **self._fields(order, {}, "")}

    def offered_for(self, order: Order, number: int, actor: Actor) -> Mapping[str, Offered]:
        return self._fields(order, *refund_of_return(order, number))

    def _fields(self, order: Order, units: Mapping[int, int], reason: str) -> Mapping[str, Offered]:
        """What the form offers, beginning with these units by line and this reason."""
        left = Refundable(order)
        shipping = left.shipping
        return {
            "reason": _reasons(refund_reasons(order.store.channel, order.marketplace), reason),
            "lines": Offered(amounts=list(_lines(order, left, units))),
            "all_shipping": Offered() if any(shipping) else HIDDEN,
            "shipping": Offered(help=_left(shipping.charged - shipping.discount, order)) if any(shipping) else HIDDEN,
        }


class _OfMemo(ActionInput):
    """The memo of an act, by its id."""

    memo: Annotated[int, FormField(_l("Credit memo"), Kind.FIXED)]


class MemoAction(PartAction):
    """An act on one credit memo, as a button beside it."""

    right, place, about, Input = "orders.refund", Place.DOCUMENTS, "memo", _OfMemo


class ApproveRefund(MemoAction):
    """Approve a refund that somebody else proposed."""

    code, label, icon, nothing = "approve_refund", _l("Approve refund"), "check", NothingProposed

    def refusals(self, order: Order, actor: Actor) -> Mapping[int, Refusal | None]:
        return decision_refusals(order, actor, approve=True)

    def perform(self, order: Order, data: _OfMemo, actor: Actor) -> None:
        approve_refund(order, data.memo, actor=actor)


class DeclineRefund(MemoAction):
    """Decline a proposed refund, or withdraw one's own proposal."""

    code, label, icon, nothing = "decline_refund", _l("Decline refund"), "x", NothingProposed

    def refusals(self, order: Order, actor: Actor) -> Mapping[int, Refusal | None]:
        return decision_refusals(order, actor, approve=False)

    def perform(self, order: Order, data: _OfMemo, actor: Actor) -> None:
        decline_refund(order, data.memo, actor=actor)


class ReverseMemo(MemoAction):
    """Take back a credit memo that no channel was told of, by an opposite one."""

    code, label, icon, nothing = "reverse_memo", _l("Reverse credit memo"), "replace", NoCreditMemo

    def refusals(self, order: Order, actor: Actor) -> Mapping[int, Refusal | None]:
        return reversal_refusals(order)

    def perform(self, order: Order, data: _OfMemo, actor: Actor) -> None:
        reverse_memo(order, data.memo, actor=actor)


class AdoptInput(ActionInput):
    """A transaction of the order, by its id."""

    transaction: Annotated[int, FormField(_l("Transaction"), Kind.FIXED)]


class AdoptTransaction(PartAction):
    """Record a claim, or a refund that is not recorded by itself, as a credit memo."""

    code, label, right, icon = "adopt_transaction", _l("Record as credit memo"), "orders.refund", "plus"
    place, about, nothing = Place.DOCUMENTS, "transaction", NothingToAdopt
    Input = AdoptInput

    def refusals(self, order: Order, actor: Actor) -> Mapping[int, Refusal | None]:
        return adoption_refusals(order)

    def perform(self, order: Order, data: AdoptInput, actor: Actor) -> None:
        adopt_transaction(order, data.transaction, actor=actor)


class UndoRefundInput(ActionInput):
    """By default the latest refund; otherwise that of the act which raised the order's version from `since` to
    `until`.
    """

    since: Annotated[int, FormField(_l("Credit memo"), Kind.FIXED)] = 0
    until: Annotated[int | None, FormField(_l("Credit memo"), Kind.FIXED)] = None


class UndoRefund(OrderAction):
    """Undo a refund that has not left yet."""

    code, label, right, bulk, icon = "undo_refund", _l("Undo refund"), "orders.refund", True, "player-play"
    counterpart = "refund"
    Input = UndoRefundInput

    def doing(self, count: int) -> str:
        return str(
            ngettext(
                "The refund of %(num)s order is being undone.", "The refunds of %(num)s orders are being undone.", count
            )
        )

    def done(self, count: int) -> str:
        return str(ngettext("%(num)s refund undone", "%(num)s refunds undone", count))

    def refusal(self, order: Order, actor: Actor) -> Refusal | None:
        return undo_refund_refusal(order, actor)

    def undo(self, order: Order, data: UndoRefundInput) -> None:
        return None

    def undo_in_run(self, since: int, version: int) -> None:
        return None

    def perform(self, order: Order, data: UndoRefundInput, actor: Actor) -> None:
        undo_refund(order, since=data.since, until=data.until, actor=actor)


def wish_of(data: RefundInput, currency: str) -> Wish:
    """What a person wants refunded, in minor units of the order's currency. Raises `Invalid` for what is no amount."""
    return Wish(
        lines={line_id: _line(line_id, line, currency) for line_id, line in data.lines.items()},
        shipping=_amount("shipping", data.shipping, currency),
        shipping_tax=_amount("shipping", data.shipping_tax, currency) if data.shipping_tax else None,
        all_shipping=data.all_shipping,
        adjustment_refund=_amount("adjustment_refund", data.adjustment_refund, currency),
        adjustment_fee=_amount("adjustment_fee", data.adjustment_fee, currency),
        whole=data.whole,
    )


def _line(line_id: int, line: RefundLine, currency: str) -> LineWish:
    read = {
        name: _amount("lines", text, currency, typed=f"lines › {line_id} › {name}")
        for name, text in line.amounts.items()
        if text
    }
    taxes = {name.removesuffix(TAX): minor for name, minor in read.items() if name.endswith(TAX)}
    return LineWish(
        line.units, {name: minor for name, minor in read.items() if not name.endswith(TAX)}, taxes, line.restock
    )


def _amount(field: str, text: str, currency: str, *, typed: str = "") -> int:
    """An amount that was typed in this field, or at this place of an input; see `Invalid`."""
    if not text:
        return 0
    try:
        minor = Money.read(text, currency).minor
    except NotAnAmount as why:
        example = Money(5 * 10 ** decimals(currency), currency)
        no_amount = _l("Enter an amount in %(currency)s, such as %(example)s.", currency=currency, example=example)
        raise Invalid(field=field, typed=typed or field, problem=why.problem or no_amount) from None
    if minor < 0:
        raise Invalid(field=field, typed=typed or field, problem=_l("Enter 0 or more."))
    return minor


def _lines(order: Order, left: Refundable, units: Mapping[int, int]) -> Iterable[AmountsOfLine]:
    """The lines, those of a return with no more than the `units` that were accepted, which go back to stock at first;
    without a return, a line that is alone begins with all that is left of it.
    """
    currency = order.currency or ""
    begun = units or (left.units if len(left.units) == 1 else {})
    for line in order.lines:
        amounts = []
        for component in Component:
            found = left.amounts.get((line.id, component))
            if found is None or component is Component.SHIPPING:
                continue
            label = COMPONENT_LABELS[component]
            amounts.append(AmountLeft(component, label, Money(found.charged - found.discount, currency)))
            if found.tax:
                words = _l("%(component)s, tax", component=label)
                amounts.append(AmountLeft(f"{component}{TAX}", words, Money(found.tax, currency)))
        most = min(left.units.get(line.id, 0), units.get(line.id, left.units.get(line.id, 0)))
        if most or amounts:
            done = [(label, Money(minor, currency)) for label, minor in left.so_far(line) if minor]
            first = begun.get(line.id, 0)
            yield AmountsOfLine(line.id, line.title, line.sku, most, first, amounts, done, units.get(line.id, 0))


def _left(minor: int, order: Order) -> Any:
    money = Money(minor, order.currency or "")
    return _l("Left to refund: %(amount)s, before tax.", amount=f"{money} {money.currency}")


def _reasons(reasons: Iterable[RefundReason], first: str = "") -> Offered:
    choices = [(one.code, one.label) for one in reasons]
    return Offered(choices=choices, default=first or None) if choices else HIDDEN


def _common(actor: Actor) -> list[RefundReason]:
    """The reasons that the marketplaces of the actor's stores accept, each once."""
    sold_at = {(store.channel, row.marketplace) for store in stores(actor) for row in store.marketplaces}
    found = {one.code: one for place in sorted(sold_at) for one in refund_reasons(*place)}
    return list(found.values())

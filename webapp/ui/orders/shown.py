"""What pages show of an order: rows read by the domains, in words. Nothing here changes or reveals anything."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import Any, Protocol

from babel import Locale
from babel.numbers import format_percent

from webapp.accounts.models import User
from webapp.audit.actor import ActorKind
from webapp.billing.models import CreditMemoLine, InvoiceLine
from webapp.billing.refundable import Refundable
from webapp.billing.remaining import Remaining
from webapp.channels import described
from webapp.channels.incoming import Component
from webapp.channels.models import Store
from webapp.channels.services import channel_name
from webapp.errors import Refusal, sentence_of
from webapp.i18n import LazyString, get_locale, gettext as _
from webapp.messaging.sent_documents import Sending
from webapp.money import Money
from webapp.orders.attention import Attention, in_words
from webapp.orders.badges import Badges
from webapp.orders.cancel_requests import is_answered_elsewhere
from webapp.orders.contract import Amount, DraftRow, Preview
from webapp.orders.models import Order, OrderAmount, OrderLine
from webapp.orders.queries import reference
from webapp.search.contract import Label
from webapp.ui.frame import formats
from webapp.ui.frame.formats import money


class ShownOrder:
    """An order with the words around it; other attributes are the order's own."""

    def __init__(self, order: Order) -> None:
        self.order = order
        self.reference = reference(order)
        self.channel_name = channel_name(order.store.channel)
        self.store_name, self.shop_name = order.store.name, order.shop.name
        self.is_practice = order.store.practice
        self.marketplace = described.country_of(order.store, order.marketplace)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.order, name)

    @property
    def attention(self) -> list[Attention]:
        return in_words(self.order.attention)

    @property
    def badges(self) -> list[Label]:
        """Badges of the order; attention is shown below them in sentences."""
        return Badges(without=("attention",)).of(self.order)

    @property
    def channel_status_label(self) -> str:
        return described.status_label(self.order.store.channel, self.order.channel_status)

    @property
    def product_code_label(self) -> str:
        return described.product_code_label(self.order.store.channel)

    @property
    def service_label(self) -> str:
        return described.service_label(self.order.store.channel, self.order.service_level)


def sending(found: Sending | None) -> dict[str, Any]:
    """How far a document has come on its way to the buyer."""
    if found is None:
        return {"how_far": None, "at": None, "problem": ""}
    return {"how_far": found.how_far.value, "at": found.at, "problem": sentence_of(found.problem) or ""}


# --- Money ------------------------------------------------------------------------------------------------------------


_PLACES = {component.value: place for place, component in enumerate(Component)}


@dataclass(slots=True)
class Totals:
    """The order's money. `rows` is what is charged by component, `charged`, `tax` and `discount` their sums and `ours`
    what they come to; then the channel's total, the difference, and what is paid and due. Of this, what is invoiced and
    can still be, refunded, about to be refunded, and can still be. None where it can't be said.
    """

    rows: list[dict[str, Any]] = field(default_factory=list)
    charged: Money | None = None
    tax: Money | None = None
    discount: Money | None = None
    ours: Money | None = None
    channel: Money | None = None
    residual: Money | None = None
    paid: Money | None = None
    due: Money | None = None
    invoiced: Money | None = None
    to_invoice: Money | None = None
    refunded: Money | None = None
    refunding: Money | None = None
    refundable: Money | None = None


def totals_of(order: Order) -> Totals:
    """The totals of an order. The channel collects the money: an order is paid once the channel has verified the
    payment.
    """
    total = order.total
    paid = None
    if total is not None and order.state != "canceled":
        paid = Money(0, total.currency) if order.state == "pending" else total
    due = Money(total.minor - paid.minor, total.currency) if total is not None and paid is not None else None
    rows = component_rows(((amount.component, amount.figures) for amount in order.amounts), order.currency)
    if order.currency is None or not rows:
        return Totals(channel=total, paid=paid, due=due)
    sums = {name: sum((row[name] for row in rows), Money(0, order.currency)) for name in ("charged", "tax", "discount")}
    return Totals(
        rows,
        **sums,
        ours=Money(sum(amount.net for amount in order.amounts), order.currency),
        channel=total,
        residual=order.residual,
        paid=paid,
        due=due,
        invoiced=Money(sum(amount.invoiced.net for amount in order.amounts), order.currency),
        to_invoice=Money(Remaining(order).net, order.currency),
        refunded=Money(order.refunded_minor, order.currency),
        refunding=Money(order.refunding_minor, order.currency),
        refundable=Money(Refundable(order).total, order.currency) if paid else None,
    )


def component_rows(amounts: Iterable[tuple[str, Amount]], currency: str | None) -> list[dict[str, Any]]:
    """The price of each component, its tax, its discount and what they come to; components that the channel no
    longer lists are left out.
    """
    sums: dict[str, Amount] = {}
    for component, amount in amounts:
        if any(amount):
            had = sums.get(component, Amount())
            sums[component] = had.plus(amount)
    if currency is None:
        return []
    return [
        {"component": component, "net": Money(sums[component].net, currency)}
        | {name: Money(minor, currency) for name, minor in sums[component]._asdict().items()}
        for component in sorted(sums, key=component_place)
    ]


def component_place(code: str) -> int:
    """The position of a component among others."""
    return _PLACES.get(code, len(_PLACES))


# --- Lines ------------------------------------------------------------------------------------------------------------

LINES = 100  # drawn at once; the others on request
STAGES = ("shipped", "canceled", "withdrawn", "invoiced", "refunded", "returned")  # what can happen to a line's units


@dataclass(slots=True)
class ShownLine:
    """A line with every cell as text, so that five hundred are drawn without a call for each cell."""

    id: int
    title: str
    sku: str
    product_code: str
    gift: bool
    status: str
    tone: str
    ordered: int
    counts: list[int]
    open: int
    price: str
    subtotal: str
    tax: str
    rate: str
    discount: str
    total: str
    problems: list[Attention]


@dataclass(slots=True)
class ShownLines:
    """The lines that a page draws, and the totals of all lines."""

    rows: list[ShownLine]
    stages: list[str]  # those with any units; shipped is always among them
    lines: int
    units: int
    open: int
    found: int
    find: str
    whole: bool


def lines_of(order: Order, *, find: str = "", whole: bool = False) -> ShownLines:
    """The order's lines, or those whose title, SKU or product code contains a text."""
    wanted = find.strip().casefold()
    lines = order.lines
    found = [line for line in lines if wanted in f"{line.title}\n{line.sku}\n{line.product_code}".casefold()]
    drawn = found if whole else found[:LINES]
    stages = [code for code in STAGES if code == "shipped" or any(getattr(line, code) for line in lines)]
    by_line: dict[int, list[OrderAmount]] = {}
    for amount in order.amounts:
        if amount.line_id is not None:
            by_line.setdefault(amount.line_id, []).append(amount)
    return ShownLines(
        rows=[_shown_line(line, by_line.get(line.id, []), stages) for line in drawn],
        stages=stages,
        lines=len(lines),
        units=sum(line.ordered for line in lines),
        open=sum(line.open for line in lines),
        found=len(found),
        find=find.strip(),
        whole=whole or len(found) <= LINES,
    )


def _shown_line(line: OrderLine, amounts: Sequence[OrderAmount], codes: Sequence[str]) -> ShownLine:
    """A line as the page draws it. The amounts of a row are those of the goods, so that a row adds up from left to
    right: shipping and gift wrap are among the order's totals.
    """
    item = next((amount.figures for amount in amounts if amount.component == Component.ITEM), None)
    subtotal, tax, discount, total = goods(item, line.total_minor, line.currency)
    status, tone = _line_status(line)
    return ShownLine(
        id=line.id,
        title=line.title,
        sku=line.sku,
        product_code=line.product_code,
        gift=line.gift,
        status=str(status),
        tone=tone,
        ordered=line.ordered,
        counts=[getattr(line, code) for code in codes],
        open=line.open,
        price=amount_of(line.unit_price_minor, line.currency),
        subtotal=subtotal,
        tax=tax,
        rate=_rate(item),
        discount=discount,
        total=total,
        problems=in_words(line.problems) if line.problems else [],
    )


def goods(item: Amount | None, total: int | None, currency: str | None) -> tuple[str, str, str, str]:
    """Subtotal, tax, discount and total of a line's goods. Free goods have no stored amounts; the channel's total of
    the line shows this.
    """
    known = item if item is not None or total is None else Amount()
    minors = (None,) * 4 if known is None else (*known, known.net)
    subtotal, tax, discount, net = (amount_of(minor, currency) for minor in minors)
    return subtotal, tax, discount, net


def amount_of(minor: int | None, currency: str | None) -> str:
    """An amount in minor units as a cell shows it, or a dash if the channel gave none."""
    return "—" if minor is None or currency is None else money(Money(minor, currency))


def _rate(item: Amount | None) -> str:
    """The tax on the goods in percent of their price; empty if it is zero."""
    base = item.charged - item.discount if item else 0
    if item is None or not item.tax or base <= 0:
        return ""
    return _percent(Decimal(item.tax) / base, "0.#")


def preview(found: Preview) -> dict[str, Any]:
    """What an act would do, with its sentences in the reader's language."""
    said, warned = sentences(found.sentences), sentences(found.warnings)
    drawn = {"text": found.text, "draft": drafted(found.rows), "amounts": found.amounts}
    return drawn | {"sentences": said, "warnings": warned}


def sentences(found: Iterable[tuple[LazyString | str, Mapping[str, Any]]]) -> list[str]:
    """Sentences with their values, by the reader's locale."""
    return [
        str(text) % {name: _written(value) for name, value in values.items()} if values else str(text)
        for text, values in found
    ]


def _written(value: Any) -> Any:
    """A value of a sentence, by the reader's locale."""
    if isinstance(value, Money):
        return formats.money(value)
    return formats.to_the_second(value) if isinstance(value, datetime) else value


def drafted(rows: Sequence[DraftRow]) -> dict[str, Any]:
    """The rows of a document that an act would make, and their sums."""
    drawn = [
        {
            "title": row.title,
            "sku": row.sku,
            "component": row.component,
            "units": row.units,
            "net": row.net,
            "rate": "—" if row.tax_rate is None else _percent(row.tax_rate, "0.######"),
            "tax": row.tax,
            "total": row.net + row.tax,
        }
        for row in rows
    ]
    if not rows:
        return {"rows": []}
    nothing = Money(0, rows[0].net.currency)
    net, tax = sum((row.net for row in rows), nothing), sum((row.tax for row in rows), nothing)
    return {"rows": drawn, "net": net, "tax": tax, "total": net + tax}


def _percent(share: Decimal, decimals: str) -> str:
    locale = get_locale() or Locale("en")
    return str(format_percent(share, locale.percent_formats[None].pattern.replace("0", decimals), locale=locale))


def _line_status(line: OrderLine) -> tuple[LazyString | str, str]:
    """The word for a line's progress, and its tone."""
    if line.canceled == line.ordered:  # also if none is ordered any more: this is how the channel removes a line
        return _("Canceled"), "gone"
    if line.refunded and line.refunded == line.ordered:
        return _("Refunded"), "calm"
    if line.open:
        return (_("Partly shipped"), "info") if line.shipped else (_("Open"), "waits")
    return _("Shipped"), "good"


def document_line(line: InvoiceLine | CreditMemoLine, currency: str) -> dict[str, Any]:
    """A line of an invoice or a credit memo with its amounts as text."""
    figures = line.figures._asdict() | {"total": line.figures.net}
    words = {name: amount_of(minor, currency) for name, minor in figures.items()}
    return {"title": line.title, "sku": line.sku, "component": line.component, "units": line.units} | words


# --- Who, and what next -----------------------------------------------------------------------------------------------


class Written(Protocol):
    """A row that names its author."""

    actor_kind: str
    person: User | None


def author_of(row: Written, store: Store) -> str:
    """The author of a row: a person by name, others by their kind."""
    match row.actor_kind:
        case ActorKind.PERSON:
            return name_of(row.person)
        case ActorKind.CHANNEL:
            return channel_name(store.channel)
        case ActorKind.OPERATOR:
            return str(_("Operator"))
        case ActorKind.PLUGIN:
            return str(_("Plugin"))
    return "Waybill"


def name_of(person: User | None) -> str:
    return (person.name or person.email) if person else str(_("Somebody"))


def next_step(order: Order, refusal: Refusal | None) -> tuple[str, str]:
    """The next thing to do with the order, in one sentence, and its tone."""
    name = channel_name(order.store.channel)
    troubles = {trouble["kind"] for trouble in order.attention}
    if order.canceling:
        return _("Wait until %(channel)s has answered the cancellation.", channel=name), ""
    if "cancel_refused" in troubles:
        return _(
            "%(channel)s did not cancel the order. Read the reason, then ship the order or cancel it again.",
            channel=name,
        ), "bad"
    if "update_refused" in troubles:
        return _(
            "%(channel)s refused an update. Read the reason, then send the update again or close it.", channel=name
        ), "bad"
    if "update_impossible" in troubles:
        return _("An update can't be sent. Read the reason, then send the update again or close it."), "bad"
    if "update_undecided" in troubles:
        return _(
            "The result of an update is unknown. Check it on the channel, then record the result under Channel updates."
        ), "bad"
    if order.buyer_wants_cancel and order.unshipped and not is_answered_elsewhere(order):
        return _("The buyer asked to cancel. Decide before anything ships."), "warn"
    if order.unshipped and order.state == "processing":
        if refusal is not None:
            return str(refusal), "warn" if order.on_hold else ""
        return _("Pack the order, then enter the carrier and tracking number under Ship."), ""
    if order.state == "pending":
        return _("Wait until %(channel)s has verified the payment. The order can ship after that.", channel=name), ""
    return "", ""

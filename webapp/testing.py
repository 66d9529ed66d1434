"""The base for tests of the desk and of plugins: a recording channel, orders as a channel lists them, contract tests.

A plugin author writes `class TestEbay(ChannelContract)` with the fixtures that it names; everything that a channel must
fulfil is then tested.
"""

import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any, ClassVar, ParamSpec, TypeVar

import pytest

from webapp.audit.actor import Actor
from webapp.channels.calling import calling
from webapp.channels.connecting import Connection, Disconnected, Marketplace, StoreAccess
from webapp.channels.contract import Channel
from webapp.channels.incoming import (
    ChannelStage,
    Component,
    FulfilledBy,
    IncomingAmount,
    IncomingLine,
    IncomingOrder,
    OrdersPage,
    OrdersWindow,
    UnreadableOrder,
)
from webapp.channels.messages import MESSAGE, MailRoute, MessageKind, MessagesAnswer
from webapp.channels.models import Store
from webapp.channels.outgoing import (
    Accepted,
    Attempt,
    Batch,
    Begun,
    CancelReason,
    Carrier,
    Effective,
    NotCarriedOut,
    NothingLearned,
    NotYet,
    Outcome,
    Sent,
    TooLate,
    Unknown,
    Update,
    UpdateKind,
)
from webapp.channels.refunds import (
    RefundAmount,
    RefundPart,
    RefundPlan,
    RefundReason,
    RefundRequest,
)
from webapp.channels.returns import ReturnReason
from webapp.channels.review_requests import REVIEW_REQUEST, ReviewWindow
from webapp.channels.transactions import IncomingTransaction, TransactionsPage, TransactionsWindow
from webapp.clock import now
from webapp.db import db, unit_of_work
from webapp.errors import Refusal, sentence_of
from webapp.hooks import hookimpl
from webapp.i18n import LazyString, lazy_gettext as _l
from webapp.jobs.models import Run
from webapp.money import Money
from webapp.settings.declared import Setting
from webapp.sync import jobs, runs, streams
from webapp.sync.delivering import due_work
from webapp.sync.models import ORDERS_LANE

P = ParamSpec("P")
T = TypeVar("T")
GERMANY = Marketplace("DE", "DE", "Fake Germany", "EUR", "de", "Europe/Berlin")
JAPAN = Marketplace("JP", "JP", "Fake Japan", "JPY", "ja", "Asia/Tokyo")
_numbers = itertools.count(1)
_ROUNDS = 1000  # of jobs that are due; more mean an endless loop

JANE = {
    "name": "Jane Quixelworth",
    "email": "jane.quixelworth@buyers.test",
    "address": {
        "name": "Jane Quixelworth",
        "line1": "7 Zanzibar Mews",
        "city": "Vrombaut",
        "postal_code": "ZQ7 4WX",
        "country": "DE",
        "phone": "+49 30 5550199",
    },
}


def incoming_line(sku: str = "MUG", quantity: int = 1, *, price: int = 1000, **more: Any) -> IncomingLine:
    """A line as a channel lists it: `price` in minor units each, a fifth of tax on top."""
    charged, tax = price * quantity, price * quantity // 5
    fulfilled = more.pop("fulfilled", 0)
    values: dict[str, Any] = {
        "number": f"L{next(_numbers):08d}",
        "ordered": quantity,
        "fulfilled": fulfilled,
        "unfulfilled": quantity - fulfilled,
        "sku": sku,
        "product_code": "B000000001",
        "title": f"A {sku.lower()}",
        "unit_price": price,
        "total": charged + tax,
        "amounts": (IncomingAmount(Component.ITEM, charged, tax),),
    }
    return IncomingLine(**values | more)


def incoming_order(lines: Sequence[IncomingLine] | None = None, **more: Any) -> IncomingOrder:
    """An open, merchant-fulfilled order of a buyer named Jane; any field can be given."""
    lines = [incoming_line()] if lines is None else lines
    at = more.pop("created_at", now() - timedelta(hours=1))
    values: dict[str, Any] = {
        "number": f"302-{next(_numbers):07d}-0000001",
        "created_at": at,
        "updated_at": at,
        "marketplace": GERMANY.id,
        "stage": ChannelStage.OPEN,
        "status": "UNSHIPPED",
        "fulfilled_by": FulfilledBy.MERCHANT,
        "currency": GERMANY.currency,
        "total": sum(line.total or 0 for line in lines),
        "lines": tuple(lines),
        "ship_by": at + timedelta(days=2),
        "deliver_by": at + timedelta(days=6),
        "buyer": JANE,
        "raw": {"said": "so"},
    }
    return IncomingOrder(**values | more)


def again(order: IncomingOrder, *, minutes: float = 5, **changes: Any) -> IncomingOrder:
    """An order as a later answer lists it."""
    return replace(order, updated_at=order.updated_at + timedelta(minutes=minutes), **changes)


def line_again(order: IncomingOrder, position: int = 0, **changes: Any) -> tuple[IncomingLine, ...]:
    """The order's lines, one of them with other values."""
    lines = list(order.lines)
    lines[position] = replace(lines[position], **changes)
    return tuple(lines)


class TipStays(Refusal):
    """The fake channel refunds no tips."""

    code = "fake_tip_stays"
    sentence = _l("The fake channel refunds no tips.")


class FakeChannel(Channel):
    """Replaces the network: returns `orders` and `transactions` in pages and records the updates that it got.

    It refunds a component of a line as one part, whose code is the component; a fee is a part below zero, and only a
    tip is refused. In Japan it adds the tax itself.
    """

    code, label = "fake", _l("Fake channel")
    settings = (Setting(name="key", label=_l("Key"), default=None, secret=True),)
    kinds = (
        UpdateKind("shipment", _l("Shipment confirmation"), repeatable=True, batch=10),
        UpdateKind("cancel", _l("Cancellation"), repeatable=False, batch=10, unseen_after=7200.0),
        UpdateKind("refund", _l("Refund"), repeatable=False, batch=10, unseen_after=7 * 86_400.0),
        UpdateKind("message", _l("Message"), repeatable=False),
        UpdateKind("review_request", _l("Review request"), repeatable=False),
    )
    message_kinds = (
        MessageKind("problem", _l("Unexpected problem"), 2000, situations=("delay",)),
        MessageKind("details", _l("Question about the order"), 800, situations=("question", "address")),
    )
    mail: ClassVar[MailRoute | None] = MailRoute()
    operations: ClassVar[Mapping[str, LazyString | str]] = {
        "connect": _l("Testing the connection"),
        "orders": _l("Reading orders"),
        "order": _l("Reading a single order"),
        "shipment": _l("Confirming shipments"),
        "cancel": _l("Canceling"),
        "refund": _l("Refunding"),
        "message": _l("Sending a message"),
        "review_request": _l("Requesting a review"),
        "messages": _l("Asking which messages are allowed"),
        "transactions": _l("Reading transactions"),
        "look_up": _l("Looking up updates"),
    }
    review_window = ReviewWindow(opens_after=5, closes_after=30)
    cancels_lines = True
    transactions_late = 48 * 3600.0
    poll_every = 60.0

    def __init__(self, page_size: int = 100) -> None:
        self.page_size = page_size
        self.orders: dict[str, IncomingOrder | UnreadableOrder] = {}
        self.delivered: list[Update] = []
        self.asked: list[OrdersWindow] = []
        self.has_transactions = False  # a test that needs them sets it: no other reads another stream
        self.transactions: list[IncomingTransaction] = []
        self.transactions_asked: list[TransactionsWindow] = []
        self.failures: list[Exception] = []  # raised one by one instead of an answer
        self.outcomes: list[Outcome] = []  # returned one by one instead of Sent
        self.found: list[Outcome] = []  # returned one by one by look_up instead of Sent
        self.marketplaces: tuple[Marketplace, ...] = (GERMANY, JAPAN)
        self.messages = [kind.code for kind in self.message_kinds]  # those that it allows
        self.buyer_language = ""  # empty: it does not say

    def offer(self, *orders: IncomingOrder | UnreadableOrder) -> None:
        self.orders |= {order.number: order for order in orders}

    def told(self, kind: str) -> list[Mapping[str, Any]]:
        """The payloads that were delivered, in order."""
        return [update.payload for update in self.delivered if update.kind == kind]

    def connect(self, store: StoreAccess) -> Connection:
        with self._called(store, "connect"):
            return Connection(self.marketplaces)

    def fetch_orders(self, store: StoreAccess, window: OrdersWindow) -> OrdersPage:
        self.asked.append(window)
        with self._called(store, "orders"):
            self._fail()
        found = (order for order in self.orders.values() if self._within(order, window))
        listed = [order for order in found if isinstance(order, UnreadableOrder) or _wanted(order, window)]
        start = int(window.page or 0)
        part = listed[start : start + self.page_size]
        end = start + self.page_size
        return OrdersPage(
            [order for order in part if isinstance(order, IncomingOrder)],
            [order for order in part if isinstance(order, UnreadableOrder)],
            next_page=str(end) if end < len(listed) else None,
            bound=now() - timedelta(minutes=2),
        )

    def _within(self, order: IncomingOrder | UnreadableOrder, window: OrdersWindow) -> bool:
        if isinstance(order, UnreadableOrder):
            return not window.open_only
        if window.open_only:
            return order.stage in (ChannelStage.OPEN, ChannelStage.AWAITING_PAYMENT)
        return order.updated_at >= window.low

    def fetch_order(self, store: StoreAccess, number: str) -> IncomingOrder | UnreadableOrder | None:
        with self._called(store, "order", orders=[number]):
            return self.orders.get(number)

    def deliver(self, store: StoreAccess, updates: Batch) -> Mapping[int, Outcome]:
        with self._called(store, updates[0].kind, updates=[one.id for one in updates[:]]):
            self._fail()
            if updates[0].kind in ("cancel", "refund", "message", "review_request"):
                updates.attempt(updates).call(self._take, updates)
            else:
                self._take(updates)
        return {update.id: self.outcomes.pop(0) if self.outcomes else Sent() for update in updates}

    def _take(self, updates: Sequence[Update]) -> None:
        self.delivered += updates

    @contextmanager
    def _called(self, store: StoreAccess, operation: str, **about: Any) -> Iterator[None]:
        """Report a call, as if the network had been asked in this block."""
        with calling(store.report, operation, **about) as made, made.sending():
            yield
            made.answered(200)

    def _fail(self) -> None:
        if self.failures:
            raise self.failures.pop(0)

    def look_up(self, store: StoreAccess, updates: Sequence[Update]) -> Mapping[int, Outcome]:
        with self._called(store, "look_up", updates=[one.id for one in updates[:]]):
            pass
        return {update.id: self.found.pop(0) if self.found else Sent() for update in updates}

    def messages_allowed(self, store: StoreAccess, order_number: str, marketplace: str) -> MessagesAnswer:
        with self._called(store, "messages", orders=[order_number]):
            self._fail()
        return MessagesAnswer(self.messages, self.buyer_language)

    def carriers(self, marketplace: str) -> Sequence[Carrier]:
        return (Carrier("DHL", "DHL"), Carrier("UPS", "UPS"), Carrier("Other", "Other", needs_name=True))

    def cancel_reasons(self, marketplace: str) -> Sequence[CancelReason]:
        return (
            CancelReason(code="NoInventory", label=_l("Not in stock")),
            CancelReason(code="BuyerCanceled", label=_l("The buyer asked for it"), for_buyer=True),
        )

    def refund_reasons(self, marketplace: str) -> Sequence[RefundReason]:
        return (
            RefundReason(code="CustomerReturn", label=_l("The buyer returned it"), for_returns=tuple(ReturnReason)),
            RefundReason(code="GeneralAdjustment", label=_l("A concession")),
        )

    def refund_plan(self, request: RefundRequest) -> RefundPlan:
        adds_tax = request.marketplace == JAPAN.id
        parts = [
            RefundPart(line, amount.component, minor)
            for amount in request.amounts
            for line, minor in _spread(amount, amount.net - (amount.tax if adds_tax else 0), request)
            if minor
        ]
        return RefundPlan(tuple(parts), added=sum(one.tax for one in request.amounts) if adds_tax else 0)

    def fetch_transactions(self, store: StoreAccess, window: TransactionsWindow) -> TransactionsPage:
        self.transactions_asked.append(window)
        with self._called(store, "transactions", orders=[window.order_number] if window.order_number else []):
            self._fail()
        listed = [
            one
            for one in self.transactions
            if (one.order_number == window.order_number if window.order_number else one.posted_at >= window.low)
        ]
        start = int(window.page or 0)
        end = start + self.page_size
        return TransactionsPage(
            listed[start:end],
            next_page=str(end) if end < len(listed) else None,
            bound=now() - timedelta(minutes=2),
        )

    def marketplace(self, marketplace: str) -> Marketplace | None:
        return next((known for known in self.marketplaces if known.id == marketplace), None)


def _wanted(order: IncomingOrder, window: OrdersWindow) -> bool:
    return order.marketplace == window.only if window.only else order.marketplace not in window.without


def _spread(amount: RefundAmount, minor: int, request: RefundRequest) -> Iterator[tuple[str, int]]:
    """The lines on which an amount falls, each with its share."""
    if amount.component == Component.TIP:
        raise TipStays
    if amount.line:
        yield amount.line, minor
        return
    shares = Money(minor, request.currency).split(list(request.lines.values()))
    for line, share in zip(request.lines, shares, strict=True):
        yield line, share.minor


class FakeChannelPlugin:
    """Registers a fake channel as any plugin would."""

    def __init__(self, channel: FakeChannel) -> None:
        self.channel = channel

    @hookimpl
    def register_channels(self) -> list[Channel]:
        return [self.channel]


class NotSynced(AssertionError):
    """Reading a store failed; the message has the reason."""


def sync_now(store: Store) -> None:
    """Read everything of a store that can be read now, and send its channel the updates that are due, as the desk's
    workers do: a new store is tested first, orders are read page by page, and sent updates are looked up when that
    is due.

    Not to be called within a unit of work. Raises `NotSynced` if the channel can't be read.
    """
    with unit_of_work():
        run_id = runs.start(db.session.get_one(Store, store.id), actor=Actor.operator()).id
    begun: object = None
    while (run := db.session.get_one(Run, run_id)).is_open:
        before, begun = begun, (run.numbers["pages"], db.session.get_one(Store, store.id).account_state)
        if before == begun:
            raise NotSynced(f"{store.name} waits, since its channel allows no more calls or asks to begin again")
        jobs.import_orders(store.id)
        db.session.expire_all()
    if run.problem is not None:
        raise NotSynced(sentence_of(run.problem))
    for _ in range(_ROUNDS):
        lanes = [lane for store_id, lane in streams.due() if store_id == store.id and lane != ORDERS_LANE]
        owed = [(lane, work) for store_id, lane, work in due_work() if store_id == store.id]
        for lane in lanes:
            jobs.read_lane(store.id, lane)
        for lane, work in owed:
            (jobs.deliver if work == "deliver" else jobs.look_up)(store.id, lane)
        db.session.expire_all()
        if not lanes and not owed:
            return
    raise NotSynced(f"{store.name} always has something more to read or to tell")


class HandedUpdates(Batch):
    """Updates as a channel gets them to deliver, outside a desk: `called` are those for which an attempt's call was
    made.

    With `late`, every attempt is too late, as on a machine that slept.
    """

    def __init__(self, updates: Sequence[Update], *, late: bool = False) -> None:
        self.called: set[int] = set()
        self.attempts: list[Begun] = []
        super().__init__(updates)
        self._late = late

    def attempt(self, updates: Sequence[Update], *, key: str = "", channel_at: datetime | None = None) -> Attempt:
        ids = frozenset(one.id for one in updates)
        self.attempts.append(Begun(len(self.attempts) + 1, key, len(updates), now(), channel_at, ids))
        return _HandedAttempt(self, self.attempts[-1].id, {one.id for one in updates}, late=self._late)


class _HandedAttempt(Attempt):
    def __init__(self, batch: HandedUpdates, number: int, ids: set[int], *, late: bool) -> None:
        self.id = number
        self._batch, self._ids, self._late = batch, ids, late

    def call(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        if self._late:
            raise TooLate
        self._batch.called |= self._ids
        return function(*args, **kwargs)


class ChannelContract:
    """The requirements on every channel, as tests. Define these fixtures:

    `channel`; `access`, a store that can be reached and has orders; `refused_access`, one whose credentials are refused
    (only if the channel has credentials); for a channel that carries updates `fresh_updates(kind, count)`, which
    returns updates of a kind, on existing orders, that can be carried out now and were never sent before; and if
    answers can be lost `lose_answer()`: the next update that is sent happens, and its answer is lost.
    """

    def test_its_code_is_a_plain_word(self, channel: Channel) -> None:
        assert channel.code.isidentifier()
        assert str(channel.label)

    def test_its_settings_have_distinct_names_and_words(self, channel: Channel) -> None:
        names = [setting.name for setting in channel.settings]
        assert len(names) == len(set(names))
        assert all(str(setting.label) for setting in channel.settings)

    def test_connecting_names_the_marketplaces(self, channel: Channel, access: StoreAccess) -> None:
        connection = channel.connect(access)
        assert connection.ok, str(connection.problem)
        assert connection.marketplaces
        for marketplace in connection.marketplaces:
            assert len(marketplace.country) == 2
            assert len(marketplace.currency) == 3

    def test_a_test_says_what_it_looked_at(self, channel: Channel, access: StoreAccess) -> None:
        connection = channel.test(access)
        assert connection.ok, str(connection.problem)
        names = [check.name for check in connection.checks]
        assert len(names) == len(set(names))
        assert all(name.isidentifier() for name in names)
        assert all(str(check.label) for check in connection.checks)
        assert all(str(check.sentence) for check in connection.checks if not check.ok)

    def test_what_a_consent_gives_is_declared(self, channel: Channel) -> None:
        assert set(channel.authorizes) <= {setting.name for setting in channel.settings}

    def test_refused_credentials_disconnect_and_nothing_else_does(
        self, channel: Channel, access: StoreAccess, request: pytest.FixtureRequest
    ) -> None:
        assert channel.connect(access).ok
        if not any(setting.secret for setting in channel.settings):
            pytest.skip("this channel has no credentials")
        refused = request.getfixturevalue("refused_access")
        assert isinstance(channel.connect(refused).problem, Disconnected)
        with pytest.raises(Disconnected):
            channel.fetch_orders(refused, OrdersWindow(now() - timedelta(days=30)))
        for kind in channel.kinds:
            [update] = request.getfixturevalue("fresh_updates")(kind.code, 1)
            lost = replace(update, begun=Begun(1, "lost", 1, now(), now(), frozenset({update.id})))
            for ask, asked in ((channel.deliver, update), (channel.look_up, lost)):
                try:
                    outcomes = ask(refused, HandedUpdates([asked]))
                except Disconnected:
                    continue
                learned = NotYet if ask == channel.deliver else Unknown if kind.code == MESSAGE else NothingLearned
                assert isinstance(outcomes[update.id], (learned, NotYet) if kind.repeatable else learned)

    def test_a_page_is_in_the_desks_words(self, channel: Channel, access: StoreAccess) -> None:
        page = channel.fetch_orders(access, OrdersWindow(now() - timedelta(days=30)))
        assert isinstance(page, OrdersPage)
        assert page.bound is None or page.bound.tzinfo is not None
        assert page.orders, "give a store that has orders"
        for order in page.orders:
            _is_well_formed(order)

    def test_every_page_token_leads_on(self, channel: Channel, access: StoreAccess) -> None:
        low, seen, token = now() - timedelta(days=30), set(), None
        for _ in range(20):
            page = channel.fetch_orders(access, OrdersWindow(low, token))
            seen |= {order.number for order in page.orders}
            if page.next_page is None:
                break
            assert page.next_page != token
            token = page.next_page
        assert seen

    def test_one_order_can_be_asked_for(self, channel: Channel, access: StoreAccess) -> None:
        page = channel.fetch_orders(access, OrdersWindow(now() - timedelta(days=30)))
        order = page.orders[0]
        found = channel.fetch_order(access, order.number)
        assert isinstance(found, IncomingOrder)
        assert found.number == order.number

    def test_an_unknown_order_is_none(self, channel: Channel, access: StoreAccess) -> None:
        assert channel.fetch_order(access, "000-0000000-0000000") is None

    def test_carriers_have_codes_and_labels(self, channel: Channel, access: StoreAccess) -> None:
        for marketplace in channel.connect(access).marketplaces:
            codes = [carrier.code for carrier in channel.carriers(marketplace.id)]
            assert len(codes) == len(set(codes))

    def test_the_page_of_an_order_needs_no_secret(self, channel: Channel, access: StoreAccess) -> None:
        secret = {setting.name for setting in channel.settings if setting.secret}
        shown = replace(access, settings={name: one for name, one in access.settings.items() if name not in secret})
        [order, *_] = channel.fetch_orders(access, OrdersWindow(now() - timedelta(days=30))).orders
        url = channel.order_url(shown, order.number, order.marketplace)
        assert url is None or url.startswith(("https://", "http://")), url

    def test_a_refund_of_whole_lines_is_planned_to_the_last_cent(self, channel: Channel, access: StoreAccess) -> None:
        if not any(kind.code == "refund" for kind in channel.kinds):
            pytest.skip("this channel carries no refunds")
        page = channel.fetch_orders(access, OrdersWindow(now() - timedelta(days=30)))
        for order in page.orders:
            request = _whole_lines(order, channel)
            if request is None:
                continue
            plan = channel.refund_plan(request)
            assert plan.total == sum(amount.net for amount in request.amounts)
            assert {part.line for part in plan.parts} <= set(request.lines)
            codes = [reason.code for reason in channel.refund_reasons(order.marketplace)]
            assert codes
            assert len(codes) == len(set(codes))

    def test_a_page_of_transactions_is_in_the_desks_words(self, channel: Channel, access: StoreAccess) -> None:
        if not channel.has_transactions:
            pytest.skip("this channel tells no transactions")
        low, seen, token = now() - timedelta(days=30), set[str](), None
        for _ in range(20):
            page = channel.fetch_transactions(access, TransactionsWindow(low, token))
            assert page.bound is None or page.bound <= now()
            for one in page.transactions:
                assert one.number
                assert one.number not in seen
                assert one.posted_at.tzinfo is not None
                assert len(one.currency) == 3
                seen.add(one.number)
            if page.next_page is None:
                break
            assert page.next_page != token
            token = page.next_page

    def test_the_messages_that_an_order_allows_are_of_its_kinds(self, channel: Channel, access: StoreAccess) -> None:
        carried = any(kind.code == MESSAGE for kind in channel.kinds)
        assert carried == bool(channel.message_kinds)
        if not carried:
            pytest.skip("this channel carries no messages")
        codes = [kind.code for kind in channel.message_kinds]
        assert len(codes) == len(set(codes))
        for kind in channel.message_kinds:
            assert str(kind.label)
            assert set(kind.documents) <= {"invoice", "credit_memo"}
            assert kind.longest > 0 or kind.documents, "a message is a text, or documents"
            assert kind.most_documents > 0
        for order in channel.fetch_orders(access, OrdersWindow(now() - timedelta(days=30))).orders[:3]:
            answer = channel.messages_allowed(access, order.number, order.marketplace)
            assert set(answer.kinds) <= set(codes)

    def test_the_days_of_review_requests_are_said(self, channel: Channel) -> None:
        carried = any(kind.code == REVIEW_REQUEST for kind in channel.kinds)
        assert carried == (channel.review_window is not None)
        if channel.review_window is not None:
            assert 0 <= channel.review_window.opens_after < channel.review_window.closes_after

    # --- What goes out ---

    def test_every_kind_is_carried_out_and_found(
        self, channel: Channel, access: StoreAccess, request: pytest.FixtureRequest
    ) -> None:
        for kind in _kinds(channel):
            updates = request.getfixturevalue("fresh_updates")(kind.code, min(kind.batch, 2))
            batch = HandedUpdates(updates)
            outcomes = channel.deliver(access, batch)
            assert set(outcomes) == {update.id for update in updates}
            for update in updates:
                assert isinstance(outcomes[update.id], (Sent, Accepted, Effective)), outcomes[update.id]
                assert kind.repeatable or update.id in batch.called, "send it by the call of an attempt"
            _is_found(channel, access, batch, outcomes)

    def test_a_lost_answer_is_unknown_and_found_by_a_look(
        self, channel: Channel, access: StoreAccess, request: pytest.FixtureRequest
    ) -> None:
        for kind in _kinds(channel):
            [update] = request.getfixturevalue("fresh_updates")(kind.code, 1)
            try:
                lose_answer = request.getfixturevalue("lose_answer")
            except pytest.FixtureLookupError:
                pytest.skip("this channel loses no answers")
            lose_answer()
            batch = HandedUpdates([update])
            outcomes = channel.deliver(access, batch)
            assert isinstance(outcomes[update.id], Unknown), outcomes[update.id]
            _is_found(channel, access, batch, outcomes, or_sent_again=kind.repeatable)

    def test_what_was_never_sent_is_not_found(
        self, channel: Channel, access: StoreAccess, request: pytest.FixtureRequest
    ) -> None:
        for kind in _kinds(channel):
            [update] = request.getfixturevalue("fresh_updates")(kind.code, 1)
            outcome = _looked_up(channel, access, [update])[update.id]
            assert isinstance(outcome, (NotYet, NotCarriedOut, Unknown)), outcome

    def test_what_comes_too_late_is_not_sent(
        self, channel: Channel, access: StoreAccess, request: pytest.FixtureRequest
    ) -> None:
        for kind in _kinds(channel):
            if kind.repeatable:
                continue
            [update] = request.getfixturevalue("fresh_updates")(kind.code, 1)
            try:
                outcome = channel.deliver(access, HandedUpdates([update], late=True))[update.id]
            except TooLate:
                outcome = NotYet(0)
            assert isinstance(outcome, NotYet), outcome
            looked_up = _looked_up(channel, access, [update])[update.id]
            assert isinstance(looked_up, (NotYet, NotCarriedOut, Unknown)), looked_up

    def test_an_exclusive_kind_has_one_lane_and_goes_in_one_attempt(
        self, channel: Channel, access: StoreAccess, request: pytest.FixtureRequest
    ) -> None:
        for kind in _kinds(channel):
            updates = request.getfixturevalue("fresh_updates")(kind.code, min(kind.batch, 2))
            lanes = {channel.lane(kind.code, update.payload) for update in updates}
            assert all(lanes)
            assert all(channel.when(access, lane) >= 0 for lane in lanes)
            if kind.exclusive:
                batch = HandedUpdates(updates)
                channel.deliver(access, batch)
                assert len(batch.attempts) == 1
                assert batch.attempts[0].messages == len(updates)


def _whole_lines(order: IncomingOrder, channel: Channel) -> RefundRequest | None:
    """All that the buyer paid for the lines of an order, as a credit memo asks for it; None if there is nothing."""
    amounts = [
        RefundAmount(line.number, amount.component, amount.charged, amount.tax, amount.discount)
        for line in order.lines
        for amount in line.amounts
    ]
    if order.currency is None or not any(amount.net for amount in amounts):
        return None
    paid = {line.number: 0 for line in order.lines}
    for amount in amounts:
        paid[amount.line] += amount.net
    return RefundRequest(
        order_number=order.number,
        marketplace=order.marketplace,
        currency=order.currency,
        reason=next(iter(channel.refund_reasons(order.marketplace))).code,
        amounts=tuple(amounts),
        lines=paid,
    )


def _kinds(channel: Channel) -> Sequence[UpdateKind]:
    if not channel.kinds:
        pytest.skip("this channel is told nothing")
    return channel.kinds


def _looked_up(channel: Channel, access: StoreAccess, updates: Sequence[Update]) -> Mapping[int, Outcome]:
    """The result of a look-up; if it learned nothing it must say so, and not that an update did not leave."""
    found = channel.look_up(access, updates)
    for outcome in found.values():
        reason = isinstance(outcome, NotYet) and (outcome.problem or outcome.cause or outcome.denial)
        assert not reason, f"give NothingLearned: {outcome}"
    return found


def _is_found(
    channel: Channel,
    access: StoreAccess,
    batch: HandedUpdates,
    outcomes: Mapping[int, Outcome],
    *,
    or_sent_again: bool = False,
) -> None:
    """A look-up finds what was sent, every time, and never says that it must be sent again, unless that is harmless.
    What became of messages can't be looked up: they stay unknown.
    """
    expected: tuple[type, ...] = (Sent, Accepted, Effective, NotYet) if or_sent_again else (Sent, Accepted, Effective)
    if batch[0].kind == MESSAGE:
        expected = (Unknown,)
    asked = []
    for update in batch:
        outcome, begun = outcomes[update.id], batch.attempts[-1] if batch.attempts else None
        asked.append(replace(update, handle=outcome.handle if isinstance(outcome, Sent) else None, begun=begun))
    for _ in range(2):
        found = _looked_up(channel, access, asked)
        assert set(found) == {update.id for update in asked}
        for outcome in found.values():
            assert isinstance(outcome, expected), outcome
        known = {id_: one.handle for id_, one in found.items() if isinstance(one, Sent)}
        asked = [replace(update, handle=known.get(update.id) or update.handle) for update in asked]


def _is_well_formed(order: IncomingOrder) -> None:
    assert order.number
    assert order.created_at.tzinfo is not None
    assert order.updated_at >= order.created_at - timedelta(days=1)
    assert order.status
    assert order.currency is None or len(order.currency) == 3
    assert len({line.number for line in order.lines}) == len(order.lines)
    for line in order.lines:
        assert line.ordered >= 0
        assert line.fulfilled >= 0
        assert all(amount.tax >= 0 and amount.discount >= 0 for amount in line.amounts)

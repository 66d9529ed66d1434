"""Every reason for which a button can be disabled appears in some state, as one sentence in every language."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from datetime import timedelta

import pytest
from sqlalchemy import update

from webapp.audit.actor import Actor
from webapp.billing import corrections, memos, services as billing, transactions
from webapp.billing.refundable import Wish
from webapp.channels.incoming import ChannelStage, FulfilledBy
from webapp.channels.services import ChannelLeftOut
from webapp.clock import now
from webapp.db import db, unit_of_work
from webapp.errors import Refusal
from webapp.fulfillment import canceling, cancellations, correcting, services as shipping, taking_back, unshipping
from webapp.hooks import hooks
from webapp.i18n import force_locale
from webapp.messaging import allowed, answers, reviews, services as messaging
from webapp.orders import addresses, archiving, contract as acts, holds, organizing, services as acting
from webapp.orders.models import Order, OrderLine
from webapp.orders.queries import find_order
from webapp.orders.services import bar, offers
from webapp.returns import services as returns
from webapp.testing import FakeChannel, incoming_line, incoming_order
from webapp.updates import owing, queries as updates
from webapp.updates.models import ChannelUpdate, UpdateState

Take = Callable[..., list[Order]]
MODULES = (
    acts, acting, billing, memos, corrections, transactions, shipping, canceling, cancellations, correcting,
    taking_back, unshipping, holds, organizing, archiving, addresses, updates, owing, returns, messaging, allowed,
    reviews, answers,
)  # fmt: skip
NOT_OF_BUTTONS = {
    acting.KeyReused: "of a form that was sent twice",
    shipping.BuyerWantsCancel: "asked in the form of shipping, which is offered",
    canceling.PartlyShippedWhole: "of the form of canceling, which is offered",
    canceling.WholeOrdersOnly: "of the form of canceling, which is offered",
    billing.NothingOnInvoice: "of the form of invoicing, which is offered",
    billing.TooFewToInvoice: "of the form of invoicing, which is offered",
    memos.NoSuchProposal: "of one memo of several, beside which it stands",
    memos.OwnProposal: "of one memo of several, beside which it stands",
    memos.AboveOwnLimit: "of one memo of several, beside which it stands",
    memos.CorrectionStays: "of one memo of several, beside which it stands",
    memos.ShownInAccounts: "of one memo of several, beside which it stands",
    memos.PlanOutdated: "of one memo of several, beside which it stands",
    memos.NotReversible: "of one memo of several, beside which it stands",
    memos.Reversed: "of one memo of several, beside which it stands",
    corrections.NothingToCorrect: "of one invoice of several, beside which it stands",
    corrections.RefundedNotCorrected: "of one invoice of several, beside which it stands",
    transactions.NotAdoptable: "of one transaction of several, beside which it stands",
    transactions.AdoptedAlready: "of one transaction of several, beside which it stands",
    transactions.StillMatching: "of one transaction of several, beside which it stands",
    transactions.OtherCurrency: "of one transaction of several, beside which it stands",
    cancellations.TooFewLeft: "of the form of canceling, which is offered",
    cancellations.NotAskedAnyMore: "of an update that is sent again",
    correcting.ShippedElsewhere: "of one package of several, beside which it stands",
    correcting.ConfirmedElsewhere: "of one package of several, beside which it stands",
    taking_back.NoConfirmationOwed: "of one package of several, beside which it stands",
    unshipping.UnitsSettled: "of one package of several, beside which it stands",
    unshipping.UnitsAtChannel: "of one package of several, beside which it stands",
    allowed.NothingAllowed: "of the form of a message, which says what is allowed",
    allowed.NotSaid: "of the form of a message, which says what is allowed",
    allowed.NotAnswered: "of the form of a message, which says what is allowed",
    messaging.NotAllowedNow: "of the form of a message, which says what is allowed",
    messaging.NoDocumentsWithIt: "of the form of a message, which says what is allowed",
    messaging.DocumentNeeded: "of the form of a message, which says what is allowed",
    messaging.OnlyByMail: "of the form of a message, which says what is allowed",
    messaging.NothingToAnswer: "of the form of a message, which is opened from an answer",
    messaging.NoKindChosen: "of the form of a message, which says what is allowed",
    reviews.RefundedInFull: "of the rule of a store, which leaves such orders out",
    reviews.HasReturn: "of the rule of a store, which leaves such orders out",
    reviews.NotByItself: "of a request that the rule of a store made before it was switched off",
    reviews.StoppedByHand: "of a request that was stopped, beside which it stands",
    returns.TooManyToReturn: "of the form of a return, which is offered",
    returns.ReturnDecided: "of one return of several, beside which it stands",
    returns.NotOnItsWay: "of one return of several, beside which it stands",
    returns.NothingToInspect: "of one return of several, beside which it stands",
    returns.ReturnEnded: "of one return of several, beside which it stands",
    returns.NothingAccepted: "of one return of several, beside which it stands",
    returns.MoreThanAccepted: "of the form of a refund that is about a return, which offers no more",
    returns.RefundedOutside: "of one return of several, beside which it stands",
}


def reasons() -> set[type[Refusal]]:
    """Every refusal of acts on orders."""
    declared = {
        entry
        for module in MODULES
        for entry in vars(module).values()
        if isinstance(entry, type) and issubclass(entry, Refusal) and entry.__module__ == module.__name__
    }
    return (declared | {ChannelLeftOut}) - set(NOT_OF_BUTTONS)


@pytest.fixture
def mia(make_user: Callable[..., Actor]) -> Actor:
    """A clerk who may cancel."""
    clerk = make_user()
    return replace(clerk, rights=clerk.rights | {"orders.cancel"})


def states(take: Take, mia: Actor) -> Iterator[tuple[Order, Actor]]:
    """Orders in every state in which a button is disabled, and the actors who look at them."""
    pending = {"stage": ChannelStage.AWAITING_PAYMENT, "status": "PENDING"}
    canceled = {"stage": ChannelStage.CANCELED, "status": "CANCELLED"}
    shipped = {"stage": ChannelStage.SHIPPED, "status": "SHIPPED"}
    for told in (
        {},
        pending,
        canceled,
        shipped,
        {"fulfilled_by": FulfilledBy.CHANNEL},
        {"flags": ("label_required",)},
        {"lines": (incoming_line(needs_codes=True),)},
        {"total": None},
        shipped | {"deliver_by": None},
        shipped | {"deliver_by": now() - timedelta(days=31)},
        {"buyer": {"name": "Jane"}},
    ):
        [order] = take(incoming_order(**told))  # type: ignore[arg-type]
        yield order, mia
    [order] = take(incoming_order())
    with unit_of_work():
        coming = {"shipped": OrderLine.ordered, "to_return": OrderLine.ordered}
        db.session.execute(update(OrderLine).where(OrderLine.order_id == order.id).values(coming))
    yield order, mia
    [order] = take(incoming_order(**shipped))  # type: ignore[arg-type]
    for change in (
        {"state": "processing", "on_hold": True},
        {"state": "processing", "on_hold": False, "canceling": True},
        {"state": "complete", "canceling": False, "on_hold": True},
        {"state": "complete", "on_hold": False, "unread": 1},
        {"state": "complete", "unread": 0, "archived_at": now()},
    ):
        with unit_of_work():
            db.session.execute(update(Order).where(Order.id == order.id).values(**change))
        yield order, mia
    [order] = take(incoming_order())
    with unit_of_work():
        billing.issue_invoice(find_order(f"@{order.id}", mia, lock=True), actor=mia)
    yield order, mia
    [order] = take(incoming_order())
    yield order, replace(mia, rights=mia.rights - {"buyers.see"})
    for state in ("closed", "processing"):
        with unit_of_work():
            db.session.execute(update(Order).where(Order.id == order.id).values(state=state))
        yield order, mia
    with unit_of_work():
        package = shipping.PackageInput("DHL", "JD1")
        shipping.ship_order(find_order(f"@{order.id}", mia, lock=True), [package], actor=mia)
    yield order, mia
    with unit_of_work():
        memos.record_refund(find_order(f"@{order.id}", mia, lock=True), Wish(whole=True), "CustomerReturn", actor=mia)
    yield order, mia
    [partly] = take(incoming_order([incoming_line(quantity=2)]))
    with unit_of_work():
        row = find_order(f"@{partly.id}", mia, lock=True)
        shipping.ship_order(row, [shipping.PackageInput("DHL", "JD1", lines={row.lines[0].id: 1})], actor=mia)
        memos.record_refund(row, Wish(whole=True), "CustomerReturn", actor=mia)
    yield partly, mia
    [asked] = take(incoming_order(**shipped, deliver_by=now() - timedelta(days=10)))  # type: ignore[arg-type]
    with unit_of_work():
        reviews.request_review(find_order(f"@{asked.id}", mia, lock=True), actor=mia)
    yield asked, mia
    for sent in (UpdateState.SENT, UpdateState.REFUSED):
        with unit_of_work():
            db.session.execute(update(ChannelUpdate).values(state=sent))
        yield order, mia
    with unit_of_work():
        db.session.execute(update(Order).where(Order.id == order.id).values(number=None))
    yield order, mia


def met_by_lesser_channels(take: Take, mia: Actor, monkeypatch: pytest.MonkeyPatch) -> Mapping[type[Refusal], str]:
    """The reasons of a channel that cancels whole orders only, and of one that cancels nothing."""
    [partly] = take(incoming_order([incoming_line(quantity=2, fulfilled=1)]))
    monkeypatch.setattr(FakeChannel, "cancels_lines", False)
    met = [canceling.cancel_refusal(partly, mia)]
    monkeypatch.setattr(FakeChannel, "kinds", FakeChannel.kinds[:1])
    met.append(canceling.cancel_refusal(partly, mia))
    return {type(refusal): str(refusal) for refusal in met if refusal}


def test_every_reason_stands_on_a_button_in_some_state(take: Take, mia: Actor, monkeypatch: pytest.MonkeyPatch) -> None:
    met: dict[type[Refusal], str] = {}
    for order, actor in states(take, mia):
        db.session.rollback()
        row = find_order(f"@{order.id}", actor)
        offered = offers(row, actor)
        assert offered
        assert {offer.code for offer in bar(offered)} <= {offer.code for offer in offered}
        met |= {type(offer.refusal): str(offer.refusal) for offer in offered if offer.refusal}
    met |= met_by_lesser_channels(take, mia, monkeypatch)
    channel = next(plugin for plugin in hooks.manager.get_plugins() if type(plugin).__name__ == "FakeChannelPlugin")
    hooks.manager.unregister(channel)  # its plugin was left out
    db.session.rollback()
    order = db.session.query(Order).filter_by(state="processing").order_by(Order.id).limit(1).one()
    met |= {type(offer.refusal): str(offer.refusal) for offer in offers(order, mia) if offer.refusal}
    assert {reason.__name__ for reason in reasons() - set(met)} == set()
    assert {reason.__name__ for reason in set(met) - reasons()} == set()
    for sentence in met.values():
        assert sentence.endswith(".")
        assert "%(" not in sentence


@pytest.mark.usefixtures("app")
@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
def test_every_reason_has_its_sentence_in_french() -> None:
    english = {reason: str(reason.sentence) for reason in reasons() | set(NOT_OF_BUTTONS)}
    with force_locale("fr"):
        untold = [reason.__name__ for reason, sentence in english.items() if str(reason.sentence) == sentence]
    assert untold == []

"""Confirming shipments at Amazon, and finding out whether Amazon has them.

A confirmation carries our package number as reference, and sending it again edits that package; so it may be repeated
after a lost answer. Amazon shows the package in its orders minutes later: only then is the update effective.

Each is a call of its own, unless very many wait: those go together, in a feed. What a feed refuses, or does not say
clearly, is confirmed by a call of its own.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from time import monotonic
from typing import Any
from xml.etree import ElementTree as Xml

from plugins.amazon.accounts import Account
from plugins.amazon.client import CONFIRM_SHIPMENT, Client
from plugins.amazon.errors import AnswerLost, RequestRefused, Silent, Unreachable
from plugins.amazon.feeds.messages import BadMessage, text
from webapp.api import (
    Accepted,
    Batch,
    ChannelError,
    Denial,
    Denied,
    DeniedThing,
    Disconnected,
    Effective,
    IncomingOrder,
    IncomingPackage,
    NotCarriedOut,
    NothingLearned,
    NotYet,
    Outcome,
    Refused,
    Sent,
    StoreAccess,
    Throttled,
    Unknown,
    Update,
    UpdateKind,
    lazy_gettext as _l,
    shows_package,
)

CONFIRM = CONFIRM_SHIPMENT.name
KIND = UpdateKind("shipment", _l("Shipment confirmation"), repeatable=True, batch=10, many=500)
OF_FEED = "feed "  # what the handle of a confirmation begins with that went in a feed
VERSION = 1
LATER = 300.0  # seconds until the next try of a shipment that waits until the store is connected again
DENIALS = 3  # after so many orders denied in a row, the operation itself counts as denied
LONGEST = 45.0  # seconds after which the rest of a batch waits for the next one
_AWAY = (Throttled, Disconnected, Unreachable, Silent)  # errors that the next call would most likely have, too
Look = Callable[[StoreAccess, str], IncomingOrder | None]


class ForeignUpdate(ChannelError):
    """An update in a form that this version of the plugin can't read."""

    code = "amazon_foreign_update"
    sentence = _l("This version of the Amazon plugin can't carry out this update (%(kind)s).")


def deliver(client: Client, store: StoreAccess, updates: Sequence[Update], look: Look) -> dict[int, Outcome]:
    """Confirm the shipments; an outcome for each. If a failure would also hit the next calls, the rest waits with
    the same outcome.
    """
    outcomes: dict[int, Outcome] = {}
    waiting: NotYet | None = None
    denied: set[str] = set()
    started = monotonic()
    for update in updates:
        if waiting is None and monotonic() - started > LONGEST:
            waiting = NotYet(1)
        outcomes[update.id] = outcome = waiting or _confirm(client, store, update, look)
        if not isinstance(outcome, NotYet):
            denied.clear()
        elif outcome.denial is None:
            waiting = outcome
        else:
            denied.add(update.order_number)
            if len(denied) == DENIALS:
                waiting = replace(outcome, denial=replace(outcome.denial, thing=DeniedThing.OPERATION, name=CONFIRM))
                outcomes[update.id] = waiting
    return outcomes


def message(update: Update) -> Xml.Element:
    """The message of a confirmation in a feed; raises `BadMessage`."""
    try:
        package, lines = update.payload["package"], _lines(update)
        body = Xml.Element("OrderFulfillment")
        text(body, "AmazonOrderID", update.order_number)
        text(body, "MerchantFulfillmentID", update.reference)
        text(body, "FulfillmentDate", package["shipped_at"])
        data = Xml.SubElement(body, "FulfillmentData")
        name = package.get("carrier_name")
        text(data, "CarrierName" if name else "CarrierCode", name or package["carrier"])
        if package.get("service"):
            text(data, "ShippingMethod", package["service"])
        text(data, "ShipperTrackingNumber", package["tracking_number"])
        for line, units in lines.items():
            item = Xml.SubElement(body, "Item")
            text(item, "AmazonOrderItemCode", line)
            text(item, "Quantity", str(units))
    except (KeyError, TypeError, AttributeError):  # not the structure of this version
        raise BadMessage(field="OrderFulfillment") from None
    return body


def together(updates: Batch, submit: Callable[[], dict[int, Outcome]]) -> dict[int, Outcome] | None:
    """The outcomes of confirmations that are submitted as a feed; None if they are too few for one, or if Amazon takes
    no feed now.
    """
    if len(updates) <= KIND.batch:
        return None
    outcomes = submit()
    if any(isinstance(one, NotYet) and one.cause for one in outcomes.values()):
        return None
    return {id_: Sent(OF_FEED + str(one.handle)) if isinstance(one, Sent) else one for id_, one in outcomes.items()}


def of_feeds(
    updates: Sequence[Update], learn: Callable[[str, Sequence[Update]], Mapping[int, Outcome]]
) -> dict[int, Outcome]:
    """What the feeds of these confirmations say that is still under way, or was accepted; others are looked up one by
    one.
    """
    outcomes: dict[int, Outcome] = {}
    for handle in dict.fromkeys(one.handle for one in updates if not one.accepted and one.handle):
        if not handle.startswith(OF_FEED):
            continue
        group = [one for one in updates if one.handle == handle and not one.accepted]
        for id_, outcome in learn(handle.removeprefix(OF_FEED), group).items():
            if isinstance(outcome, (Sent, Accepted, NothingLearned)):
                outcomes[id_] = Sent(handle) if isinstance(outcome, Sent) else outcome
    return outcomes


def look_up(store: StoreAccess, updates: Sequence[Update], look: Look) -> dict[int, Outcome]:
    """An outcome for each update, with one reading per order.

    A package that is not shown yet stays sent if Amazon accepted it (it has a handle), and is sent again if the answer
    was lost: that does no harm, and is quicker than waiting.
    """
    outcomes: dict[int, Outcome] = {}
    orders: dict[str, IncomingOrder | None] = {}
    away: NothingLearned | None = None
    for update in updates:
        if away:
            outcomes[update.id] = away
            continue
        try:
            if update.order_number not in orders:
                orders[update.order_number] = look(store, update.order_number)
        except ChannelError as error:  # nothing was learned: the update stays as it is until the next lookup
            outcomes[update.id] = unseen = NothingLearned(*_reason(error, update))
            if isinstance(error, _AWAY):
                away = unseen
            continue
        order = orders[update.order_number]
        seen = order and (_shown(order, update) or _done_elsewhere(order, update))
        outcomes[update.id] = seen or _unseen(update)
    return outcomes


def _unseen(update: Update) -> Outcome:
    """The outcome of a confirmation that its order does not show. One whose feed did not carry it out is confirmed by
    a call of its own, which says why if Amazon refuses it.
    """
    if update.accepted:
        return Accepted()
    if update.handle is None:
        return NotYet(0)
    return NotCarriedOut(1) if update.handle.startswith(OF_FEED) else Sent(update.handle)


def confirmation(update: Update) -> dict[str, Any]:
    """The body of a confirmShipment call."""
    package = update.payload["package"]
    detail: dict[str, Any] = {
        "packageReferenceId": update.reference,
        "carrierCode": package["carrier"],
        "trackingNumber": package["tracking_number"],
        "shipDate": package["shipped_at"],
        "orderItems": [{"orderItemId": line, "quantity": units} for line, units in update.payload["lines"].items()],
    }
    for theirs, ours in (("carrierName", "carrier_name"), ("shippingMethod", "service")):
        if package.get(ours):
            detail[theirs] = package[ours]
    return {"marketplaceId": update.marketplace, "packageDetail": detail}


def _confirm(client: Client, store: StoreAccess, update: Update, look: Look) -> Outcome:
    if update.kind != KIND.code or update.payload.get("version") != VERSION:
        return _not_ours(update)
    try:
        body = confirmation(update)
    except (KeyError, TypeError, AttributeError):  # not the structure of this version
        return _not_ours(update)
    try:
        path = {"order": update.order_number}
        answer = client.request(Account.of(store), CONFIRM_SHIPMENT, path=path, json=body, updates=[update.id])
    except RequestRefused as error:
        return _after_refusal(store, update, error, look)
    except AnswerLost as error:
        return Unknown(str(error))
    except ChannelError as error:  # no effect: throttled, unreachable, or the store must be connected again
        return NotYet(*_reason(error, update))
    return Sent(answer.request_id or "taken")


def _not_ours(update: Update) -> Refused:
    error = ForeignUpdate(kind=update.kind)
    return Refused(str(error), error.stored())


def _after_refusal(store: StoreAccess, update: Update, error: RequestRefused, look: Look) -> Outcome:
    """The outcome after Amazon refused. It also refuses packages that it already has, from us or others, so the
    order is read first.
    """
    try:
        order = look(store, update.order_number)
    except ChannelError as later:
        return Unknown(str(later))
    done = order and (_shown(order, update) or _done_elsewhere(order, update))
    return done or Refused(str(error.values["problem"]))


def _reason(error: ChannelError, update: Update) -> tuple[float, str, Mapping[str, Any], Denial | None]:
    """Seconds until another try, and its reason, in the fields that `NotYet` and `NothingLearned` share."""
    seconds = LATER if error.retry_after is None else error.retry_after
    denied = Denial(DeniedThing.ORDER, update.order_number, error.stored()) if isinstance(error, Denied) else None
    return seconds, "", error.stored(), denied


def _shown(order: IncomingOrder, update: Update) -> Effective | None:
    """The effect, if the order shows the package: our tracking number, under our reference or another, with our
    units. A correction edits the package of our reference, which may show what was confirmed before.
    """
    if update.revision > 1:
        ours = _ours(order, update)
        taken = update.handle is not None
        return Effective() if ours is not None and shows_package(ours, update.payload, taken=taken) else None
    tracking = _plain(update.payload["package"]["tracking_number"])
    for package in order.packages:
        if _plain(package.tracking_number) == tracking and _holds(package, update):
            return Effective()
    return None


def _ours(order: IncomingOrder, update: Update) -> IncomingPackage | None:
    return next((package for package in order.packages if package.number == update.reference), None)


def _holds(package: IncomingPackage, update: Update) -> bool:
    if not package.lines:  # Amazon does not always list the content
        return package.number == update.reference
    return all(package.lines.get(line, 0) >= units for line, units in _lines(update).items())


def _done_elsewhere(order: IncomingOrder, update: Update) -> Effective | None:
    """The effect, if packages of others have the units, and no units are left for ours, which Amazon does not list."""
    earlier = {_plain(one["tracking_number"]) for one in update.payload.get("earlier") or ()}
    if _ours(order, update) is not None or any(_plain(one.tracking_number) in earlier for one in order.packages):
        return None
    left = {line.number: line.unfulfilled for line in order.lines}
    packed: dict[str, int] = {}
    for package in order.packages:
        if package.number != update.reference:
            for line, units in package.lines.items():
                packed[line] = packed.get(line, 0) + units
    lines = _lines(update)
    covered = all(packed.get(line, 0) >= units for line, units in lines.items())
    if lines and covered and all(left.get(line) == 0 for line in lines):
        return Effective(done_elsewhere=True)
    return None


def _lines(update: Update) -> Mapping[str, int]:
    lines: Mapping[str, int] = update.payload["lines"]
    return lines


def _plain(tracking_number: str) -> str:
    return "".join(tracking_number.split()).upper()

"""Telling Amazon that goods have left, and finding out whether it knows.

A confirmation carries our package number as reference, and sending it again edits that package; so it may be repeated
after a lost answer. Amazon shows the package in its orders minutes later: only that reading makes it effective.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from time import monotonic
from typing import Any

from plugins.amazon.accounts import Account
from plugins.amazon.client import CONFIRM_SHIPMENT, Client
from plugins.amazon.errors import AnswerLost, RequestRefused, Silent, Unreachable
from webapp.api import (
    ChannelError,
    Denial,
    Denied,
    DeniedThing,
    Disconnected,
    Effective,
    IncomingOrder,
    IncomingPackage,
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
)

CONFIRM = CONFIRM_SHIPMENT.name
KIND = UpdateKind("shipment", _l("Shipment confirmation"), repeatable=True, batch=10)
VERSION = 1
LATER = 300.0  # seconds until a shipment is tried again that waits for the store to be connected again
DENIALS = 3  # orders denied one after another: then it is the operation that is denied
LONGEST = 45.0  # seconds after which the rest of a batch waits for the next
_AWAY = (Throttled, Disconnected, Unreachable, Silent)  # what meets the next call just as well
Look = Callable[[StoreAccess, str], IncomingOrder | None]


class ForeignUpdate(ChannelError):
    """An update that this version of the plugin can't read."""

    code = "amazon_foreign_update"
    sentence = _l("This version of the Amazon plugin can't carry out this update (%(kind)s).")


def deliver(client: Client, store: StoreAccess, updates: Sequence[Update], look: Look) -> dict[int, Outcome]:
    """An outcome for each; what can't be tried now because of one waits as that one does."""
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


def look_up(store: StoreAccess, updates: Sequence[Update], look: Look) -> dict[int, Outcome]:
    """An outcome for each, with one reading per order.

    A package that is not there yet stays sent where Amazon took it (it has a handle), and is sent again where the
    answer was lost: that is harmless, and quicker than waiting.
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
        except ChannelError as error:  # nothing was learned: it stays as it is until the next look
            outcomes[update.id] = unseen = NothingLearned(*_reason(error, update))
            if isinstance(error, _AWAY):
                away = unseen
            continue
        order = orders[update.order_number]
        seen = order and (_shown(order, update) or _done_elsewhere(order, update))
        outcomes[update.id] = seen or (Sent(update.handle) if update.handle else NotYet(0))
    return outcomes


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
    except (KeyError, TypeError, AttributeError):  # not the shape of this version, whatever it says
        return _not_ours(update)
    try:
        answer = client.request(Account.of(store), CONFIRM_SHIPMENT, path={"order": update.order_number}, json=body)
    except RequestRefused as error:
        return _after_refusal(store, update, error, look)
    except AnswerLost as error:
        return Unknown(str(error))
    except ChannelError as error:  # nothing has happened: throttled, unreachable, or the store must be connected again
        return NotYet(*_reason(error, update))
    return Sent(answer.request_id or "taken")


def _not_ours(update: Update) -> Refused:
    error = ForeignUpdate(kind=update.kind)
    return Refused(str(error), error.stored())


def _after_refusal(store: StoreAccess, update: Update, error: RequestRefused, look: Look) -> Outcome:
    """Amazon also refuses what it already has, from us or from elsewhere, so the order is read before its no counts."""
    try:
        order = look(store, update.order_number)
    except ChannelError as later:
        return Unknown(str(later))
    done = order and (_shown(order, update) or _done_elsewhere(order, update))
    return done or Refused(str(error.values["problem"]))


def _reason(error: ChannelError, update: Update) -> tuple[float, str, Mapping[str, Any], Denial | None]:
    """After how many seconds it is worth another try, and why: as both `NotYet` and `NothingLearned` say it."""
    seconds = LATER if error.retry_after is None else error.retry_after
    denied = Denial(DeniedThing.ORDER, update.order_number, error.stored()) if isinstance(error, Denied) else None
    return seconds, "", error.stored(), denied


def _shown(order: IncomingOrder, update: Update) -> Effective | None:
    """The package is there: our tracking number, by our reference or another, with our units."""
    tracking = _plain(update.payload["package"]["tracking_number"])
    for package in order.packages:
        if _plain(package.tracking_number) == tracking and _holds(package, update):
            return Effective()
    return None


def _holds(package: IncomingPackage, update: Update) -> bool:
    if not package.lines:  # Amazon does not always list what is inside
        return package.number == update.reference
    return all(package.lines.get(line, 0) >= units for line, units in _lines(update).items())


def _done_elsewhere(order: IncomingOrder, update: Update) -> Effective | None:
    """Packages of others hold the units, and none is left for ours."""
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

"""The states of a return, and the acts that move it: both follow from the units of its lines and from two times, the
decision and the closing. No act sets a state.
"""

from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from enum import StrEnum
from typing import Protocol

from webapp.i18n import LazyString, lazy_pgettext


class ReturnState(StrEnum):
    REQUESTED = "requested"
    AUTHORIZED = "authorized"
    PARTLY_AUTHORIZED = "partly_authorized"
    DENIED = "denied"
    PARTLY_RECEIVED = "partly_received"
    RECEIVED = "received"
    ACCEPTED = "accepted"
    REJECTED = "rejected"
    CLOSED = "closed"


STATE_LABELS: Mapping[str, LazyString] = {
    ReturnState.REQUESTED: lazy_pgettext("return", "Requested"),
    ReturnState.AUTHORIZED: lazy_pgettext("return", "Authorized"),
    ReturnState.PARTLY_AUTHORIZED: lazy_pgettext("return", "Partly authorized"),
    ReturnState.DENIED: lazy_pgettext("return", "Denied"),
    ReturnState.PARTLY_RECEIVED: lazy_pgettext("return", "Partly received"),
    ReturnState.RECEIVED: lazy_pgettext("return", "Received"),
    ReturnState.ACCEPTED: lazy_pgettext("return", "Accepted"),
    ReturnState.REJECTED: lazy_pgettext("return", "Rejected"),
    ReturnState.CLOSED: lazy_pgettext("return", "Closed"),
}
STATE_TONES: Mapping[str, str] = {
    ReturnState.REQUESTED: "warn",
    ReturnState.AUTHORIZED: "waits",
    ReturnState.PARTLY_AUTHORIZED: "waits",
    ReturnState.DENIED: "gone",
    ReturnState.PARTLY_RECEIVED: "info",
    ReturnState.RECEIVED: "info",
    ReturnState.ACCEPTED: "good",
    ReturnState.REJECTED: "bad",
    ReturnState.CLOSED: "calm",
}


class Counts(Protocol):
    """The units of a line of a return."""

    asked: int
    authorized: int
    received: int
    accepted: int
    rejected: int


def state_of(lines: Iterable[Counts], *, decided_at: datetime | None, closed_at: datetime | None) -> ReturnState:
    """The state that follows from the units of all lines."""
    lines = list(lines)
    asked, authorized, received, accepted, rejected = (
        sum(getattr(line, name) for line in lines)
        for name in ("asked", "authorized", "received", "accepted", "rejected")
    )
    if closed_at is not None:
        return ReturnState.CLOSED
    if decided_at is None:
        return ReturnState.REQUESTED
    if not authorized:
        return ReturnState.DENIED
    if not received:
        return ReturnState.AUTHORIZED if authorized == asked else ReturnState.PARTLY_AUTHORIZED
    if received < authorized:
        return ReturnState.PARTLY_RECEIVED
    if accepted + rejected < received:
        return ReturnState.RECEIVED
    return ReturnState.ACCEPTED if accepted else ReturnState.REJECTED


DECIDE, RECEIVE, INSPECT = "decide", "receive", "inspect"
# By step: the states in which it is possible, and the units of a line with which it is done.
STEPS: Mapping[str, tuple[frozenset[ReturnState], Callable[[Counts], int]]] = {
    DECIDE: (frozenset({ReturnState.REQUESTED}), lambda line: line.asked),
    RECEIVE: (
        frozenset({ReturnState.AUTHORIZED, ReturnState.PARTLY_AUTHORIZED, ReturnState.PARTLY_RECEIVED}),
        lambda line: line.authorized - line.received,
    ),
    INSPECT: (
        frozenset({ReturnState.PARTLY_RECEIVED, ReturnState.RECEIVED}),
        lambda line: line.received - line.accepted - line.rejected,
    ),
}
ENDED = frozenset({ReturnState.DENIED, ReturnState.CLOSED})


def awaited(line: Counts, state: str) -> int:
    """The units of a line that are asked for or authorized, and are not here yet: nothing else can ask for them."""
    if state in ENDED:
        return 0
    return line.asked if state == ReturnState.REQUESTED else line.authorized - line.received

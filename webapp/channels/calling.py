"""Reporting the calls of a channel for the communication log: when each began, how long it took, and how it ended."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from time import monotonic

from webapp.channels.connecting import Call, CallOutcome, ChannelError
from webapp.clock import now
from webapp.errors import DeskError


@dataclass(slots=True)
class Calling:
    """A call while it is made. Without a try nothing was called, and nothing is reported."""

    tries: int = 0
    at: datetime | None = None
    seconds: float = 0.0
    status: int | None = None
    request_id: str = ""
    detail: str = ""

    @contextmanager
    def sending(self) -> Iterator[None]:
        """One try, from sending the request until its answer is there; only this time is counted."""
        self.tries += 1
        self.at = self.at or now()
        self.answered(None)
        began = monotonic()
        try:
            yield
        finally:
            self.seconds += monotonic() - began

    def answered(self, status: int | None, *, request_id: str = "", detail: str = "") -> None:
        """Note what the last try ended with; the last one counts."""
        self.status, self.request_id, self.detail = status, request_id, detail


@contextmanager
def calling(
    report: Callable[[Call], None],
    operation: str,
    *,
    orders: Sequence[str] = (),
    updates: Sequence[int] = (),
    writes: bool = False,
) -> Iterator[Calling]:
    """Report the call that is made in this block, however the block ends; see `Call` for the arguments.

    The outcome is that of the `ChannelError` that the block raises. Any other error means that the answer is lost if
    the call `writes`, or else that the call failed. Example::

        with calling(store.report, "getOrder", orders=[number]) as made:
            with made.sending():
                answer = http.get(f"/orders/{number}")
            made.answered(answer.status_code)
    """
    made = Calling()
    ended: BaseException | None = None
    try:
        yield made
    except BaseException as error:
        ended = error
        raise
    finally:
        if made.at is not None:
            report(
                Call(
                    operation=operation,
                    outcome=_outcome(ended, writes=writes),
                    at=made.at,
                    seconds=made.seconds,
                    status=made.status,
                    request_id=made.request_id,
                    tries=made.tries,
                    problem=ended.code if isinstance(ended, DeskError) else "",
                    detail=made.detail,
                    orders=tuple(orders),
                    updates=tuple(updates),
                )
            )


def _outcome(ended: BaseException | None, *, writes: bool) -> CallOutcome:
    if isinstance(ended, ChannelError):
        return ended.outcome
    if ended is None:
        return CallOutcome.OK
    return CallOutcome.LOST if writes else CallOutcome.FAILED

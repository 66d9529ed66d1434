"""Request a review of an order, which its channel asks the buyer for in its own words; stop a request."""

from collections.abc import Mapping, Sequence
from typing import Annotated, Any

from webapp.api import (
    ActionInput,
    Actor,
    FormField,
    Kind,
    NothingToStop,
    Order,
    OrderAction,
    PartAction,
    Place,
    Preview,
    Refusal,
    any_review_stoppable,
    lazy_gettext as _l,
    ngettext,
    preview_review_request,
    request_review,
    review_refusal,
    stop_review,
    stop_review_refusal,
)


class RequestReview(OrderAction):
    """Have the channel ask the buyer for a review; the request waits a moment before it leaves."""

    code, label, right, bulk, icon = "request_review", _l("Request review"), "messages.send", True, "message"
    previews = True

    def doing(self, count: int) -> str:
        return str(
            ngettext(
                "The review of %(num)s order is being requested.",
                "The reviews of %(num)s orders are being requested.",
                count,
            )
        )

    def done(self, count: int) -> str:
        return str(ngettext("%(num)s review requested", "%(num)s reviews requested", count))

    def refusal(self, order: Order, actor: Actor) -> Refusal | None:
        return review_refusal(order, actor)

    def perform(self, order: Order, data: ActionInput, actor: Actor) -> None:
        request_review(order, actor=actor)

    def dry_run(self, order: Order, data: ActionInput, actor: Actor) -> Preview:
        return preview_review_request(order, actor)

    def undo_in_run(self, since: int, version: int) -> tuple[str, Mapping[str, Any]]:
        return StopReview.code, {}

    def run_undoable(self, order_ids: Sequence[int]) -> bool:
        return any_review_stoppable(order_ids)

    def for_version(self, data: ActionInput) -> bool:
        return False  # whatever changed on the order, its refusal says whether a review can be requested


class StopInput(ActionInput):
    """An order has one review request, which is number 1."""

    review: Annotated[int, FormField(_l("Review request"), Kind.FIXED)] = 1


class StopReview(PartAction):
    """Undo a review request before it leaves, or have the store's rule request none."""

    code, label, right, bulk, icon = "stop_review", _l("Stop review request"), "messages.send", True, "player-pause"
    place, about, Input, nothing = Place.MESSAGES, "review", StopInput, NothingToStop

    def done(self, count: int) -> str:
        return str(ngettext("%(num)s review request stopped", "%(num)s review requests stopped", count))

    def refusals(self, order: Order, actor: Actor) -> Mapping[int, Refusal | None]:
        return {1: stop_review_refusal(order, actor)}

    def perform(self, order: Order, data: StopInput, actor: Actor) -> None:
        stop_review(order, actor=actor)

    def for_version(self, data: StopInput) -> bool:
        return False

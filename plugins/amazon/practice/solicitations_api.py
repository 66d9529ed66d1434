"""Amazon's paths of the Solicitations API v1."""

from typing import Final

from flask import Blueprint, Response

from plugins.amazon.practice.api import Answer, ApiError, Call, met, order_of_call
from plugins.amazon.practice.solicitations import ACTION, refusal

PATH: Final = "/solicitations/v1/orders/<order_id>"
REQUEST: Final = "createProductReviewAndSellerFeedbackSolicitation"


def blueprint(region: str | None) -> Blueprint:
    """The Solicitations API for one region's host, or for any."""
    paths = Blueprint(f"solicitations_{region or 'any'}", __name__, url_prefix=f"/{region}" if region else None)

    @paths.get(PATH)
    def get_solicitation_actions(order_id: str) -> Response:
        return met("getSolicitationActionsForOrder", region, lambda call: _actions(call, order_id), orderId=order_id)

    @paths.post(f"{PATH}/solicitations/{ACTION}")
    def request_review(order_id: str) -> Response:
        return met(REQUEST, region, lambda call: _request(call, order_id), orderId=order_id)

    return paths


def _actions(call: Call, order_id: str) -> Answer:
    _check_role(call)
    at = call.now_ms - call.stale_ms
    fate = order_of_call(call, order_id, at)
    requested = any(one["at_ms"] <= at for one in call.practice.store.requested(order_id))
    path, query = f"/solicitations/v1/orders/{order_id}", f"?marketplaceIds={fate.order.market.id}"
    link = {"href": f"{path}/solicitations/{ACTION}{query}", "name": ACTION}
    links = [] if refusal(fate, call.now_ms, requested=requested) else [link]
    return {
        "_links": {"self": {"href": path + query}, "actions": links},
        "_embedded": {"actions": [{"_links": {"self": one}, "payload": {"name": ACTION}} for one in links]},
    }, 200


def _request(call: Call, order_id: str) -> Answer:
    _check_role(call)
    practice = call.practice
    with practice.alone() as now:
        fate = order_of_call(call, order_id, now)
        why = refusal(fate, now, requested=bool(practice.store.requested(order_id)))
        status, effect = (403, "refused") if why else (201, "solicited")
        practice.store.tell(now, order_id, REQUEST, status, effect, why, {"kind": ACTION})
    if why:
        raise ApiError(403, why)
    return {}, 201


def _check_role(call: Call) -> None:
    if call.practice.settings.lacks_solicitation:
        raise ApiError(403)

"""Amazon's paths of the Messaging API v1."""

from dataclasses import asdict
from typing import Any, Final

from flask import Blueprint, Response, request

from plugins.amazon.practice.answering import answer_later
from plugins.amazon.practice.api import Answer, ApiError, Call, met, order_of_call
from plugins.amazon.practice.attachments import FEWEST, MOST, TAKEN_BY, BadAttachment, read_attachments
from plugins.amazon.practice.fates import Fate
from plugins.amazon.practice.messaging import LONGEST, OF_FILES, BadText, allowed, read_text

PATH: Final = "/messaging/v1/orders/<order_id>"
NOT_FOR_ORDER: Final = "Invalid amazonOrderId and template combination."  # as sellers report it


def blueprint(region: str | None) -> Blueprint:
    """The Messaging API for one region's host, or for any."""
    paths = Blueprint(f"messaging_{region or 'any'}", __name__, url_prefix=f"/{region}" if region else None)

    @paths.get(PATH)
    def get_messaging_actions(order_id: str) -> Response:
        return met("getMessagingActionsForOrder", region, lambda call: _actions(call, order_id), orderId=order_id)

    @paths.get(f"{PATH}/attributes")
    def get_attributes(order_id: str) -> Response:
        return met("GetAttributes", region, lambda call: _attributes(call, order_id), orderId=order_id)

    @paths.post(f"{PATH}/messages/<any({', '.join((*LONGEST, *OF_FILES))}):kind>")
    def send_message(order_id: str, kind: str) -> Response:
        return met("sendMessage", region, lambda call: _send(call, order_id, kind), orderId=order_id, kind=kind)

    return paths


def _actions(call: Call, order_id: str) -> Answer:
    fate = order_of_message(call, order_id, call.now_ms - call.stale_ms)
    path, query = f"/messaging/v1/orders/{order_id}", f"?marketplaceIds={fate.order.market.id}"
    found = [{"href": f"{path}/messages/{kind}{query}", "name": kind} for kind in allowed(fate, call.now_ms)]
    attributes = {"href": f"{path}/attributes{query}", "name": "attributes"}
    return {
        "_links": {"self": {"href": path + query}, "actions": [*found, attributes]},
        "_embedded": {"actions": [_embedded(link) for link in found]},
    }, 200


def _attributes(call: Call, order_id: str) -> Answer:
    fate = order_of_message(call, order_id, call.now_ms - call.stale_ms)
    return {"buyer": {"locale": fate.order.market.language.replace("_", "-")}}, 200


def _embedded(link: dict[str, str]) -> dict[str, Any]:
    """What is said about an action beside its link: the schema of its message."""
    schema = {"href": f"{link['href'].partition('?')[0]}/schema", "name": link["name"]}
    text = {"type": "string", "minLength": 1, "maxLength": LONGEST.get(link["name"])}
    properties: dict[str, Any] = {"text": text} if link["name"] in LONGEST else {}
    if link["name"] in TAKEN_BY:
        properties["attachments"] = {"type": "array", "minItems": FEWEST[link["name"]], "maxItems": MOST}
    payload = {"$schema": "http://json-schema.org/draft-04/schema", "type": "object", "properties": properties}
    return {
        "_links": {"self": link, "schema": schema},
        "_embedded": {"schema": {"_links": {"self": schema}, "payload": payload}},
        "payload": {"name": link["name"]},
    }


def _send(call: Call, order_id: str, kind: str) -> Answer:
    if not request.is_json:
        raise ApiError(415, "Content-Type must be application/json.", code="UnsupportedMediaType")
    practice = call.practice
    with practice.alone() as now:
        fate, error = order_of_message(call, order_id, now), None
        said: dict[str, Any] = {"kind": kind}
        try:
            body, find = request.get_json(silent=True), practice.store.attachment
            text = read_text(kind, body)
            files = [asdict(one) for one in read_attachments(kind, body, find, call.seller, order_id)]
        except (BadText, BadAttachment) as bad:
            error = ApiError(400, str(bad))
        else:
            if kind in allowed(fate, now):
                said |= {"text": text, "files": files}
                practice.store.tell(now, order_id, "sendMessage", 201, "messaged", "", said)
                answer_later(practice, now, order_id=order_id)
                return {}, 201
            error = ApiError(403, NOT_FOR_ORDER)
        practice.store.tell(now, order_id, "sendMessage", error.status, "refused", str(error), said)
    raise error


def order_of_message(call: Call, order_id: str, at_ms: int) -> Fate:
    """The order of a call that the application may make: about messages, or their files."""
    if call.practice.settings.lacks_communication:
        raise ApiError(403)
    return order_of_call(call, order_id, at_ms)

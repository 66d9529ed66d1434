"""Amazon's own paths: Login with Amazon, Orders, Sellers. Nothing here behaves as a simulator.

The paths are served without a prefix, for any region, and under /na, /eu and /fe, which accept their own sellers only.
"""

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from secrets import token_hex
from typing import Any, Final

from flask import Blueprint, Response, current_app, g, request

from plugins.amazon.practice import tokens, vat_invoices
from plugins.amazon.practice.answers import SETS, answer, iso, without_personal
from plugins.amazon.practice.composing import STATUSES
from plugins.amazon.practice.confirming import Refused, confirm
from plugins.amazon.practice.fates import Fate
from plugins.amazon.practice.faults import Fault
from plugins.amazon.practice.marketplaces import BY_ID, MARKETPLACES, REGIONS, SELLERS, participations
from plugins.amazon.practice.practice import Practice
from plugins.amazon.practice.search import Query, search
from plugins.amazon.practice.throttle import applied_rate

PAGE_TOKEN_LIFE_MS: Final = 24 * 3600 * 1000
HELD_BY_TOKEN: Final = (
    "createdAfter", "createdBefore", "lastUpdatedAfter", "lastUpdatedBefore", "marketplaceIds", "fulfillmentStatuses",
    "fulfilledBy",
)  # fmt: skip
HTML_503: Final = "<html><head><title>503 Service Temporarily Unavailable</title></head><body>503</body></html>\n"
INVALID: Final = "The input you have submitted is not valid. Please check your input and try again."
MESSAGES: Final = {
    400: ("InvalidInput", INVALID),
    403: ("Unauthorized", "Access to requested resource is denied."),
    404: ("NotFound", "The requested resource does not exist."),
    429: ("QuotaExceeded", "You exceeded your quota for the requested resource."),
    500: ("InternalFailure", "We encountered an internal error. Please try again."),
}
DENIED: Final = {
    "marketplace": "Access to marketplace {marketplace} is denied.",
    "marketplace_unnamed": "",
    "dataset_denied": "The application is not authorized for the included data {dataset}.",
    "dataset_denied_unnamed": "",
}
OF_OTHER_ROLES: Final = frozenset(
    {
        "getMarketplaceParticipations",
        "listTransactions",
        "GetAttributes",
        "getMessagingActionsForOrder",
        "sendMessage",
        "createUploadDestination",
        "getSolicitationActionsForOrder",
        "createProductReviewAndSellerFeedbackSolicitation",
    }
)
Answer = tuple[dict[str, Any] | None, int]


class ApiError(Exception):
    """An answer in Amazon's error form."""

    def __init__(self, status: int, message: str | None = None, *, code: str | None = None, details: str = "") -> None:
        super().__init__(message)
        self.status = status
        self.body = {
            "errors": [
                {"code": code or MESSAGES[status][0], "message": message or MESSAGES[status][1], "details": details}
            ]
        }


@dataclass(frozen=True)
class Call:
    """An authorized call: its seller, its fault if there is one, and its moment."""

    practice: Practice
    region: str
    fault: Fault | None
    now_ms: int

    @property
    def seller(self) -> str:
        """The id of its seller."""
        return SELLERS[self.region]

    @property
    def stale_ms(self) -> int:
        """The age of this answer's data, if it lags on purpose, in ms."""
        return int(self.fault.seconds * 1000) if self.fault and self.fault.kind == "stale" else 0


def blueprint(region: str | None) -> Blueprint:
    """Amazon's paths for one region's host, or for any."""
    paths = Blueprint(f"amazon_{region or 'any'}", __name__, url_prefix=f"/{region}" if region else None)

    @paths.post("/auth/o2/token")
    def token() -> Response:
        return met("token", None, lambda call: _token(call.practice))

    @paths.get("/orders/2026-01-01/orders")
    def search_orders() -> Response:
        return met("searchOrders", region, _search)

    @paths.get("/orders/2026-01-01/orders/<order_id>")
    def get_order(order_id: str) -> Response:
        return met("getOrder", region, lambda call: _get(call, order_id), orderId=order_id)

    @paths.post("/orders/v0/orders/<order_id>/shipmentConfirmation")
    def confirm_shipment(order_id: str) -> Response:
        return met("confirmShipment", region, lambda call: _confirm(call, order_id), orderId=order_id)

    @paths.get("/sellers/v1/marketplaceParticipations")
    def marketplace_participations() -> Response:
        return met("getMarketplaceParticipations", region, _participations)

    return paths


def the_practice() -> Practice:
    """The practice Amazon that this application serves."""
    practice: Practice = current_app.extensions["practice"]
    return practice


def met(operation: str, host: str | None, work: Callable[[Call], Answer], **ids: str) -> Response:
    """Answer one call: record it with the ids of its path, authorize, throttle, apply its fault, do it."""
    practice = the_practice()
    number = practice.store.call(practice.now_ms(), operation, None, _params(ids))
    g.seller = g.fault = None
    try:
        response = _respond(practice, operation, host, work, ids.get("orderId", ""))
    except ConnectionAbortedError:
        practice.store.answered(number, g.seller, None, "drop")
        raise
    practice.store.answered(number, g.seller, response.status_code, g.fault)
    return response


def _respond(
    practice: Practice, operation: str, host: str | None, work: Callable[[Call], Answer], order_id: str
) -> Response:
    fault = None
    try:
        region = "" if operation == "token" else _authorize(practice, operation, host)
        fault = _fault(practice, operation, order_id)
        if fault and fault.kind == "slow":
            practice.wait(fault.seconds)
        if fault and fault.when == "before" and (broken := _broken(fault)) is not None:
            return broken
        body, status = work(Call(practice, region, fault, practice.catch_up()))
    except ApiError as error:
        body, status = error.body, error.status
    if fault and fault.when == "after" and (broken := _broken(fault)) is not None:
        return broken
    text = "" if body is None else json.dumps(body, ensure_ascii=False)
    if fault and fault.kind == "garbage":
        text, status = text[: len(text) // 2] or '{"orders": [', status if status in (201, 202) else 200
    response = Response(text, status, content_type="application/json" if text else None)
    if operation != "token" and status in (200, 201, 202, 204, 400, 404):
        response.headers["x-amzn-RateLimit-Limit"] = applied_rate(_bucket(operation), practice.settings.rates)
    response.headers["x-amzn-RequestId"] = token_hex(8)
    return response


def _fault(practice: Practice, operation: str, order_id: str) -> Fault | None:
    """The fault of this authorized call, if there is one."""
    asked, searched = request.args, set[str]()
    if operation in ("searchOrders", "getFeeds"):
        everywhere = ",".join(market.id for market in MARKETPLACES.values() if SELLERS[market.region] == g.seller)
        searched = set((asked.get("marketplaceIds") or everywhere).split(","))
    elif operation == "createFeed" and isinstance(body := request.get_json(silent=True), dict):
        searched = {str(id) for id in body.get("marketplaceIds") or ()}
    fault = practice.faults.next(
        operation,
        order_id=order_id,
        sets=asked.get("includedData", ""),
        paged="paginationToken" in asked or "nextToken" in asked,
        searched=searched,
        changes="lastUpdatedAfter" in asked,
    )
    g.fault = fault.kind if fault else None
    return fault


def _broken(fault: Fault) -> Response | None:
    """The answer that a fault gives instead; a dropped connection is raised."""
    if fault.kind == "drop":
        raise ConnectionAbortedError("dropped on purpose")
    if fault.kind == "503":
        response = Response(HTML_503, 503, content_type="text/html")
    elif fault.kind == "expired":
        error = ApiError(403, details="The access token you provided has expired.")
        response = Response(json.dumps(error.body), 403, content_type="application/json")
    elif fault.kind in tokens.REFUSALS:
        refusal = tokens.REFUSALS[fault.kind]
        text = json.dumps({"error": refusal.code, "error_description": refusal.description})
        response = Response(text, refusal.status, content_type="application/json")
    elif fault.kind in DENIED:
        details = DENIED[fault.kind].format(dataset=fault.dataset, marketplace=_id_of(fault.marketplace))
        response = Response(json.dumps(ApiError(403, details=details).body), 403, content_type="application/json")
    elif fault.kind in ("page_token", "dataset") or fault.kind.isdigit():
        error = ApiError(400 if not fault.kind.isdigit() else int(fault.kind))
        response = Response(json.dumps(error.body), error.status, content_type="application/json")
    else:
        return None
    response.headers["x-amzn-RequestId"] = token_hex(8)
    return response


def _id_of(marketplace: str) -> str:
    return MARKETPLACES[marketplace].id if marketplace else ""


def _params(ids: dict[str, str]) -> dict[str, Any]:
    """The parameters that the record of calls may contain: without tokens, secrets and bodies."""
    params: dict[str, Any] = dict(request.args) | ids
    for token in ("paginationToken", "nextToken"):
        if token in params:
            params[token] = True
    if request.path.endswith("/token"):
        params["grant_type"] = request.form.get("grant_type", "")
    return params


def _token(practice: Practice) -> Answer:
    try:
        return tokens.grant(practice, request.form), 200
    except tokens.LwaError as error:
        return {"error": error.code, "error_description": error.description}, error.status


def _authorize(practice: Practice, operation: str, host: str | None) -> str:
    """The region of the call's token, if it is valid and the seller has calls left."""
    holder, why = tokens.holder_of(practice, request.headers.get("x-amz-access-token", ""))
    region = holder and holder.get("region")
    if region not in REGIONS or (host and host != region):
        raise ApiError(403, details=why)
    g.seller = SELLERS[region]
    if practice.settings.lacks_tracking and operation not in OF_OTHER_ROLES:
        raise ApiError(403)
    if not practice.throttle.take(SELLERS[region], _bucket(operation), practice.settings.rates):
        raise ApiError(429)
    return str(region)


def _bucket(operation: str) -> str:
    """The bucket of a call in the plan: invoices have one of their own."""
    body = request.get_json(silent=True) if operation == "createFeed" else None
    is_invoice = isinstance(body, dict) and body.get("feedType") == vat_invoices.TYPE
    return f"{operation} {vat_invoices.TYPE}" if is_invoice else operation


def _search(call: Call) -> Answer:
    practice, now = call.practice, call.now_ms
    edge = now - int(practice.settings.edge * 1000)
    query, sets = _query(call, now, edge)
    print_of_query = _fingerprint()
    key, offset = None, 0
    if text := request.args.get("paginationToken"):
        token = tokens.read(practice, "page", text)
        if token is None or token["query"] != print_of_query or token["seller"] != SELLERS[call.region]:
            raise ApiError(
                400,
                "The paginationToken you have submitted is not valid. "
                "All parameters must match the original request except maxResultsPerPage.",
            )
        if now > token["at"] + PAGE_TOKEN_LIFE_MS:
            raise ApiError(400, "The paginationToken you have submitted has expired.")
        query = replace(query, until_ms=token["until"])
        key = (token["key"][0], token["key"][1]) if token["key"] else None
        offset = token["offset"]
    page = search(practice, query, min(edge, now - call.stale_ms), key, offset)
    orders = [_shown(practice, fate, sets) for fate in page.fates]
    if call.fault and call.fault.kind == "repeat" and orders:
        orders.append(orders[0])
    body: dict[str, Any] = {"orders": orders}
    if call.fault and call.fault.kind == "shift" and page.fates:
        practice.act(page.fates[0].order.id, "touch")
    if page.next_key or page.next_offset:
        values = {
            "query": print_of_query,
            "seller": SELLERS[call.region],
            "at": now,
            "until": query.until_ms,
            "key": page.next_key,
            "offset": page.next_offset or 0,
        }
        body["pagination"] = {"nextToken": tokens.sign(practice, "page", values)}
    body["lastUpdatedBefore" if query.by_update else "createdBefore"] = iso(query.until_ms)
    return body, 200


def _query(call: Call, now: int, edge: int) -> tuple[Query, list[str]]:
    """Read the parameters by the rules of Amazon's model."""
    names = ("createdAfter", "createdBefore", "lastUpdatedAfter", "lastUpdatedBefore")
    times = {name: moment(name) for name in names if request.args.get(name)}
    by_update = "lastUpdatedAfter" in times
    if by_update == ("createdAfter" in times):
        raise ApiError(400, "Exactly one of createdAfter and lastUpdatedAfter must be provided.")
    start, end = ("lastUpdatedAfter", "lastUpdatedBefore") if by_update else ("createdAfter", "createdBefore")
    if set(times) - {start, end}:
        raise ApiError(400, f"{start} cannot be combined with parameters of the other date.")
    until = times.get(end, edge)
    if until < times[start] and end in times:
        raise ApiError(400, f"{end} must be equal to or after {start}.")
    if until > edge:
        raise ApiError(400, f"{end} must be at least two minutes before the time of the request.")
    if times[start] > now:
        raise ApiError(400, f"{start} cannot be in the future.")
    limit = request.args.get("maxResultsPerPage", "100")
    if not (limit.isascii() and limit.isdigit()) or not 1 <= int(limit) <= 100:
        raise ApiError(400, "maxResultsPerPage must be between 1 and 100.")
    query = Query(
        region=call.region,
        by_update=by_update,
        after_ms=times[start],
        until_ms=until,
        statuses=listed("fulfillmentStatuses", STATUSES),
        fulfilled_by=listed("fulfilledBy", ("MERCHANT", "AMAZON")),
        marketplaces=_marketplaces(call.region),
        limit=int(limit),
    )
    return query, listed("includedData", SETS)


def _marketplaces(region: str) -> list[str]:
    ids = [id for id in request.args.get("marketplaceIds", "").split(",") if id]
    if len(ids) > 50:
        raise ApiError(400, "marketplaceIds may hold at most 50 values.")
    if unknown := [id for id in ids if id not in BY_ID]:
        raise ApiError(400, f"Marketplace id {unknown[0]} is not valid.")
    if any(BY_ID[id].region != region or not BY_ID[id].weight for id in ids):
        raise ApiError(403)
    return ids


def listed(name: str, allowed: tuple[str, ...]) -> list[str]:
    """A parameter that is a list of known words."""
    values = [value for value in request.args.get(name, "").split(",") if value]
    if unknown := [value for value in values if value not in allowed]:
        raise ApiError(400, f"{name} has an invalid value: {unknown[0][:40]}.")
    return values


def moment(name: str) -> int:
    """A parameter that is a time, in milliseconds."""
    try:
        at = datetime.fromisoformat(request.args[name])
        return int((at if at.tzinfo else at.replace(tzinfo=UTC)).timestamp() * 1000)
    except (ValueError, OverflowError):
        raise ApiError(400, f"{name} must be in ISO 8601 format.") from None


def order_of_call(call: Call, order_id: str, at_ms: int) -> Fate:
    """The order that a call is about, of the one marketplace that the call must name."""
    if call.practice.world.index_of(order_id) is None:
        raise ApiError(400, f"Order id {order_id[:40]} is not valid.")
    fate = call.practice.find(order_id, at_ms)
    if fate is None or fate.order.market.region != call.region:
        raise ApiError(404)
    if request.args.get("marketplaceIds") != fate.order.market.id:
        raise ApiError(400, "marketplaceIds: Missing or invalid request parameter: marketplaceId")
    return fate


def _fingerprint() -> str:
    """The parameters to which a page token is bound."""
    known = sorted((name, request.args[name]) for name in HELD_BY_TOKEN if name in request.args)
    return hashlib.sha256(json.dumps(known).encode()).hexdigest()[:16]


def _get(call: Call, order_id: str) -> Answer:
    practice = call.practice
    if practice.world.index_of(order_id) is None:
        raise ApiError(400, f"Order id {order_id[:40]} is not valid.")
    fate = practice.find(order_id, call.now_ms - call.stale_ms)
    if fate is None or fate.order.market.region != call.region:
        raise ApiError(404)
    return {"order": _shown(practice, fate, listed("includedData", SETS))}, 200


def _shown(practice: Practice, fate: Fate, sets: list[str]) -> dict[str, Any]:
    settings = practice.settings
    shown = answer(fate, sets, unknown_words=settings.unknown_words, canceled_units_in=settings.canceled_units_in)
    return without_personal(shown, addresses=settings.lacks_shipping, names=settings.lacks_tax)


def _participations(call: Call) -> Answer:
    return {"payload": participations(call.region)}, 200


def _confirm(call: Call, order_id: str) -> Answer:
    if call.practice.world.index_of(order_id) is None:
        raise ApiError(400, f"Order id {order_id[:40]} is not valid.")
    if not request.is_json:
        raise ApiError(415, "Content-Type must be application/json.", code="UnsupportedMediaType")
    try:
        confirm(call.practice, order_id, call.region, request.get_json(silent=True))
    except Refused as refused:
        raise ApiError(refused.status, str(refused), code=refused.code) from None
    return None, 204

"""Amazon's path of the Finances API 2024-06-19."""

import hashlib
import json
from typing import Any, Final

from flask import Blueprint, Response, request

from plugins.amazon.practice import tokens
from plugins.amazon.practice.api import PAGE_TOKEN_LIFE_MS, Answer, ApiError, Call, met, moment
from plugins.amazon.practice.finances import TransactionQuery, of_order, page
from plugins.amazon.practice.marketplaces import BY_ID

PATH: Final = "/finances/2024-06-19/transactions"
LONGEST_MS: Final = 180 * 24 * 3600 * 1000
STATUSES: Final = ("DEFERRED", "RELEASED", "DEFERRED_RELEASED")
RELATED: Final = ("FINANCIAL_EVENT_GROUP_ID", "ORDER_ID")
HELD_BY_TOKEN: Final = (
    "postedAfter", "postedBefore", "marketplaceId", "transactionStatus", "relatedIdentifierName",
    "relatedIdentifierValue",
)  # fmt: skip


def blueprint(region: str | None) -> Blueprint:
    """The Finances API for one region's host, or for any."""
    paths = Blueprint(f"finances_{region or 'any'}", __name__, url_prefix=f"/{region}" if region else None)

    @paths.get(PATH)
    def list_transactions() -> Response:
        return met("listTransactions", region, _list)

    return paths


def _list(call: Call) -> Answer:
    practice, now = call.practice, call.now_ms
    if practice.settings.lacks_finance:
        raise ApiError(403)
    query, order_id = _query(call)
    start = _start(call) if "nextToken" in request.args else query.after_ms
    view, following = now - call.stale_ms, None
    if order_id is not None:
        fate = practice.find(order_id, view)
        known = fate is not None and fate.order.market.region == call.region
        found = of_order(practice, fate, query, view) if fate and known else []
    elif query.before_ms - query.after_ms > LONGEST_MS:
        found = []
    else:
        found, following = page(practice, query, view, start)
    if call.fault and call.fault.kind == "repeat" and found:
        found.append(found[0])
    payload: dict[str, Any] = {"transactions": found}
    if following is not None:
        values = {"query": _fingerprint(), "seller": call.seller, "at": now, "start": following}
        payload["nextToken"] = tokens.sign(practice, "transactions", values)
    return {"payload": payload}, 200


def _start(call: Call) -> int:
    """Where the page of a token starts."""
    token = tokens.read(call.practice, "transactions", request.args["nextToken"])
    if token is None or token["query"] != _fingerprint() or token["seller"] != call.seller:
        raise ApiError(400, "The nextToken is not valid. It needs the arguments of the call that returned it.")
    if call.now_ms > token["at"] + PAGE_TOKEN_LIFE_MS:
        raise ApiError(400, "The nextToken has expired.")
    return int(token["start"])


def _query(call: Call) -> tuple[TransactionQuery, str | None]:
    """The filters by the rules of Amazon's model, and the number of the one order that is asked for."""
    args, edge = request.args, call.now_ms - int(call.practice.settings.edge * 1000)
    name, value = args.get("relatedIdentifierName"), args.get("relatedIdentifierValue")
    if (name is None) != (value is None):
        raise ApiError(400, "relatedIdentifierName and relatedIdentifierValue must be provided together.")
    if name is not None and name not in RELATED:
        raise ApiError(400, f"relatedIdentifierName has an invalid value: {name[:40]}.")
    if name is None and "postedAfter" not in args:
        raise ApiError(400, "Start date cannot be null", details="Start date cannot be null")
    after = moment("postedAfter") if "postedAfter" in args else 0
    before = moment("postedBefore") if "postedBefore" in args else edge
    if name is None and (after > edge or before > edge):
        raise ApiError(400, "Dates must be more than two minutes before the time of the request.")
    if name is None and before < after:
        raise ApiError(400, "postedBefore must be later than postedAfter.")
    status, marketplace = args.get("transactionStatus", ""), args.get("marketplaceId", "")
    if status and status not in STATUSES:
        raise ApiError(400, f"transactionStatus has an invalid value: {status[:40]}.")
    if marketplace and (marketplace not in BY_ID or BY_ID[marketplace].region != call.region):
        raise ApiError(400, f"Marketplace id {marketplace[:40]} is not valid.")
    query = TransactionQuery(call.region, after, before, marketplace, status)
    if name is None:
        return query, None
    return query, value if name == "ORDER_ID" else ""  # groups of events are none of the practice Amazon's


def _fingerprint() -> str:
    """The parameters to which a page token is bound."""
    known = [(name, request.args[name]) for name in HELD_BY_TOKEN if name in request.args]
    return hashlib.sha256(json.dumps(known).encode()).hexdigest()[:16]

"""The control API under /practice: act as buyer, bank and fault, and read what this Amazon received.

JSON in, JSON out, for tests and scripts. Amazon has no such API, so a client of it is not a client of Amazon's.
"""

from dataclasses import asdict, fields
from typing import Any
from urllib.parse import urlsplit

from flask import Blueprint, Response, abort, jsonify, request

from plugins.amazon.practice.answers import SETS, answer, iso
from plugins.amazon.practice.api import the_practice
from plugins.amazon.practice.composing import BadWish, Wish
from plugins.amazon.practice.fates import Fate
from plugins.amazon.practice.faults import BadFault
from plugins.amazon.practice.feed_life import Feed
from plugins.amazon.practice.feeds import create_foreign_feed
from plugins.amazon.practice.marketplaces import MARKETPLACES, REFRESH_TOKENS, SELLERS
from plugins.amazon.practice.marks import BadMark, check_mark
from plugins.amazon.practice.practice import CHOICES, Practice, Settings
from plugins.amazon.practice.refunds import COMPONENTS, KINDS, Refund
from plugins.amazon.practice.throttle import PLAN
from plugins.amazon.practice.tokens import revoke_access_tokens

bp = Blueprint("control", __name__, url_prefix="/practice")
WISHES = {field.name for field in fields(Wish)}
SETTINGS = {name: type(value) for name, value in asdict(Settings()).items()}
# The effects that change something.
EFFECTS = frozenset({"new", "edited", "canceled", "refunded", "invoiced", "messaged", "solicited"})
LOCAL_HOSTS = {"127.0.0.1", "localhost", "::1"}


class BadRequest(Exception):
    """A request to the control API that makes no sense; its text says why."""


@bp.errorhandler(BadRequest)
@bp.errorhandler(BadWish)
@bp.errorhandler(BadFault)
@bp.errorhandler(BadMark)
def refused(error: Exception) -> tuple[Response, int]:
    """The reason in one sentence."""
    return jsonify(error=str(error)), 400


@bp.before_request
def only_from_here() -> None:
    """Refuse requests from another site's page, and host names that were made to point here."""
    if urlsplit(f"//{request.host}").hostname not in LOCAL_HOSTS:
        abort(403)
    if request.method in ("GET", "HEAD", "OPTIONS"):
        return
    origin = request.headers.get("Origin")
    if request.headers.get("Sec-Fetch-Site", "none") not in ("none", "same-origin"):
        abort(403)
    if origin is not None and origin != request.host_url.rstrip("/"):
        abort(403)


@bp.before_request
def catch_up() -> None:
    """Let everything happen that is due."""
    the_practice().catch_up()


def summary(fate: Fate) -> dict[str, Any]:
    """An order in short."""
    order = fate.order
    return {
        "order_id": order.id,
        "status": fate.status,
        "marketplace": order.market.code,
        "marketplace_id": order.market.id,
        "region": order.market.region,
        "fulfilled_by": order.fulfilled_by,
        "items": [
            {
                "order_item_id": line.id,
                "sku": line.sku,
                "ordered": fate.ordered[line.id],
                "shipped": fate.shipped(line.id),
                "canceled": fate.canceled(line.id),
                "left": fate.left(line.id),
            }
            for line in order.lines
        ],
        "packages": [asdict(package) for package in fate.packages.values()],
        "refunds": refunds_of(the_practice(), fate),
        "order": answer(fate, SETS, canceled_units_in=the_practice().settings.canceled_units_in),
    }


def refunds_of(practice: Practice, fate: Fate) -> list[dict[str, Any]]:
    """The refunds of an order, also those that are booked later."""
    return [_refund(refund) for refund in practice.store.refunds(fate.order.index)]


def _refund(refund: Refund) -> dict[str, Any]:
    return asdict(refund) | {"total": refund.total, "at": iso(refund.at_ms)}


def posted_json() -> dict[str, Any]:
    """The JSON object of a request; empty without one. Raises BadRequest."""
    body = request.get_json(silent=True)
    if body is None and not request.data:
        return {}
    if not isinstance(body, dict):
        raise BadRequest("A JSON object is expected.")
    return body


@bp.post("/orders")
def place() -> tuple[Response, int]:
    """Place an order, or `count` of them; the fields are those of `Wish`."""
    body = posted_json()
    count = body.pop("count", 1)
    if unknown := set(body) - WISHES:
        raise BadRequest(f"An order has no {', '.join(sorted(unknown))}.")
    for name in ("traits", "programs"):
        body[name] = tuple(body.get(name, ()))
    practice = the_practice()
    with practice.alone():
        placed = [summary(practice.place(Wish(**body))) for _ in range(count)]
    return jsonify(orders=placed), 201


@bp.get("/orders/<order_id>")
def show(order_id: str) -> Response:
    """An order as it is now, with everything."""
    fate = the_practice().find(order_id)
    if fate is None:
        abort(404)
    return jsonify(summary(fate))


@bp.post("/fill")
def fill() -> Response:
    """Fill the past with `orders` in `regions`, over the last `days`; returns the stretches that contain them."""
    body = posted_json()
    try:
        orders, days = int(body.get("orders", 0)), float(body.get("days", 730))
        regions = [str(region) for region in body.get("regions", ())]
    except (TypeError, ValueError):
        raise BadRequest("Orders and days are numbers, regions a list.") from None
    if set(regions) - set(REFRESH_TOKENS) or not 0 < orders <= 10_000_000 or not 1 <= days <= 3650:
        raise BadRequest("1 to 10,000,000 orders over 1 to 3,650 days in na, eu and fe can be filled in.")
    return jsonify(segments=[asdict(one) for one in the_practice().fill(orders, regions, days=days)])


@bp.post("/orders/<order_id>/<act>")
def act(order_id: str, act: str) -> Response:
    """Something happens to an order, now or `after` seconds from now; the names are those of `fates.KINDS`."""
    body = posted_json()
    after = float(body.pop("after", 0))
    if "items" in body and not _are_units(body["items"]):
        raise BadRequest("Items are an object of order item ids and numbers of units.")
    if act == "quantity" and "item" not in body:
        fate = the_practice().find(order_id)
        body["item"] = fate.order.lines[0].id if fate else ""
    try:
        changed = the_practice().act(order_id, act, body, after=after)
    except KeyError:
        raise BadRequest(f"Nothing called {act!r} happens to orders.") from None
    if changed is None:
        abort(404)
    return jsonify(summary(changed))


@bp.post("/orders/<order_id>/refund")
def refund(order_id: str) -> tuple[Response, int]:
    """Money goes back by another way than a feed: `kind` is one of `refunds.KINDS`; `items` has minor units by order
    item id and component, without them a `share` of what is left.
    """
    body, practice = posted_json(), the_practice()
    kind, share, items = body.get("kind", "elsewhere"), body.get("share", 1), body.get("items")
    if kind not in KINDS or not isinstance(share, int | float) or not 0 < share <= 1:
        raise BadRequest(f"A refund has a kind ({', '.join(KINDS)}) and a share above 0 and up to 1, or items.")
    fate = practice.find(order_id)
    if fate is None:
        abort(404)
    if items is not None and not _are_amounts(items, fate):
        raise BadRequest("Items are an object of order item ids and objects of components and minor units.")
    booked = practice.refund(order_id, kind, share=share, amounts=items)
    if booked is None:
        raise BadRequest("Nothing of this order was shipped, or nothing of its prices is left.")
    return jsonify(_refund(booked)), 201


def _are_amounts(items: Any, fate: Fate) -> bool:
    return isinstance(items, dict) and all(
        item in fate.ordered
        and isinstance(of, dict)
        and all(code in COMPONENTS and type(minor) is int and minor for code, minor in of.items())
        for item, of in items.items()
    )


def _are_units(items: Any) -> bool:
    return isinstance(items, dict) and all(type(units) is int and units > 0 for units in items.values())


@bp.get("/orders/<order_id>/told")
def told_of(order_id: str) -> Response:
    """The confirmations and feed messages of one order, and how many had an effect."""
    told = the_practice().store.told(order_id)
    return jsonify(told=told, effects=sum(entry["effect"] in EFFECTS for entry in told))


@bp.get("/told")
def told() -> Response:
    """The latest confirmations and feed messages of all orders."""
    return jsonify(told=the_practice().store.told())


@bp.get("/feeds")
def feeds() -> Response:
    """The feeds of all sellers, newest first, and the marks that wait for one."""
    store = the_practice().store
    return jsonify(feeds=[_feed(feed) for feed in store.feeds()], marks=store.marks())


def _feed(feed: Feed) -> dict[str, Any]:
    known = {name: getattr(feed, name) for name in ("foreign", "mark", "seconds", "messages", "errors", "warnings")}
    return feed.answer(the_practice().now_ms()) | known | {"seller": feed.seller, "due": iso(feed.end_ms)}


@bp.post("/feeds")
def foreign_feed() -> tuple[Response, int]:
    """Another application of the seller of `region` creates a feed of `feedType` with so many `messages`."""
    body = posted_json()
    region, feed_type, messages = body.get("region", "na"), body.get("feedType"), body.get("messages", 1)
    everywhere = [market.id for market in MARKETPLACES.values() if market.region == region and market.weight]
    marketplaces = body.get("marketplaceIds", everywhere)
    if region not in SELLERS or not isinstance(feed_type, str) or not isinstance(messages, int):
        raise BadRequest("A feed has region, feedType, messages and marketplaceIds.")
    return jsonify(_feed(create_foreign_feed(the_practice(), SELLERS[region], feed_type, marketplaces, messages))), 201


@bp.post("/feeds/next")
def mark_next_feed() -> tuple[Response, int]:
    """Mark the next feed of `feedType`: `mark` is one of `marks.MARKS`, some of them need `seconds`."""
    body, practice = posted_json(), the_practice()
    feed_type, mark, seconds = body.get("feedType", ""), body.get("mark", ""), body.get("seconds", 0)
    if not isinstance(seconds, int | float):
        raise BadRequest("Seconds are a number.")
    check_mark(feed_type, mark, seconds)
    practice.store.add_mark(feed_type, mark, seconds)
    return jsonify(marks=practice.store.marks()), 201


@bp.get("/calls")
def calls() -> Response:
    """The calls received: ?operation=, ?since=<id>, ?limit=."""
    args = request.args
    found = the_practice().store.calls(
        args.get("operation"), args.get("since", 0, type=int), args.get("limit", 1000, type=int)
    )
    return jsonify(calls=found)


@bp.get("/faults")
def faults() -> Response:
    """The current faults."""
    return jsonify(faults=the_practice().faults.all())


@bp.post("/faults")
def break_something() -> tuple[Response, int]:
    """Queue a fault: operation, kind, times, when, seconds, dataset, order_id, marketplace."""
    try:
        fault = the_practice().faults.add(**posted_json())
    except TypeError:
        raise BadRequest(
            "A fault has operation, kind, times, when, seconds, dataset, order_id and marketplace."
        ) from None
    return jsonify(asdict(fault)), 201


@bp.delete("/faults")
def mend() -> tuple[str, int]:
    """Remove all faults, and the marks that wait for a feed."""
    practice = the_practice()
    practice.faults.clear()
    practice.store.clear_marks()
    return "", 204


@bp.get("/settings")
def settings() -> Response:
    """The settings, the rate of arrivals, and this Amazon's time."""
    practice = the_practice()
    return jsonify(asdict(practice.settings) | {"arrivals": practice.arrivals, "now_ms": practice.now_ms()})


@bp.post("/settings")
def change_settings() -> Response:
    """Change some of them."""
    body, practice = posted_json(), the_practice()
    arrivals = body.pop("arrivals", None)
    if unknown := set(body) - set(SETTINGS):
        raise BadRequest(f"No such setting: {', '.join(sorted(unknown))}.")
    try:
        changes = {name: SETTINGS[name](value) for name, value in body.items()}
        per_minute = None if arrivals is None else float(arrivals)
    except (TypeError, ValueError):
        raise BadRequest("A setting is a number, or true or false.") from None
    for name, words in CHOICES.items():
        if name in changes and changes[name] not in words:
            raise BadRequest(f"{name} is {' or '.join(words)}.")
    practice.set(**changes)
    if per_minute is not None:
        practice.set_arrivals(per_minute)
    return settings()


@bp.post("/advance")
def advance() -> Response:
    """Let `seconds` pass at once."""
    practice = the_practice()
    practice.set(clock=practice.settings.clock + float(posted_json().get("seconds", 0)))
    return settings()


@bp.post("/buckets/<state>")
def buckets(state: str) -> tuple[str, int]:
    """`full` or `empty` token buckets (empty: of `operation`, or of all that were used)."""
    throttle = the_practice().throttle
    if state == "full":
        throttle.refill()
    elif state == "empty":
        asked = posted_json().get("operation")
        for operation in [asked] if asked else PLAN:
            throttle.empty(operation)
    else:
        abort(404)
    return "", 204


@bp.post("/tokens/revoke")
def revoke() -> tuple[str, int]:
    """The seller of `region` withdraws the authorization; without one, only the access tokens end."""
    region = posted_json().get("region")
    if region is None:
        revoke_access_tokens(the_practice())
    else:
        the_practice().store.revoke(_refresh_token(region))
    return "", 204


@bp.post("/tokens/restore")
def restore() -> tuple[str, int]:
    """The seller of `region` authorizes again."""
    the_practice().store.restore(_refresh_token(posted_json().get("region")))
    return "", 204


def _refresh_token(region: Any) -> str:
    if region not in REFRESH_TOKENS:
        raise BadRequest("A region is na, eu or fe.")
    return REFRESH_TOKENS[region]


@bp.post("/reset")
def reset() -> tuple[str, int]:
    """Undo all acts and delete all records; the world and the settings stay."""
    the_practice().reset()
    return "", 204

"""The page at /: what a person sees of the practice Amazon, and buttons to act as buyer, bank and fault.

It works without JavaScript, in English and French. `control.py` has the same functions for scripts.
"""

from datetime import UTC, datetime
from io import BytesIO
from typing import Any, Final

from flask import (
    Blueprint,
    Response,
    abort,
    flash,
    get_flashed_messages,
    redirect,
    render_template,
    request,
    send_file,
    url_for,
)
from flask_babel import format_datetime, get_locale, gettext, lazy_gettext
from werkzeug import Response as BaseResponse

from plugins.amazon.practice import refunds
from plugins.amazon.practice.answers import money, total
from plugins.amazon.practice.api import the_practice
from plugins.amazon.practice.composing import BadWish, Wish
from plugins.amazon.practice.control import EFFECTS, catch_up, only_from_here
from plugins.amazon.practice.fates import Fate
from plugins.amazon.practice.faults import KINDS, OPERATIONS, BadFault
from plugins.amazon.practice.feed_messages import TYPES
from plugins.amazon.practice.marketplaces import MARKETPLACES
from plugins.amazon.practice.marks import MARKS, BadMark, check_mark

STATIC: Final = "/practice/static"
bp = Blueprint("pages", __name__, template_folder="templates", static_folder="static", static_url_path=STATIC)
bp.before_request(only_from_here)
bp.before_request(catch_up)

LANGUAGES: Final = ("en", "fr")
SHOWN: Final = 40
FEEDS_SHOWN: Final = 15
MESSAGES_SHOWN: Final = 15
MOST_AT_ONCE: Final = 100
POLICY: Final = "default-src 'none'; style-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
VARIANTS: Final[dict[str, tuple[Any, dict[str, Any]]]] = {
    "paid": (lazy_gettext("Paid, one line"), {}),
    "pending": (lazy_gettext("Payment pending"), {"status": "PENDING"}),
    "pending_minute": (lazy_gettext("Paid in a minute"), {"status": "PENDING", "verify_after": 60}),
    "lines": (lazy_gettext("Three lines"), {"lines": 3, "quantity": 2}),
    "lines_500": (lazy_gettext("500 lines"), {"lines": 500}),
    "gift": (lazy_gettext("Gift"), {"traits": ("gift",)}),
    "promotion": (lazy_gettext("Promotion"), {"traits": ("promotion",)}),
    "business": (lazy_gettext("Business"), {"traits": ("business",)}),
    "prime": (lazy_gettext("Prime"), {"traits": ("prime",), "ship_within": 12}),
    "overdue": (lazy_gettext("Overdue"), {"placed_ago": 3 * 86400, "ship_within": 24}),
    "cancel_request": (lazy_gettext("Buyer asks to cancel"), {"cancel_request": "Order created by mistake"}),
    "ship_plus": (lazy_gettext("Ship+"), {"traits": ("ship_plus",)}),
    "transparency": (lazy_gettext("Transparency"), {"traits": ("transparency",)}),
    "replacement": (lazy_gettext("Replacement"), {"traits": ("replacement",)}),
    "no_address": (lazy_gettext("No address"), {"traits": ("no_address",)}),
    "partial_address": (lazy_gettext("Partial address"), {"traits": ("partial_address",)}),
    "unusual_name": (lazy_gettext("Unusual name"), {"traits": ("unusual_name",)}),
    "odd_sku": (lazy_gettext("Odd SKU"), {"traits": ("odd_sku",)}),
    "amazon": (lazy_gettext("Fulfilled by Amazon"), {"fulfilled_by": "AMAZON"}),
    "non_amazon": (lazy_gettext("Sold outside Amazon"), {"fulfilled_by": "AMAZON", "non_amazon": True}),
}
ACTS: Final[dict[str, Any]] = {
    "verify": lazy_gettext("Pay"),
    "ship": lazy_gettext("Ship elsewhere"),
    "request_cancel": lazy_gettext("Ask to cancel"),
    "cancel": lazy_gettext("Cancel"),
    "touch": lazy_gettext("Mark as changed"),
}
REFUNDS: Final[dict[str, tuple[Any, str, float]]] = {  # label, kind, share
    "refund": (lazy_gettext("Refund elsewhere"), "elsewhere", 1.0),
    "refund_half": (lazy_gettext("Refund half elsewhere"), "elsewhere", 0.5),
    "claim": (lazy_gettext("A-to-z claim"), "claim", 1.0),
    "chargeback": (lazy_gettext("Chargeback"), "chargeback", 1.0),
    "funded": (lazy_gettext("Refund by Amazon"), "funded", 0.5),
}
REFUND_KINDS: Final[dict[str, Any]] = {
    "refund": lazy_gettext("by a feed"),
    "elsewhere": lazy_gettext("elsewhere"),
    "claim": lazy_gettext("A-to-z claim"),
    "chargeback": lazy_gettext("Chargeback"),
    "funded": lazy_gettext("by Amazon"),
}
FAULTS: Final[dict[str, Any]] = {
    "429": lazy_gettext("429: too many calls"),
    "500": lazy_gettext("500: internal error"),
    "503": lazy_gettext("503: an HTML page"),
    "403": lazy_gettext("403: access denied"),
    "400": lazy_gettext("400: refused"),
    "404": lazy_gettext("404: not found"),
    "drop": lazy_gettext("Connection drops"),
    "slow": lazy_gettext("Slow answer"),
    "garbage": lazy_gettext("Half an answer"),
    "expired": lazy_gettext("Access token expired"),
    "page_token": lazy_gettext("Page token refused"),
    "dataset": lazy_gettext("Data set refused"),
    "repeat": lazy_gettext("An order twice on a page"),
    "stale": lazy_gettext("Stale answer"),
    "marketplace": lazy_gettext("403: marketplace denied, and named"),
    "marketplace_unnamed": lazy_gettext("403: marketplace denied, not named"),
    "dataset_denied": lazy_gettext("403: data set denied, and named"),
    "dataset_denied_unnamed": lazy_gettext("403: data set denied, not named"),
    "secret_expired": lazy_gettext("Client secret expired"),
    "not_allowed": lazy_gettext("Application not allowed"),
    "shift": lazy_gettext("An order changes while paging"),
}
FEED_MARKS: Final[dict[str, Any]] = {
    "fatal_25_wrong": lazy_gettext("FATAL, code 25, naming a message that is fine"),
    "fatal_25_processed": lazy_gettext("FATAL, code 25, although half was carried out"),
    "fatal_other": lazy_gettext("FATAL with another code"),
    "fatal_silent": lazy_gettext("FATAL without a report"),
    "fatal_silent_processed": lazy_gettext("FATAL without a report, although all was carried out"),
    "canceled": lazy_gettext("Canceled before it is processed"),
    "report_cut": lazy_gettext("Half a report"),
    "report_miscounted": lazy_gettext("The report counts one error too many"),
    "report_foreign_message": lazy_gettext("The report names a message of another feed"),
    "report_too_few": lazy_gettext("The report counts one message too few"),
    "warning": lazy_gettext("A warning"),
    "report_lost": lazy_gettext("The report can't be fetched for some seconds"),
    "slow_queue": lazy_gettext("Some seconds longer in the queue"),
    "listed_late": lazy_gettext("Listed some seconds late"),
    "refund_less": lazy_gettext("Refunds half of each amount"),
    "refund_more": lazy_gettext("Refunds more than it should"),
    "refund_other_tax": lazy_gettext("Refunds another tax"),
}
if set(FAULTS) != set(KINDS) or set(FEED_MARKS) != set(MARKS) or set(REFUND_KINDS) != set(refunds.KINDS):
    raise AssertionError("Every fault, every mark and every refund needs its label.")


def language() -> str:
    """The visitor's language."""
    return request.accept_languages.best_match(LANGUAGES) or "en"


@bp.after_request
def strict(response: BaseResponse) -> BaseResponse:
    """Allow only our style sheet, no script, and no frame around the page."""
    response.headers["Content-Security-Policy"] = POLICY
    response.headers["X-Content-Type-Options"] = "nosniff"
    response.headers["Referrer-Policy"] = "same-origin"  # no-referrer would send forms with the origin "null"
    response.headers["Cache-Control"] = "max-age=3600" if request.endpoint == "pages.static" else "no-store"
    return response


@bp.get("/")
def index() -> str:
    """The page."""
    practice = the_practice()
    wanted = request.args.get("order", "").strip()
    if wanted:
        found = practice.find(wanted)
        fates = [found] if found else []
    else:
        fates = practice.recent(SHOWN)
    return render_template(
        "practice/index.html",
        lang=str(get_locale()),
        orders=[_row(fate) for fate in fates],
        wanted=wanted,
        variants=VARIANTS,
        markets=[market for market in MARKETPLACES.values() if market.weight],
        market=request.args.get("market", "US"),
        operations=OPERATIONS,
        fault_labels=FAULTS,
        broken=practice.faults.all(),
        feeds=practice.store.feeds(limit=FEEDS_SHOWN),
        feed_types=tuple(TYPES),
        written=practice.store.messages(wanted or None, limit=MESSAGES_SHOWN),
        requested=practice.store.requested(wanted or None, limit=MESSAGES_SHOWN),
        mark_labels=FEED_MARKS,
        marks=practice.store.marks(),
        settings=practice.settings,
        arrivals=practice.arrivals,
        calls=[_call(call) for call in reversed(practice.store.calls(limit=15))],
        messages=get_flashed_messages(),
        at=at,
        now_ms=practice.now_ms(),
    )


@bp.get("/practice/attachments/<attachment_id>/<name>")
def attachment(attachment_id: str, name: str) -> BaseResponse:
    """A file of a message, to be saved."""
    found = the_practice().store.attachment(attachment_id)
    if found is None or found.body is None:
        abort(404)
    return send_file(BytesIO(found.body), "application/octet-stream", as_attachment=True, download_name=name)


def at(at_ms: int) -> str:
    """A moment in the visitor's language; UTC, as everything here."""
    return str(format_datetime(datetime.fromtimestamp(at_ms / 1000, UTC), "medium", rebase=False))


def _row(fate: Fate) -> dict[str, Any]:
    order = fate.order
    told, booked = the_practice().store.told(order.id), the_practice().store.refunds(order.index)
    shipped = any(fate.shipped(item) for item in fate.ordered) and not order.non_amazon
    left = shipped and any(sum(of.values()) for of in refunds.left(fate, booked).values())
    return {
        "fate": fate,
        "order": order,
        "total": _amount(total(fate), fate) if fate.verified and not fate.canceled_by else "",
        "refunds": [(_amount(one.total, fate), REFUND_KINDS[one.kind]) for one in booked],
        "told": [entry | {"said": _said(entry["body"])} for entry in told],
        "effects": sum(entry["effect"] in EFFECTS for entry in told),
        "acts": {kind: label for kind, label in ACTS.items() if _possible(fate, kind)}
        | {code: label for code, (label, _, _) in REFUNDS.items() if left},
    }


def _amount(minor: int, fate: Fate) -> str:
    amount = money(minor, fate.order.market)
    return f"{amount['amount']} {amount['currencyCode']}"


def _said(body: dict[str, Any]) -> str:
    """The package that a confirmation names, in whatever form it arrived; the reason or package of a feed's message; or
    the kind of a message to the buyer or of a request.
    """
    package = body.get("packageDetail")
    if isinstance(package, dict):
        return f"{package.get('carrierCode', '')} {package.get('trackingNumber', '')}"
    if "kind" in body:
        return str(body["kind"])
    return body["reason"] if "reason" in body else f"{body.get('carrier') or ''} {body.get('tracking') or ''}".strip()


def _call(call: dict[str, Any]) -> dict[str, Any]:
    return call | {"order_id": call["params"].get("orderId", "")}


def _possible(fate: Fate, kind: str) -> bool:
    left = any(fate.left(item) for item in fate.ordered)
    shipped = any(fate.shipped(item) for item in fate.ordered)
    return {
        "verify": not fate.verified and not fate.canceled_by,
        "ship": fate.verified and left,
        "request_cancel": left and fate.cancel_request is None,
        "cancel": not shipped and not fate.canceled_by,
        "touch": True,
    }[kind]


def _back(message: str, *, order: str | None = None, market: str | None = None) -> BaseResponse:
    flash(message)
    return redirect(url_for(".index", order=order, market=market), 303)


@bp.post("/practice/form/place")
def place() -> BaseResponse:
    """Place one order of a variant, or several."""
    code, market = request.form.get("variant", ""), request.form.get("market", "US")
    if code not in VARIANTS:
        abort(400)
    count = min(max(request.form.get("count", 1, type=int), 1), MOST_AT_ONCE)
    practice = the_practice()
    try:
        with practice.alone():
            placed = [practice.place(Wish(**VARIANTS[code][1] | {"marketplace": market})) for _ in range(count)]
    except BadWish as error:
        return _back(str(error))
    if count == 1:
        return _back(gettext("Order %(number)s was placed.", number=placed[0].order.id), market=market)
    return _back(gettext("%(count)s orders were placed.", count=count), market=market)


@bp.post("/practice/form/orders/<order_id>")
def act(order_id: str) -> BaseResponse:
    """Something happens to an order."""
    kind = request.form.get("act", "")
    if kind not in ACTS and kind not in REFUNDS:
        abort(400)
    practice = the_practice()
    before = practice.find(order_id)
    if before is None:
        abort(404)
    if kind in REFUNDS:
        label, of_kind, share = REFUNDS[kind]
        done = practice.refund(order_id, of_kind, share=share) is not None
    else:
        label = ACTS[kind]
        done = _possible(before, kind) and practice.act(order_id, kind) is not None
    if not done:
        return _back(gettext("That is not possible any more for order %(number)s.", number=order_id))
    message = gettext("Order %(number)s: %(act)s.", number=order_id, act=label)
    return _back(message, order=order_id if request.form.get("order") else None)


@bp.post("/practice/form/faults")
def break_something() -> BaseResponse:
    """Queue a fault."""
    form = request.form
    try:
        the_practice().faults.add(
            form.get("operation", ""),
            form.get("kind", ""),
            times=min(max(form.get("times", 1, type=int), 1), 1000),
            when=form.get("when", "before"),
            seconds=min(max(form.get("seconds", 0.0, type=float), 0.0), 3600.0),
            dataset=form.get("dataset", ""),
            order_id=form.get("order_id", "").strip(),
            marketplace=form.get("marketplace", ""),
        )
    except BadFault as error:
        return _back(str(error))
    return _back(gettext("The failure was added."))


@bp.post("/practice/form/marks")
def mark_next_feed() -> BaseResponse:
    """Mark the next feed of a type."""
    form = request.form
    feed_type, mark, seconds = form.get("feed_type", ""), form.get("mark", ""), form.get("seconds", 0.0, type=float)
    try:
        check_mark(feed_type, mark, seconds)
    except BadMark as error:
        return _back(str(error))
    the_practice().store.add_mark(feed_type, mark, seconds)
    return _back(gettext("The failure was added."))


@bp.post("/practice/form/mend")
def mend() -> BaseResponse:
    """Remove one fault, or all of them with the marks that wait for a feed."""
    fault = request.form.get("fault", type=int)
    if fault is None:
        the_practice().faults.clear()
        the_practice().store.clear_marks()
    else:
        the_practice().faults.mend(fault)
    return _back(gettext("The failures were removed."))


@bp.post("/practice/form/arrivals")
def arrivals() -> BaseResponse:
    """Set how many orders arrive by themselves."""
    per_minute = request.form.get("arrivals", type=float)
    if per_minute is None or not 0 <= per_minute <= 6000:
        return _back(gettext("Orders per minute must be a number from 0 to 6000."))
    the_practice().set_arrivals(per_minute)
    return _back(gettext("Orders per minute: %(count)s.", count=f"{per_minute:g}"))


@bp.get("/favicon.ico")
def favicon() -> Response:
    """An empty answer, which keeps browsers' logs quiet."""
    return Response(status=204)

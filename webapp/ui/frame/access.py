"""The signed-in person and their rights: sessions by cookie, and a right declared by every route.

A route declares `@needs("orders.view")`, `@personal` or `@public`; a route without a declaration stops the start.
Further rights of an act are checked by its service.
"""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

from flask import Flask, Response, current_app, g, request, url_for
from redis import RedisError
from werkzeug.wrappers import Response as AnyResponse

from webapp.accounts.jobs import touch
from webapp.accounts.models import UserSession
from webapp.accounts.services import SEEN_STEP, SESSION_LIFE, Device, has_owner, session_of
from webapp.audit.actor import Actor
from webapp.clock import now
from webapp.config import configuration
from webapp.errors import DeskError
from webapp.i18n import lazy_gettext as _l
from webapp.live import connection, key
from webapp.ui.frame.htmx import is_htmx
from webapp.ui.frame.languages import speak
from webapp.ui.frame.redirects import redirect

V = TypeVar("V", bound=Callable[..., Any])
_PUBLIC = ""  # declared by a route that needs no right
SIGNED_IN = "signed_in"  # declared by a route that any signed-in person may use, since it is about their own account


class NotSetUp(DeskError):
    """There is no owner yet, so nobody can be served."""

    code, status = "not_set_up", 403
    sentence = _l(
        "This desk has no owner yet. Open the one-time link that was printed when it started, or ask for a new one: "
        "“python -m webapp user link”."
    )


class SignedOut(DeskError):
    """The session ended while a page was open."""

    code, status = "signed_out", 401
    sentence = _l("You are signed out. Sign in again in another tab, then repeat this: what you typed is kept.")


@dataclass(frozen=True, slots=True)
class Person:
    """The signed-in person, as pages need them; a plain value that outlives every transaction of the request."""

    actor: Actor
    session_id: int
    email: str
    language: str | None
    start_view: str  # the list to begin with; empty for the dashboard


def needs(right: str) -> Callable[[V], V]:
    """Declare the right that a route needs."""
    return lambda view: _declare(view, right)


def public(view: V) -> V:
    """Declare that a route is served to anybody, also before there is an owner."""
    return _declare(view, _PUBLIC)


def personal(view: V) -> V:
    """Declare that a route is served to every signed-in person, and is about their own account only."""
    return _declare(view, SIGNED_IN)


def without_query(view: V) -> V:
    """Declare that the query of a route's address is secret: who signs in first is sent back to its path alone."""
    view.__dict__["without_query"] = True
    return view


def _declare(view: V, right: str) -> V:
    view.__dict__["right"] = right
    return view


def right_of(app: Flask, endpoint: str) -> str | None:
    """The right that a route declares, `SIGNED_IN`, or empty for a public one; None if it declares nothing."""
    right: str | None = app.view_functions[endpoint].__dict__.get("right")
    return right


def check_routes(app: Flask) -> None:
    """Raise for routes that don't declare who may use them."""
    silent = sorted(endpoint for endpoint in app.view_functions if right_of(app, endpoint) is None)
    if silent:
        raise RuntimeError(f"routes without @needs, @personal or @public: {', '.join(silent)}")


def init_app(app: Flask) -> None:
    app.config["WAYBILL_COOKIE"] = _own("waybill_session")
    app.config["WAYBILL_KNOWN_COOKIE"] = _own("waybill_known")
    app.config["SESSION_COOKIE_NAME"] = _own(
        "waybill_form"
    )  # Flask's own: the CSRF token and messages for the next page
    app.config["SESSION_COOKIE_SAMESITE"] = "Lax"
    app.config["SESSION_COOKIE_SECURE"] = configuration().url.lower().startswith("https://")
    app.before_request(_guard)


def _own(cookie: str) -> str:
    """The cookie's name; desks at several ports of one host share its cookies, so each has names of its own."""
    if configuration().url:
        return cookie
    return f"{cookie}_{hashlib.sha256(configuration().secret_value().encode()).hexdigest()[:8]}"


def person() -> Person | None:
    found: Person | None = g.get("person")
    return found


def signed_in() -> bool:
    return person() is not None


def current_person() -> Person:
    """The signed-in person; raises `SignedOut` if there is none."""
    someone = person()
    if someone is None:
        raise SignedOut
    return someone


def current_actor() -> Actor:
    """The actor of this request; raises `SignedOut` if nobody is signed in."""
    return current_person().actor


def may(right: str) -> bool:
    """Whether the signed-in person has this right; templates ask before they show a link or a button."""
    someone = person()
    return someone is not None and (right == SIGNED_IN or someone.actor.may(right))


def _guard() -> AnyResponse | None:
    g.person = None
    if request.endpoint is None:
        return None  # not found: answered as such
    right = right_of(current_app, request.endpoint)
    if right == _PUBLIC and request.endpoint in ("static", "health.alive", "health.ready"):
        return None
    g.person = _person()
    speak(g.person.language if g.person else None)
    if right == _PUBLIC:
        return None
    if g.person is None:
        return _to_the_door()
    if right != SIGNED_IN:
        g.person.actor.needs(right)
    return None


def _person() -> Person | None:
    token = request.cookies.get(current_app.config["WAYBILL_COOKIE"])
    row = session_of(token) if token else None
    if row is None:
        return None
    if now() - row.seen_at >= SEEN_STEP:
        _touch(row)
    return Person(row.user.as_actor(), row.id, row.user.email, row.user.language, row.user.start_view)


def _touch(row: UserSession) -> None:
    """Have a job record the session's use: a page that only reads writes nothing."""
    try:
        first = connection().set(key("touched", str(row.id)), 1, nx=True, ex=int(SEEN_STEP.total_seconds()))
    except RedisError:
        return
    if first:
        touch.enqueue(row.id)


def _to_the_door() -> AnyResponse:
    if not has_owner():
        raise NotSetUp
    if is_htmx() or request.method != "GET":
        raise SignedOut
    secret = "without_query" in current_app.view_functions[str(request.endpoint)].__dict__
    return redirect(url_for("sign_in.sign_in", next=request.path if secret else request.full_path.rstrip("?")))


def device() -> Device:
    """The browser that sent this request, for the list of sessions."""
    return Device(agent=request.headers.get("User-Agent", ""), source=request.remote_addr or "")


def let_in(response: Response | AnyResponse, token: str) -> AnyResponse:
    """Give the browser its session."""
    response.set_cookie(
        current_app.config["WAYBILL_COOKIE"],
        token,
        max_age=int(SESSION_LIFE.total_seconds()),
        httponly=True,
        samesite="Lax",
        secure=current_app.config["SESSION_COOKIE_SECURE"],
    )
    return response


def session_token() -> str | None:
    return request.cookies.get(current_app.config["WAYBILL_COOKIE"])


def let_out(response: AnyResponse) -> AnyResponse:
    response.delete_cookie(
        current_app.config["WAYBILL_COOKIE"], samesite="Lax", secure=current_app.config["SESSION_COOKIE_SECURE"]
    )
    return response

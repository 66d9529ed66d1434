"""A person's own choices: language and theme. Both are cookies, so that they hold before signing in too."""

from urllib.parse import urlsplit

from flask import Blueprint, redirect, request
from werkzeug.exceptions import BadRequest
from werkzeug.wrappers import Response

from webapp.accounts.models import User
from webapp.db import db, unit_of_work
from webapp.i18n import LANGUAGES
from webapp.ui.access import person, public
from webapp.ui.headers import is_https
from webapp.ui.languages import LANGUAGE_COOKIE
from webapp.ui.pages import THEME_COOKIE, THEMES

bp = Blueprint("account", __name__)
_YEAR = 365 * 86400


@bp.post("/language")
@public
def language() -> Response:
    """Speak this language from now on; for who is signed in, on every machine."""
    chosen = request.form.get("language", "")
    if chosen not in LANGUAGES:
        raise BadRequest
    if someone := person():
        with unit_of_work():
            db.session.get_one(User, someone.actor.id).language = chosen
    return _kept(LANGUAGE_COOKIE, chosen)


@bp.post("/theme")
@public
def theme() -> Response:
    """Show light or dark, or as the system does."""
    chosen = request.form.get("theme", "")
    return _kept(THEME_COOKIE, chosen if chosen in THEMES else "")


def _kept(cookie: str, value: str) -> Response:
    response = redirect(local(request.form.get("next", "")))
    if value:
        response.set_cookie(cookie, value, max_age=_YEAR, samesite="Lax", secure=is_https())
    else:
        response.delete_cookie(cookie, samesite="Lax", secure=is_https())
    return response


def local(target: str) -> str:
    """Where to go next: an address of this desk, or its first page."""
    parts = urlsplit(target)
    if not target.startswith("/") or parts.scheme or parts.netloc or target.startswith(("//", "/\\")):
        return "/"
    return target

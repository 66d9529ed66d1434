"""A person's own account: name, address, password and sessions; and language and theme, which are also cookies, so
that they apply before signing in.
"""

from typing import Any

from flask import Blueprint, flash, render_template, request, url_for
from werkzeug.exceptions import BadRequest
from werkzeug.wrappers import Response

from webapp.accounts import people
from webapp.accounts.models import User
from webapp.accounts.services import Proof, SignInRefused, authenticated, checked_email, hashed
from webapp.channels.shops import shops
from webapp.db import db, unit_of_work
from webapp.errors import DeskError, Invalid
from webapp.i18n import LANGUAGES, gettext as _, lazy_gettext as _l
from webapp.ui.forms import Form
from webapp.ui.forms.people import email_form, name_form, password_form
from webapp.ui.frame.access import current_person, person, personal, public
from webapp.ui.frame.agents import browser_name
from webapp.ui.frame.failures import again_after
from webapp.ui.frame.headers import is_https
from webapp.ui.frame.known_browsers import remember_browser
from webapp.ui.frame.languages import LANGUAGE_COOKIE
from webapp.ui.frame.limits import of_person, tries
from webapp.ui.frame.pages import THEME_COOKIE, THEMES
from webapp.ui.frame.redirects import redirect

bp = Blueprint("account", __name__)
_YEAR = 365 * 86400
Answer = Response | tuple[str, int, dict[str, str]]


class WrongPassword(SignInRefused):
    """The present password, which a change of the account requires, is wrong."""

    code, field = "wrong_password", "present"
    sentence = _l("The current password is wrong. If you forgot it, ask for a one-time link.")


@bp.get("/account")
@personal
def show() -> str:
    """One's own account."""
    return _page()


@bp.post("/account/name")
@personal
def change_name() -> Answer:
    me, form = current_person(), name_form("", request.form)
    try:
        with unit_of_work():
            people.change_name(me.actor.id or 0, form.text_of("name"))
    except Invalid as error:
        return _again(error, name=form)
    return _done(_("Saved."))


@bp.post("/account/email")
@personal
def change_email() -> Answer:
    """Change one's address, with which one signs in from then on."""
    form = email_form("", request.form)
    try:
        address = checked_email(form.text_of("email"))
        with tries(of_person(current_person().actor.id or 0)):
            proof = _proof(form)
            with unit_of_work():
                people.change_email(proof, address)
    except DeskError as error:
        return _again(error, email=form)
    response = _done(_("From now on you sign in with this address."))
    remember_browser(response, address)
    return response


@bp.post("/account/password")
@personal
def change_password() -> Answer:
    """Change one's password and end one's other sessions."""
    me, form = current_person(), password_form(request.form)
    try:
        with tries(of_person(me.actor.id or 0)):
            proof = _proof(form)
            password_hash = hashed(form.text_of("password"), me.email)
            with unit_of_work():
                people.change_password(proof, password_hash, keep=me.session_id)
    except DeskError as error:
        return _again(error, password=form)
    return _done(_("Your password is changed, and your other sessions are ended."))


@bp.post("/account/sessions/<int(max=2147483647):session_id>/end")
@personal
def end_session(session_id: int) -> Answer:
    """End one of one's own sessions; signing out ends the present one."""
    me = current_person()
    with unit_of_work():
        people.end_own_sessions(me.actor.id or 0, only=session_id, keep=me.session_id)
    return _done(_("The session is ended."))


@bp.post("/account/sessions/end")
@personal
def end_other_sessions() -> Answer:
    """End all of one's sessions except the present one."""
    me = current_person()
    with unit_of_work():
        people.end_own_sessions(me.actor.id or 0, keep=me.session_id)
    return _done(_("Your other sessions are ended."))


def _proof(form: Form) -> Proof:
    """Proof that the person knows the present password."""
    try:
        return authenticated(current_person().email, form.text_of("present"), known=True)
    except SignInRefused:
        raise WrongPassword from None


def _page(**typed: Form) -> str:
    me = current_person()
    user = people.get_person(me.actor.id or 0)
    fresh: dict[str, Any] = {"name": name_form(user.name), "email": email_form(user.email), "password": password_form()}
    return render_template(
        "desk/account/index.html",
        forms=fresh | typed,
        role=user.role_label,
        shops=[] if me.actor.shops is None else [shop.name for shop in shops(me.actor)],
        sessions=people.sessions_of(user.id),
        here=me.session_id,
        session_url=lambda session_id: url_for(".end_session", session_id=session_id),
        browser_name=browser_name,
    )


def _again(error: DeskError, **typed: Form) -> Answer:
    if error.status >= 500:
        raise error
    for form in typed.values():
        form.complain(error)
    return _page(**typed), error.status, again_after(error)


def _done(sentence: str) -> Response:
    flash(sentence, "good")
    return redirect(url_for(".show"))


@bp.post("/language")
@public
def language() -> Response:
    """Use this language from now on; for a signed-in person, in every browser."""
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
    """Use the light or dark theme, or the system's."""
    chosen = request.form.get("theme", "")
    return _kept(THEME_COOKIE, chosen if chosen in THEMES else "")


def _kept(cookie: str, value: str) -> Response:
    response = redirect(request.form.get("next", ""))
    if value:
        response.set_cookie(cookie, value, max_age=_YEAR, samesite="Lax", secure=is_https())
    else:
        response.delete_cookie(cookie, samesite="Lax", secure=is_https())
    return response

"""Signing in and out, one-time links, the first owner. Visiting a link does not use it up: mail scanners visit links
too.
"""

from flask import Blueprint, flash, make_response, render_template, request, session, url_for
from werkzeug.wrappers import Response

from webapp.accounts import services as accounts
from webapp.accounts.models import SignInLink, User
from webapp.db import db, unit_of_work
from webapp.errors import DeskError, Invalid
from webapp.i18n import gettext as _, lazy_gettext as _l
from webapp.ui import forms
from webapp.ui.forms.people import PASSWORD_RULE
from webapp.ui.frame.access import NotSetUp, current_actor, device, let_in, let_out, public, session_token, signed_in
from webapp.ui.frame.failures import again_after
from webapp.ui.frame.known_browsers import known_browser, remember_browser
from webapp.ui.frame.limits import of_sign_in, of_source, tries
from webapp.ui.frame.redirects import redirect

bp = Blueprint("sign_in", __name__)


@bp.get("/sign-in")
@public
def sign_in() -> str | Response:
    """The form, or a redirect to the desk for a signed-in person."""
    if signed_in():
        return redirect(request.args.get("next", ""))
    if not accounts.has_owner():
        raise NotSetUp
    return render_template(
        "frame/sign_in/sign_in.html", form=_sign_in_form(next=request.args.get("next", "")), error=""
    )


@bp.post("/sign-in")
@public
def enter() -> str | Response | tuple[str, int] | tuple[str, int, dict[str, str]]:
    """Sign in by address and password."""
    form = _sign_in_form()
    email = form.text_of("email")
    try:
        with tries(*of_sign_in(email)):
            known = bool(known_browser(email))
            proof = accounts.authenticated(email, form.text_of("password"), known=known)
            with unit_of_work():
                token = accounts.sign_in(proof, device=device())
    except DeskError as error:
        if error.status >= 500:
            raise
        return (
            render_template("frame/sign_in/sign_in.html", form=form, error=str(error)),
            error.status,
            again_after(error),
        )
    response = let_in(redirect(form.text_of("next")), token)
    remember_browser(response, email)
    return response


@bp.post("/sign-out")
@public
def sign_out() -> Response:
    """End the session, in the browser and on the desk."""
    if signed_in() and (token := session_token()):
        with unit_of_work():
            accounts.close_session(token, actor=current_actor())
    session.clear()
    return let_out(redirect(url_for(".sign_in")))


@bp.get("/sign-in/link/<token>")
@public
def link(token: str) -> str | tuple[str, int] | Response:
    """Show for whom a link is; its button uses it."""
    try:
        found = accounts.find_link(token)
    except accounts.LinkRefused as error:
        return _link_over(error)
    if found.user_id is None:
        return redirect(url_for(".set_up", token=token))
    return _link_page(token, db.session.get_one(User, found.user_id))


@bp.post("/sign-in/link/<token>")
@public
def use_link(token: str) -> Response | str | tuple[str, int]:
    """Sign in by a link, with a new password if one was typed; otherwise the old password stays."""
    form = None
    try:
        with tries(of_source()):
            user = _user_of(accounts.find_link(token))
            email, form = user.email, _link_form(user)
            secret = form.text_of("password")
            password_hash = accounts.hashed(secret, email) if secret else None
            with unit_of_work():
                name = form.text_of("name") if "name" in form else ""
                opened = accounts.use_link(token, password_hash=password_hash, name=name, device=device())
    except accounts.LinkRefused as error:
        return _link_over(error)
    except Invalid as error:
        if form is None:
            raise
        form.complain(error)
        return _link_page(token, _user_of(accounts.find_link(token)), form), error.status
    if secret:
        flash(_("Your new password is set."), "good")
    response = let_in(redirect(url_for("dashboard.home")), opened)
    remember_browser(response, email)
    return response


def _user_of(link: SignInLink) -> User:
    user = db.session.get(User, link.user_id) if link.user_id else None
    if user is None:
        raise accounts.LinkRefused
    return user


def _link_page(token: str, user: User, form: forms.Form | None = None) -> str:
    invited = user.password_hash is None
    context = {"email": user.email, "invited": invited, "form": form or _link_form(user), "expired": False}
    return render_template("frame/sign_in/link.html", token=token, **context)


def _link_over(error: accounts.LinkRefused) -> tuple[str, int]:
    context = {"email": "", "invited": False, "form": None, "expired": True}
    return render_template("frame/sign_in/link.html", token="", **context), error.status


@bp.get("/welcome/<token>")
@public
def set_up(token: str) -> str | tuple[str, int]:
    """The form by which the first owner sets up the desk."""
    try:
        accounts.find_link(token)
    except accounts.LinkRefused as error:
        return _link_over(error)
    return render_template("frame/sign_in/set_up.html", form=_set_up_form(), token=token)


@bp.post("/welcome/<token>")
@public
def welcome(token: str) -> Response | tuple[str, int]:
    """Create the first owner."""
    form = _set_up_form()
    try:
        with tries(of_source()):
            accounts.find_link(token)
            email = accounts.checked_email(form.text_of("email"))
            password_hash = accounts.hashed(form.text_of("password"), email)
            with unit_of_work():
                opened = accounts.set_up_owner(
                    token, email=email, name=form.text_of("name"), password_hash=password_hash, device=device()
                )
    except accounts.LinkRefused as error:
        return _link_over(error)
    except Invalid as error:
        form.complain(error)
        return render_template("frame/sign_in/set_up.html", form=form, token=token), error.status
    flash(_("Your desk is set up."), "good")
    response = let_in(make_response(redirect(url_for("dashboard.home"))), opened)
    remember_browser(response, email)
    return response


def _sign_in_form(next: str = "") -> forms.Form:
    known = bool(request.form.get("email"))  # the address was typed before: the password was wrong and is typed next
    fields = {
        "email": forms.text(_l("E-mail"), kind="email", required=True, autocomplete="username", autofocus=not known),
        "password": forms.secret(_l("Password"), required=True, autocomplete="current-password", autofocus=known),
        "next": forms.hidden(next),
    }
    return forms.Form(fields, request.form or None)


def _link_form(user: User) -> forms.Form:
    """The form of a one-time link: a person without a password must choose one, others may."""
    secret = {"help": PASSWORD_RULE, "autocomplete": "new-password"}
    if user.password_hash is not None:
        fields = {"password": forms.secret(_l("New password"), **secret)}
    else:
        fields = {
            "name": forms.text(_l("Your name"), autocomplete="name"),
            "password": forms.secret(_l("Password"), required=True, **secret),
        }
    return forms.Form(fields, request.form or None, data={"name": user.name})


def _set_up_form() -> forms.Form:
    fields = {
        "email": forms.text(_l("E-mail"), kind="email", required=True, autocomplete="username", autofocus=True),
        "name": forms.text(_l("Your name"), autocomplete="name"),
        "password": forms.secret(_l("Password"), required=True, help=PASSWORD_RULE, autocomplete="new-password"),
    }
    return forms.Form(fields, request.form or None)

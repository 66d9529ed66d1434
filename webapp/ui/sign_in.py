"""Signing in and out, one-time links, the first owner. A visit of a link spends nothing: mail scanners visit too."""

from flask import Blueprint, flash, make_response, redirect, render_template, request, session, url_for
from werkzeug.wrappers import Response

from webapp.accounts import services as accounts
from webapp.accounts.models import User
from webapp.db import db, unit_of_work
from webapp.errors import DeskError
from webapp.i18n import gettext as _, lazy_gettext as _l
from webapp.ui import forms
from webapp.ui.access import NotSetUp, current_actor, let_in, let_out, public, session_token, signed_in
from webapp.ui.account import local
from webapp.ui.limits import tries

bp = Blueprint("sign_in", __name__)


@bp.get("/sign-in")
@public
def sign_in() -> str | Response:
    """The form, or the desk for who is in already."""
    if signed_in():
        return redirect(local(request.args.get("next", "")))
    if not accounts.has_owner():
        raise NotSetUp
    return render_template("sign_in/sign_in.html", form=_sign_in_form(next=request.args.get("next", "")))


@bp.post("/sign-in")
@public
@tries
def enter() -> str | Response | tuple[str, int]:
    """Sign in by address and password."""
    form = _sign_in_form()
    try:
        user_id = accounts.authenticated(form.text_of("email"), form.text_of("password")).id
        with unit_of_work():
            token = accounts.open_session(db.session.get_one(User, user_id), how="password")
    except accounts.SignInRefused as error:
        return render_template("sign_in/sign_in.html", form=form, error=str(error)), error.status
    return let_in(redirect(local(form.text_of("next"))), token)


@bp.post("/sign-out")
@public
def sign_out() -> Response:
    """End the session, here and on the desk."""
    if signed_in() and (token := session_token()):
        with unit_of_work():
            accounts.close_session(token, actor=current_actor())
    session.clear()
    return let_out(redirect(url_for(".sign_in")))


@bp.get("/sign-in/link/<token>")
@public
def link(token: str) -> str | tuple[str, int] | Response:
    """Say whom a link lets in; its button spends it."""
    try:
        found = accounts.find_link(token)
    except accounts.LinkRefused as error:
        return render_template("sign_in/link.html", token=token, expired=True), error.status
    if found.user_id is None:
        return redirect(url_for(".set_up", token=token))
    user = db.session.get_one(User, found.user_id)
    return render_template("sign_in/link.html", token=token, email=user.email)


@bp.post("/sign-in/link/<token>")
@public
@tries
def use_link(token: str) -> Response | tuple[str, int]:
    try:
        with unit_of_work():
            opened = accounts.use_link(token)
    except accounts.LinkRefused as error:
        return render_template("sign_in/link.html", token=token, expired=True), error.status
    return let_in(redirect(url_for("dashboard.home")), opened)


@bp.get("/welcome/<token>")
@public
def set_up(token: str) -> str | tuple[str, int]:
    """The form by which the first owner sets up the desk."""
    try:
        accounts.find_link(token)
    except accounts.LinkRefused as error:
        return render_template("sign_in/link.html", token=token, expired=True), error.status
    return render_template("sign_in/set_up.html", form=_set_up_form(), token=token)


@bp.post("/welcome/<token>")
@public
@tries
def welcome(token: str) -> Response | tuple[str, int]:
    form = _set_up_form()
    try:
        with unit_of_work():
            opened = accounts.set_up_owner(
                token, email=form.text_of("email"), name=form.text_of("name"), password=form.text_of("password")
            )
    except accounts.LinkRefused as error:
        return render_template("sign_in/link.html", token=token, expired=True), error.status
    except DeskError as error:
        form.complain(error)
        return render_template("sign_in/set_up.html", form=form, token=token), error.status
    flash(_("The desk is yours."), "good")
    return let_in(make_response(redirect(url_for("dashboard.home"))), opened)


def _sign_in_form(next: str = "") -> forms.Form:
    fields = {
        "email": forms.text(_l("E-mail"), kind="email", required=True, autocomplete="username", autofocus=True),
        "password": forms.secret(_l("Password"), required=True, autocomplete="current-password"),
        "next": forms.hidden(next),
    }
    return forms.Form(fields, request.form or None)


def _set_up_form() -> forms.Form:
    rule = _l("At least 12 characters, of three kinds (a, A, 1, #), without your address in it.")
    fields = {
        "email": forms.text(_l("E-mail"), kind="email", required=True, autocomplete="username", autofocus=True),
        "name": forms.text(_l("Your name"), autocomplete="name"),
        "password": forms.secret(_l("Password"), required=True, help=rule, autocomplete="new-password"),
    }
    return forms.Form(fields, request.form or None)

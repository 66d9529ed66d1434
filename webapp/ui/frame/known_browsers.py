"""Browsers in which somebody signed in before, by a cookie that the desk signed: it names the browser and its accounts.

The cookie gives no access. It only reserves an allowance of tries for the browser, so that strangers who use up an
account's allowance don't lock its owner out.
"""

import hashlib
import secrets
from typing import Any

from flask import current_app, request
from itsdangerous import BadSignature, URLSafeTimedSerializer
from werkzeug.wrappers import Response

_LIFE = 365 * 86400
_ACCOUNTS = 8  # of one browser; the account that signed in longest ago is dropped


def known_browser(email: str) -> str:
    """The id of the requesting browser, if this account signed in there; else empty."""
    browser, accounts = _read()
    return browser if account_key(email) in accounts else ""


def remember_browser(response: Response, email: str) -> None:
    """Have the browser remember that this account signed in."""
    browser, accounts = _read()
    mine = account_key(email)
    kept = [mine, *(account for account in accounts if account != mine)][:_ACCOUNTS]
    response.set_cookie(
        current_app.config["WAYBILL_KNOWN_COOKIE"],
        _signer().dumps([browser or secrets.token_urlsafe(12), kept]),
        max_age=_LIFE,
        httponly=True,
        samesite="Lax",
        secure=current_app.config["SESSION_COOKIE_SECURE"],
    )


def _read() -> tuple[str, list[str]]:
    try:
        payload: Any = _signer().loads(
            request.cookies.get(current_app.config["WAYBILL_KNOWN_COOKIE"], ""), max_age=_LIFE
        )
    except (BadSignature, ValueError):
        return "", []
    match payload:
        case [str(browser), [*accounts]] if all(isinstance(account, str) for account in accounts):
            return browser, accounts
    return "", []  # signed by another version of the desk


def _signer() -> URLSafeTimedSerializer:
    return URLSafeTimedSerializer(str(current_app.secret_key), salt="known-browser")


def account_key(email: str) -> str:
    """A short name of an account that does not reveal its address."""
    return hashlib.sha256(email.strip().lower().encode()).hexdigest()[:24]

"""The consent page of Seller Central: one of the practice sellers authorizes an application, and is sent back.

It only leads to addresses on this machine. A code lasts five minutes and is exchanged once (`tokens.grant`).
"""

from urllib.parse import urlencode, urlsplit

from flask import Blueprint, abort, render_template, request, url_for
from flask_babel import get_locale
from werkzeug import Response

from plugins.amazon.practice import tokens
from plugins.amazon.practice.api import the_practice
from plugins.amazon.practice.control import LOCAL_HOSTS, only_from_here
from plugins.amazon.practice.marketplaces import REFRESH_TOKENS, SELLERS
from plugins.amazon.practice.pages import strict

bp = Blueprint("consent", __name__, url_prefix="/apps/authorize")
bp.before_request(only_from_here)
bp.after_request(strict)


@bp.get("/consent")
def ask() -> str:
    """The page: which seller authorizes the application."""
    application, state, back = (request.args.get(name, "") for name in ("application_id", "state", "redirect_uri"))
    if not application or not state or not _is_local(back):
        abort(400, "application_id, state, and a redirect_uri on this machine are needed.")
    return render_template(
        "practice/consent.html",
        lang=str(get_locale()),
        application=application,
        is_draft=request.args.get("version") == "beta",
        sellers={
            seller: url_for(".confirm", region=region, state=state, redirect_uri=back)
            for region, seller in SELLERS.items()
        },
        deny_url=url_for(".deny", state=state, redirect_uri=back),
    )


@bp.get("/confirm")
def confirm() -> Response:
    """The seller of `region` consents; the new authorization undoes an earlier withdrawal."""
    region = request.args.get("region", "")
    if region not in SELLERS:
        abort(400, "A region is na, eu or fe.")
    the_practice().store.restore(REFRESH_TOKENS[region])
    code = tokens.authorization_code(the_practice(), region)
    return _back({"spapi_oauth_code": code, "selling_partner_id": SELLERS[region]})


@bp.get("/deny")
def deny() -> Response:
    """The seller does not consent."""
    return _back({"error": "access_denied"})


def _back(answer: dict[str, str]) -> Response:
    target = request.args.get("redirect_uri", "")
    if not _is_local(target):
        abort(400, "A redirect_uri on this machine is needed.")
    query = urlencode({"state": request.args.get("state", ""), **answer})
    return Response(status=302, headers={"Location": f"{target}?{query}"})  # away from here, on purpose


def _is_local(url: str) -> bool:
    parts = urlsplit(url)
    return parts.scheme in ("http", "https") and parts.hostname in LOCAL_HOSTS and not parts.query

"""Tokens without a store: access tokens and page tokens are signed, so they survive a restart.

This module decides who gets a token from Login with Amazon; `api.py` decides what a page token must match.
"""

import base64
import binascii
import hashlib
import hmac
import json
import time
from collections.abc import Mapping
from typing import Any, Final

from plugins.amazon.practice.marketplaces import AUTHORIZATION_CODES, CLIENT_ID, CLIENT_SECRET, REFRESH_TOKENS
from plugins.amazon.practice.practice import Practice

GRANTLESS_SCOPES: Final = frozenset(
    {"sellingpartnerapi::notifications", "sellingpartnerapi::client_credential:rotation"}
)


class LwaError(Exception):
    """Login with Amazon refuses; status, code and description are its answer."""

    def __init__(self, status: int, code: str, description: str) -> None:
        super().__init__(description)
        self.status, self.code, self.description = status, code, description


CODE_LIFE_MS: Final = 5 * 60 * 1000
REFUSALS: Final = {  # faults of token requests
    "secret_expired": LwaError(401, "invalid_client", "Client authentication failed"),
    "not_allowed": LwaError(400, "unauthorized_client", "The client is not authorized for this grant type"),
}


def sign(practice: Practice, kind: str, values: dict[str, Any]) -> str:
    """An opaque token with these values that can't be forged."""
    body = json.dumps(values, separators=(",", ":")).encode()
    seal = hmac.digest(practice.secret, kind.encode() + body, hashlib.sha256)[:12]
    return base64.urlsafe_b64encode(seal + body).decode().rstrip("=")


def read(practice: Practice, kind: str, token: str) -> dict[str, Any] | None:
    """The values of a token; None: it is not one of ours."""
    try:
        data = base64.b64decode(token + "=" * (-len(token) % 4), altchars=b"-_", validate=True)
    except (binascii.Error, ValueError):
        return None
    seal, body = data[:12], data[12:]
    if not hmac.compare_digest(seal, hmac.digest(practice.secret, kind.encode() + body, hashlib.sha256)[:12]):
        return None
    values: dict[str, Any] = json.loads(body)
    return values


def grant(practice: Practice, form: Mapping[str, str]) -> dict[str, Any]:
    """Answer a token request; raises LwaError."""
    kind = form.get("grant_type", "")
    if kind not in ("refresh_token", "client_credentials", "authorization_code"):
        raise LwaError(
            400, "unsupported_grant_type", "The authorization grant type is not supported by the authorization server"
        )
    if not form.get("client_id") or not form.get("client_secret"):
        raise LwaError(400, "invalid_request", "The request is missing a required parameter : client_id, client_secret")
    if form["client_id"] != CLIENT_ID or form["client_secret"] != CLIENT_SECRET:
        raise LwaError(401, "invalid_client", "Client authentication failed")
    if kind == "client_credentials":
        if form.get("scope") not in GRANTLESS_SCOPES:
            raise LwaError(400, "invalid_scope", "The requested scope is invalid, unknown, malformed")
        return _answer(practice, {"scope": form["scope"]})
    if kind == "refresh_token":
        refresh_token = form.get("refresh_token", "")
        region = _region_of(REFRESH_TOKENS, refresh_token)
        if region is None or practice.store.is_revoked(refresh_token):
            raise LwaError(400, "invalid_grant", "The request has an invalid grant parameter : refresh_token")
    else:
        code = form.get("code", "")
        region = _region_of(AUTHORIZATION_CODES, code) or _consented(practice, code)
        if region is None:
            raise LwaError(400, "invalid_grant", "The request has an invalid grant parameter : code")
    return _answer(practice, {"region": region}) | {"refresh_token": REFRESH_TOKENS[region]}


def authorization_code(practice: Practice, region: str) -> str:
    """A code that the seller of a region gives by consenting."""
    values = {"region": region, "until": practice.now_ms() + CODE_LIFE_MS, "nonce": time.monotonic_ns()}
    return sign(practice, "code", values)


def _consented(practice: Practice, code: str) -> str | None:
    """The region whose seller gave this code, if it lasts and was not exchanged before."""
    values, used = read(practice, "code", code), practice.store.read("codes") or []
    if values is None or values["until"] <= practice.now_ms() or values["nonce"] in used:
        return None
    practice.store.keep("codes", [*used[-99:], values["nonce"]])
    return str(values["region"])


def _region_of(table: Mapping[str, str], value: str) -> str | None:
    return next((region for region, known in table.items() if known == value), None)


def _answer(practice: Practice, holder: dict[str, Any]) -> dict[str, Any]:
    life = practice.settings.token_life
    values = holder | {
        "until": practice.now_ms() + int(life * 1000),
        "round": practice.store.read("round") or 0,
        "nonce": time.monotonic_ns(),
    }
    return {
        "access_token": "Atza|" + sign(practice, "access", values),
        "token_type": "bearer",
        "expires_in": int(life),
    }


def revoke_access_tokens(practice: Practice) -> None:
    """Invalidate every access token handed out so far; a refresh token still gets a new one."""
    practice.store.keep("round", (practice.store.read("round") or 0) + 1)


def holder_of(practice: Practice, access_token: str) -> tuple[dict[str, Any] | None, str]:
    """The seller of this access token; or None and Amazon's details why not."""
    if not access_token:
        return None, "Access token is missing in the request header."
    values = read(practice, "access", access_token.removeprefix("Atza|"))
    if values is None or values["round"] != (practice.store.read("round") or 0):
        return None, "The access token you provided is revoked, malformed or invalid."
    region = values.get("region")
    if region and practice.store.is_revoked(REFRESH_TOKENS[region]):
        return None, "The access token you provided is revoked, malformed or invalid."
    if values["until"] <= practice.now_ms():
        return None, "The access token you provided has expired."
    return values, ""

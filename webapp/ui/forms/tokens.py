"""The token by which a form shows that a page of ours sent it; it looks different in every answer.

Answers are compressed, and a value that is repeated from answer to answer could be guessed from their lengths. So the
token of each answer is masked with random bytes, which are sent with it (as in Django).
"""

import base64
import binascii
import secrets

from flask import Flask, g
from flask_wtf import CSRFProtect
from flask_wtf.csrf import generate_csrf


class FormTokens(CSRFProtect):
    """Flask-WTF's protection, with the token masked in pages and unmasked in requests."""

    def init_app(self, app: Flask) -> None:
        super().init_app(app)
        app.jinja_env.globals["csrf_token"] = masked_token
        app.context_processor(lambda: {"csrf_token": masked_token})

    def _get_csrf_token(self) -> str | None:
        sent = super()._get_csrf_token()
        return _unmasked(sent) if sent else None


def masked_token() -> str:
    """The token for the forms of this answer: one mask for all of them."""
    if "masked_token" not in g:
        token = generate_csrf().encode()
        mask = secrets.token_bytes(len(token))
        g.masked_token = base64.urlsafe_b64encode(mask + _mixed(token, mask)).decode()
    return str(g.masked_token)


def _unmasked(sent: str) -> str | None:
    try:
        both = base64.urlsafe_b64decode(sent.encode())
        half = len(both) // 2
        return _mixed(both[:half], both[half:]).decode()
    except (binascii.Error, ValueError):
        return None


def _mixed(one: bytes, other: bytes) -> bytes:
    return bytes(a ^ b for a, b in zip(one, other, strict=True))

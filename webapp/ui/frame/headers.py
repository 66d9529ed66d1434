"""Security headers: a strict policy without inline script or style, and no cache may store a signed-in page."""

from flask import Flask, Response, request

from webapp.config import configuration
from webapp.ui.frame.access import signed_in
from webapp.ui.frame.plugin_pages import is_of_plugin

_POLICY = "; ".join(
    (
        "default-src 'self'",
        "object-src 'none'",
        "base-uri 'none'",
        "form-action 'self'",
        "frame-ancestors 'none'",
    )
)
_ALWAYS = {
    "Content-Security-Policy": _POLICY,
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), display-capture=(), geolocation=(), microphone=(), payment=(), usb=()",
    "Referrer-Policy": "same-origin",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}
_YEAR = 365 * 86400


def init_app(app: Flask) -> None:
    secure = is_https()

    @app.after_request
    def add(response: Response) -> Response:
        of_plugin = is_of_plugin(request.endpoint)
        for name, value in _ALWAYS.items():
            if of_plugin or name not in response.headers:  # plugins can't loosen them
                response.headers[name] = value
        if secure:
            response.headers.setdefault("Strict-Transport-Security", f"max-age={_YEAR}")
        if request.endpoint != "static" and (signed_in() or "Cache-Control" not in response.headers):
            response.headers["Cache-Control"] = "no-store"
        return response


def is_https() -> bool:
    """Whether people use the desk by https, according to `WAYBILL_URL`."""
    return configuration().url.lower().startswith("https://")

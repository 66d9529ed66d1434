"""The headers of a proxy before the desk are trusted, and nobody else's.

Only if `WAYBILL_URL` says that there is a proxy, and only on connections from `WAYBILL_PROXIES`. A client's address may
include a port; if the header has no valid address, the client's address is the connection's.
"""

from collections.abc import Iterable
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from flask import Flask, request
from werkzeug.middleware.proxy_fix import ProxyFix

from webapp.addresses import bare, parsed
from webapp.config import configuration

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIEnvironment

_HANDED_ON = ("Forwarded", "Via", "X-Forwarded-For", "X-Forwarded-Host", "X-Forwarded-Proto", "X-Real-IP")


def init_app(app: Flask) -> None:
    direct = app.wsgi_app

    def cleaned(environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
        own = environ["werkzeug.proxy_fix.orig"]["REMOTE_ADDR"] or ""
        environ["REMOTE_ADDR"] = bare(environ.get("REMOTE_ADDR") or "") or own
        return direct(environ, start_response)

    proxied = ProxyFix(cleaned, x_for=1, x_proto=1, x_host=1)

    def serve(environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
        believed = configuration().believes(environ.get("REMOTE_ADDR", ""))
        return (proxied if believed else direct)(environ, start_response)

    app.wsgi_app = serve  # type: ignore[method-assign]


def asked_from_within() -> bool:
    """Whether this machine or a trusted address itself made the request; a request that a proxy forwards has its
    headers.
    """
    if any(name in request.headers for name in _HANDED_ON):
        return False
    address = request.environ.get("REMOTE_ADDR") or ""
    known = parsed(address)
    return (known is not None and known.is_loopback) or configuration().believes(address)


def by_local_name() -> bool:
    """Whether the address in the browser is one of this machine, so that pages on it can send a person back here."""
    name = urlsplit(request.host_url).hostname or ""
    known = parsed(name)
    return name == "localhost" or (known is not None and known.is_loopback)

"""What a proxy before the desk says of its clients is believed, and of nobody else.

Only where `WAYBILL_URL` tells that there is a proxy, and only on connections from `WAYBILL_PROXIES`.
"""

from collections.abc import Iterable
from typing import TYPE_CHECKING

from flask import Flask
from werkzeug.middleware.proxy_fix import ProxyFix

from webapp.config import configuration

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIEnvironment


def init_app(app: Flask) -> None:
    direct = app.wsgi_app
    proxied = ProxyFix(direct, x_for=1, x_proto=1, x_host=1)

    def serve(environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
        believed = configuration().believes(environ.get("REMOTE_ADDR", ""))
        return (proxied if believed else direct)(environ, start_response)

    app.wsgi_app = serve  # type: ignore[method-assign]

"""Static files: each URL carries its content's hash, so that a browser keeps the file until it changes.

Fonts carry none, since the stylesheet names them too and a browser would load them twice. Templates ask for the same
addresses over and over: those that depend on nothing are made once.
"""

import hashlib
from functools import lru_cache
from pathlib import Path
from typing import Any

from flask import Flask, Response, has_request_context, request

from webapp.ui.access import public

_YEAR, _MONTH = 365 * 86400, 30 * 86400


def init_app(app: Flask) -> None:
    folder = Path(app.static_folder or "")
    public(app.view_functions["static"])

    @app.url_defaults
    def add_hash(endpoint: str, values: dict[str, Any]) -> None:
        name = values.get("filename", "")
        if endpoint == "static" and not name.endswith(".woff2"):
            values["v"] = _hash(folder / name)

    @lru_cache(maxsize=512)
    def lasting(root: str, endpoint: str, **file: Any) -> str:
        return app.url_for(endpoint, **file)

    def url_for(endpoint: str, **values: Any) -> str:
        """Flask's own, which a page calls a hundred times; what names nothing but a file or a page never changes."""
        if endpoint.startswith(".") or values.keys() - {"filename"} or not has_request_context():
            return app.url_for(endpoint, **values)
        return lasting(request.script_root, endpoint, **values)

    app.jinja_env.globals["url_for"] = url_for

    @app.after_request
    def keep(response: Response) -> Response:
        if request.endpoint == "static" and response.status_code in (200, 304):
            if "v" in request.args:
                response.headers["Cache-Control"] = f"public, max-age={_YEAR}, immutable"
            elif request.path.endswith(".woff2"):
                response.headers["Cache-Control"] = f"public, max-age={_MONTH}"
        return response


@lru_cache(maxsize=256)
def _hash(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()[:12]

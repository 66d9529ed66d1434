"""Static files: each URL carries its content's hash, so that a browser keeps the file until it changes.

Fonts carry none, since the stylesheet names them too and a browser would load them twice.
"""

import hashlib
from functools import lru_cache
from pathlib import Path
from typing import Any

from flask import Flask, Response, request

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

"""Static files: each URL carries its content's hash, so that a browser keeps the file until it changes.

They are read and compressed once and served from memory. The stylesheet names fonts, by the addresses that templates
have for them, since a browser would load them twice otherwise. Templates ask for the same addresses over and over:
those that depend on nothing are made once.
"""

import gzip
import hashlib
import mimetypes
import re
from functools import lru_cache
from pathlib import Path
from typing import Any

from flask import Flask, Response, abort, has_request_context, request
from werkzeug.security import safe_join

from webapp.ui.frame.access import public
from webapp.ui.frame.compression import KINDS, gzip_accepted

_YEAR = 365 * 86400
_NAMED = re.compile(rb'url\("?([\w/.-]+)"?\)')


def init_app(app: Flask) -> None:
    folder = Path(app.static_folder or "")
    mimetypes.add_type("text/javascript", ".js")  # Python 3.11 and many machines know it by an older name

    @public
    def serve(filename: str) -> Response:
        path = safe_join(str(folder), filename)
        if path is None or not Path(path).is_file():
            abort(404)
        return _answer(Path(path))

    app.view_functions["static"] = serve

    @app.url_defaults
    def add_hash(endpoint: str, values: dict[str, Any]) -> None:
        if endpoint == "static":
            values["v"] = _hash(folder / values.get("filename", ""))

    @lru_cache(maxsize=512)
    def lasting(root: str, endpoint: str, **file: Any) -> str:
        return app.url_for(endpoint, **file)

    def url_for(endpoint: str, **values: Any) -> str:
        """Flask's own, which a page calls a hundred times; what names nothing but a file or a page never changes."""
        if endpoint.startswith(".") or values.keys() - {"filename"} or not has_request_context():
            return app.url_for(endpoint, **values)
        return lasting(request.script_root, endpoint, **values)

    app.jinja_env.globals["url_for"] = url_for


def _answer(path: Path) -> Response:
    kind = mimetypes.guess_type(path.name)[0] or "application/octet-stream"
    response = Response(mimetype=kind)
    tag = _hash(path)
    if kind in KINDS:
        response.vary.add("Accept-Encoding")
    if kind in KINDS and gzip_accepted():
        response.set_data(_packed(path))
        response.headers["Content-Encoding"] = "gzip"
        tag += "-gzip"
    else:
        response.set_data(_content(path))
    response.set_etag(tag)
    if "v" in request.args:
        response.headers["Cache-Control"] = f"public, max-age={_YEAR}, immutable"
    else:
        response.headers["Cache-Control"] = "no-cache"
    return response.make_conditional(request)  # type: ignore[return-value]


@lru_cache(maxsize=256)
def _content(path: Path) -> bytes:
    """A file as it is served: a stylesheet names its files with their hashes."""
    content = path.read_bytes()
    if path.suffix != ".css":
        return content
    return _NAMED.sub(
        lambda named: b'url("%s?v=%s")' % (named[1], _hash(path.parent / named[1].decode()).encode()), content
    )


@lru_cache(maxsize=256)
def _packed(path: Path) -> bytes:
    return gzip.compress(_content(path), 9, mtime=0)


@lru_cache(maxsize=256)
def _hash(path: Path) -> str:
    return hashlib.sha256(_content(path)).hexdigest()[:12]

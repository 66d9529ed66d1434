"""Static files: the URL of each file carries a hash of its content, so that a browser keeps the file until it changes.

Files are read and compressed once and served from memory. A stylesheet names fonts, and a script the scripts that it
imports; both names get the hash too, since a browser would otherwise load the file a second time. The fonts of
documents are in the documents' folder, and are served below `fonts/`. Templates need the URLs of files and pages very
often: a URL without parameters is built once.
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

from webapp.documents.letters import FOLDER as FONTS
from webapp.ui.frame.access import public
from webapp.ui.frame.compression import KINDS, gzip_accepted

_YEAR = 365 * 86400
_OF_FONTS = "fonts/"
_NAMES = {
    ".css": re.compile(rb'(?<=url\()"?([\w/.-]+)"?(?=\))'),
    ".js": re.compile(rb'(?<=from )"\./([\w-]+\.js)"(?=;\n)'),
}


def init_app(app: Flask) -> None:
    folder = Path(app.static_folder or "")
    mimetypes.add_type("text/javascript", ".js")  # Python 3.11 and many machines know it by an older name
    mimetypes.add_type("font/ttf", ".ttf")

    @public
    def serve(filename: str) -> Response:
        path = _path(folder, filename)
        if path is None or not path.is_file():
            abort(404)
        return _answer(path)

    app.view_functions["static"] = serve

    @app.url_defaults
    def add_hash(endpoint: str, values: dict[str, Any]) -> None:
        if endpoint == "static":
            values["v"] = _hash(_path(folder, values.get("filename", "")) or folder)

    @lru_cache(maxsize=512)
    def lasting(root: str, endpoint: str, **file: Any) -> str:
        return app.url_for(endpoint, **file)

    def url_for(endpoint: str, **values: Any) -> str:
        """Flask's `url_for`, with a cache for files and for pages without parameters: a page needs a hundred URLs."""
        if endpoint.startswith(".") or values.keys() - {"filename"} or not has_request_context():
            return app.url_for(endpoint, **values)
        return lasting(request.script_root, endpoint, **values)

    app.jinja_env.globals["url_for"] = url_for


def _path(folder: Path, filename: str) -> Path | None:
    """Where a static file lies; None for a name that leads out of its folder."""
    if filename.startswith(_OF_FONTS):
        folder, filename = FONTS, filename.removeprefix(_OF_FONTS)
    found = safe_join(str(folder), filename)
    return Path(found) if found else None


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
    """A file as it is served: the names in it have their hashes. Files must not name each other in a circle."""
    content = path.read_bytes()
    if path.suffix not in _NAMES:
        return content
    before = b"./" if path.suffix == ".js" else b""  # browsers refuse to import a bare name

    def hashed(named: re.Match[bytes]) -> bytes:
        file = _path(path.parent, named[1].decode())
        return b'"%s%s?v=%s"' % (before, named[1], _hash(file).encode() if file else b"")

    return _NAMES[path.suffix].sub(hashed, content)


@lru_cache(maxsize=256)
def _packed(path: Path) -> bytes:
    return gzip.compress(_content(path), 9, mtime=0)


@lru_cache(maxsize=256)
def _hash(path: Path) -> str:
    return hashlib.sha256(_content(path)).hexdigest()[:12]

"""Text is sent compressed, and no length tells a secret."""

import gzip
import mimetypes
import re
from pathlib import Path

import pytest
from flask import Flask

from tests.ui.conftest import Browser
from webapp.ui.frame import assets

TOKEN = re.compile(r'name="csrf_token" value="([^"]+)"')
GZIP = {"Accept-Encoding": "gzip, deflate, br"}


def test_a_page_is_sent_compressed_to_who_takes_it(browser: Browser) -> None:
    plain, packed = browser.client.get("/orders/"), browser.client.get("/orders/", headers=GZIP)
    assert "Content-Encoding" not in plain.headers
    assert packed.headers["Content-Encoding"] == "gzip"
    assert int(packed.headers["Content-Length"]) == len(packed.data) < len(plain.data) / 3
    assert "<title>" in gzip.decompress(packed.data).decode()
    assert "Accept-Encoding" in plain.headers["Vary"]
    assert "Accept-Encoding" in packed.headers["Vary"]


@pytest.mark.parametrize("refused", ["identity", "gzip;q=0", "br"])
def test_nobody_gets_what_they_do_not_take(browser: Browser, refused: str) -> None:
    assert "Content-Encoding" not in browser.client.get("/orders/", headers={"Accept-Encoding": refused}).headers


@pytest.mark.parametrize("site", ["cross-site", "same-site"])
def test_a_page_that_another_site_asks_for_is_not_compressed(browser: Browser, site: str) -> None:
    answer = browser.client.get("/orders/?q=hold", headers=GZIP | {"Sec-Fetch-Site": site})
    assert (answer.status_code, "Content-Encoding" in answer.headers) == (200, False)
    own = browser.client.get("/orders/?q=hold", headers=GZIP | {"Sec-Fetch-Site": "same-origin"})
    assert own.headers["Content-Encoding"] == "gzip"


def test_the_form_token_looks_different_each_time_and_every_one_works(browser: Browser) -> None:
    first, second = (set(TOKEN.findall(browser.get("/orders/").text)) for _ in range(2))
    assert (len(first), len(second), first & second) == (1, 1, set())
    for token in (*first, *second):
        sent = {"csrf_token": token, "theme": "dark"}
        assert browser.client.post("/theme", data=sent).status_code == 302
        assert browser.client.post("/theme", headers={"X-CSRFToken": token}).status_code == 302
    for wrong in ("", "x", "é", "AAAA", next(iter(first))[:-4]):
        assert browser.client.post("/theme", data={"csrf_token": wrong}).status_code == 400


def test_files_are_compressed_once_and_kept_for_good(app: Flask, browser: Browser) -> None:
    folder = Path(app.static_folder or "")
    with app.test_request_context():
        urls = [app.url_for("static", filename=name) for name in ("waybill.css", "icons.svg", "vendor/htmx.min.js")]
    fonts = re.findall(r'url\("([^"]+)"\)', browser.client.get(urls[0]).get_data(as_text=True))
    assert len(fonts) == 2
    for url in (*urls, *(f"/static/{font}" for font in fonts)):
        answer = browser.client.get(url, headers=GZIP)
        content = folder.joinpath(url.removeprefix("/static/").partition("?")[0]).read_bytes()
        assert answer.headers["Cache-Control"] == "public, max-age=31536000, immutable"
        assert "Set-Cookie" not in answer.headers
        if url.partition("?")[0].endswith("woff2"):
            assert answer.data == content
            continue
        assert (answer.headers["Content-Encoding"], len(answer.data) < len(content) / 2) == ("gzip", True)
        assert url == urls[0] or gzip.decompress(answer.data) == content
        again = browser.client.get(url, headers=GZIP | {"If-None-Match": answer.headers["ETag"]})
        assert (again.status_code, again.data) == (304, b"")
        assert browser.client.get(url).headers["ETag"] != answer.headers["ETag"]


def test_scripts_are_compressed_whatever_the_machine_calls_them(app: Flask) -> None:
    mimetypes.init([])
    mimetypes.add_type("application/javascript", ".js")
    try:
        assets.init_app(Flask("another", static_folder=app.static_folder))
        answer = app.test_client().get("/static/vendor/htmx.min.js", headers=GZIP)
        assert (answer.mimetype, answer.headers["Content-Encoding"]) == ("text/javascript", "gzip")
    finally:
        mimetypes.init()
        mimetypes.add_type("text/javascript", ".js")


@pytest.mark.parametrize("path", ["../config.py", "..%2f..%2fconfig.py", "vendor", "missing.css", "%00"])
def test_nothing_but_files_of_ours_is_served(browser: Browser, path: str) -> None:
    assert browser.client.get(f"/static/{path}").status_code == 404

"""Bytes: cookies, headers and bodies that no browser sends are answered like any other request, and never by a 500.

Whatever a server hands on is tried, so requests are made without a client that would tidy them up first. Values that a
server refuses by itself (a line break in a header) are not among them.
"""

import io
from collections.abc import Callable
from contextvars import Context
from typing import Any
from urllib.parse import quote_plus

import pytest
from flask import Flask
from hypothesis import HealthCheck, given, settings, strategies as st
from itsdangerous import TimestampSigner, URLSafeTimedSerializer
from werkzeug.test import EnvironBuilder, run_wsgi_app

from tests.ui.conftest import Browser
from webapp.db import db
from webapp.orders.models import Order
from webapp.ui.frame.languages import LANGUAGE_COOKIE
from webapp.ui.frame.pages import THEME_COOKIE
from webapp.ui.frame.unscripted import COOKIE as UNSCRIPTED_COOKIE

BYTES: dict[str, bytes] = {
    "nothing": b"",
    "a word": b"fr",
    "a zero": b"a\0b",
    "controls": bytes(range(1, 9)) + b"\x0b\x0c\x0e\x1b\x7f",
    "Latin-1": "Größe".encode("latin-1"),
    "UTF-8": "Größe 中 😀".encode(),
    "no UTF-8": b"\xff\xfe\xc3\x28",
    "half a character": b"\xf0\x9f\x98",
    "a surrogate": b"\xed\xa0\x80",
    "too long a form": b"\xc0\xaf",
    "quotes": b'"a\\"b',
    "octal escapes": b'"\\303\\050\\000\\777"',
    "percents": b"%00%ff%zz%u0041%",
    "separators": b"a; b=c, d=e; ;;=;",
    "a number": b"9" * 400,
    "a minus": b"-1",
    "dots": b"eyJhIjoxfQ.aaaa.bbbb",
    "a packed one": b".eJwrTi0uzsxLL1ZIVLBSUErMyVFIVLBKTVFIVLBKTVEIUrAqVrBSSslUUErLTAUAFnkNJA.aaaa.bbbb",
    "JSON": b'{"a": [1, {"b": null}], "a": NaN}',
    "deep JSON": b"[" * 3_000,
    "a template": b"{{7*7}}${7*7}<script>",
    "an address": b"[::1%25eth0]:99999",
    "a day": b"Thu, 99 Foo 99999 99:99:99 GMT",
    "a language": b"fr;q=9, *;q=-1, zz-ZZ-\xff;q=x, -, en_US.UTF-8@euro",
    "a range": b"bytes=-0-,5-2,99999999999999999999-",
    "long": b"x" * 20_000,
    "many": b"a=1; " * 5_000,
}
HEADERS = (
    "Accept", "Accept-Charset", "Accept-Encoding", "Accept-Language", "Authorization", "Cache-Control",
    "Content-Encoding", "Content-Length", "Content-Type", "Forwarded", "HX-Boosted", "HX-Current-URL",
    "HX-History-Restore-Request",
    "HX-Prompt", "HX-Request", "HX-Target", "HX-Trigger", "HX-Trigger-Name", "Host", "If-Match", "If-Modified-Since",
    "If-None-Match", "If-Range", "Last-Event-ID", "Origin", "Range", "Referer", "Sec-Fetch-Mode", "Sec-Fetch-Site",
    "Transfer-Encoding", "Upgrade", "User-Agent", "Via", "X-CSRFToken", "X-Forwarded-For", "X-Forwarded-Host",
    "X-Forwarded-Port", "X-Forwarded-Prefix", "X-Forwarded-Proto", "X-HTTP-Method-Override", "X-Real-IP",
    "X-Requested-With",
)  # fmt: skip
TYPES = (
    "", "application/json", "application/json; charset=utf-16", "text/plain", "text/html; charset=\xff",
    "application/x-www-form-urlencoded", "application/x-www-form-urlencoded; charset=utf-16",
    "application/x-www-form-urlencoded; charset=no-such", "application/x-www-form-urlencoded; charset=\0",
    "application/x-www-form-urlencoded; charset*=utf-8''%ff", "multipart/form-data", "multipart/form-data; boundary=",
    "multipart/form-data; boundary=b", "multipart/form-data; boundary=b; charset=utf-7",
    'multipart/form-data; boundary="b\xff"', "multipart/mixed; boundary=b",
    "application/octet-stream", ";;;", "a" * 5_000, "*/*; q=\x01", "application/vnd.api+json",
)  # fmt: skip
BODIES: dict[str, Callable[[bytes], bytes]] = {
    "as it is": lambda value: value,
    "a field": lambda value: b"q=" + value + b"&next=" + value + b"&list=" + value,
    "a name": lambda value: value + b"=1&" + value + b"[]=2",
    "percents": lambda value: b"q=" + quote_plus(value).encode() + b"&order=" + quote_plus(value).encode(),
    "a part": lambda value: b'--b\r\nContent-Disposition: form-data; name="q"\r\n\r\n' + value + b"\r\n--b--\r\n",
    "a part's name": lambda value: (
        b'--b\r\nContent-Disposition: form-data; name="' + value + b'"\r\n\r\n1\r\n--b--\r\n'
    ),
    "a file": lambda value: (
        b'--b\r\nContent-Disposition: form-data; name="list"; filename="' + value[:200] + b'"\r\nContent-Type: '
        + value[:200] + b"\r\n\r\n" + value + b"\r\n--b--\r\n"
    ),
    "a part without an end": lambda value: b'--b\r\nContent-Disposition: form-data; name="q"\r\n\r\n' + value,
    "a part's charset": lambda value: (
        b'--b\r\nContent-Disposition: form-data; name="q"\r\nContent-Type: text/plain; charset='
        + value[:200] + b"\r\n\r\nq\r\n--b--\r\n"
    ),
    "many parts": lambda value: b'--b\r\nContent-Disposition: form-data; name="q"\r\n\r\n1\r\n' * 3_000 + b"--b--",
    "many fields": lambda value: b"&".join(b"%d=%b" % (at, value[:20]) for at in range(3_000)),
}  # fmt: skip
PATHS = (
    ("GET", "/"), ("GET", "/sign-in"), ("GET", "/orders/"), ("GET", "/orders/W000001"), ("GET", "/healthz"),
    ("GET", "/readyz"), ("GET", "/metrics"), ("GET", "/nothing/here"), ("GET", "/static/nothing.css"),
    ("GET", "/orders/count"), ("GET", "/orders/export"), ("HEAD", "/orders/"), ("OPTIONS", "/orders/"),
    ("POST", "/sign-in"), ("POST", "/theme"), ("POST", "/language"), ("POST", "/orders/search"),
    ("POST", "/orders/ship-list"), ("POST", "/orders/filters"), ("POST", "/palette/"), ("PUT", "/orders/"),
)  # fmt: skip


class Sender:
    """Sends what is given, byte by byte, as somebody who is signed in or not."""

    def __init__(self, app: Flask, browser: Browser) -> None:
        self.app, self.browser = app, browser
        names = ("WAYBILL_COOKIE", "WAYBILL_KNOWN_COOKIE", "SESSION_COOKIE_NAME")
        self.cookies = [*(app.config[name] for name in names), LANGUAGE_COOKIE, THEME_COOKIE, UNSCRIPTED_COOKIE]
        browser.get("/orders/")
        self.own = {name: found.value for name in self.cookies if (found := browser.client.get_cookie(name))}

    def send(
        self,
        asked: tuple[str, str],
        *,
        cookies: dict[str, bytes] | None = None,
        headers: dict[str, bytes] | None = None,
        body: bytes = b"",
        kind: str = "application/x-www-form-urlencoded",
    ) -> int:
        method, path = asked
        environ = EnvironBuilder(path=path, method=method, environ_base={"REMOTE_ADDR": "127.0.0.1"}).get_environ()
        jar = {name: value.encode() for name, value in self.own.items()} | (cookies or {})
        environ["HTTP_COOKIE"] = b"; ".join(name.encode() + b"=" + value for name, value in jar.items()).decode(
            "latin-1"
        )
        environ |= {"CONTENT_TYPE": kind, "CONTENT_LENGTH": str(len(body)), "wsgi.input": io.BytesIO(body)}
        environ["HTTP_X_CSRFTOKEN"] = self.browser.token
        for name, value in (headers or {}).items():
            key = name.upper().replace("-", "_")
            environ[key if key.startswith("CONTENT_") else f"HTTP_{key}"] = value.decode("latin-1")
        db.session.rollback()
        chunks, status, _headers = Context().run(run_wsgi_app, self.app.wsgi_app, environ, True)
        b"".join(chunks)
        close: Any = getattr(chunks, "close", None)
        if close is not None:
            close()
        return int(status.split()[0])


@pytest.fixture
def sender(app: Flask, browser: Browser, make_order: Callable[..., Order]) -> Sender:
    make_order()
    return Sender(app, browser)


def try_cookie(sender: Sender, asked: tuple[str, str], name: str, value: bytes) -> None:
    assert sender.send(asked, cookies={name: value}) < 500, (asked, name, value[:80])


def try_header(sender: Sender, asked: tuple[str, str], name: str, value: bytes) -> None:
    assert sender.send(asked, headers={name: value}, body=b"q=a") < 500, (asked, name, value[:80])


def try_body(sender: Sender, asked: tuple[str, str], kind: str, shape: str, value: bytes) -> None:
    assert sender.send(asked, kind=kind, body=BODIES[shape](value)) < 500, (asked, kind, shape, value[:80])


VALUES = st.one_of(st.sampled_from(sorted(BYTES.values())), st.binary(max_size=60)).map(
    lambda value: value.replace(b"\r", b"").replace(b"\n", b"")  # servers refuse them
)
ASKED = st.sampled_from(PATHS)
RESTED = [HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
SHORT = settings(max_examples=25, deadline=None, suppress_health_check=RESTED)
LONG = settings(max_examples=3_000, deadline=None, suppress_health_check=RESTED)
ON_SQLITE = pytest.mark.parametrize("database", ["sqlite"], indirect=True)


@ON_SQLITE
def test_every_cookie_may_hold_anything(sender: Sender) -> None:
    for name, value in BYTES.items():
        everywhere = dict.fromkeys(sender.cookies, value)
        assert sender.send(("GET", "/sign-in"), cookies=everywhere) < 500, name
        assert sender.send(("POST", "/sign-in"), cookies=everywhere) < 500, name
        del everywhere[sender.cookies[0]]  # signed in still
        assert sender.send(("GET", "/orders/"), cookies=everywhere) == 200, name


@ON_SQLITE
def test_cookies_that_were_signed_for_something_else_are_none(app: Flask, sender: Sender) -> None:
    """Another version of the desk may have signed another shape of what a browser is known by."""
    secret, name = str(app.secret_key), app.config["WAYBILL_KNOWN_COOKIE"]
    told = (None, 7, "text", [], ["a"], ["a", "b", "c"], [None, None], ["a", 7], [[], {}], {"a": 1}, ["a", [[]]])
    signed = [URLSafeTimedSerializer(secret, salt="known-browser").dumps(one).encode() for one in told]
    for value in (*signed, TimestampSigner(secret, salt="known-browser").sign(b"not base64 \xff")):
        body = b"email=olga@desk.test&password=Correct-Horse-7-Battery"
        assert sender.send(("POST", "/sign-in"), cookies={name: value}, body=body) < 500, value


@SHORT
@given(asked=ASKED, at=st.integers(0, 5), value=VALUES)
def test_odd_cookies(sender: Sender, asked: tuple[str, str], at: int, value: bytes) -> None:
    try_cookie(sender, asked, sender.cookies[at], value)


@SHORT
@given(asked=ASKED, name=st.sampled_from(HEADERS), value=VALUES)
def test_odd_headers(sender: Sender, asked: tuple[str, str], name: str, value: bytes) -> None:
    try_header(sender, asked, name, value)


@SHORT
@given(asked=ASKED, kind=st.sampled_from(TYPES), shape=st.sampled_from(sorted(BODIES)), value=VALUES)
def test_odd_bodies(sender: Sender, asked: tuple[str, str], kind: str, shape: str, value: bytes) -> None:
    try_body(sender, asked, kind, shape, value)


@pytest.mark.soak
@LONG
@given(asked=ASKED, at=st.integers(0, 5), value=VALUES)
def test_odd_cookies_for_long(sender: Sender, asked: tuple[str, str], at: int, value: bytes) -> None:
    try_cookie(sender, asked, sender.cookies[at], value)


@pytest.mark.soak
@LONG
@given(asked=ASKED, name=st.sampled_from(HEADERS), value=VALUES)
def test_odd_headers_for_long(sender: Sender, asked: tuple[str, str], name: str, value: bytes) -> None:
    try_header(sender, asked, name, value)


@pytest.mark.soak
@LONG
@given(asked=ASKED, kind=st.sampled_from(TYPES), shape=st.sampled_from(sorted(BODIES)), value=VALUES)
def test_odd_bodies_for_long(sender: Sender, asked: tuple[str, str], kind: str, shape: str, value: bytes) -> None:
    try_body(sender, asked, kind, shape, value)

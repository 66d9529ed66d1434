"""Serving a practice Amazon: the Flask application, and a server on 127.0.0.1 in this process or in one of its own."""

import subprocess
import sys
import time
from pathlib import Path
from threading import Thread
from types import TracebackType
from typing import Any, Final, Self

import httpx
from flask import Flask, Response, jsonify
from flask_babel import Babel
from jinja2 import StrictUndefined
from werkzeug.exceptions import HTTPException
from werkzeug.http import http_date
from werkzeug.serving import BaseWSGIServer, WSGIRequestHandler, make_server

from plugins.amazon.practice import (
    api,
    consent,
    control,
    feeds_api,
    finances_api,
    mail_control,
    mail_pages,
    messaging_api,
    pages,
    solicitations_api,
    uploads_api,
)
from plugins.amazon.practice.client import PracticeClient
from plugins.amazon.practice.mail_servers import MailServers
from plugins.amazon.practice.marketplaces import REGIONS
from plugins.amazon.practice.practice import Practice

TRANSLATIONS: Final = Path(__file__).resolve().parents[1] / "translations"


def create_practice(data_dir: Path | str, **options: Any) -> Flask:
    """The application over a data directory; the options are those of `Practice`."""
    return application(Practice(data_dir, **options))


def application(practice: Practice) -> Flask:
    """The application of a practice Amazon."""
    app = Flask(__name__, static_folder=None)
    app.jinja_options = {"undefined": StrictUndefined}
    app.config["PROPAGATE_EXCEPTIONS"] = True  # a dropped connection must reach the server
    # cookies are shared between ports: the desk's own session at this address must not be overwritten
    app.config.update(SECRET_KEY=practice.secret, SESSION_COOKIE_NAME="practice", SESSION_COOKIE_SAMESITE="Strict")
    app.extensions["practice"] = practice
    for region in (None, *REGIONS):
        app.register_blueprint(api.blueprint(region))
        app.register_blueprint(feeds_api.blueprint(region))
        app.register_blueprint(finances_api.blueprint(region))
        app.register_blueprint(messaging_api.blueprint(region))
        app.register_blueprint(solicitations_api.blueprint(region))
        app.register_blueprint(uploads_api.blueprint(region))
    app.register_blueprint(feeds_api.documents)
    app.register_blueprint(uploads_api.attachments)
    app.register_blueprint(control.bp)
    app.register_blueprint(mail_control.bp)
    app.register_blueprint(pages.bp)
    app.register_blueprint(mail_pages.bp)
    app.register_blueprint(consent.bp)
    Babel(app, default_translation_directories=str(TRANSLATIONS), locale_selector=pages.language)

    @app.after_request
    def dated(response: Response) -> Response:
        """Each answer has the time of this Amazon's clock, which clients compare with times in answers."""
        response.headers["Date"] = http_date(practice.now_ms() / 1000)
        return response

    @app.errorhandler(HTTPException)
    def http_error(error: HTTPException) -> tuple[Response, int]:
        """Errors in Amazon's form, on every path."""
        code = "NotFound" if error.code == 404 else "Unauthorized" if error.code == 403 else "InvalidInput"
        body = {"errors": [{"code": code, "message": error.description or "", "details": ""}]}
        return jsonify(body), error.code or 500

    @app.get("/practice/health")
    def health() -> Response:
        """Answer that it is up."""
        return jsonify(ok=True)

    return app


class _Handler(WSGIRequestHandler):
    """Keeps connections open, logs one line per call without query or body, and can drop the connection."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def send_response(self, code: int, message: str | None = None) -> None:
        """Begin an answer without the date of the computer's clock: the application says its own."""
        self.log_request(code)
        self.send_response_only(code, message)

    def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
        """Method, path without its query, status; nothing when the server is quiet."""
        if getattr(self.server, "talks", False):
            self.log_message("%s %s %s", self.command, self.path.partition("?")[0], code)

    def log_message(self, format: str, *args: Any) -> None:
        """To standard error, without an address: all callers are local."""
        sys.stderr.write(f"practice {self.log_date_time_string()} {format % args}\n")

    def connection_dropped(self, error: BaseException, environ: Any = None) -> None:
        """Close the connection instead of answering."""
        self.close_connection = True


def bind(app: Flask, port: int, *, talks: bool = False) -> BaseWSGIServer:
    """A threaded server on 127.0.0.1; port 0 takes a free one. Raises SystemExit if the port is taken."""
    server = make_server("127.0.0.1", port, app, threaded=True, request_handler=_Handler)
    server.talks = talks  # type: ignore[attr-defined]
    return server


class PracticeServer:
    """A running practice Amazon for tests and demos: `with PracticeServer(tmp_path) as amazon: amazon.url`.

    It runs in a thread of this process, or with `process=True` in one of its own, which `kill()` ends like kill -9.
    """

    def __init__(self, data_dir: Path | str, *, port: int = 0, process: bool = False, **options: Any) -> None:
        self.data_dir, self.port, self.options, self._own = Path(data_dir), port, options, process
        self.practice: Practice | None = None
        self._server: BaseWSGIServer | None = None
        self._thread: Thread | None = None
        self._child: subprocess.Popen[bytes] | None = None
        self._client: PracticeClient | None = None
        self._mail_servers: MailServers | None = None
        self.smtp_port = self.imap_port = 0

    @property
    def url(self) -> str:
        """Its address; the endpoint and, with /auth/o2/token, the token endpoint of a store."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def token_url(self) -> str:
        """The address of access tokens."""
        return self.url + "/auth/o2/token"

    @property
    def client(self) -> PracticeClient:
        """A client that acts as buyer, bank and fault."""
        if self._client is None:
            self._client = PracticeClient(self.url)
        return self._client

    def start(self) -> Self:
        """Start and wait until it answers."""
        if self._own:
            self._start_process()
        else:
            self.practice = Practice(self.data_dir, **self.options)
            self._server = bind(application(self.practice), self.port)
            self.port = self._server.server_port
            self._mail_servers = MailServers(self.practice)
            self._mail_servers.start(self.smtp_port, self.imap_port)
            self._thread = Thread(target=self._server.serve_forever, args=(0.05,), daemon=True, name="practice-amazon")
            self._thread.start()
        servers = self.client.mail_servers()
        self.smtp_port, self.imap_port = servers["smtp"]["port"], servers["imap"]["port"]
        return self

    def _start_process(self) -> None:
        self.data_dir.mkdir(parents=True, exist_ok=True)
        said = self.data_dir / "port"
        said.unlink(missing_ok=True)
        words = [sys.executable, "-m", "plugins.amazon.practice", "serve", "--quiet"]
        words += ["--port", str(self.port), "--data-dir", str(self.data_dir), "--port-file", str(said)]
        words += ["--smtp-port", str(self.smtp_port), "--imap-port", str(self.imap_port)]
        settings = {key: value for key, value in self.options.items() if key != "settings"}
        for name, value in (settings | self.options.get("settings", {})).items():
            words += [f"--{name.replace('_', '-')}"] if value is True else [f"--{name.replace('_', '-')}", str(value)]
        root = Path(__file__).resolve().parents[3]
        self._child = subprocess.Popen(words, cwd=root)
        deadline = time.monotonic() + 120  # a busy machine is slow; a process that died is noticed at once
        while time.monotonic() < deadline and self._child.poll() is None:
            if said.exists() and (text := said.read_text()):
                self.port = int(text)
                return
            time.sleep(0.02)
        self.stop()
        raise RuntimeError("The practice Amazon did not start.")

    def kill(self) -> None:
        """End its process at once, as a crash would; start() brings it back on the same port."""
        if self._child:
            self._child.kill()
            self._child.wait()
            self._child = None

    def stop(self) -> None:
        """End it in an orderly way."""
        if self._client:
            self._client.close()
            self._client = None
        if self._child:
            self._child.terminate()
            self._child.wait(10)
            self._child = None
        if self._server:
            self._server.shutdown()
            self._server.server_close()
            self._server = None
        if self._mail_servers:
            self._mail_servers.stop()
            self._mail_servers = None
        if self._thread:
            self._thread.join(5)
            self._thread = None
        if self.practice:
            self.practice.close()
            self.practice = None

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *error: type[BaseException] | BaseException | TracebackType | None) -> None:
        self.stop()


def answers(url: str) -> bool:
    """Whether a practice Amazon answers there."""
    try:
        return httpx.get(f"{url}/practice/health", timeout=2).is_success
    except httpx.HTTPError:
        return False

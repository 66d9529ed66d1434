"""The web server: gunicorn with threads, since open live streams each occupy one.

The app is loaded once and forked, so the processes share its memory; what must not be shared is let go after the fork.
"""

import gc
from typing import Any

from flask import Flask
from gunicorn.app.base import BaseApplication
from gunicorn.glogging import Logger
from werkzeug.middleware.proxy_fix import ProxyFix

from webapp.config import configuration
from webapp.db import db
from webapp.ui import live

_GRACE = 5  # seconds that requests get to end


class Words(Logger):
    """What gunicorn itself has to say goes where the desk's entries go: in the same form, and each whole."""

    def setup(self, cfg: Any) -> None:
        super().setup(cfg)
        self.error_log.handlers.clear()
        self.error_log.propagate = True


class Server(BaseApplication):
    """gunicorn around the app, with options from the desk's configuration and none from files."""

    def __init__(self, app: Flask, host: str, port: int) -> None:
        self._app, self._bind = app, f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
        super().__init__()

    def load_config(self) -> None:
        own = configuration()
        options: dict[str, Any] = {
            "bind": self._bind,
            "worker_class": "gthread",
            "workers": own.web_processes,
            "threads": own.web_threads,
            "preload_app": True,
            "graceful_timeout": _GRACE,
            "timeout": 60,
            "keepalive": 15,
            "control_socket_disable": True,
            "accesslog": None,
            "errorlog": "-",
            "logger_class": Words,
            "loglevel": "warning",
            "proc_name": "waybill-web",
            "limit_request_line": 8190,
            "post_fork": self._after_fork,
            "post_worker_init": _worker_ready,
        }
        for name, value in options.items():
            self.cfg.set(name, value)

    def load(self) -> Any:
        if configuration().url:  # a proxy stands before the desk, and only then its headers are believed
            self._app.wsgi_app = ProxyFix(self._app.wsgi_app, x_for=1, x_proto=1, x_host=1)  # type: ignore[method-assign]
        gc.collect()
        gc.freeze()  # what is loaded stays: collecting around it costs the slowest pages most
        gc.set_threshold(50_000, 20, 20)
        return self._app

    def _after_fork(self, server: Any, worker: Any) -> None:
        with self._app.app_context():
            db.engine.dispose(close=False)  # the parent's connections are the parent's


def _worker_ready(worker: Any) -> None:
    live.stopping = lambda: not worker.alive


def serve(app: Flask, host: str, port: int) -> None:
    """Serve until told to stop; does not return."""
    Server(app, host, port).run()

"""The web server: gunicorn, with options that `web` and `gunicorn wsgi:app` (by `gunicorn.conf.py`) share.

The app is loaded once and forked, so the processes share its memory; what must not be shared is closed after the fork.
"""

import gc
import signal
from typing import Any

from flask import Flask
from gunicorn.app.base import BaseApplication
from gunicorn.glogging import Logger

from webapp.config import configuration
from webapp.db import db
from webapp.ui.frame import live
from webapp.ui.web_server.web_worker import WebWorker

_GRACE = 60  # seconds that requests get to end: each has a limit of its own below that
_STOPS = (signal.SIGTERM, signal.SIGINT, signal.SIGQUIT)
_CONNECTIONS = 600  # of a process, which may have 1,024 files open on many machines


def options(host: str, port: int) -> dict[str, Any]:
    """gunicorn's settings for the desk of this configuration."""
    own = configuration()
    return {
        "bind": f"[{host}]:{port}" if ":" in host else f"{host}:{port}",
        "worker_class": WebWorker,
        "workers": own.web_processes,
        "threads": own.web_threads,
        "worker_connections": _CONNECTIONS,
        "preload_app": True,
        "graceful_timeout": _GRACE,
        "timeout": 60,
        "keepalive": 15,
        "sendfile": False,  # the worker keeps what a slow client has not taken yet, and must see it
        "forwarded_allow_ips": "",  # the desk itself decides which proxies are trusted
        "control_socket_disable": True,
        "accesslog": None,
        "errorlog": "-",
        "logger_class": ServerLog,
        "loglevel": "warning",
        "proc_name": "waybill-web",
        "limit_request_line": 8190,
        "when_ready": _before_forks,
        "post_fork": _after_fork,
        "post_worker_init": _worker_ready,
    }


class ServerLog(Logger):
    """gunicorn's own log entries are written where the desk's are: in the same form, and each whole."""

    def setup(self, cfg: Any) -> None:
        super().setup(cfg)
        self.error_log.handlers.clear()
        self.error_log.propagate = True


class Server(BaseApplication):
    """gunicorn around the app, with the options above and none from files."""

    def __init__(self, app: Flask, host: str, port: int) -> None:
        self._app, self._options = app, options(host, port)
        super().__init__()

    def load_config(self) -> None:
        for name, value in self._options.items():
            self.cfg.set(name, value)

    def load(self) -> Flask:
        return self._app


def _before_forks(server: Any) -> None:
    gc.collect()
    gc.freeze()  # what is loaded stays: collecting garbage around it costs the slowest pages most
    gc.set_threshold(50_000, 20, 20)


def _after_fork(server: Any, worker: Any) -> None:
    with server.app.wsgi().app_context():
        db.engine.dispose(close=False)  # the connections belong to the parent
    worker.early_signals = server.SIG_QUEUE


def _worker_ready(worker: Any) -> None:
    """Obey a stop that arrived before this process had handlers of its own: those of its parent only record a
    signal.
    """
    live.stopping = lambda: not worker.alive
    while not worker.early_signals.empty():
        if worker.early_signals.get() in _STOPS:
            worker.alive = False


def serve(app: Flask, host: str, port: int) -> None:
    """Serve until told to stop; does not return."""
    Server(app, host, port).run()

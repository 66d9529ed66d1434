"""The time limit of a request: after it a reading ends with a sentence; a write is finished."""

from flask import Flask

from webapp.db import limit_session

SECONDS = 30  # nobody waits longer than that for a page


def init_app(app: Flask) -> None:
    app.before_request(_begin)


def _begin() -> None:
    limit_session(SECONDS)

"""The time that one request may take: what it reads ends with a sentence after it, what it writes is finished."""

from flask import Flask

from webapp.db import limit_session

SECONDS = 30  # a page that is looked for longer than that has no reader any more


def init_app(app: Flask) -> None:
    app.before_request(_begin)


def _begin() -> None:
    limit_session(SECONDS)

"""In which language a page speaks: the person's own, else the cookie's, the browser's wish, the desk's."""

from flask import Flask, g, request
from flask_babel import Domain

from webapp.config import configuration
from webapp.i18n import LANGUAGES

LANGUAGE_COOKIE = "lang"


def init_app(app: Flask) -> None:
    catalogs = Domain()

    @app.before_request
    def choose() -> None:
        catalogs.as_default()  # else Babel reads the catalogs anew with every request
        ours = configuration().language
        cookie = request.cookies.get(LANGUAGE_COOKIE)
        g.locale = cookie if cookie in LANGUAGES else request.accept_languages.best_match(list(LANGUAGES), default=ours)


def speak(language: str | None) -> None:
    """Speak the language of whoever turned out to ask."""
    if language in LANGUAGES:
        g.locale = language

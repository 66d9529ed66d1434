"""In which language a page speaks: the person's own, else the cookie's, the browser's wish, the desk's."""

from typing import Any

from flask import Flask, g, request
from flask_babel import Domain

from webapp.config import configuration
from webapp.i18n import LANGUAGES

LANGUAGE_COOKIE = "lang"


class Catalogs(Domain):
    """The catalogs of all languages, read once: Babel alone would read them anew with every request."""

    def get_translations(self) -> Any:
        known = g.setdefault("catalogs", {})  # a page asks some hundred times
        spoken = g.get("locale")
        if spoken not in known:
            known[spoken] = super().get_translations()
        return known[spoken]


def init_app(app: Flask) -> None:
    catalogs = Catalogs()

    @app.before_request
    def choose() -> None:
        catalogs.as_default()
        ours = configuration().language
        cookie = request.cookies.get(LANGUAGE_COOKIE)
        g.locale = cookie if cookie in LANGUAGES else request.accept_languages.best_match(list(LANGUAGES), default=ours)


def language() -> str:
    """The code of the language that is spoken now."""
    return str(g.get("locale") or configuration().language)


def speak(wish: str | None) -> None:
    """Speak the language of whoever turned out to ask."""
    if wish in LANGUAGES:
        g.locale = wish

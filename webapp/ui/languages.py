"""In which language and zone a page speaks: the person's language, the cookie, the browser's wish, the desk's own."""

from pathlib import Path

from flask import Flask, g, has_request_context, request
from flask_babel import Domain

from webapp.config import ROOT, configuration
from webapp.i18n import LANGUAGES, Babel
from webapp.ui.access import person

LANGUAGE_COOKIE = "lang"


def init_app(app: Flask) -> None:
    app.config["BABEL_TRANSLATION_DIRECTORIES"] = ";".join(map(str, _catalogs()))
    babel = Babel()
    babel.init_app(app, default_locale="en", locale_selector=language, timezone_selector=zone)
    domain = Domain(list(map(str, _catalogs())))

    @app.before_request
    def keep_catalogs() -> None:
        domain.as_default()  # Babel would read the catalogs anew with every request


def _catalogs() -> list[Path]:
    return [ROOT / "webapp" / "translations", *sorted(ROOT.glob("plugins/*/translations"))]


def language() -> str:
    """The code of the language to speak now."""
    ours = configuration().language
    if not has_request_context():
        return ours
    someone = person()
    for wish in (someone.language if someone else None, request.cookies.get(LANGUAGE_COOKIE)):
        if wish in LANGUAGES:
            return str(wish)
    return request.accept_languages.best_match(list(LANGUAGES), default=ours) or ours


def zone() -> str:
    """The zone in which times are shown: that of the shop a page is about, else of the desk's first shop."""
    return str(g.get("zone") or "UTC")

"""The language of a page: the person's own, else the cookie's, the browser's wish, the desk's."""

from functools import lru_cache
from typing import Any

from flask import Flask, g, request
from flask_babel import Domain, force_locale, get_locale
from markupsafe import Markup

from webapp.config import configuration
from webapp.i18n import LANGUAGES

LANGUAGE_COOKIE = "lang"


class Catalogs(Domain):
    """The catalogs of all languages, read once: Babel alone would read them again with every request."""

    def get_translations(self) -> Any:
        kept = vars(g._get_current_object())  # called some hundred times for a page
        known = kept.setdefault("catalogs", {})
        spoken = kept.get("locale") or str(get_locale())
        if spoken not in known:
            with force_locale(spoken):  # Babel caches the first language of a request
                known[spoken] = super().get_translations()
        return known[spoken]


def init_app(app: Flask) -> None:
    catalogs = Catalogs()

    def word(text: str, /, **values: Any) -> Markup:
        """`_` in templates. Jinja's own version passes through three layers of context for each word."""
        translated = Markup(catalogs.get_translations().ugettext(text))  # noqa: S704 - a text of ours, as in the template
        return translated % values if values or "%" in translated else translated

    @lru_cache(maxsize=16)
    def drawn(template: str, spoken: str, root: str) -> Markup:
        return Markup(app.jinja_env.get_template(template).render())  # noqa: S704 - a template of ours

    def unchanging(template: str) -> Markup:
        """A part of every page that depends on neither page nor reader: drawn once for each language."""
        return drawn(template, language(), request.script_root)

    app.jinja_env.globals |= {"_": word, "unchanging": unchanging}

    @app.before_request
    def choose() -> None:
        catalogs.as_default()
        ours = configuration().language
        cookie = request.cookies.get(LANGUAGE_COOKIE)
        g.locale = cookie if cookie in LANGUAGES else request.accept_languages.best_match(list(LANGUAGES), default=ours)


def language() -> str:
    """The code of the current language."""
    return str(g.get("locale") or configuration().language)


def speak(wish: str | None) -> None:
    """Use the signed-in person's language; before it is known, the request used the browser's."""
    if wish in LANGUAGES:
        g.locale = wish

"""The catalog's registration: the place where words about products are looked up."""

from webapp.catalog.listings import SOURCES
from webapp.hooks import hookimpl
from webapp.search.contract import WordSource


@hookimpl
def register_word_sources() -> list[WordSource]:
    return list(SOURCES)

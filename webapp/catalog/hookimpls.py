"""What the catalog registers: where words of products are looked for."""

from webapp.catalog.listings import SOURCES
from webapp.hooks import hookimpl
from webapp.search.contract import WordSource


@hookimpl
def register_word_sources() -> list[WordSource]:
    return list(SOURCES)

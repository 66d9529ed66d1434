"""Finding and remembering listings: the import notes each one once, and searches for products begin here.

There are far fewer listings than orders: words are compared with all of them, and those that fit lead to their orders
through the index of terms (kind `listing`, the listing's id as its form).
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple
from weakref import WeakKeyDictionary

from sqlalchemy import ColumnElement, Engine, and_, literal, or_, select, tuple_, union_all

from webapp.catalog.models import Listing
from webapp.db import after_commit, db, insert_into
from webapp.i18n import lazy_gettext as _l
from webapp.search.contract import Found, WordSource
from webapp.search.terms import hashed, index_key, is_ideographic, normalize, term, words

LISTING = "listing"
MOST = 500  # listings that one word may fit; beyond, it says too little
_SKU, _ASIN, _TITLE = 100, 40, 400  # letters that tell listings apart: an index row holds no more of them
_KEPT = 20_000  # listings that a process knows by heart
_CHUNK = 200
_by_heart: WeakKeyDictionary[Engine, dict["ListingKey", int]] = WeakKeyDictionary()


class ListingKey(NamedTuple):
    """What tells listings apart."""

    store_id: int
    sku: str
    asin: str
    title: str


def listing_key(store_id: int, sku: str, asin: str, title: str) -> ListingKey:
    return ListingKey(store_id, sku[:_SKU], asin[:_ASIN], title[:_TITLE])


def remember(keys: Iterable[ListingKey]) -> Mapping[ListingKey, int]:
    """The ids of these listings, noting those that are new; in the open unit of work."""
    known = _by_heart.setdefault(db.engine, {})
    wanted = sorted(set(keys))  # in one order, or two importers could wait for each other
    unknown = [key for key in wanted if key not in known]
    found = {key: known[key] for key in wanted if key in known} | _ids(unknown)
    if missing := [key for key in unknown if key not in found]:
        rows = [key._asdict() | {"words": _words(key)} for key in missing]
        db.session.execute(insert_into(Listing).on_conflict_do_nothing(), rows)
        found |= _ids(missing)
    if unknown:
        fresh = {key: found[key] for key in unknown}
        after_commit(lambda: _learn(known, fresh))
    return found


def terms_of_listings(ids: Iterable[int], key: bytes) -> frozenset[int]:
    """The terms under which the orders of listings stand."""
    return hashed(LISTING, map(str, ids), key)


def _learn(known: dict[ListingKey, int], fresh: Mapping[ListingKey, int]) -> None:
    if len(known) > _KEPT:
        known.clear()
    known.update(fresh)


def _ids(keys: Sequence[ListingKey]) -> dict[ListingKey, int]:
    columns = (Listing.store_id, Listing.sku, Listing.asin, Listing.title)
    found: dict[ListingKey, int] = {}
    for start in range(0, len(keys), _CHUNK):
        some = keys[start : start + _CHUNK]
        rows = db.session.execute(select(*columns, Listing.id).where(tuple_(*columns).in_(some)))
        found |= {ListingKey(store, sku, asin, title): id_ for store, sku, asin, title, id_ in rows}
    return found


def _words(key: ListingKey) -> str:
    """What is compared with the words of a search: codes whole and in parts, then, behind a bar, the title."""
    codes = [normalize(key.sku), *words(key.sku), normalize(key.asin)]
    return " ".join(["", *dict.fromkeys(code for code in codes if code), "|", *words(key.title)])


# --- Looking for them ---


def _by_word(tokens: Sequence[str]) -> dict[str, Found]:
    conditions = {token: _fits(token.rstrip("*")) for token in tokens}
    return _found({token: condition for token, condition in conditions.items() if condition is not None})


def by_title(value: str) -> list[Found]:
    """Listings whose title has all of these words, each as it begins."""
    bare = words(value)
    if not bare:
        return []
    condition = and_(*(Listing.words.like(f"%|%{_word_pattern(word)}%", escape="/") for word in bare))
    return list(_found({value: condition}).values())


def by_code(column: Any) -> Callable[[str], list[Found]]:
    """How listings are found by a code as it stands in a column; `*` stands for anything."""

    def find(value: str) -> list[Found]:
        if not value.strip("*"):
            return []
        pattern = "%".join(map(_escaped, value.split("*")))
        return list(_found({value: column.ilike(pattern, escape="/")}).values())

    return find


def _fits(token: str) -> ColumnElement[bool] | None:
    bare = words(token)
    if not bare:
        return None
    apart = and_(*(Listing.words.like(f"%{_word_pattern(word)}%", escape="/") for word in bare))
    if len(bare) == 1:
        return apart
    return or_(apart, Listing.words.like(f"% {_escaped(normalize(token))}%", escape="/"))


def _word_pattern(word: str) -> str:
    return word if is_ideographic(word) else f" {word}"


def _escaped(text: str) -> str:
    return text.replace("/", "//").replace("%", "/%").replace("_", "/_")


def _found(conditions: Mapping[str, ColumnElement[bool]]) -> dict[str, Found]:
    """The terms of the listings that fit each condition, in one query."""
    if not conditions:
        return {}
    parts = []
    for number, condition in enumerate(conditions.values()):
        fitting = select(Listing.id).where(condition).limit(MOST + 1).subquery()
        parts.append(select(literal(number), fitting.c.id))
    ids: dict[int, list[int]] = {}
    for number, listing_id in db.session.execute(union_all(*parts)):
        ids.setdefault(number, []).append(listing_id)
    key = index_key()
    return {value: _one_found(value, ids.get(number, []), key) for number, value in enumerate(conditions)}


def _one_found(value: str, ids: Sequence[int], key: bytes) -> Found:
    if len(ids) > MOST:
        return Found(
            note=str(_l("“%(value)s” fits more than %(most)s products: type more of it.", value=value, most=MOST))
        )
    return Found(frozenset(term(LISTING, str(listing_id), key) for listing_id in ids))


SOURCES = (WordSource(code="listing", label=_l("SKU, ASIN, title"), find=_by_word),)

"""Finding and storing listings: the import stores each one once, and searches for products read them.

There are far fewer listings than orders: words are compared with all listings, and the matching ones lead to their
orders through the index of terms (kind `listing`, with the listing's id as form).
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import NamedTuple
from weakref import WeakKeyDictionary

from sqlalchemy import ColumnElement, Engine, and_, func, literal, or_, select, true, tuple_, union_all
from sqlalchemy.orm import InstrumentedAttribute

from webapp.catalog.models import Listing
from webapp.channels.described import product_code_words
from webapp.channels.models import Store
from webapp.channels.registered import channels
from webapp.db import after_commit, check_time, db, insert_into
from webapp.i18n import LazyString, gettext as _, lazy_gettext as _l
from webapp.search.contract import Found, WordSource
from webapp.search.gathering import STEP
from webapp.search.terms import hashed, index_key, is_ideographic, normalize, term, words

LISTING = "listing"
MOST = 500  # listings that one word may match; with more, the word is too vague
_SKU, _CODE, _TITLE = 100, 40, 400  # letters that distinguish listings: an index row holds no more of them
_KEPT = 20_000  # listings whose ids a process keeps in memory
_CHUNK = 200
_COMPARED = 4  # words that the database compares; for more, all listings are read
_READ = 20_000  # listings in one batch
_by_heart: WeakKeyDictionary[Engine, dict["ListingKey", int]] = WeakKeyDictionary()


class ListingKey(NamedTuple):
    """The values that distinguish listings."""

    store_id: int
    sku: str
    product_code: str
    title: str


def listing_key(store_id: int, sku: str, product_code: str, title: str) -> ListingKey:
    return ListingKey(store_id, sku[:_SKU], product_code[:_CODE], title[:_TITLE])


def remember(keys: Iterable[ListingKey]) -> Mapping[ListingKey, int]:
    """The ids of these listings, after storing the new ones; in the open unit of work."""
    known = _by_heart.setdefault(db.engine, {})
    wanted = sorted(set(keys))  # sorted, or two importers could wait for each other
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
    """The terms under which the orders of listings are indexed."""
    return hashed(LISTING, map(str, ids), key)


def _learn(known: dict[ListingKey, int], fresh: Mapping[ListingKey, int]) -> None:
    if len(known) > _KEPT:
        known.clear()
    known.update(fresh)


def _ids(keys: Sequence[ListingKey]) -> dict[ListingKey, int]:
    columns = (Listing.store_id, Listing.sku, Listing.product_code, Listing.title)
    found: dict[ListingKey, int] = {}
    for start in range(0, len(keys), _CHUNK):
        some = keys[start : start + _CHUNK]
        rows = db.session.execute(select(*columns, Listing.id).where(tuple_(*columns).in_(some)))
        found |= {ListingKey(store, sku, product_code, title): id_ for store, sku, product_code, title, id_ in rows}
    return found


def _words(key: ListingKey) -> str:
    """The text with which a search's words are compared: codes whole and in parts, then, behind a bar, the title."""
    codes = [normalize(key.sku), *words(key.sku), normalize(key.product_code)]
    return " ".join(["", *dict.fromkeys(code for code in codes if code), "|", *words(key.title)])


# --- Searching ---


@dataclass(frozen=True, slots=True)
class _Wanted:
    """What a listing's words must contain: all texts of one of these alternatives; if `in_title`, behind the bar."""

    ways: Sequence[Sequence[str]]
    in_title: bool = False

    def condition(self) -> ColumnElement[bool]:
        before = "%|%" if self.in_title else "%"
        return or_(
            *(
                and_(*(Listing.words.like(f"{before}{_escaped(text)}%", escape="/") for text in way))
                for way in self.ways
            )
        )

    def fitting(self, lines: str) -> Iterator[int]:
        """The positions of matching lines, in a text with the words of one listing per line."""
        for way in self.ways:
            first, *others = sorted(way, key=len, reverse=True)
            at = lines.find(first)
            while at >= 0:
                start, end = lines.rfind("\n", 0, at) + 1, lines.find("\n", at)
                begin = lines.find("|", start, end) if self.in_title else start
                if all(lines.find(text, begin, end) >= 0 for text in (first, *others)):
                    yield start
                at = lines.find(first, end)


def _by_word(tokens: Sequence[str]) -> dict[str, Found]:
    wanted = {token: _Wanted(ways) for token in tokens if (ways := _ways(token.rstrip("*")))}
    return _found(_ids_by_words(wanted))


def by_title(values: Sequence[str]) -> dict[str, list[Found]]:
    """Listings whose title has all words of a value, each as a prefix; for each of the values."""
    wanted = {
        value: _Wanted([list(map(_word_begins, bare))], in_title=True) for value in values if (bare := words(value))
    }
    return {value: [found] for value, found in _found(_ids_by_words(wanted)).items()}


def by_code(
    column: InstrumentedAttribute[str], among: Callable[[], ColumnElement[bool]] = true
) -> Callable[[Sequence[str]], dict[str, list[Found]]]:
    """A function that finds listings by codes in this column, only those that fulfill `among`; `*` matches anything."""

    def find(values: Sequence[str]) -> dict[str, list[Found]]:
        whole = [value for value in values if "*" not in value]
        starred = [value for value in values if "*" in value and value.strip("*")]
        patterns = {value: and_(_pattern(column, value), among()) for value in starred}
        found = _found(_ids_by_codes(column, whole, among()) | _ids_by_conditions(patterns))
        return {value: [one] for value, one in found.items()}

    return find


def by_product_code(code: str) -> Callable[[Sequence[str]], dict[str, list[Found]]]:
    """A function that finds listings by product codes of this name, in stores whose channel uses this name."""

    def among() -> ColumnElement[bool]:
        named = [channel.code for channel in channels().values() if channel.product_code.code == code]
        return Listing.store_id.in_(select(Store.id).where(Store.channel.in_(named)))

    return by_code(Listing.product_code, among)


def _ways(token: str) -> list[list[str]]:
    bare = words(token)
    if not bare:
        return []
    apart = list(map(_word_begins, bare))
    return [apart] if len(bare) == 1 else [apart, [f" {normalize(token)}"]]


def _word_begins(word: str) -> str:
    return word if is_ideographic(word) else f" {word}"


def _pattern(column: InstrumentedAttribute[str], value: str) -> ColumnElement[bool]:
    return column.ilike("%".join(map(_escaped, value.split("*"))), escape="/")


def _escaped(text: str) -> str:
    return text.replace("/", "//").replace("%", "/%").replace("_", "/_")


def _ids_by_codes(
    column: InstrumentedAttribute[str], codes: Sequence[str], among: ColumnElement[bool]
) -> dict[str, list[int]]:
    """The listings with each of these codes, upper or lower case."""
    if not codes:
        return {}
    ids: dict[str, list[int]] = {}
    same = func.lower(column).in_([func.lower(code) for code in codes])
    for code, listing_id in db.session.execute(select(column, Listing.id).where(same, among)):
        ids.setdefault(code.lower(), []).append(listing_id)
    return {code: ids.get(code.lower(), []) for code in codes}


def _ids_by_words(wanted: Mapping[str, _Wanted]) -> dict[str, list[int]]:
    """The listings for each value, up to one more than `MOST`. For many values, the words of all listings are read
    once: the database would compare each listing with each value, at eight times the cost.
    """
    if len(wanted) <= _COMPARED:
        return _ids_by_conditions({value: one.condition() for value, one in wanted.items()})
    ids: dict[str, set[int]] = {value: set() for value in wanted}
    every = select(Listing.id, Listing.words).execution_options(yield_per=_READ)
    for rows in db.session.execute(every).partitions():
        lines = "".join(f"{text}\n" for _, text in rows)
        starts = accumulate((len(text) + 1 for _, text in rows), initial=0)
        listing_ids = {start: listing_id for start, (listing_id, _) in zip(starts, rows, strict=False)}
        for value, one in wanted.items():
            check_time()
            _add(ids[value], (listing_ids[start] for start in one.fitting(lines)))
    return {value: list(found) for value, found in ids.items()}


def _add(ids: set[int], more: Iterable[int]) -> None:
    for listing_id in more:
        if len(ids) > MOST:
            break
        ids.add(listing_id)


def _ids_by_conditions(conditions: Mapping[str, ColumnElement[bool]]) -> dict[str, list[int]]:
    """The listings for each condition, up to one more than `MOST`; a few conditions in one query."""
    ids: dict[str, list[int]] = {value: [] for value in conditions}
    for start in range(0, len(conditions), STEP):
        step = list(conditions.items())[start : start + STEP]
        first = [select(Listing.id).where(condition).limit(MOST + 1).subquery() for _, condition in step]
        parts = [select(literal(number), fitting.c.id) for number, fitting in enumerate(first)]
        for number, listing_id in db.session.execute(union_all(*parts)):
            ids[step[number][0]].append(listing_id)
    return ids


def _found(ids: Mapping[str, Sequence[int]]) -> dict[str, Found]:
    """The terms of the listings of each value."""
    key = index_key()
    return {value: _one_found(value, listing_ids, key) for value, listing_ids in ids.items()}


def _one_found(value: str, ids: Sequence[int], key: bytes) -> Found:
    if len(ids) > MOST:
        return Found(
            note=str(
                _l("“%(value)s” matches more than %(most)s products. Enter more characters.", value=value, most=MOST)
            )
        )
    return Found(frozenset(term(LISTING, str(listing_id), key) for listing_id in ids))


def _places() -> str:
    return str(_("SKU, %(codes)s, title", codes=product_code_words()))


SOURCES = (WordSource(code="listing", label=LazyString(_places), find=_by_word),)

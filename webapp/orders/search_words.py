"""The words by which an order is found: numbers in plain columns, everything that names a buyer by terms alone.

Kinds of terms: `buyer` (names and companies, by their beginnings), `email` (whole, and before the @), `phone` (by its
ending), `postcode` (by its beginning), `ending` (the last four digits of the channel's number), `comment`. Order
numbers are compared in their own columns.
"""

import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import Any

from sqlalchemy import ColumnElement, func, or_, select
from sqlalchemy.orm import InstrumentedAttribute

from webapp.channels.models import NumberSequence
from webapp.channels.shops import ORDERS
from webapp.db import begins_with, db, once_a_transaction
from webapp.i18n import lazy_gettext as _l
from webapp.orders.models import Order
from webapp.orders.postal import code_parts, telephone
from webapp.search import index
from webapp.search.contract import Found, WordSource
from webapp.search.gathering import STEP, with_all
from webapp.search.index import Indexed
from webapp.search.models import SearchTerm
from webapp.search.numbers import bare_number, plain
from webapp.search.terms import digits, hashed, index_key, normalize, sought, terms, words

BUYER, EMAIL, PHONE, POSTCODE, ENDING, COMMENT = "buyer", "email", "phone", "postcode", "ending", "comment"
_ENDINGS = (4, 6, 8)  # digits of a phone number's ending that are enough to find it
_LAST = 4
_MANY = 2_000  # more orders than this make a beginning broad
_SHORTEST_POSTCODE, _POSTCODE_DIGITS = 3, 5
_SHORTEST_HALF, _LATTER_HALVES = 2, (2, 3, 4)  # characters of the halves of a postcode whose country is not known
_LONGEST_PADDING = 12  # digits of the desk's own numbers
_LONGEST_PHONE = 15  # digits; more are an order's number
_PHONE = re.compile(r"[\d+()/. -]+")
_NUMBER = re.compile(r"[\w-]*\d[\w-]*", re.ASCII)
_NUMBERS = (Order.number, Order.channel_order_number)
_Beginning = tuple[InstrumentedAttribute[Any], str]
_Condition = ColumnElement[bool]


# --- Terms of an order ---


def terms_of_buyer(buyer: Mapping[str, Any], key: bytes) -> frozenset[int]:
    """The terms of a buyer's data in the vault."""
    address = buyer.get("address") or {}
    names = {str(part.get(name) or "") for part in (buyer, address) for name in ("name", "company")}
    return frozenset().union(
        *(terms(BUYER, name, key) for name in names if name),
        hashed(EMAIL, _email_forms(str(buyer.get("email") or "")), key),
        hashed(PHONE, _phone_forms(str(address.get("phone") or "")), key),
        hashed(POSTCODE, _postcode_forms(address), key),
    )


def terms_of_number(channel_order_number: str, key: bytes) -> frozenset[int]:
    """The term of a channel number's ending, which people use when they name an order aloud."""
    ending = digits(channel_order_number)[-_LAST:]
    return hashed(ENDING, [ending], key) if len(ending) == _LAST else frozenset()


def terms_of_comment(text: str, key: bytes) -> frozenset[int]:
    """The terms of a comment's words."""
    return terms(COMMENT, text, key)


def add_comment(order: Order, text: str) -> None:
    """Index an order under the words of a new comment."""
    index.add([Indexed(order.id, order.placed_at, terms_of_comment(text, index_key()))])


def add_address(order: Order, address: Mapping[str, Any]) -> None:
    """Also index an order under an address with which somebody replaced the channel's."""
    index.add([Indexed(order.id, order.placed_at, terms_of_buyer({"address": address}, index_key()))])


def _email_forms(email: str) -> Iterator[str]:
    if email := normalize(email.strip()):
        yield email
        yield email.partition("@")[0]


def _phone_forms(phone: str) -> Iterator[str]:
    number = digits(telephone(phone)[0])
    yield from (number[-length:] for length in _ENDINGS if len(number) >= length)


def _postcode_forms(address: Mapping[str, Any]) -> Iterator[str]:
    postcode = str(address.get("postal_code") or "")
    parts = words(postcode)
    bare = "".join(parts)
    yield from (bare[:length] for length in range(min(_SHORTEST_POSTCODE, len(bare)), len(bare) + 1) if length)
    yield from parts[1:]  # as people type the two halves of a code that the channel may have sent without its space
    halves = [normalize(part) for part in code_parts(str(address.get("country") or ""), postcode)[1:]]
    if not halves and not bare.isdecimal():  # of another country: JE2 3AB, KY1 1001
        halves = [bare[-length:] for length in _LATTER_HALVES if len(bare) - length >= _SHORTEST_HALF]
    yield from halves


# --- Looking words up ---


def _by_number(tokens: Sequence[str]) -> dict[str, Found]:
    bare = {token: bare_number(token.rstrip("*")) for token in tokens}
    numbers = {token: number for token, number in bare.items() if _NUMBER.fullmatch(number)}
    if not numbers:
        return {}
    prefixes, broad = beginnings([number for number in numbers.values() if len(number) >= _LAST])
    return {token: _found_by_number(number, prefixes, broad) for token, number in numbers.items()}


def number_prefixes() -> list[str]:
    """The prefixes of the shops' order numbers, also those that a shop used earlier."""
    query = select(NumberSequence.prefix).where(NumberSequence.kind.startswith(ORDERS)).distinct()
    return once_a_transaction("number_prefixes", lambda: list(db.session.scalars(query)))


def beginnings(numbers: Sequence[str]) -> tuple[list[str], set[_Beginning]]:
    """The prefixes of the desk's order numbers; and the broad ones of these beginnings, each with its column: so
    many orders have a broad beginning that they can't all be gathered. One query, or several for many numbers.
    """
    prefixes: list[str] | None = None
    broad: set[_Beginning] = set()
    for start in range(0, len(numbers), STEP):
        ways = [way for number in numbers[start : start + STEP] for way in _spelled(number)]
        some = (select(Order.id).where(begins_with(column, text)).limit(_MANY).subquery() for column, text in ways)
        counts = select(*(select(func.count()).select_from(first).scalar_subquery() for first in some)).subquery()
        query = select(NumberSequence.prefix, counts).select_from(counts)
        rows = db.session.execute(
            query.outerjoin(NumberSequence, NumberSequence.kind.startswith(ORDERS)).distinct()
        ).all()
        prefixes = [row[0] for row in rows if row[0] is not None]
        broad |= {way for way, size in zip(ways, rows[0][1:], strict=True) if size == _MANY}
    return number_prefixes() if prefixes is None else prefixes, broad


def begun_with(number: str, broad: Collection[_Beginning]) -> tuple[list[_Condition], list[_Condition]]:
    """Orders whose number, the desk's or the channel's, begins with this: the conditions for gathering them, and the
    conditions that must be compared along the list and must not use an index of numbers.
    """
    ways = _spelled(number)
    gathered = [begins_with(*way) for way in ways if way not in broad]
    return gathered, [func.substr(way[0], 1, len(way[1])) == way[1] for way in ways if way in broad]


def _spelled(number: str) -> list[_Beginning]:
    return [(column, spelled) for column in _NUMBERS for spelled in sorted({number, number.upper()})]


def _found_by_number(number: str, prefixes: Sequence[str], broad: Collection[_Beginning]) -> Found:
    """Orders with this number, the desk's or the channel's, whole or as its beginning, or with this end of the
    channel's number; the desk's numbers also without prefix and zeros.
    """
    own = Order.number.in_(full_numbers(number, prefixes))
    if len(number) < _LAST:
        return Found(ids=(select(Order.id).where(or_(own, Order.number.in_([number, number.upper()]))),))
    gathered, compared = begun_with(number, broad)
    ids = [select(Order.id).where(or_(own, *gathered))]
    last = digits(number)[-_LAST:]
    ends = len(last) == _LAST and number[-1].isdecimal()
    ending = hashed(ENDING, [last], index_key()) if ends else frozenset()
    if ends and number != last:
        by_ending = (
            select(Order.id)
            .join(SearchTerm, SearchTerm.order_id == Order.id)
            .where(SearchTerm.term.in_(ending), Order.channel_order_number.endswith(number, autoescape=True))
        )
        ids.append(by_ending)
        ending = frozenset()
    return Found(ending, tuple(ids), tuple(compared))


def full_numbers(number: str, prefixes: Sequence[str]) -> list[str]:
    """The full numbers of the desk that somebody may mean who left out the prefix, the zeros, or both."""
    full = set()
    for prefix in prefixes:
        for bare in (number, number.upper().removeprefix(prefix.upper())):
            if bare.isascii() and bare.isdigit() and len(bare) <= _LONGEST_PADDING:
                full |= {f"{prefix}{int(bare):0{width}}" for width in range(1, _LONGEST_PADDING + 1)}
    return sorted(full)


def _by_buyer(tokens: Sequence[str]) -> dict[str, Found]:
    key = index_key()
    return {token: _either(_kinds_of_buyer(token.rstrip("*"), key)) for token in tokens}


def _kinds_of_buyer(token: str, key: bytes) -> list[list[frozenset[int]]]:
    whole = [email_term(token, key), postcode_beginning(token, key)]
    if len(digits(token)) != _POSTCODE_DIGITS:  # this many digits are a postcode, not the end of a phone number
        whole.append(phone_ending(token, key))
    return [_worded(BUYER, token, key), *([terms_] for terms_ in whole if terms_)]


def _by_comment(tokens: Sequence[str]) -> dict[str, Found]:
    key = index_key()
    return {token: _either([_worded(COMMENT, token.rstrip("*"), key)]) for token in tokens}


def _either(ways: Iterable[Sequence[frozenset[int]]]) -> Found:
    """Any of these alternatives, each of which may need several terms together."""
    ways = [needed for needed in ways if needed]
    single = frozenset().union(*(needed[0] for needed in ways if len(needed) == 1))
    return Found(single, tuple(with_all(needed) for needed in ways if len(needed) > 1))


def _worded(kind: str, token: str, key: bytes) -> list[frozenset[int]]:
    """The terms that a free word needs in one kind; a word of nothing but groups of digits is a number and no text."""
    groups = words(token)
    return [] if len(groups) > 1 and all(group.isdecimal() for group in groups) else all_of(kind, token, key)


def all_of(kind: str, text: str, key: bytes) -> list[frozenset[int]]:
    """The index terms that an order must have to match every word of `text` in one kind, each word as a prefix."""
    return [hashed(kind, [form], key) for word in words(text) for form in sought(word)]


def email_term(text: str, key: bytes) -> frozenset[int]:
    """The term of an e-mail address, whole or only the part before the @."""
    return hashed(EMAIL, [normalize(text)], key)


def phone_ending(text: str, key: bytes) -> frozenset[int]:
    """The term of a phone number, by its last 4, 6 or 8 digits, whatever prefix it has."""
    text, _extension = telephone(plain(text))
    number = digits(text)
    lengths = [length for length in _ENDINGS if length <= len(number)]
    if not lengths or not _PHONE.fullmatch(text) or len(number) > _LONGEST_PHONE:
        return frozenset()
    return hashed(PHONE, [number[-lengths[-1] :]], key)


def postcode_beginning(text: str, key: bytes) -> frozenset[int]:
    """The term of a postcode's beginning: some characters at its end may be missing."""
    bare = "".join(words(text))
    found = len(bare) >= _SHORTEST_POSTCODE and any(char.isdecimal() for char in bare)
    return hashed(POSTCODE, [bare], key) if found else frozenset()


SOURCES = (
    WordSource(code="number", label=_l("order numbers"), find=_by_number),
    WordSource(code="buyer", label=_l("buyer, company, e-mail, phone, postcode"), find=_by_buyer, personal=True),
    WordSource(code="comment", label=_l("comments"), find=_by_comment, personal=True),
)

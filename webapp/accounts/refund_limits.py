"""How much the people of a role may refund without somebody else's approval, as people write it: “50 EUR, 60 USD”.

Without any limit there is none; with one, a currency that is not named needs approval.
"""

import re
from collections.abc import Mapping

from babel import Locale

from webapp.errors import Invalid
from webapp.i18n import lazy_gettext as _l
from webapp.money import Money, NotAnAmount

Limits = Mapping[str, int]  # minor units by currency
FIELD = "refund_limits"
_ONE = re.compile(r"([^A-Za-z]+?)\s*([A-Za-z]{3})(?![A-Za-z])[\s,;]*", re.ASCII)
_LONGEST = 200  # letters
_MOST = 10**12  # minor units


def read_limits(text: str) -> dict[str, int]:
    """The limits of a text; empty for none. Raises `Invalid` for what can't be read."""
    text, found, place = text.strip(), dict[str, int](), 0
    if len(text) > _LONGEST:
        raise Invalid(field=FIELD, problem=_l("This text is too long. Shorten it."))
    while place < len(text):
        part = _ONE.match(text, place)
        rest = text[place:].strip()
        if part is None:
            raise Invalid(
                field=FIELD,
                problem=_l("“%(text)s” is not an amount with a currency. Write it like this: 50 EUR.", text=rest),
            )
        currency, place = part[2].upper(), part.end()
        if currency not in Locale("en").currencies:
            raise Invalid(field=FIELD, problem=_l("“%(text)s” is not a currency.", text=part[2]))
        if currency in found:
            raise Invalid(
                field=FIELD,
                problem=_l("%(currency)s is given twice. Remove one of the two amounts.", currency=currency),
            )
        try:
            minor = Money.read(part[1].strip(), currency).minor
        except NotAnAmount as why:
            no_amount = _l("“%(text)s” is not an amount in %(currency)s.", text=part[1], currency=currency)
            raise Invalid(field=FIELD, problem=why.problem or no_amount) from None
        if not 0 <= minor <= _MOST:
            raise Invalid(
                field=FIELD, problem=_l("The amount in %(currency)s is below zero or too large.", currency=currency)
            )
        found[currency] = minor
    return found


def written(limits: Limits) -> str:
    """Limits as `read_limits` reads them."""
    return ", ".join(f"{Money(minor, currency)} {currency}" for currency, minor in sorted(limits.items()))

"""The content of an order: drawn from (seed, index) and, for orders placed by hand, from the wish.

Money is in minor units. Choices where Amazon's documents are silent: a DISCOUNT is negative; in North America ITEM
excludes tax and TAX is listed beside it; elsewhere every amount includes tax and there is no TAX. An order's grand
total is the sum of its breakdowns and of its items' totals, unless a wish says otherwise on purpose.
"""

from dataclasses import dataclass, field
from random import Random
from typing import Any

from plugins.amazon.practice import assortment, wares
from plugins.amazon.practice.marketplaces import MARKETPLACES, Marketplace
from plugins.amazon.practice.world import FILLED_FROM, PLACED_FROM, World, is_filled, mix

# special traits of orders, and their share in percent
TRAITS = (
    ("several_lines", 14), ("gift", 6), ("promotion", 9), ("business", 6), ("prime", 8), ("ship_plus", 2),
    ("transparency", 2), ("replacement", 2), ("no_address", 1), ("partial_address", 2), ("odd_sku", 3),
    ("unusual_name", 3), ("many_of_one", 3),
)  # fmt: skip
SHIP_WITHIN = {"NEXT_DAY": 12, "EXPEDITED": 16, "STANDARD": 48}  # hours
PROGRAM_OF = {"business": "AMAZON_BUSINESS", "prime": "PRIME", "ship_plus": "FBM_SHIP_PLUS"}


class BadWish(Exception):
    """A wish that can't be placed; its text says why."""


@dataclass(frozen=True)
class Wish:
    """The requested values of an order that is placed by hand; the others are drawn."""

    marketplace: str = "US"
    fulfilled_by: str = "MERCHANT"
    status: str = "UNSHIPPED"  # PENDING … SHIPPED are reached by acts; any other word is answered as it is
    lines: int | list[dict[str, Any]] = 1  # or [{sku, asin, title, quantity, unit_price, transparency, gift}]
    quantity: int | None = None
    sku: str | None = None
    traits: tuple[str, ...] = ()  # names in TRAITS
    programs: tuple[str, ...] = ()  # Amazon's words, added to those of the traits
    buyer_name: str | None = None
    address: dict[str, str] | None = None
    gift_message: str | None = None
    total: str | None = None  # a grand total that does not add up
    replaces: str | None = None
    non_amazon: bool = False
    placed_ago: float = 0  # seconds
    verify_after: float | None = None  # seconds; None: stays pending until told
    ship_within: float | None = None  # hours; may be negative: overdue
    cancel_request: str | None = None


@dataclass(frozen=True)
class Line:
    """One order item; amounts are per unit, except shipping and gift wrap."""

    id: str
    sku: str
    asin: str
    title: str
    quantity: int
    unit_price: int
    unit_discount: int = 0
    shipping: int = 0
    shipping_discount: int = 0
    gift_wrap: int = 0
    gift_message: str | None = None
    programs: tuple[str, ...] = ()
    promotion_ids: tuple[str, ...] = ()


@dataclass(frozen=True)
class Order:
    """The content of an order, whatever happens to it later."""

    index: int
    id: str
    created_ms: int
    market: Marketplace
    fulfilled_by: str
    lines: tuple[Line, ...]
    buyer_name: str
    buyer_email: str
    company: str | None
    purchase_order: str | None
    address: dict[str, str] | None
    programs: tuple[str, ...] = ()
    alias: str | None = None
    replaces: str | None = None
    non_amazon: bool = False
    service_level: str = "STANDARD"
    ship_within_hours: float = 48
    total_override: str | None = None
    status_word: str | None = None
    cancel_shows_zero: bool = False
    payment_method: str | None = None
    line_of: dict[str, Line] = field(default_factory=dict, compare=False)

    def __post_init__(self) -> None:
        self.line_of.update({line.id: line for line in self.lines})


def compose(world: World, index: int, created_ms: int, wish: Wish | None = None) -> Order:
    """Draw the order of an index; one (seed, index, wish) always gives one order."""
    chance = Random(mix(world.seed, index, 5))
    life = world.life(index)
    if wish:
        market, by, non_amazon = MARKETPLACES[wish.marketplace], wish.fulfilled_by, wish.non_amazon
        traits = set(wish.traits)
    else:
        market, by = MARKETPLACES[world.market(index)], life.fulfilled_by
        non_amazon = world.is_non_amazon(index)
        traits = {name for name, percent in TRAITS if chance.random() * 100 < percent}
        if by == "AMAZON":
            traits -= {"ship_plus", "transparency", "replacement"}
        if life.several_lines or (is_filled(index) and chance.random() < 0.25):  # two lines on average
            traits.add("several_lines")
    programs = [PROGRAM_OF[trait] for trait in sorted(traits) if trait in PROGRAM_OF]
    if wish:
        programs += [program for program in wish.programs if program not in programs]
    lines = _lines(world, index, market, traits, wish, chance)
    name = _name(index, market, traits, chance)
    street_seed = Random(mix(world.seed, index, 6))
    alias = f"SO-{index % 1_000_000:06}" if chance.random() < 0.1 else None
    service_level = "NEXT_DAY" if "prime" in traits else chance.choice(("STANDARD", "STANDARD", "EXPEDITED"))
    return Order(
        index=index,
        id=world.order_id(index, market.code, non_amazon),
        created_ms=created_ms,
        market=market,
        fulfilled_by=by,
        lines=lines,
        buyer_name=(wish and wish.buyer_name) or name,
        buyer_email=f"{mix(world.seed, index, 7):016x}"[:15] + "@" + market.email_domain,
        company=f"{name.split()[-1]} & Co." if "business" in traits else None,
        purchase_order=f"PO-{index % 100000:05}" if "business" in traits else None,
        address=_address(index, market, by, (wish and wish.buyer_name) or name, traits, wish, street_seed),
        programs=tuple(programs),
        alias=alias,
        replaces=_original(world, index, wish, traits),
        non_amazon=non_amazon,
        service_level=service_level,
        ship_within_hours=SHIP_WITHIN[service_level] if wish is None or wish.ship_within is None else wish.ship_within,
        total_override=wish.total if wish else None,
        status_word=wish.status if wish and wish.status not in STATUSES else None,
        cancel_shows_zero=mix(world.seed, index, 8) % 2 == 0,
        payment_method=chance.choice(("CreditCard", "ConvenienceStore")) if market.code == "JP" else None,
    )


STATUSES = (
    "PENDING_AVAILABILITY", "PENDING", "UNSHIPPED", "PARTIALLY_SHIPPED", "SHIPPED", "CANCELLED", "UNFULFILLABLE",
)  # fmt: skip


def check(wish: Wish) -> None:
    """Raise BadWish for a wish that can't be placed."""
    if wish.marketplace not in MARKETPLACES or not MARKETPLACES[wish.marketplace].weight:
        raise BadWish(f"No practice marketplace {wish.marketplace!r}.")
    if wish.fulfilled_by not in ("MERCHANT", "AMAZON"):
        raise BadWish("fulfilled_by is MERCHANT or AMAZON.")
    if unknown := set(wish.traits) - {name for name, _ in TRAITS}:
        raise BadWish(f"No such trait: {', '.join(sorted(unknown))}.")
    for name in ("placed_ago", "verify_after", "ship_within"):
        if not isinstance(getattr(wish, name) or 0, int | float):
            raise BadWish(f"{name} is a number.")
    if not isinstance(wish.lines, int | list):
        raise BadWish("lines is a number or a list of objects.")
    if not isinstance(wish.lines, int) and not all(isinstance(line, dict) for line in wish.lines):
        raise BadWish("lines is a number or a list of objects.")
    count = wish.lines if isinstance(wish.lines, int) else len(wish.lines)
    if not 1 <= count <= 999:
        raise BadWish("An order has 1 to 999 lines.")
    quantities = [wish.quantity] if isinstance(wish.lines, int) else [line.get("quantity", 1) for line in wish.lines]
    if any(quantity is not None and (not isinstance(quantity, int) or quantity < 1) for quantity in quantities):
        raise BadWish("A quantity is a whole number above 0.")


def _lines(
    world: World, index: int, market: Marketplace, traits: set[str], wish: Wish | None, chance: Random
) -> tuple[Line, ...]:
    if wish is None:
        asked: list[dict[str, Any]] = [{}] * (chance.randint(2, 5) if "several_lines" in traits else 1)
    elif isinstance(wish.lines, int):
        count = max(wish.lines, 2) if "several_lines" in traits else wish.lines
        asked = [{key: value for key in ("sku", "quantity") if (value := getattr(wish, key)) is not None}] * count
    else:
        asked = wish.lines
    return tuple(_line(world, index, number, market, traits, one, wish, chance) for number, one in enumerate(asked))


def _line(
    world: World,
    index: int,
    number: int,
    market: Marketplace,
    traits: set[str],
    asked: dict[str, Any],
    wish: Wish | None,
    chance: Random,
) -> Line:
    if is_filled(index):
        sku, asin, title, cents = assortment.WARES[(assortment.place(chance) + number) % len(assortment.WARES)]
    else:
        sku, asin, title, cents = wares.WARES[(chance.randrange(len(wares.WARES)) + number) % len(wares.WARES)]
    if "odd_sku" in traits and number == 0:
        sku = chance.choice(wares.ODD_SKUS)
    if "unit_price" in asked:
        cents = minor(asked["unit_price"], market)
    elif market.currency == "JPY":
        cents = cents * 3 // 2  # a yen is about two thirds of a cent
    usual = chance.randint(8, 40) if "many_of_one" in traits else chance.choice((1, 1, 1, 2))
    free = "replacement" in traits
    gift = ("gift" in traits and number == 0) or bool(asked.get("gift"))
    promotion = "promotion" in traits
    transparency = asked.get("transparency", "transparency" in traits and number == 0)
    shipping = 0 if free or "prime" in traits or number else chance.choice((0, 399, 599))
    return Line(
        id=world.item_id(index, number),
        sku=asked.get("sku", sku),
        asin=asked.get("asin", asin),
        title=asked.get("title", title),
        quantity=asked.get("quantity") or usual,
        unit_price=0 if free else cents,
        unit_discount=cents // 10 if promotion and not free else 0,
        shipping=shipping,
        shipping_discount=shipping if promotion and chance.random() < 0.3 else 0,
        gift_wrap=0 if free or not gift else 350,
        gift_message=((wish and wish.gift_message) or chance.choice(wares.GIFT_MESSAGES)) if gift else None,
        programs=("TRANSPARENCY",) if transparency else (),
        promotion_ids=(f"PAWS-V2-{index % 10_000:04}",) if promotion else (),
    )


def minor(amount: str, market: Marketplace) -> int:
    """Read a decimal string of this marketplace's currency."""
    whole, _, part = str(amount).partition(".")
    digits = whole + part[: market.decimals].ljust(market.decimals, "0")
    if not (digits.isascii() and digits.isdigit()):
        raise BadWish(f"{amount!r} is no amount.")
    return int(digits)


def _name(index: int, market: Marketplace, traits: set[str], chance: Random) -> str:
    if "unusual_name" in traits:
        return chance.choice(wares.UNUSUAL_NAMES)
    source = assortment if is_filled(index) else wares
    first, last = chance.choice(source.FIRST_NAMES[market.code]), chance.choice(source.LAST_NAMES[market.code])
    return f"{last} {first}" if market.code == "JP" else f"{first} {last}"


def _address(
    index: int, market: Marketplace, by: str, name: str, traits: set[str], wish: Wish | None, chance: Random
) -> dict[str, str] | None:
    if "no_address" in traits:
        return None
    source = assortment if is_filled(index) else wares
    city, state, postal_code = chance.choice(source.CITIES[market.code])
    postal_code = assortment.digits(postal_code, chance)
    address = {"city": city, "stateOrRegion": state, "postalCode": postal_code, "countryCode": market.country}
    if by == "AMAZON":
        return {key: value for key, value in address.items() if value}
    number, street = chance.randint(1, 240), chance.choice(wares.STREETS[market.code])
    line = f"{street} {number}" if market.code in ("DE", "IT", "ES", "JP") else f"{number} {street}"
    address |= {"name": name, "addressLine1": line, "addressType": "RESIDENTIAL"}
    if "business" in traits:
        address |= {"companyName": f"{name.split()[-1]} & Co.", "addressType": "COMMERCIAL"}
    if chance.random() < 0.2:
        address["addressLine2"] = "c/o Practice"
    if "partial_address" in traits:
        address["addressLine1"] = ""
        address.pop("stateOrRegion")
    else:
        phone = source.PHONES[market.code].format(chance.randint(0, 99))
        address["phone"] = assortment.digits(phone, chance)
    address |= (wish.address or {}) if wish else {}
    return {key: value for key, value in address.items() if value or key == "addressLine1"}


def _original(world: World, index: int, wish: Wish | None, traits: set[str]) -> str | None:
    """The order that this one replaces: the one requested, else an earlier one of its marketplace."""
    if "replacement" not in traits:
        return None
    if wish and wish.replaces:
        return wish.replaces
    market = wish.marketplace if wish else world.market(index)
    start, floor = (index, FILLED_FROM) if is_filled(index) else (index if index < PLACED_FROM else 40, 0)
    earlier = (i for i in range(start - 1, max(start - 400, floor - 1), -1) if world.market(i) == market)
    original = next(earlier, 0)
    return world.order_id(original, world.market(original), world.is_non_amazon(original))

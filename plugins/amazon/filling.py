"""`practice fill`: fill a desk with practice orders, all of which the practice Amazon has too.

The practice Amazon is made to have many orders in its past; its answers for them are then imported like any others:
mapped, packed, stored. No network is used, which would take hours for a million orders. Orders that the desk already
has are skipped by their number, so another run adds nothing, and a run that was stopped can be continued.
"""

import json
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import click

from plugins.amazon.mapping import read_order
from plugins.amazon.marketplaces import MARKETPLACES
from plugins.amazon.plugin import ARRIVALS, EDGE, ORDERS, PORT, RATES, practice_stores
from plugins.amazon.practice import PracticeClient
from plugins.amazon.practice.answers import SETS, answer
from plugins.amazon.practice.fates import Act
from plugins.amazon.practice.marketplaces import MARKETPLACES as SITES
from plugins.amazon.practice.practice import FILE, Practice
from plugins.amazon.practice.server import answers
from plugins.amazon.practice.world import Segment
from webapp.api import (
    BATCH,
    Actor,
    Connection,
    IncomingOrder,
    Loaded,
    Refusal,
    UnreadableOrder,
    access,
    add_store,
    configuration,
    lazy_gettext as _l,
    load_orders,
    remember_marketplaces,
    stores,
    unit_of_work,
)

CODE = "amazon"
BATCH_ALONE = 1000  # orders in one transaction if nobody else writes
PAUSE = 0.03  # seconds in which others can write
MOST = 10_000_000


class NotAPracticeDesk(Refusal):
    """The desk has real orders, among which practice orders would be worked on by mistake."""

    code = "not_a_practice_desk"
    sentence = _l("Practice orders must not be mixed with real orders. This desk has stores, but no practice store.")


class NoPracticeStore(Refusal):
    """There is no practice store yet, and this desk allows no endpoint but Amazon's own."""

    code = "no_practice_store"
    sentence = _l(
        "This desk has no practice store yet. Connect the practice stores with “make run”, then fill the desk."
    )


class NotForPractice(Refusal):
    """Only a practice store can be filled."""

    code = "not_for_practice"
    sentence = _l("“%(name)s” is not a practice store of this channel.")


@dataclass(frozen=True)
class FilledOrders:
    """The orders of some stretches of a practice Amazon, in the form of its answers at one moment."""

    practice: Practice
    stretches: Sequence[Segment]
    stores: Mapping[str, int]  # by region
    at_ms: int
    acts: Mapping[int, list[Act]] = field(default_factory=dict)

    def __len__(self) -> int:
        return sum(stretch.count for stretch in self.stretches)

    def listed(self, start: int, stop: int) -> Iterator[tuple[int, str, int]]:
        """Store, order number and index of the orders from position `start` to `stop`."""
        for index in self._indexes(start, stop):
            market = self.practice.world.market(index)
            yield self.stores[SITES[market].region], self.practice.world.order_id(index, market), index

    def _indexes(self, start: int, stop: int) -> Iterator[int]:
        for stretch in self.stretches:
            yield from range(stretch.first + max(start, 0), stretch.first + max(0, min(stop, stretch.count)))
            start, stop = start - stretch.count, stop - stretch.count

    def read(self, key: int) -> IncomingOrder | UnreadableOrder:
        """The order with this index, as the channel would have read it."""
        order = self.practice.order(key)
        if order is None:
            raise KeyError(key)
        fate = self.practice.fate(order, self.at_ms, self.acts.get(key, []))
        return read_order(answer(fate, SETS, unknown_words=self.practice.settings.unknown_words))


@click.group()
def practice() -> None:
    """Fill a practice desk."""


@practice.command()
@click.option("--orders", type=click.IntRange(1, MOST), required=True, help="How many it holds in the end.")
@click.option("--store", "store_name", help="Only this practice store; else all of them, each with its share.")
@click.option("--days", type=click.FloatRange(1, 3650), default=730, show_default=True, help="Spread over so many.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
@click.pass_context
def fill(context: click.Context, orders: int, store_name: str | None, days: float, as_json: bool) -> None:
    """Fill the practice stores with orders of all kinds, the way every order comes in; again adds nothing."""
    as_json = as_json or bool((context.find_root().obj or {}).get("as_json"))
    chosen = _chosen_stores(store_name)
    regions = sorted(chosen)
    url = configuration().practice_url
    in_use = bool(url) and answers(url)
    if in_use:  # a running practice Amazon must hear of it, since it read its world when it started
        with PracticeClient(url) as client:
            client.fill(orders, regions, days=days)
    world = practice_world()
    try:
        source = _source(world, world.fill(orders, regions, days=days), chosen)
        together = BATCH if in_use else BATCH_ALONE
        loaded = load_orders(source, together=together, pause=PAUSE if in_use else 0, told=_progress(len(source)))
    finally:
        world.close()
    _report(loaded, len(source), as_json, in_use)


def _source(world: Practice, stretches: Sequence[Segment], chosen: Mapping[str, int]) -> FilledOrders:
    """The source of the orders. Earlier acts on filled orders are read here, since the processes that make the
    orders have no file open.
    """
    acted = [index for index in world.store.acted if any(one.first <= index < one.end for one in stretches)]
    return FilledOrders(world, stretches, chosen, world.now_ms(), dict(world.store.acts(acted)))


def _chosen_stores(name: str | None) -> dict[str, int]:
    """The practice stores to fill, by region; on a desk without any store they are added first."""
    known = stores()
    if not known:
        if not (configuration().practice and configuration().custom_endpoints):
            raise NoPracticeStore
        _add_practice_stores()
        known = stores()
    ours = {str(access(one).settings.get("region")): one for one in known if one.practice and one.channel == CODE}
    if not ours:
        raise NotAPracticeDesk
    if name is None:
        return {region: one.id for region, one in ours.items()}
    wanted = name.strip().casefold()
    found = {region: one.id for region, one in ours.items() if wanted in (one.name.casefold(), str(one.id))}
    if not found:
        raise NotForPractice(name=name)
    return found


def _add_practice_stores() -> None:
    """Add the practice stores as `up` does, but without a call: their marketplaces are known here."""
    url = configuration().practice_url or f"http://127.0.0.1:{PORT}"
    for declared in practice_stores(url):
        region = declared.settings["region"]
        sold = [MARKETPLACES[site.id] for site in SITES.values() if site.region == region and site.weight]
        with unit_of_work():
            added = add_store(declared.channel, declared.name, declared.settings, actor=Actor.operator(), practice=True)
            remember_marketplaces(added, Connection(sold))


def practice_world() -> Practice:
    """The practice Amazon of this desk; if it never ran, it is created as `up` would create it."""
    home = configuration().data_dir / "practice"
    if (home / FILE).exists():
        return Practice(home)
    return Practice(home, orders=ORDERS, arrivals=ARRIVALS, settings={"rates": RATES, "edge": EDGE})


def _progress(whole: int) -> Callable[[Loaded], None]:
    """A function that prints the progress: on a terminal in one line, in a file at every tenth."""
    terminal = sys.stderr.isatty()
    tenths = 0

    def tell(loaded: Loaded) -> None:
        nonlocal tenths
        now_at = loaded.seen * 10 // whole
        rate = loaded.new / loaded.seconds if loaded.seconds else 0.0
        left = (whole - loaded.seen) / (loaded.seen / loaded.seconds) if loaded.seen else 0.0
        line = f"{loaded.seen:,} of {whole:,} orders · {rate:,.0f} new a second · {left:,.0f} s left"
        if terminal:
            click.echo(f"\r{line:<78}", nl=loaded.seen == whole, err=True)
        elif now_at > tenths and whole >= 10_000:
            click.echo(line, err=True)
        tenths = now_at

    return tell


def _report(loaded: Loaded, held: int, as_json: bool, in_use: bool) -> None:
    document: dict[str, Any] = {
        "orders": held,
        "new": loaded.new,
        "aside": loaded.aside,
        "seconds": round(loaded.seconds, 1),
        "orders_a_second": round(loaded.new / loaded.seconds) if loaded.seconds else 0,
        "in_transactions_of": BATCH if in_use else BATCH_ALONE,
    }
    if as_json:
        click.echo(json.dumps(document))
        return
    click.echo(f"{loaded.new:,} orders were added in {loaded.seconds:,.1f} s; {held:,} practice orders are here.")
    if not in_use:
        click.echo(f"Nobody used the desk, so {BATCH_ALONE:,} orders went into one transaction.")

"""What the desk's pages cost at a given number of orders, against the budgets of docs/performance.md.

    python -m bench.desk --orders 1000000 [--database postgresql://…] [--folder FOLDER] [--only list] [--rounds 30]

Uses the desk in the folder, or fills it first; `--archived 0.9` archives that share of it. Pages are asked for in this
process by somebody who is signed in, without a network between. Prints a Markdown table; `!` marks what misses its
budget, `--slowest` names the statement.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode

LIST, SEARCH, ORDER, LONG_ORDER, OPEN, ANY = 60.0, 80.0, 80.0, 150.0, 150.0, 1500.0  # budgets in ms
CSV_BUDGET, CSV_MEMORY, XLSX_BUDGET, EXPORTED = 15.0, 150, 60.0, 200_000
QUERIES, RATIO = 8, 3.0
TERMS, MANY = 299, 500.0  # terms of the longest query, and its budget in ms
LONG = 500  # lines of the longest order
PUT_AWAY = 50_000  # orders archived in one transaction
TOLD = 300_000  # orders with an update and calls
WRITTEN = 10_000  # of these in one transaction
EMAIL, PASSWORD = "bench@example.com", "A-Long-Word-For-Measuring-1"


def prepare(folder: Path, orders: int) -> None:
    """A desk with this number of orders in the folder; filled if they are missing."""
    words = [sys.executable, "-m", "webapp"]
    subprocess.run([*words, "migrate"], check=True, stdout=subprocess.DEVNULL)
    subprocess.run([*words, "practice", "fill", "--orders", str(orders)], check=True, stdout=subprocess.DEVNULL)


def put_away(share: float) -> int:
    """Archive the oldest orders at rest directly in the database, and restore the others; returns how many are
    archived.
    """
    from sqlalchemy import bindparam, func, select

    from webapp.db import analyze, db, table_of, unit_of_work
    from webapp.orders.models import Order
    from webapp.orders.states import OPEN_STATES

    table = table_of(Order)
    total = db.session.scalar(select(func.count()).select_from(table)) or 0
    place = max(0, round(total * share) - 1)
    cut = db.session.scalar(select(table.c.placed_at).order_by(table.c.placed_at, table.c.id).offset(place).limit(1))
    last = db.session.scalar(select(func.max(table.c.id))) or 0
    old = (table.c.placed_at <= cut) & table.c.state.not_in(OPEN_STATES) & (share > 0)
    some = table.c.id.between(bindparam("first"), bindparam("last"))
    away = table.update().where(some, table.c.archived_at.is_(None), old).values(archived_at=table.c.updated_at)
    back = table.update().where(some, table.c.archived_at.is_not(None), ~old).values(archived_at=None)
    for first in range(0, last + 1, PUT_AWAY):
        with unit_of_work():
            for statement in (away, back):
                db.session.connection().execute(statement, {"first": first, "last": first + PUT_AWAY - 1})
    analyze()
    return db.session.scalar(select(func.count()).select_from(table).where(table.c.archived_at.is_not(None))) or 0


@dataclass
class Sample:
    """An order to look for, and the values by which it can be found."""

    number: str
    channel_number: str
    buyer: dict[str, Any]
    sku: str
    product_code: str
    title: str
    tracking: str


def sample(orders: int, country: str) -> Sample:
    """An order from the middle with a buyer, a parcel and a product of this country."""
    from sqlalchemy import select

    from webapp.audit.actor import Actor
    from webapp.db import db
    from webapp.fulfillment.models import Package
    from webapp.orders.models import Order, OrderLine
    from webapp.vault.services import reveal

    middle = select(Order).where(Order.id > orders // 2, Order.country == country, Order.fulfilled_by == "merchant")
    found = middle.where(Order.state == "complete").order_by(Order.id).limit(40)
    for order in db.session.scalars(found):
        buyer = reveal(Actor.operator(), [order.id], purpose="bench").get(order.id, {})
        line = db.session.scalar(select(OrderLine).where(OrderLine.order_id == order.id).limit(1))
        package = db.session.scalar(select(Package).where(Package.order_id == order.id).limit(1))
        address = buyer.get("address") or {}
        if (
            line
            and package
            and buyer.get("email")
            and address.get("phone")
            and len(str(buyer.get("name")).split()) == 2
        ):
            return Sample(
                str(order.number), order.channel_order_number, dict(buyer), line.sku, line.product_code, line.title,
                package.tracking_number,
            )  # fmt: skip
    raise RuntimeError(f"no order of {country} to look for")


def long_order() -> str:
    """An order of many lines, placed at the practice Amazon and imported; returns its number."""
    from sqlalchemy import select

    from plugins.amazon.filling import FilledOrders, practice_world
    from plugins.amazon.practice.composing import Wish
    from webapp.channels.incoming import IncomingOrder
    from webapp.channels.models import Store
    from webapp.channels.services import access
    from webapp.db import db, unit_of_work
    from webapp.orders.models import Order
    from webapp.sync.taking_in.pages import PreparedPage, pack_order, take_in
    from webapp.sync.taking_in.prepared import PreparedOrder

    def known() -> str | None:
        return db.session.scalar(select(Order.number).where(Order.items >= LONG, Order.state == "processing").limit(1))

    if not known():
        world = practice_world()
        placed = world.place(Wish(lines=LONG, marketplace="US", quantity=1))
        read = FilledOrders(world, [], {}, world.now_ms() + 1000, world.store.acts([placed.order.index]))
        order = read.read(placed.order.index)
        world.close()
        packed = pack_order(order) if isinstance(order, IncomingOrder) else order
        if not isinstance(packed, PreparedOrder):
            raise RuntimeError(packed.problem)
        [store] = [one for one in db.session.scalars(select(Store)) if access(one).settings.get("region") == "na"]
        with unit_of_work():
            take_in(store, PreparedPage(store.id, [packed]))
    return str(known())


def comment_on(number: str) -> None:
    """Add a comment to look for, once."""
    from sqlalchemy import select

    from webapp.audit.actor import Actor
    from webapp.db import db, unit_of_work
    from webapp.orders.models import Order
    from webapp.orders.services import comment

    order = db.session.scalars(select(Order).where(Order.number == number)).one()
    if not order.comments:
        with unit_of_work():
            comment(order, "Zanzibar parcel, ask the carrier", actor=Actor.operator())


def tell_channels() -> None:
    """An update for each of the newest orders that merchants ship, and three calls, all written directly into the
    database; of a hundred updates two wait, one is refused, one unknown and one sent. Once.
    """
    from sqlalchemy import select

    from webapp.db import analyze, any_row, db, unit_of_work, write_rows
    from webapp.orders.models import Order
    from webapp.sync.models import ChannelCall
    from webapp.updates.models import ChannelUpdate

    if any_row(ChannelUpdate):
        return
    query = select(Order.id, Order.store_id, Order.placed_at).where(Order.fulfilled_by == "merchant")
    orders = list(db.session.execute(query.order_by(Order.id.desc()).limit(TOLD)))[::-1]
    for first in range(0, len(orders), WRITTEN):
        some = [(n, *order) for n, order in enumerate(orders[first : first + WRITTEN], start=first + 1)]
        with unit_of_work():
            write_rows(ChannelUpdate, [_update_of(*one) for one in some])
            write_rows(ChannelCall, [row for one in some for row in _calls_of(*one)])
    analyze()


def _update_of(id_: int, order_id: int, store_id: int, at: datetime) -> dict[str, Any]:
    state = {0: "owed", 1: "owed", 2: "refused", 3: "unknown", 4: "sent"}.get(id_ % 100, "effective")
    left = state != "owed"
    nothing = ("source_id", "look_again_at", "looked_at", "look_from", "handle", "attempt_id", "together", "problem")
    return dict.fromkeys((*nothing, "lease_owner", "lease_until")) | {
        "id": id_, "store_id": store_id, "order_id": order_id, "kind": "shipment", "order_version": 1,
        "reference": f"bench-{id_}", "revision": 1, "lane": "shipment", "payload": {}, "state": state,
        "due_at": at if left else at + timedelta(days=3650), "deadline": at + timedelta(days=2), "urgent": False,
        "attempts": int(left), "created_at": at, "sent_at": at if left else None,
        "effective_at": at if state == "effective" else None, "refused_at": at if state == "refused" else None,
    }  # fmt: skip


def _calls_of(id_: int, order_id: int, store_id: int, at: datetime) -> Iterator[dict[str, Any]]:
    """A search, the reading of the order, and its confirmation, of which one in fifty fails."""
    failed = id_ % 50 == 2
    for operation, of, outcome in (
        ("searchOrders", None, "ok"),
        ("getOrder", order_id, "ok"),
        ("confirmShipment", order_id, "failed" if failed else "ok"),
    ):
        yield {
            "store_id": store_id, "order_id": of, "update_id": id_ if operation == "confirmShipment" else None,
            "operation": operation, "at": at, "took": 200 + id_ % 1000, "status": 200 if outcome == "ok" else 500,
            "outcome": outcome, "tries": 1, "request_id": f"bench-{id_}",
            "problem": "" if outcome == "ok" else "channel_failed", "detail": "",
        }  # fmt: skip


def person() -> str:
    """The person who measures: an owner, and the token of a session."""
    from sqlalchemy import select

    from webapp.accounts.models import User
    from webapp.accounts.services import create_user, hashed, open_session
    from webapp.audit.actor import Actor
    from webapp.db import db, unit_of_work

    password_hash = hashed(PASSWORD, EMAIL)
    with unit_of_work():
        user = db.session.scalar(select(User).where(User.email == EMAIL)) or create_user(
            email=EMAIL, role="owner", actor=Actor.operator(), password_hash=password_hash, name="Bench"
        )
        return open_session(user, how="bench")


def places(sort: str, where: str, total: int) -> Iterator[tuple[str, str]]:
    """Name and key of the middle and of the end of a list; read once from the database with an offset."""
    from sqlalchemy import text

    from webapp.db import db
    from webapp.lists.listing import key_of
    from webapp.orders.listing import ORDER_LIST
    from webapp.orders.models import SORTED, Order

    column = SORTED[sort.removeprefix("-")]
    way = "DESC" if sort.startswith("-") else "ASC"
    counted = db.session.scalar(text(f"SELECT count(*) FROM orders WHERE {where} AND {column} IS NOT NULL"))  # noqa: S608
    for name, offset in (("middle", counted // 2), ("end", max(0, counted - 60))):
        query = f"SELECT id FROM orders WHERE {where} AND {column} IS NOT NULL ORDER BY {column} {way}, id {way}"  # noqa: S608
        id_ = db.session.scalar(text(f"{query} LIMIT 1 OFFSET {offset}"))
        if id_ is not None:
            yield name, key_of(ORDER_LIST, db.session.get_one(Order, id_), sort)


def list_cases(total: int) -> Iterator[Any]:
    """Every sorting of every usual list, first page and deep pages."""
    from sqlalchemy import select

    from bench.measuring import Case
    from webapp.channels.models import Store
    from webapp.db import db

    store = db.session.scalars(select(Store.id).order_by(Store.id)).first()
    scopes = {
        "all": ("", "archived_at IS NULL"),
        "store": (f"store:{store}", f"store_id = {store} AND archived_at IS NULL"),
        "state": ("state:complete", "state = 'complete' AND archived_at IS NULL"),
        "open": ("state:open", "state IN ('pending', 'processing')"),
    }
    for sort in ("-placed", "ship_by", "-updated", "-total"):
        for scope, (query, where) in scopes.items():
            address = {"q": query, "sort": sort}
            yield Case("list", f"{scope}, {sort}, first", f"/orders/?{urlencode(address)}", LIST, is_list=True)
            for name, key in places(sort, where, total):
                deep = urlencode(address | {"after": key})
                yield Case("list", f"{scope}, {sort}, {name}", f"/orders/?{deep}", LIST, is_list=True)


def shipment_cases(total: int) -> Iterator[Any]:
    """The list of shipments: usual filters, both ways, and a deep page."""
    from sqlalchemy import select

    from bench.measuring import Case
    from webapp.audit.actor import Actor
    from webapp.channels.models import Store
    from webapp.db import db
    from webapp.fulfillment.models import Package
    from webapp.fulfillment.shipment_list import SHIPMENT_LIST
    from webapp.lists.listing import key_of

    store = db.session.scalars(select(Store.id).order_by(Store.id)).first()
    asked = (
        "",
        f"store:{store}",
        "state:complete",
        "carrier:DHL",
        "country:DE",
        "shipped:>=-7d",
        "confirmation:refused",
    )
    for query in asked:
        for sort in ("-shipped", "shipped"):
            address = urlencode({"q": query, "sort": sort})
            yield Case("shipments", f"{query or 'all'}, {sort}", f"/shipments/?{address}", LIST, is_list=True)
    every = (
        SHIPMENT_LIST.visible(Actor.operator()).with_only_columns(Package.id).order_by(Package.shipped_at, Package.id)
    )
    middle = db.session.scalar(every.offset(total // 2).limit(1))
    if middle is not None:
        key = key_of(SHIPMENT_LIST, db.session.get_one(Package, middle))
        yield Case("shipments", "all, -shipped, middle", f"/shipments/?{urlencode({'after': key})}", LIST, is_list=True)


def traffic_cases() -> Iterator[Any]:
    """The outbox and the communication log: usual filters, every sorting, and a deep page; and the pages of a store."""
    from sqlalchemy import func, select

    from bench.measuring import Case
    from webapp.audit.actor import Actor
    from webapp.channels.models import Store
    from webapp.db import db
    from webapp.lists.listing import key_of
    from webapp.sync.call_list import CALL_LIST
    from webapp.updates.outbox import OUTBOX_LIST

    tell_channels()
    store = db.session.scalars(select(Store.id).order_by(Store.id)).first()
    mine = f"store:{store}"
    lists = (
        ("outbox", OUTBOX_LIST, ("", mine, "sending:owed", "sending:refused", "decide:yes", "kind:shipment")),
        ("communication", CALL_LIST, ("", mine, "outcome:failed", f"{mine} outcome:failed", "took:>=1")),
    )
    for group, subject, queries in lists:
        for query in queries:
            for sort in (way for code in subject.sorts for way in (f"-{code}", code)):
                address, budget = urlencode({"q": query, "sort": sort}), LIST if query in ("", mine) else OPEN
                yield Case(group, f"{query or 'all'}, {sort}", f"{subject.path}/?{address}", budget, is_list=True)
        model, usual = subject.model, subject.sorts[subject.usual.removeprefix("-")]
        rows = subject.visible(Actor.operator()).with_only_columns(model.id).order_by(None).order_by(usual, model.id)
        counted = db.session.scalar(select(func.count()).select_from(model)) or 0
        middle = db.session.scalar(rows.offset(counted // 2).limit(1))
        if middle is not None:
            address = urlencode({"after": key_of(subject, db.session.get_one(model, middle))})
            yield Case(group, f"all, {subject.usual}, middle", f"{subject.path}/?{address}", LIST, is_list=True)
    for name, path in (
        ("page", ""),
        ("status", "/status"),
        ("traffic", "/traffic"),
        ("order settings", "/settings"),
        ("preview of order settings", "/settings/orders/preview"),
    ):
        yield Case("store", name, f"/stores/{store}{path}", ORDER)


def filter_cases() -> Iterator[Any]:
    """Filters of open orders, and of everything."""
    from bench.measuring import Case

    of_open = (
        "total:>100", "country:DE", "prime:yes", "due:late", "due:<24h", "buyer-cancel:yes", "attention:yes",
        "has-comment:yes", "units:>5", "-prime:yes country:US total:50..80", "fulfilled-by:merchant",
    )  # fmt: skip
    for query in of_open:
        for sort in ("ship_by", "-total"):
            address = urlencode({"q": f"state:open {query}", "sort": sort})
            yield Case("filter", f"open {query}, {sort}", f"/orders/?{address}", OPEN, is_list=True)
    for query in (
        "total:>500 country:FR",
        "marketplace:JP gift:yes",
        "state:canceled country:IT units:>9",
        "country:XX",
        "archived:any",
        "archived:any country:FR",
        "archived:yes",
    ):
        for sort in ("-placed", "-total"):
            address = urlencode({"q": query, "sort": sort})
            yield Case("filter", f"{query}, {sort}", f"/orders/?{address}", ANY, rounds=5, is_list=True)


def search_cases(total: int) -> Iterator[Any]:
    """Every kind of word and number that somebody may look for, typed into the box."""
    from bench.measuring import Case

    german, japanese = sample(total, "DE"), sample(total, "JP")
    buyer = german.buyer
    first, last = str(buyer["name"]).split()
    comment_on(german.number)
    digits = "".join(char for char in str(buyer["address"]["phone"]) if char.isdigit())
    typed = {
        "our number": german.number,
        "our number, without zeros": german.number.lstrip("0"),
        "channel number": german.channel_number,
        "channel number, last digits": german.channel_number[-7:],
        "channel number, beginning": german.channel_number[:11],
        "buyer, two words": f"{first} {last}",
        "buyer, beginning": last[:4],
        "buyer, quoted": f'"{first} {last}"',
        "two frequent words": "smith james",
        "e-mail": str(buyer["email"]),
        "phone": str(buyer["address"]["phone"]),
        "phone, last digits": digits[-6:],
        "postcode": str(buyer["address"]["postal_code"]),
        "SKU": german.sku,
        "SKU, key": f"sku:{german.sku}",
        "SKU, beginning": f"sku:{german.sku[:4]}*",
        "ASIN": german.product_code,
        "title": " ".join(german.title.replace(",", "").split()[:2]),
        "title and buyer": f"{german.title.split()[0]} {last}",
        "tracking number": german.tracking,
        "comment": "zanzibar",
        "ideographs, name": str(japanese.buyer["name"]).split()[0],
        "ideograph, one": str(japanese.buyer["name"])[0],
        "nothing found": "qzxjkvw",
        "buyer among open": f"state:open {last}",
        "all but a buyer": f"-{last}",
        "all but a title": f'-"{german.title.split()[0]}"',
    }
    for name, text in typed.items():
        yield Case("search", name, _typed(text), SEARCH)
    invented = [f"quixel{number}" for number in range(TERMS)]
    known = _known_words(total)
    many = {
        "words": " ".join(invented),
        "words to leave out": " ".join(f"-{word}" for word in invented),
        "known words": " ".join(known),
        "numbers": f"number:{','.join(f'{total - number:06}' for number in range(TERMS))}",
        "SKUs": f"sku:{','.join(invented)}",
    }
    for name, text in many.items():
        yield Case("terms", f"{TERMS} {name}", _typed(text), MANY, rounds=5)


def _known_words(total: int) -> list[str]:
    """As many different words of buyers and titles as a query may have."""
    from sqlalchemy import select

    from webapp.audit.actor import Actor
    from webapp.db import db
    from webapp.orders.models import Order, OrderLine
    from webapp.vault.services import reveal

    ids = list(db.session.scalars(select(Order.id).where(Order.id > total // 2).order_by(Order.id).limit(TERMS)))
    titles = db.session.scalars(select(OrderLine.title).where(OrderLine.order_id.in_(ids)))
    names = [str(buyer.get("name")) for buyer in reveal(Actor.operator(), ids, purpose="bench").values()]
    found = dict.fromkeys(word for text in (*names, *titles) for word in text.split() if word.isalpha())
    return [word for word in found if len(word) > 2][:TERMS]


def _typed(text: str) -> Any:
    """Send a text as a person does who types it into the box and presses Enter."""
    return lambda browser: browser.post("/orders/search", text=text)


def other_cases(total: int) -> Iterator[Any]:
    """The order page, the dashboard, counts."""
    from sqlalchemy import select

    from bench.measuring import Case
    from webapp.db import db
    from webapp.orders.models import Order

    usual = sample(total, "DE").number
    still_open = db.session.scalars(
        select(Order.number).where(Order.state == "processing", Order.items == 2).order_by(Order.id.desc())
    ).first()
    many = long_order()
    for name, number, budget in (
        ("shipped", usual, ORDER),
        ("open", still_open, ORDER),
        (f"{LONG} lines", many, LONG_ORDER),
    ):
        yield Case("order", name, f"/orders/{quote(str(number))}", budget)
    for tab in ("shipments", "updates", "timeline", "channel"):
        yield Case("order", f"tab {tab}", f"/orders/{usual}?tab={tab}", ORDER)
    yield Case("dashboard", "page", "/dashboard/", LIST)
    yield Case("dashboard", "with all cards", "/dashboard/?whole=1", ANY, rounds=5)
    yield Case("dashboard", "report of two years", "/dashboard/report", ANY, rounds=5)
    yield Case("count", "all views", _uncounted("/orders/counts"), ANY, rounds=5)
    yield Case("count", "everything", _uncounted("/orders/count"), ANY, rounds=5)


def _uncounted(path: str) -> Any:
    """Request counts that are not cached, since nobody asked for them within the last minute."""

    def ask(browser: Any) -> Any:
        from webapp.live import connection

        connection().flushdb()
        return browser.get(path)

    return ask


def measure_pages(options: argparse.Namespace, browser: Any) -> list[str]:
    """The table of all pages."""
    from bench.measuring import bare_application, measure, measure_bare, settle
    from webapp.db import db

    total = options.orders
    made = [
        *list_cases(total),
        *shipment_cases(total),
        *traffic_cases(),
        *filter_cases(),
        *search_cases(total),
        *other_cases(total),
    ]
    cases = [case for case in made if not options.only or options.only in f"{case.group} {case.name}"]
    db.session.remove()
    bare = bare_application(total // 2)
    settle()
    (rows, rows_cpu), (floor, floor_cpu) = measure_bare(bare, 50, "/rows"), measure_bare(bare, 50)
    lines = [
        f"Bare Flask page of the same rows: p50 {floor:.1f} ms, CPU {floor_cpu:.1f} ms; "
        f"without lines, session and count {rows:.1f} ms, CPU {rows_cpu:.1f} ms.",
        "",
        "| | case | queries | p50 ms | p95 ms | CPU ms | KB | × bare | budget ms | |",
        "| --- | --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | --- |",
    ]
    print("\n".join(lines), flush=True)
    for case in cases:
        floor = measure_bare(bare, 10)[0]
        try:
            measured = measure(case, browser, options.rounds)
        except Exception as error:  # the others are worth measuring all the same
            lines.append(f"| {case.group} | {case.name} | | | | | | | {case.budget:g} | ! {error} |")
            print(lines[-1], flush=True)
            continue
        ratio = measured.p50 / floor if case.is_list else 0
        missed = [
            *(["slow"] if measured.p95 > case.budget else []),
            *(["queries"] if measured.queries > QUERIES and case.budget != MANY else []),
            *(["ratio"] if ratio > RATIO and case.budget == LIST else []),
        ]
        told_ratio = f"{ratio:.1f}" if ratio else ""
        marked = f"! {', '.join(missed)}" if missed else ""
        lines.append(
            f"| {case.group} | {case.name} | {measured.queries} | {measured.p50:.1f} | {measured.p95:.1f} "
            f"| {measured.cpu:.1f} | {measured.size / 1024:.0f} | {told_ratio} | {case.budget:g} | {marked} |"
        )
        print(lines[-1], flush=True)
        if options.slowest and missed:
            print(f"    {measured.slowest[0]:.1f} ms: {' '.join(measured.slowest[1].split())[:1500]}", flush=True)
    return lines


def measure_exports(browser: Any) -> list[str]:
    """Files of many orders: duration, size, and memory."""
    from sqlalchemy import select

    from bench.measuring import PeakMemory
    from webapp.accounts.models import User
    from webapp.audit.actor import Actor
    from webapp.db import db, unit_of_work
    from webapp.jobs.models import Run
    from webapp.lists import export_runs, exporting
    from webapp.orders.listing import ORDER_LIST
    from webapp.orders.models import Order
    from webapp.search.query import parse

    lines = [
        "",
        "| export of orders | rows | seconds | MB | peak MB | budget | |",
        "| --- | ---: | ---: | ---: | ---: | ---: | --- |",
    ]
    oldest = db.session.scalar(select(Order.placed_at).order_by(Order.placed_at.desc()).offset(EXPORTED - 1).limit(1))
    low = oldest.date().isoformat() if isinstance(oldest, datetime) else "2000-01-01"
    query = f"placed:>={low}"
    db.session.remove()
    begun, size, rows = time.perf_counter(), 0, 0
    with PeakMemory() as memory:
        answer = browser.client.get(f"/orders/export.csv?{urlencode({'q': query, 'all': '1'})}", buffered=False)
        for part in answer.response:
            size, rows = size + len(part), rows + part.count(b"\n")
    lines.append(_export_line("CSV, streamed", rows, time.perf_counter() - begun, size, memory.megabytes, CSV_BUDGET))
    print("\n".join(lines), flush=True)
    db.session.remove()  # the page's connection, whose time is limited
    begun = time.perf_counter()
    with PeakMemory() as memory:
        with unit_of_work():
            actor: Actor = db.session.scalars(select(User).where(User.email == EMAIL)).one().as_actor()
            run_id = export_runs.start_export(
                ORDER_LIST,
                actor=actor,
                format="xlsx",
                rows="orders",
                codes=exporting.default_columns(ORDER_LIST, actor),
                total=EXPORTED,
                query=parse(query),
            ).id
        while (run := db.session.get_one(Run, run_id)).is_open:
            chunk = run.chunk
            db.session.rollback()
            export_runs.put_together.function(run_id, chunk)  # writes the parts as well
            db.session.rollback()
        file, _ = export_runs.open_file(run, actor)
    seconds = time.perf_counter() - begun
    lines.append(_export_line("XLSX, as a run", run.done, seconds, file.size, memory.megabytes, XLSX_BUDGET))
    print(lines[-1], flush=True)
    return lines


def _export_line(name: str, rows: int, seconds: float, size: int, memory: float | None, budget: float) -> str:
    missed = seconds > budget or (memory or 0) > CSV_MEMORY
    shown = "" if memory is None else f"{memory:.0f}"
    return (
        f"| {name} | {rows:,} | {seconds:.1f} | {size / 1e6:.1f} | {shown} | {budget:g} s | {'!' if missed else ''} |"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--orders", type=int, default=20_000)
    parser.add_argument("--database", default="")
    parser.add_argument("--folder", type=Path, default=Path(tempfile.gettempdir()) / "waybill-bench")
    parser.add_argument("--rounds", type=int, default=30)
    parser.add_argument("--only", default="", help="Only cases whose group and name hold this.")
    parser.add_argument("--slowest", action="store_true", help="Name the slowest statement of whatever misses.")
    parser.add_argument("--archived", type=float, help="Archive this share of the desk first, by SQL: 0.9; 0 restores.")
    parser.add_argument("--filled", action="store_true", help="The desk is there and full: don't look.")
    options = parser.parse_args()
    os.environ |= {
        "WAYBILL_DATA_DIR": str(options.folder),
        "DATABASE_URL": options.database,
        "WAYBILL_LOG_LEVEL": "error",
        "WAYBILL_CUSTOM_ENDPOINTS": "1",
    }
    if not options.filled:
        prepare(options.folder, options.orders)
    from bench.measuring import Browser
    from supervisor import valkey
    from webapp import create_app
    from webapp.reporting.folding import only_one
    from webapp.reporting.jobs import count_shops, fold_all

    queue = valkey.start(options.folder)
    app = create_app()
    load = os.getloadavg()[0]
    kind = "PostgreSQL" if options.database else "SQLite"
    print(f"{kind}, {options.orders:,} orders, load {load:.1f} at the start\n", flush=True)
    try:
        with app.app_context():
            if options.archived is not None:
                print(f"{put_away(options.archived):,} of the orders are archived, marked so by SQL\n", flush=True)
            count_shops()  # as the schedule does every ten seconds
            with only_one(wait=60) as lease:
                if lease:
                    fold_all(lease)
            browser = Browser(app)
            browser.enter(person())
            measure_pages(options, browser)
            if not options.only or "export" in options.only:
                measure_exports(browser)
    finally:
        queue.stop()


if __name__ == "__main__":
    main()

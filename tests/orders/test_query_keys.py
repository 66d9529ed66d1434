"""What merchants type, and which orders it finds: keys over columns, words over terms and numbers."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import timedelta

import pytest
import time_machine
from sqlalchemy import delete, func, select, update

from plugins.amazon.channel import AmazonChannel
from webapp.audit.actor import Actor
from webapp.audit.rights import rights_of_built_in
from webapp.channels.incoming import ChannelStage, IncomingPackage
from webapp.clock import now
from webapp.db import db, unit_of_work
from webapp.errors import Forbidden
from webapp.jobs import runs
from webapp.lists.listing import count_rows, list_page
from webapp.orders import search_words
from webapp.orders.listing import ORDER_LIST
from webapp.orders.models import Order, OrderTag, Tag
from webapp.orders.services import comment
from webapp.search.compiling import Compiled, check_query, compile_query
from webapp.search.models import SearchTerm
from webapp.search.query import QueryMistake, parse
from webapp.testing import FakeChannel, again, incoming_line, incoming_order, line_again
from webapp.vault import services as vault

Find = Callable[[str], set[str]]
JANE = {
    "name": "Jane Müller-Doe",
    "email": "jane.doe@mail.test",
    "company": "Blümchen & Søn",
    "address": {
        "name": "山田太郎",
        "line1": "Weg 1",
        "city": "Bonn",
        "postal_code": "SW1A 1AA",
        "country": "GB",
        "phone": "+49 170 1234567",
    },
}
TOM = {
    "name": "Tom Li",
    "email": "tom@mail.test",
    "address": {
        "name": "Tom Li",
        "line1": "W",
        "city": "C",
        "postal_code": "94103",
        "country": "US",
        "phone": "2065550100",
    },
}


@pytest.fixture(autouse=True)
def _at_noon() -> Iterator[None]:
    """At noon, so that something due in two hours is due today."""
    with time_machine.travel(now().replace(hour=12), tick=True):
        yield


@pytest.fixture
def find(mia: Actor) -> Find:
    """The channel numbers of the orders that a query finds."""

    def found(text: str) -> set[str]:
        compiled = compile_query(parse(text), mia)
        return {order.channel_order_number for order in list_page(ORDER_LIST, mia, compiled).rows}

    return found


@pytest.fixture
def two(take: Callable[..., list[Order]], channel: FakeChannel, monkeypatch: pytest.MonkeyPatch) -> list[Order]:
    """Two orders that differ in everything, of a channel with the product codes and flags of Amazon."""
    monkeypatch.setattr(channel, "product_code", AmazonChannel.product_code)
    monkeypatch.setattr(channel, "flags", AmazonChannel.flags)
    return take(
        incoming_order(
            [incoming_line("SKU-AB1", 2, title="Blue steel mug", product_code="B00MUG0001")],
            number="902-1812345-1234567",
            buyer=JANE, flags=("prime",), ship_by=now() + timedelta(hours=2),
        ),
        incoming_order(
            [incoming_line("CD_2", 1, title="Red 100% wool scarf", product_code="B00SCARF02")],
            number="903-7654321-7654321",
            buyer=TOM, ship_by=now() + timedelta(days=3),
        ),
    )  # fmt: skip


JANES, TOMS = "902-1812345-1234567", "903-7654321-7654321"


TYPED: list[tuple[str, set[str]]] = [
    ("Müller", {JANES}),
    ("muller", {JANES}),
    ("MULLER", {JANES}),
    ("mül", {JANES}),
    ('"jane doe"', {JANES}),
    ("doe jane", {JANES}),
    ("doe & jane", {JANES}),
    ("& jane state:open", {JANES}),
    ("jane tom", set()),
    ("blumchen", {JANES}),
    ("son", {JANES}),
    ("山田", {JANES}),
    ("田太郎", {JANES}),
    ("山", {JANES}),
    ("山太", set()),
    ("li", {TOMS}),
    ("tom", {TOMS}),
    ("-tom", {JANES}),
    ("jane.doe@mail.test", {JANES}),
    ("jane.doe", {JANES}),
    ("902-18", {JANES}),
    ("902-1812345-1234567", {JANES}),
    ("4567", {JANES}),
    ("1234567", {JANES}),
    ("1812345-1234567", {JANES}),
    ("5-1234567", {JANES}),
    ("9-1234567", set()),
    ("+49 170 1234567", {JANES}),
    ("0170 1234567", {JANES}),
    ("206 555 0100", {TOMS}),
    ("(206) 555-0100", {TOMS}),
    ("550100", {TOMS}),
    ("94103", {TOMS}),
    ("941", {TOMS}),
    ("SW1A 1AA", {JANES}),
    ("sw1a", {JANES}),
    ("SKU-A*", {JANES}),
    ("sku-ab1", {JANES}),
    ("ab1", {JANES}),
    ("b00scarf", {TOMS}),
    ("steel mug", {JANES}),
    ("mug -jane", set()),
    ("wool 100%", {TOMS}),
    ("sku:sku-a*", {JANES}),
    ("sku:SKU-A", set()),
    ("sku:CD_2", {TOMS}),
    ("sku:CDX2", set()),
    ("sku:SKU-AB1,CD_2", {JANES, TOMS}),
    ("-sku:SKU-AB1", {TOMS}),
    ("asin:B00MUG*", {JANES}),
    ('title:"steel mug"', {JANES}),
    ("title:tee", set()),
    ("buyer:jane", {JANES}),
    ("buyer:jane,tom", {JANES, TOMS}),
    ('-buyer:"jane doe"', {TOMS}),
    ("email:tom", {TOMS}),
    ("phone:0100", {TOMS}),
    ("postcode:941*", {TOMS}),
    ("number:902*", {JANES}),
    ("number:903-7654321-7654321", {TOMS}),
    ("due:<4h", {JANES}),
    ("due:4h", {JANES}),
    ("-due:<4h", {TOMS}),
    ("due:1d..4d", {TOMS}),
    ("due:late", set()),
    ("ship-by:tomorrow..+4d", {TOMS}),
    ("placed:>2020-01-01", {JANES, TOMS}),
    ("placed:<2020", set()),
    ("prime:yes", {JANES}),
    ("prime:no", {TOMS}),
    ("flag:prime", {JANES}),
    ("country:gb", {JANES}),
    ("country:G*,US", {JANES, TOMS}),
    ("units:>1", {JANES}),
    ("unshipped:1", {TOMS}),
    ("state:open", {JANES, TOMS}),
    ("state:Open -state:processing", set()),
    ("state:complete,canceled", set()),
    ('store:"fake store"', {JANES, TOMS}),
    ("channel:fake", {JANES, TOMS}),
    ("channel-status:unshipped", {JANES, TOMS}),
    ("state:on-hold", set()),
    ("fulfilled-by:channel", set()),
    ("hold", set()),
    ("-hold", {JANES, TOMS}),
    ("attention:no", {JANES, TOMS}),
    ("attention:unmatched_sku", set()),
    ("buyer-cancel:no", {JANES, TOMS}),
    ("archived:any", {JANES, TOMS}),
    ("archived", set()),
    ("assignee:none", {JANES, TOMS}),
    ("assignee:me", set()),
    ("tag:none status:none", {JANES, TOMS}),
    ("has-comment:no managed:no arrived-complete:no replacement:no", {JANES, TOMS}),
    ("managed:yes", set()),
    ("-managed:yes", {JANES, TOMS}),
    ("carrier:dhl", set()),
    ("update:refused", set()),
    ("task:late", set()),
    ("currency:eur", {JANES, TOMS}),
    ("marketplace:DE", {JANES, TOMS}),
]


def test_what_is_typed_is_found(two: list[Order], find: Find) -> None:
    wrong = {typed: found for typed, expected in TYPED if (found := find(typed)) != expected}
    assert wrong == {}


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("state:opne", "Choose one of these: open, pending"),
        ("placed:soon", "2026-11-20"),
        ("placed:2026-13-01", "2026-11-20"),
        ("placed:<", "2026-11-20"),
        ("placed:..", "2026-11-20"),
        ("due:soon", "<4h"),
        ("due:<99999999h", "<4h"),
        ("total:>1,50x", "a point before the decimals"),
        ("total:x", "a point before the decimals"),
        ("total:>29,97", "a point before the decimals"),
        ("total:29,97", "a point before the decimals"),
        ("total:10..29,97", "a point before the decimals"),
        ("total:29,97..40", "a point before the decimals"),
        ("total:>1,234.50", "a point before the decimals"),
        ("total:1,234", "read in several ways"),
        ("total:1,234.50", "read in several ways"),
        ("total:100,200..300", "read in several ways"),
        ("total:5,5", "read in several ways"),
        ("total:>1.234", "read in several ways"),
        ("total:1.000..2.000", "read in several ways"),
        ("total:1'234", "a point before the decimals"),
        ("units:>1,000", "read in several ways"),
        ("units:1,234", "read in several ways"),
        ("units:1.000", "whole number"),
        ("placed:01/02/2026", "2026-11-20"),
        ("placed:01.02.2026", "2026-11-20"),
        ("placed:01-02-2026", "2026-11-20"),
        ("placed:>2026/02/01", "2026-11-20"),
        ("placed:1,2", "2026-11-20"),
        ("due:01/02/2026", "<4h"),
        ("units:99999999999", "whole number"),
        ("units:-1", "whole number"),
        ("hold:maybe", "yes or no"),
        ("x", "too short"),
        ("-&", "nothing to search for"),
        ("😀😀", "nothing to search for"),
        ("*", "nothing to search for"),
        ("-", "nothing to search for"),
        (":", "nothing to search for"),
        ('"- & -"', "nothing to search for"),
        ('""', "nothing to search for"),
        ("sku:*", "nothing to search for"),
        ("phone:12", "nothing to search for"),
    ],
)
def test_a_mistake_says_what_is_possible(mia: Actor, store: object, text: str, says: str) -> None:
    with pytest.raises(QueryMistake) as caught:
        compile_query(parse(f"hold {text}"), mia)
    assert says in str(caught.value)
    assert (caught.value.start, caught.value.end) == (5, 5 + len(text))
    with pytest.raises(QueryMistake):
        check_query(parse(text), mia)


def test_our_own_number_is_found_without_prefix_and_zeros(two: list[Order], find: Find) -> None:
    own = two[0].number
    assert own is not None
    bare = own.lstrip("0")
    assert JANES in find(own)
    assert JANES in find(bare)
    assert find(f"number:{bare}") == {JANES}


@pytest.mark.parametrize(
    "written", ["#{}", "# {}", "No. {}", "№ {}", "№{}", "https://market.test/orders-v3/order/{}", "{}\u200e"]
)
def test_a_number_may_be_written_as_documents_do(two: list[Order], find: Find, written: str) -> None:
    for number in (two[0].number, two[0].channel_order_number):
        typed = written.format(number)
        assert find(typed) == find(str(number)) == {JANES}
        if " " not in typed:
            assert find(f'number:"{typed}"') == {JANES}
    assert find(f"number:{JANES.replace('-', '–')}") == find(JANES.replace("-", "–")) == {JANES}


def test_a_link_is_no_word_about_a_buyer(two: list[Order], mia: Actor) -> None:
    query = parse(f"hold https://market.test/orders-v3/order/{JANES}?x=jane")
    assert (query.structured, query.words) == (f"hold number:{JANES}", "")
    with pytest.raises(QueryMistake, match="no order number in this link") as caught:
        parse("hold https://market.test/p/jane")
    assert (caught.value.start, caught.value.end) == (5, 31)


def test_several_amounts_may_be_listed(two: list[Order], find: Find) -> None:
    totals = ",".join(f"{(order.total_minor or 0) / 100:.2f}" for order in two)
    assert find(f"total:{totals}") == {JANES, TOMS}
    assert find("total:100.00,200.00") == find("total:1000,2000") == set()
    assert find("units:1,2") == {JANES, TOMS}


@pytest.mark.parametrize("typed", ["SW1A 1AA", '"SW1A 1AA"', "SW1A1AA", "sw1a1aa", "postcode:sw1a1aa"])
def test_a_postcode_is_found_with_its_space_and_without(
    take: Callable[..., list[Order]], find: Find, typed: str
) -> None:
    address = {"name": "Jo", "line1": "1 Way", "city": "London", "postal_code": "SW1A1AA", "country": "GB"}
    [order] = take(incoming_order(buyer={"name": "Jo", "address": address}))
    assert find(typed) == {order.channel_order_number}


def test_a_postcode_of_any_country_is_found_with_its_space(take: Callable[..., list[Order]], find: Find) -> None:
    for told, typed in (("JE23AB", "JE2 3AB"), ("KY1-1001", "KY1 1001")):
        address = {"name": "Jo", "line1": "1 Way", "postal_code": told, "country": "XK"}
        [order] = take(incoming_order(buyer={"name": "Jo", "address": address}))
        for text in (typed, told, f'"{typed}"', f'postcode:"{typed}"'):
            assert find(text) == {order.channel_order_number}, text


@pytest.mark.parametrize("extension", [" ext. 54321", " x54321", " #54321", ";ext=54321", " Extension 54321"])
def test_a_phone_is_found_whatever_its_extension(take: Callable[..., list[Order]], find: Find, extension: str) -> None:
    phone = f"+1 217-555-0142{extension}"
    [order] = take(incoming_order(buyer={"name": "Pat", "address": {"name": "Pat", "country": "US", "phone": phone}}))
    for typed in (
        "217-555-0142", "+1 217-555-0142", "phone:0142", phone, f"217-555-0142{extension}", f'"{phone}"',
        f'phone:"{phone}"', "217–555–0142", "001 (217) 555 0142", "phone:+12175550142", "２１７-５５５-０１４２",
    ):  # fmt: skip
        assert find(typed) == {order.channel_order_number}, typed


def test_what_somebody_may_choose_is_nobody_elses_in_the_same_transaction(two: list[Order], mia: Actor) -> None:
    store = f"store:{two[0].store_id}"
    assert compile_query(parse(store), mia).conditions
    with pytest.raises(QueryMistake):
        compile_query(parse(store), replace(mia, shops=frozenset({two[0].shop_id + 1})))


def test_a_query_has_its_limit(two: list[Order], find: Find) -> None:
    many = [f"w{number}" for number in range(600)]
    assert find(" ".join(many[:250])) == set()
    for text in (" ".join(many), f"number:{','.join(many)}", f'-"{" ".join(many)}"'):
        with pytest.raises(QueryMistake, match="more than 300"):
            find(text)


def test_what_was_searched_is_said(two: list[Order], mia: Actor) -> None:
    compiled = compile_query(parse("jane"), mia)
    assert compiled.searched == (
        "SKU, ASIN, title", "order numbers", "buyer, company, e-mail, phone, postcode", "comments", "tracking numbers",
    )  # fmt: skip
    assert compile_query(parse("hold"), mia).searched == ()


def test_who_may_not_see_buyers_finds_none(two: list[Order]) -> None:
    reader = Actor.operator()
    reader = replace(reader, everything=False, rights=rights_of_built_in("read_only"))
    assert list_page(ORDER_LIST, reader, compile_query(parse("jane"), reader)).rows == []
    assert list_page(ORDER_LIST, reader, compile_query(parse("94103"), reader)).rows == []
    assert len(list_page(ORDER_LIST, reader, compile_query(parse("mug"), reader)).rows) == 1
    for key in ("buyer:jane", "email:tom", "phone:4567", "postcode:941", "comment:x"):
        with pytest.raises(Forbidden):
            compile_query(parse(key), reader)


def test_totals_are_compared_with_each_currencys_decimals(take: Callable[..., list[Order]], find: Find) -> None:
    euros = replace(incoming_order(), total=10050)
    yen = incoming_order(currency="JPY", marketplace="JP1", total=1500)
    take(euros, yen)
    assert find("total:100.50") == {euros.number}
    assert find("total:>100.50") == {yen.number}
    assert find("total:>100") == {euros.number, yen.number}
    assert find("total:1500") == {yen.number}
    assert find("total:..100.50") == {euros.number}
    assert find("total:<999999999999") == {euros.number, yen.number}
    assert find("total:>999999999999") == set()
    large, larger = incoming_order(total=2**31 + 9), incoming_order(total=10**14)
    take(large, larger)
    assert find("total:>21474836.47") == {large.number, larger.number}
    assert find("total:>25000000") == find("total:>999999999999") == {larger.number}


def test_a_changed_buyer_is_found_under_the_new_name_only(take: Callable[..., list[Order]], find: Find) -> None:
    first = incoming_order([incoming_line("MUG", title="Blue mug")], buyer=JANE)
    take(first)
    assert find("jane") == {first.number}
    take(again(first, buyer=TOM, lines=line_again(first, sku="CUP", title="Green cup")))
    assert find("jane") == set()
    assert find("blue") == find("sku:MUG") == set()
    assert find("tom") == find("94103") == find("green") == find("sku:CUP") == {first.number}


def test_a_buyer_who_is_withheld_later_is_found_still(take: Callable[..., list[Order]], find: Find) -> None:
    first = incoming_order(buyer=JANE)
    take(first)
    take(again(first, stage=ChannelStage.CANCELED, status="CANCELED", buyer={}))
    assert find("jane") == {first.number}


def test_comments_are_found_by_their_words(make_order: Callable[..., Order], mia: Actor, find: Find) -> None:
    order = make_order()
    with unit_of_work():
        comment(db.session.get_one(Order, order.id), "Called the neighbour, parcel at the Bäckerei", actor=mia)
    assert find("backerei") == find("comment:neighbour") == find("has-comment:yes") == {order.channel_order_number}


def test_nothing_of_an_erased_buyer_is_found(two: list[Order], mia: Actor, find: Find) -> None:
    with unit_of_work():
        comment(db.session.get_one(Order, two[0].id), "Jane called", actor=mia)
    with unit_of_work():
        vault.erase([two[0].id])
    for typed in ("jane", "muller", "4915", "1234567 170", "sw1a", "called", "山田", "jane.doe@mail.test"):
        assert find(typed) == set()
    assert find("mug") == find("902-18") == {JANES}


def test_an_erased_order_stays_unfindable_by_its_buyer(
    take: Callable[..., list[Order]], mia: Actor, find: Find
) -> None:
    first = incoming_order(buyer=JANE)
    [order] = take(first)
    with unit_of_work():
        vault.erase([order.id])
    with unit_of_work():
        comment(db.session.get_one(Order, order.id), "They asked for it", actor=mia)
    take(again(first, buyer=TOM))
    assert find("tom") == find("jane") == set()
    assert find("asked") == {first.number}


def test_a_tracking_number_is_found_whole_and_by_its_beginning(take: Callable[..., list[Order]], find: Find) -> None:
    package = IncomingPackage("1", {}, carrier="UPS", tracking_number="1Z999AA10123456784")
    order = incoming_order(stage=ChannelStage.SHIPPED, status="SHIPPED")
    line = replace(order.lines[0], fulfilled=1, unfulfilled=0)
    order = replace(order, lines=(line,), packages=(replace(package, lines={line.number: 1}),))
    take(order)
    expected = {order.number}
    assert find("1z999aa10123456784") == find("1Z99") == find("tracking:1Z999*") == find("carrier:ups") == expected
    assert find("1Z98") == set()


def test_tags_and_archive_are_asked_for(two: list[Order], find: Find) -> None:
    with unit_of_work():
        tag = Tag(name="Fragile")
        db.session.add(tag)
        db.session.flush()
        db.session.add(OrderTag(tag_id=tag.id, order_id=two[0].id))
        db.session.execute(update(Order).where(Order.id == two[1].id).values(archived_at=now()))
    assert find("tag:fragile") == {JANES}
    assert find("tag:none") == set()
    assert find("archived") == {TOMS}
    assert find("-hold") == find("-archived") == find("-canceling -hold") == {JANES}
    assert find("tag:none,fragile archived:any") == {JANES, TOMS}


def test_what_needs_attention_is_found_by_its_kind(two: list[Order], mia: Actor, find: Find) -> None:
    with unit_of_work():
        marked = {"attention": [{"kind": "unmatched_sku", "values": {"sku": "X"}}], "needs_attention": True}
        db.session.execute(update(Order).where(Order.id == two[0].id).values(marked))
    assert find("attention:unmatched_sku") == find("attention:yes") == {JANES}
    assert find("attention:unmatched_sku,no") == {JANES, TOMS}
    assert find("attention:update_refused") == set()


def test_an_order_has_few_terms(two: list[Order]) -> None:
    counts = db.session.execute(select(func.count()).select_from(SearchTerm).group_by(SearchTerm.order_id)).scalars()
    assert max(counts) <= 50  # of a buyer with two long names, one of them in ideographs


def test_terms_alone_answer_for_words_of_letters(two: list[Order], mia: Actor) -> None:
    compiled = compile_query(parse("steel buyer:jane sku:SKU-A*"), mia)
    assert isinstance(compiled, Compiled)
    assert (compiled.conditions, len(compiled.words)) == ((), 3)


def test_orders_from_before_the_index_are_indexed_by_a_run(
    two: list[Order], mia: Actor, find: Find, work: Callable[[], int]
) -> None:
    with unit_of_work():
        comment(db.session.get_one(Order, two[0].id), "Jane called", actor=mia)
    had = set(db.session.execute(select(SearchTerm.term, SearchTerm.placed, SearchTerm.order_id)))
    with unit_of_work():
        db.session.execute(delete(SearchTerm))
        db.session.execute(update(Order).values(country=""))
    assert find("jane") == set()
    with unit_of_work():
        run_id = runs.begin("index", actor=Actor.job("index"), total=2).id
    assert work() == 2
    run = runs.find_run(run_id)
    assert (run.state, run.done) == ("done", 2)
    assert set(db.session.execute(select(SearchTerm.term, SearchTerm.placed, SearchTerm.order_id))) == had
    assert find("jane") == find("called") == find("country:GB") == {JANES}


@pytest.mark.parametrize("sort", ["-placed", "ship_by"])
def test_a_beginning_of_very_many_numbers_is_compared_along_the_list(
    take: Callable[..., list[Order]], mia: Actor, monkeypatch: pytest.MonkeyPatch, sort: str
) -> None:
    monkeypatch.setattr(search_words, "_MANY", 2)
    orders = take(*(incoming_order(number=f"555-12345{n}-000000{n}") for n in range(4)), incoming_order())[:4]
    with unit_of_work():
        db.session.execute(update(Order).where(Order.id == orders[0].id).values(archived_at=now()))
    for text in ("555-1234", "555-1234*", "number:555-1234*", "number:555-12340*,555-1234*"):
        compiled = compile_query(parse(text), mia)
        found = [order.id for order in list_page(ORDER_LIST, mia, compiled, sort=sort).rows]
        assert sorted(found) == [order.id for order in orders], text
        assert count_rows(ORDER_LIST, mia, compiled) == (4, False), text

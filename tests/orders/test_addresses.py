"""A delivery address is corrected: checked by country, kept beside the channel's own, and shown instead of it."""

import contextlib
import json
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, strategies as st
from sqlalchemy import select

from tests.orders.conftest import Do
from webapp import live
from webapp.audit.actor import Actor
from webapp.channels.incoming import ChannelStage, FulfilledBy, IncomingOrder
from webapp.db import db
from webapp.errors import DeskError, Invalid
from webapp.lists.listing import list_page
from webapp.orders.addresses import AddressNotOurs, AddressSettled, BuyersHidden, ShownAddress, shown
from webapp.orders.events import events_of
from webapp.orders.inputs import input_fields
from webapp.orders.listing import ORDER_LIST
from webapp.orders.models import Order
from webapp.orders.postal import FIELDS, countries, country_codes, gaps, hints, needed, normalized
from webapp.orders.queries import find_order
from webapp.orders.services import find_action, offers
from webapp.search.compiling import compile_query
from webapp.search.query import parse
from webapp.testing import JANE, again, incoming_line, incoming_order
from webapp.vault import services as vault
from webapp.vault.models import VaultRecord

Take = Callable[..., list[Order]]
BERLIN = {
    "name": "Jane Quixelworth",
    "line1": "8 Quokkastraße",
    "city": "Berlin",
    "postal_code": "10115",
    "country": "de",
}
INCOMPLETE: dict[str, Any] = JANE | {"address": {"name": "Jane Quixelworth", "country": "DE"}}
BASE = {"name": "J", "line1": "1 Road", "city": "Town"}


def reloaded(order: Order) -> Order:
    db.session.rollback()
    return find_order(f"@{order.id}", Actor.operator())


def where(order: Order, actor: Actor) -> ShownAddress:
    db.session.rollback()
    return shown([order.id], actor, purpose="test")[order.id]


# --- How addresses are written ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("country", "told", "kept"),
    [
        ("GB", "sw1a1aa", "SW1A 1AA"),
        ("gb", " m1 1ae ", "M1 1AE"),
        ("CA", "k1a0b1", "K1A 0B1"),
        ("CA", "K1A-0B1", "K1A 0B1"),
        ("US", "205001234", "20500-1234"),
        ("US", "20500", "20500"),
        ("NL", "1012js", "1012 JS"),
        ("SE", "11455", "114 55"),
        ("PL", "00950", "00-950"),
        ("PT", "1000205", "1000-205"),
        ("JP", "1000001", "100-0001"),
        ("IE", "d02x285", "D02 X285"),
        ("BR", "01310100", "01310-100"),
        ("DE", "D-10115", "10115"),
        ("FR", "FR-75001", "75001"),
        ("HK", "", ""),
        ("PA", "", ""),
        ("PA", "0801", "0801"),
        ("IE", "", ""),
        ("TW", "100", "100"),
        ("JP", "〒１００－０００５", "100-0005"),
        ("LU", "L 1111", "1111"),
        ("GB", "bfpo61", "BFPO 61"),
        ("DE", "62701-1234", "62701-1234"),
    ],
)
def test_postal_codes_are_written_as_in_their_country(country: str, told: str, kept: str) -> None:
    region = {"US": "NY", "CA": "ON"}.get(country.upper(), "")
    address = normalized(BASE | {"country": country, "postal_code": told, "region": region})
    assert address.get("postal_code", "") == kept
    assert address["country"] == country.upper()


@pytest.mark.parametrize(
    ("country", "told", "kept"),
    [
        ("US", "california", "CA"),
        ("US", "ca", "CA"),
        ("US", "US-TX", "TX"),
        ("US", "Armed forces pacific", "AP"),
        ("CA", "Québec", "QC"),
        ("CA", "b.c.", "BC"),
        ("AU", "New South  Wales", "NSW"),
        ("DE", "Bayern", "Bayern"),
    ],
)
def test_regions_are_written_as_in_their_country(country: str, told: str, kept: str) -> None:
    code = {"US": "20500", "CA": "K1A 0B1", "AU": "2000", "DE": "10115"}[country]
    assert normalized(BASE | {"country": country, "postal_code": code, "region": told})["region"] == kept


@pytest.mark.parametrize(
    ("change", "field", "sentence"),
    [
        ({"country": ""}, "country", "Enter a value"),
        ({"country": "Germany"}, "country", "code of two letters"),
        ({"country": "ZZ"}, "country", "code of two letters"),
        ({"name": " "}, "name", "Enter a value"),
        ({"line1": ""}, "line1", "Enter a value"),
        ({"city": ""}, "city", "Enter a value"),
        ({"postal_code": ""}, "postal_code", "Addresses in Germany need one"),
        ({"phone": "none"}, "phone", "This is not a phone number"),
        ({"line2": "x" * 101}, "line2", "This text is too long"),
    ],
)
def test_what_is_no_address_is_said_at_its_field(change: dict[str, str], field: str, sentence: str) -> None:
    with pytest.raises(Invalid) as refused:
        normalized(BERLIN | change)
    assert refused.value.values["field"] == field
    assert sentence in str(refused.value)


# Google's libaddressinput, RegionDataConstants: formats without a postal code, and required fields that lack it.
WITHOUT_CODES = (
    "AE AG AO AQ AW BF BI BJ BO BQ BS BV BW BZ CD CF CG CI CK CM CW DJ DM ER FJ GA GD GH GM GQ GY HK JM KI KM KN LC LY "
    "ML MO MR MS MW NA NR NU PA PS QA RW SB SC SL SR SS ST SX TD TF TG TK TL TO TT TV UG VU WS YE ZW "
    "CO CR GI HN ID IQ KY PG SO SV VE VG"
)
WITH_CODES = "AT AU BE BR CA CH CN DE DK ES FI FR GB GR HU IN IT JP KR LU MX MY NL NO NZ PL PT RU SE SG TR TW UA US ZA"


def test_a_postal_code_is_asked_for_where_addresses_need_one() -> None:
    assert [country for country in WITHOUT_CODES.split() if "postal_code" in needed(country)] == []
    assert [country for country in WITH_CODES.split() if "postal_code" not in needed(country)] == []
    assert set(WITHOUT_CODES.split()) | set(WITH_CODES.split()) <= country_codes()


def test_a_country_can_be_chosen_by_its_name() -> None:
    named = dict(countries())
    assert named["FR"] == "France"
    assert set(named) == country_codes()
    assert not {"EU", "ZZ", "001"} & country_codes()


@given(st.sampled_from(sorted(country_codes())), st.text(max_size=12), st.text(max_size=12))
def test_what_was_written_once_is_written_the_same_again(country: str, code: str, region: str) -> None:
    with contextlib.suppress(Invalid):
        first = normalized(BASE | {"country": country, "postal_code": code, "region": region})
        assert normalized(first) == first


COMPLETE: list[dict[str, str]] = [
    {
        "line1": "千代田区丸の内1-1-1",
        "line2": "見本ビル 101",
        "region": "東京都",
        "postal_code": "100-0005",
        "country": "JP",
    },
    {"line1": "東京都千代田区丸の内1-1-1", "postal_code": "100-0005", "country": "JP"},
    {"line1": "建国路1号", "district": "朝阳区", "region": "北京市", "postal_code": "100022", "country": "CN"},
    {"line1": "Calle 50", "city": "Panama", "country": "PA"},
    {"line1": "Main Street", "city": "Ballyduff", "region": "Co. Kerry", "country": "IE"},
    {"line1": "1 Way", "country": "HK"},
    {"line1": "1 Way", "postal_code": "238823", "country": "SG"},
    {"line1": "1 Rue", "country": "MC"},
    {"line1": "1 Via", "country": "VA"},
    {"line1": "Villa 3", "region": "Dubai", "country": "AE"},
    {"line1": "Villa 3", "city": "Dubai", "country": "AE"},
    {"line1": "PSC 1 Box 5", "city": "APO", "region": "AE", "postal_code": "09001", "country": "US"},
    {"line1": "PSC 1 Box 5", "line2": "APO AE 09001", "country": "US"},
    {"line1": "BFPO 61", "postal_code": "BF1 3AD", "country": "GB"},
    {"line1": "1 Main St", "city": "Springfield", "postal_code": "62701", "country": "US"},
    {"line1": "Musterweg 1", "line2": "10115 Berlin", "country": "DE"},
    {"line1": "Musterweg 1, 10115 Berlin", "country": "DE"},
    {"line2": "Musterweg 1", "city": "Berlin", "postal_code": "10115", "country": "DE"},
    {"line1": "Packstation 123", "line2": "1234567", "city": "Berlin", "postal_code": "10115", "country": "DE"},
    {"line1": "Musterweg 1", "city": "Berlin", "postal_code": "62701-1234", "country": "DE"},
]


@pytest.mark.parametrize("address", COMPLETE, ids=lambda address: " ".join(address.values()))
def test_an_address_is_complete_if_a_carrier_finds_all_it_needs_in_it(address: dict[str, str]) -> None:
    """By what the address has, not by which fields are filled; a correction takes it, and changes no word of it."""
    told = address | {"name": "Pat Sample"}
    assert gaps(told) == []
    assert normalized(told) == told
    assert gaps(address | {"company": "Sample Ltd"}) == []


@pytest.mark.parametrize(
    ("address", "missing"),
    [
        ({"city": "Berlin", "postal_code": "10115", "country": "DE"}, ["line1"]),
        ({"line1": "Musterweg 1", "country": "DE"}, ["city", "postal_code"]),
        ({"line1": "Musterweg 1", "city": "-", "postal_code": "--", "country": "DE"}, ["city", "postal_code"]),
        ({"line1": "12345 Main St", "line2": "Apt 4", "country": "US"}, ["city", "postal_code"]),
        ({"line1": "1 Main St", "region": "IL", "postal_code": "62701", "country": "US"}, ["city"]),
        ({"line1": "Calle 50", "country": "PA"}, ["city"]),
        ({"line1": "Villa 3", "country": "AE"}, ["region"]),
        ({"line1": "1 Way", "country": "SG"}, ["postal_code"]),
        ({"line1": "1 Way", "city": "Town", "postal_code": "12345"}, ["country"]),
    ],
)
def test_an_address_lacks_what_its_carrier_can_not_do_without(address: dict[str, str], missing: list[str]) -> None:
    assert gaps(address | {"name": "Pat Sample"}) == missing
    assert gaps(address) == ["name", *missing]
    with pytest.raises(Invalid):
        normalized(address | {"name": "Pat Sample"})


@pytest.mark.parametrize(
    ("address", "sentences"),
    [
        ({"city": "Berlin", "postal_code": "10115", "country": "DE"}, []),
        (
            {"city": "Berlin", "postal_code": "62701-1234", "country": "DE"},
            ["“62701-1234” is not a postal code of Germany. Example: 26133."],
        ),
        (
            {"city": "Springfield", "region": "New York", "postal_code": "62701", "country": "US"},
            ["“62701” is not a postal code of New York."],
        ),
        (
            {"city": "Springfield", "region": "Bavaria", "postal_code": "62701", "country": "US"},
            ["“Bavaria” is not a state or region of United States."],
        ),
        (
            {"city": "Springfield", "postal_code": "62701", "country": "US"},
            ["Addresses of United States usually have a state or region."],
        ),
        (
            {"line2": "Berlin", "postal_code": "10115", "country": "DE"},
            ["“City” is empty: check that other lines of the address have it."],
        ),
        ({"city": "Ballyduff", "country": "IE"}, []),
        ({"city": "Panama", "country": "PA"}, []),
        ({"country": "DE"}, []),  # its gaps are said elsewhere
    ],
)
def test_what_is_only_unusual_is_a_hint(address: dict[str, str], sentences: list[str]) -> None:
    assert [str(hint) for hint in hints({"name": "Pat Sample", "line1": "1 Way"} | address)] == sentences


@pytest.mark.parametrize("address", COMPLETE[:5], ids=lambda address: " ".join(address.values()))
def test_an_address_that_its_country_calls_complete_is_not_marked(take: Take, address: dict[str, str]) -> None:
    name = {"name": "Pat Sample"}
    [order] = take(incoming_order(buyer=name | {"address": name | address}))
    assert (order.address_state, order.attention) == ("ok", [])
    [order] = take(incoming_order(buyer=name | {"address": name | address | {"line1": "", "line2": ""}}))
    assert (order.address_state, order.attention[0]["values"]) == ("partial", {"missing": ["line1"]})


# --- Changing one -----------------------------------------------------------------------------------------------------


@pytest.fixture
def told() -> IncomingOrder:
    return incoming_order([incoming_line(quantity=2)], buyer=INCOMPLETE)


@pytest.fixture
def order(take: Take, told: IncomingOrder) -> Order:
    return take(told)[0]


def test_a_corrected_address_is_shown_and_settles_what_was_the_matter(order: Order, mia: Actor, do: Do) -> None:
    assert (order.address_state, [trouble["kind"] for trouble in order.attention]) == ("partial", ["odd_address"])
    do(order, "address", BERLIN | {"line1": "  8  Quokkastraße "}, mia)
    row, address = reloaded(order), where(order, mia)
    assert (row.address_state, row.attention, row.needs_attention, row.country) == ("ok", [], False, "DE")
    assert address.address == BERLIN | {"country": "DE"}
    assert address.there == INCOMPLETE["address"]
    assert address.corrected


def test_the_history_is_sealed(order: Order, mia: Actor, do: Do) -> None:
    do(order, "address", BERLIN, mia)
    do(order, "address", BERLIN | {"line1": "9 Quokkastraße"}, mia)
    second, first, _placed = events_of(reloaded(order))
    assert (second.code, first.code) == ("readdressed", "readdressed")
    assert "Quokka" not in str([second.data, first.data])
    opened = vault.open_sealed([(order.id, "event", event.sealed) for event in (first, second) if event.sealed])
    assert opened[0]["before"] == INCOMPLETE["address"]
    assert [body["after"]["line1"] for body in opened] == ["8 Quokkastraße", "9 Quokkastraße"]
    assert opened[1]["before"] == opened[0]["after"]
    for body in db.session.scalars(select(VaultRecord.body)):
        assert b"Quokka" not in body


def test_the_order_is_found_by_where_it_goes_now(order: Order, mia: Actor, do: Do) -> None:
    def found(text: str) -> bool:
        db.session.rollback()
        compiled = compile_query(parse(f"postcode:{text}"), mia)
        return bool(list_page(ORDER_LIST, mia, compiled).rows)

    do(order, "address", BERLIN, mia)
    assert (found("10115"), found("10777")) == (True, False)
    do(order, "address", BERLIN | {"postal_code": "10777"}, mia)
    assert (found("10115"), found("10777")) == (False, True)


def test_reading_it_leaves_one_access_record(order: Order, mia: Actor, do: Do) -> None:
    do(order, "address", BERLIN, mia)
    live.connection().delete(live.key("audit"))
    where(order, mia)
    [record] = [json.loads(entry) for entry in live.connection().lrange(live.key("audit"), 0, -1)]  # type: ignore[union-attr]
    assert (record["actor_id"], record["data"]["purpose"], record["data"]["orders"]) == (mia.id, "test", [order.id])


def test_the_form_begins_with_what_stands_there(order: Order, mia: Actor, do: Do) -> None:
    do(order, "address", BERLIN, mia)
    fields = {one.name: one for one in input_fields(find_action("address"), reloaded(order), mia)}
    assert {name: fields[name].offered.default for name in BERLIN} == BERLIN | {"country": "DE"}
    assert list(fields) == list(FIELDS)


def test_the_same_address_again_leaves_no_trace(order: Order, mia: Actor, do: Do) -> None:
    do(order, "address", BERLIN, mia)
    done = do(order, "address", BERLIN, mia)
    assert done.since == done.version


def test_it_can_be_changed_while_something_is_still_to_leave(
    take: Take, mia: Actor, make_user: Callable[..., Actor], do: Do
) -> None:
    waiting, left, theirs = take(
        incoming_order(stage=ChannelStage.AWAITING_PAYMENT, status="PENDING"),
        incoming_order(stage=ChannelStage.SHIPPED, status="SHIPPED"),
        incoming_order(fulfilled_by=FulfilledBy.CHANNEL),
    )
    do(waiting, "address", BERLIN, mia)
    for order, refusal in ((left, AddressSettled), (theirs, AddressNotOurs)):
        with pytest.raises(refusal):
            do(order, "address", BERLIN, mia)
    blind = Actor(mia.kind, mia.id, rights=mia.rights - {"buyers.see"})
    [offer] = [offer for offer in offers(reloaded(waiting), blind) if offer.code == "address"]
    assert isinstance(offer.refusal, BuyersHidden)
    assert "address" not in [offer.code for offer in offers(reloaded(waiting), make_user("packer", "Pat"))]


def test_a_part_that_left_does_not_hinder(order: Order, mia: Actor, do: Do) -> None:
    [line] = reloaded(order).lines
    with pytest.raises(Invalid):
        do(order, "address", {}, mia)
    do(order, "ship", {"carrier": "DHL", "tracking_number": "1", "lines": {line.id: 1}}, mia)
    do(order, "address", BERLIN, mia)
    do(order, "ship", {"carrier": "DHL", "tracking_number": "2"}, mia)
    with pytest.raises(AddressSettled):
        do(order, "address", BERLIN | {"line1": "10 Quokkastraße"}, mia)


# --- What the channel tells since -------------------------------------------------------------------------------------


def test_an_order_that_lacked_an_address_can_leave_once_it_has_one(take: Take, mia: Actor, do: Do) -> None:
    [order] = take(incoming_order(buyer={"name": "Jane"}))
    assert order.address_state == "missing"
    with pytest.raises(DeskError, match="no delivery address"):
        do(order, "ship", {"carrier": "DHL", "tracking_number": "1"}, mia)
    do(order, "address", BERLIN, mia)
    do(order, "ship", {"carrier": "DHL", "tracking_number": "1"}, mia)


def test_the_same_address_told_again_keeps_the_correction(
    order: Order, told: IncomingOrder, take: Take, mia: Actor, do: Do
) -> None:
    do(order, "address", BERLIN, mia)
    [row] = take(again(told, status="INVOICE_UNCONFIRMED"))
    assert (row.address_state, row.attention, row.country) == ("ok", [], "DE")
    assert where(order, mia).address["line1"] == "8 Quokkastraße"


def test_another_address_told_is_a_matter_of_attention(
    order: Order, told: IncomingOrder, take: Take, mia: Actor, do: Do
) -> None:
    do(order, "address", BERLIN, mia)
    other = JANE["address"] | {"country": "AT"}  # type: ignore[operator]
    changed = again(told, buyer=INCOMPLETE | {"address": other})
    [row] = take(changed)
    assert [trouble["kind"] for trouble in row.attention] == ["address_changed"]
    assert (row.address_state, row.country, row.needs_attention) == ("ok", "DE", True)
    assert where(order, mia).address["line1"] == "8 Quokkastraße"
    assert where(order, mia).there == other

    [row] = take(again(changed, minutes=9, buyer={}, missing=("RECIPIENT",)))  # nothing told: nothing settled
    assert "address_changed" in [trouble["kind"] for trouble in row.attention]

    do(order, "address", BERLIN, mia)  # they looked, and it stays
    [row] = take(again(changed, minutes=20, status="SEEN"))
    assert row.attention == []
    assert where(order, mia).address["line1"] == "8 Quokkastraße"


def test_the_first_address_told_again_settles_it(
    order: Order, told: IncomingOrder, take: Take, mia: Actor, do: Do
) -> None:
    do(order, "address", BERLIN, mia)
    take(again(told, buyer=JANE))
    [row] = take(again(told, minutes=9))
    assert row.attention == []


def test_without_a_correction_the_channels_address_is_shown(make_order: Callable[..., Order], mia: Actor) -> None:
    address = where(make_order(), mia)
    assert (address.address, address.corrected) == (JANE["address"], False)

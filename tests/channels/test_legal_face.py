"""A shop's legal face: input is checked and stored in one form; a name that is not set is the shop's name."""

from contextlib import suppress
from typing import Any

import pytest
from flask import Flask
from hypothesis import given, strategies as st

from webapp.audit.actor import Actor
from webapp.channels.legal_face import FACE, SENDER, VAT_NUMBERS, Face, Sender, face_of, sender_of, vat_numbers
from webapp.channels.models import Shop
from webapp.channels.shops import create_shop
from webapp.db import db, unit_of_work
from webapp.errors import Forbidden, Invalid
from webapp.settings.declared import SettingsGroup
from webapp.settings.services import change


@pytest.fixture
def shop(app: Flask, operator: Actor) -> Shop:
    with unit_of_work():
        made = create_shop("Berlin", prefix="B-", actor=operator)
    return made


def put(shop: Shop, actor: Actor, group: SettingsGroup = FACE, **values: str) -> None:
    with unit_of_work():
        change(group, values, db.session.get_one(Shop, shop.id), actor=actor)


def test_a_shop_that_sets_nothing_is_its_name(shop: Shop) -> None:
    assert face_of(shop, "DE") == Face("Berlin", "", "", "")
    assert sender_of(shop) == Sender("Berlin", "")
    assert vat_numbers(shop) == {}


def test_a_shops_face_is_read_as_documents_want_it(shop: Shop, operator: Actor) -> None:
    numbers = " de 123.456.789; FR 12 345678901\nel123456789,xi-123456789 "
    put(shop, operator, legal_name="Harbor GmbH", address=" 1 Rue X \r\n Paris ", vat_numbers=numbers)
    put(shop, operator, SENDER, sender_name="Your Harbor", reply_to="help@harbor.test")
    assert vat_numbers(shop) == {
        "DE": "DE123456789",
        "FR": "FR12345678901",
        "GR": "EL123456789",
        "XI": "XI123456789",
    }
    assert next(iter(vat_numbers(shop))) == "DE"
    assert face_of(shop, "FR") == Face("Berlin", "Harbor GmbH", "1 Rue X\nParis", "FR12345678901", country="DE")
    assert face_of(shop, "JP").vat_number == "DE123456789"  # the country of its seat
    assert sender_of(shop) == Sender("Your Harbor", "help@harbor.test")
    put(shop, operator, legal_name="Berlin")
    assert face_of(shop).legal_name == ""


@pytest.mark.parametrize(
    ("number", "there"),
    [
        ("ATU12345678", "AT"),
        ("NL123456789B01", "NL"),
        ("IE1234567FA", "IE"),
        ("CHE-123.456.789 MWST", "CH"),
        ("GBGD123", "GB"),
        ("T1234567890123", ""),
        ("JP T1234567890123", "JP"),
        ("US12-3456789", "US"),
    ],
)
def test_numbers_of_many_countries(number: str, there: str) -> None:
    try:
        VAT_NUMBERS.parse(number)
    except Invalid:
        assert not there
    else:
        assert there


REFUSED: list[tuple[SettingsGroup, dict[str, str], str]] = [
    (FACE, {"legal_name": "x" * 101}, "is too long"),
    (FACE, {"legal_name": "Harbor\nGmbH"}, "one line"),
    (FACE, {"address": "\n".join("123456789")}, "up to 8 lines"),
    (FACE, {"address": "x" * 101}, "up to 8 lines"),
    (FACE, {"language": "xx"}, "Choose one of these values"),
    (FACE, {"vat_numbers": "123456789"}, "“123456789” does not begin with the two letters of a country"),
    (FACE, {"vat_numbers": "XX123456789"}, "“XX123456789” does not begin with the two letters of a country"),
    (FACE, {"vat_numbers": "GR123456789"}, "does not begin with the two letters of a country"),
    (FACE, {"vat_numbers": "DE12345"}, "“DE12345” is not a VAT number of DE"),
    (FACE, {"vat_numbers": "DE١٢٣٤٥٦٧٨٩"}, "does not begin with"),
    (FACE, {"vat_numbers": "DE123456789, DE987654321"}, "There are two VAT numbers of DE"),
    (SENDER, {"sender_name": "Harbor\r\nBcc: all@buyers.test"}, "one line"),
    (SENDER, {"sender_name": "Har\x00bor"}, "one line"),
    (SENDER, {"reply_to": "harbor"}, "This is not an e-mail address"),
    (SENDER, {"reply_to": "a@harbor.test, b@harbor.test"}, "This is not an e-mail address"),
]


def test_what_cannot_be_is_refused_and_nothing_changes(shop: Shop, operator: Actor) -> None:
    for group, values, why in REFUSED:
        with pytest.raises(Invalid) as refused:
            put(shop, operator, group, **values)
        assert why in str(refused.value), values
    assert face_of(shop) == Face("Berlin", "", "", "")


@given(st.text(max_size=60) | st.text("DEFR0123456789,; .-", max_size=60))
def test_whatever_is_typed_is_numbers_or_a_sentence(text: str) -> None:
    with suppress(Invalid):
        assert VAT_NUMBERS.parse(text) == text.strip()


def test_the_face_needs_its_right(shop: Shop, mia: Actor) -> None:
    with pytest.raises(Forbidden):
        put(shop, mia, legal_name="Mine")


def test_two_shops_have_two_faces(shop: Shop, operator: Actor) -> None:
    with unit_of_work():
        other = create_shop("Paris", prefix="P-", actor=operator)
    put(shop, operator, vat_numbers="DE123456789")
    assert (face_of(shop).vat_number, face_of(other).vat_number) == ("DE123456789", "")
    given: Any = {"vat_numbers": ""}
    put(shop, operator, **given)
    assert face_of(shop).vat_number == ""

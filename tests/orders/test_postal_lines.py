"""An address on paper and on pages: in the form of its country, with the country's name for whoever sends it."""

from collections.abc import Callable

import pytest

from webapp.channels.legal_face import FACE
from webapp.i18n import spoken
from webapp.orders.models import Order
from webapp.orders.postal_lines import Address, Home, address_of, home_of
from webapp.settings.services import store_all

PAT = {"name": "Pat Sample", "line1": "1 Way"}
FROM_FRANCE = Home("FR", "fr")


@pytest.mark.parametrize(
    ("address", "lines"),
    [
        (
            {"city": "Roma", "region": "Roma", "postal_code": "00184", "country": "IT"},
            ["Pat Sample", "1 Way", "00184 ROMA RM", "ITALIE"],
        ),
        (
            {"city": "Alcorcón", "region": "Madrid", "postal_code": "28921", "country": "ES"},
            ["Pat Sample", "1 Way", "28921 ALCORCÓN MADRID", "ESPAGNE"],
        ),
        (
            {"line1": "千代田区丸の内1-1-1", "line2": "見本ビル 101", "name": "見本 太郎", "region": "東京都"}
            | {"postal_code": "1000005", "country": "JP"},
            ["〒100-0005", "東京都", "千代田区丸の内1-1-1", "見本ビル 101", "見本 太郎", "JAPON"],
        ),
        (
            {"line1": "1-1-1 Marunouchi", "city": "Chiyoda-ku", "region": "Tokyo", "postal_code": "100-0005"}
            | {"country": "JP"},
            ["Pat Sample", "1-1-1 Marunouchi", "Chiyoda-ku, TOKYO", "100-0005", "JAPON"],
        ),
        (
            {
                "company": "Sample Ltda",
                "line2": "Apto 1",
                "district": "Centro",
                "city": "São Paulo",
                "region": "São Paulo",
            }
            | {"postal_code": "01310100", "country": "BR"},
            ["Sample Ltda", "Pat Sample", "1 Way", "Apto 1", "Centro", "SÃO PAULO-SP", "01310-100", "BRÉSIL"],
        ),
        (
            {"city": "Paris", "region": "Île-de-France", "postal_code": "75001", "country": "FR"},
            ["Pat Sample", "1 Way", "75001 PARIS", "Frankreich"],
        ),
        (
            {"city": "München", "region": "Bayern", "postal_code": "80331", "country": "DE"},
            ["Pat Sample", "1 Way", "80331 München", "ALLEMAGNE"],
        ),
        (  # without a code of the country, its carrier may need the region
            {"city": "München", "region": "Bayern", "postal_code": "62701-1234", "country": "DE"},
            ["Pat Sample", "1 Way", "62701-1234 München", "Bayern", "ALLEMAGNE"],
        ),
        (
            {"district": "Wye", "city": "Ashford", "region": "Kent", "postal_code": "tn255bx", "country": "GB"},
            ["Pat Sample", "1 Way", "Wye", "ASHFORD", "TN25 5BX", "ROYAUME-UNI"],
        ),
        (
            {"city": "Springfield", "region": "Illinois", "postal_code": "62701", "country": "US"},
            ["Pat Sample", "1 Way", "SPRINGFIELD, IL 62701", "ÉTATS-UNIS"],
        ),
        (
            {"city": "Zürich", "postal_code": "CH-8001", "country": "CH"},
            ["Pat Sample", "1 Way", "CH-8001 Zürich", "SUISSE"],
        ),
        (
            {"city": "Singapore", "region": "Singapore", "postal_code": "238823", "country": "SG"},
            ["Pat Sample", "1 Way", "SINGAPORE 238823", "SINGAPOUR"],
        ),
        (
            {"city": "Accra", "region": "Greater Accra", "postal_code": "GA-123", "country": "GH"},
            ["Pat Sample", "1 Way", "Accra GA-123", "Greater Accra", "GHANA"],
        ),
        (
            {"city": "St Helier", "postal_code": "je11aa", "country": "JE"},
            ["Pat Sample", "1 Way", "ST HELIER", "JE1 1AA", "JERSEY"],
        ),
        ({"city": "Monaco", "country": "MC"}, ["Pat Sample", "1 Way", "Monaco", "MONACO"]),
        ({"city": "Town", "country": "XY"}, ["Pat Sample", "1 Way", "Town", "XY"]),
        ({}, ["Pat Sample", "1 Way"]),
    ],
)
def test_an_address_is_written_as_in_its_country(app: object, address: dict[str, str], lines: list[str]) -> None:
    with spoken("de"):
        written = address_of(PAT | address, FROM_FRANCE)
    assert written is not None
    assert written.lines == lines


def test_a_prefix_for_the_country_is_left_out_at_home(app: object) -> None:
    address = PAT | {"city": "Zürich", "postal_code": "CH-8001", "country": "CH"}
    for home in (Home("CH", "fr"), Home("", "fr")):
        found = address_of(address, home)
        assert found is not None
        assert found.lines[2:] == ["8001 Zürich" if home.country else "CH-8001 Zürich", "Switzerland"]


def test_an_order_is_sent_from_the_seat_of_its_shop(make_order: Callable[..., Order]) -> None:
    order = make_order()
    assert home_of(order) == Home("DE", "en")  # the marketplace's country, for want of a seat
    store_all(FACE, {"vat_numbers": "FR40303265045", "language": "fr"}, order.shop)
    assert home_of(order) == Home("FR", "fr")


@pytest.mark.parametrize(
    ("phone", "url"),
    [
        ("+1 217-555-0142 ext. 54321", "tel:+12175550142;ext=54321"),
        ("+1 (217) 555-0142 x54321", "tel:+12175550142;ext=54321"),
        ("+44 (0)20 7946 0000", "tel:+442079460000"),
        ("＋81 3 1234 5678", "tel:+81312345678"),
        ("030 / 555 01 99", "tel:0305550199"),
    ],
)
def test_a_phone_number_is_a_link_that_phones_can_dial(phone: str, url: str) -> None:
    assert Address([], phone).phone_url == url

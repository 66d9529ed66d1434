"""Return slips: both numbers, what can come back, where to, and why; no price, and nobody's name."""

import io
from collections.abc import Callable

import pytest
from pypdf import PdfReader
from sqlalchemy import update

from tests.documents.test_golden import same_sheets
from webapp.audit.actor import Actor
from webapp.channels.legal_face import FACE, return_address_of
from webapp.db import db, unit_of_work
from webapp.documents import pdf
from webapp.documents.composed import PAPERS, Document
from webapp.documents.return_slips import NothingToReturn, composed_slip, orders_with_slips, return_refusal
from webapp.orders.models import Order, OrderLine
from webapp.settings.services import store_all
from webapp.testing import JANE, JAPAN, incoming_line, incoming_order

Take = Callable[..., list[Order]]
GIFT = "Happy birthday"


@pytest.fixture
def order(take: Take) -> Order:
    line = incoming_line("MUG", 3, gift=True)
    [order] = take(incoming_order([line, incoming_line("CUP", 1)], buyer=JANE | {"gift_messages": {line.number: GIFT}}))
    return order


def slip(order: Order, actor: Actor, paper: str = "a4") -> Document:
    [found] = orders_with_slips(actor, [order.id])
    return composed_slip(found, paper)


def read(document: Document) -> str:
    file = io.BytesIO()
    pdf.draw([document], file, lambda logo: None)
    return " ".join(" ".join(page.extract_text() for page in PdfReader(file).pages).split())


def test_it_has_both_numbers_the_products_and_the_reasons_and_no_buyer(order: Order, mia: Actor) -> None:
    document = slip(order, mia)
    text = read(document)
    for part in (str(order.number), order.channel_order_number, "MUG", "CUP", "☐ 1", "Damaged or defective"):
        assert part in text
    for part in ("Quixelworth", "Zanzibar", GIFT, "€"):
        assert part not in text
    assert document.codes == (order.number, order.channel_order_number)
    assert [row[0][0].text for row in document.rows] == ["3", "1"]


def test_only_what_can_come_back_is_on_it(order: Order, mia: Actor) -> None:
    with unit_of_work():
        db.session.execute(update(OrderLine).where(OrderLine.sku == "MUG").values(canceled=1))
        db.session.execute(update(OrderLine).where(OrderLine.sku == "CUP").values(canceled=1))
    assert [row[0][0].text for row in slip(order, mia).rows] == ["2"]
    with unit_of_work():
        db.session.execute(update(OrderLine).values(canceled=OrderLine.ordered))
    [found] = orders_with_slips(mia, [order.id])
    assert isinstance(return_refusal(found), NothingToReturn)


def test_goods_go_to_the_shops_return_address_or_else_to_its_address(order: Order, mia: Actor) -> None:
    assert "no return address yet" in read(slip(order, mia))
    shop = order.shop
    with unit_of_work():
        store_all(FACE, {"legal_name": "Harbor GmbH", "address": "1 Rue X\n75001 Paris"}, shop)
    assert return_address_of(shop) == ("Harbor GmbH", "1 Rue X", "75001 Paris")
    with unit_of_work():
        store_all(FACE, {"return_address": "Returns of Harbor\nDock 5"}, shop)
    assert return_address_of(shop) == ("Returns of Harbor", "Dock 5")
    assert "Returns of Harbor Dock 5" in read(slip(order, mia))


@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
@pytest.mark.parametrize("paper", PAPERS)
def test_the_sheets_are_those_that_were_found_good(take: Take, mia: Actor, paper: str) -> None:
    long = "A mug “Café au lait”, 500 ml, dishwasher safe, in a box, with a title as long as merchants write them"
    lines = [
        incoming_line("MUG-BLUE", 2, title=long),
        incoming_line("SKU-" + "0123456789" * 6, 1, title="東京の急須と湯呑み五客揃え、有田焼、木箱入り。" * 3),
    ]
    [order] = take(incoming_order(lines, number="302-0000003-0000001", marketplace=JAPAN.id, currency="JPY"))
    with unit_of_work():
        store_all(FACE, {"legal_name": "Harbor GmbH", "address": "1 Rue X\n75001 Paris"}, order.shop)
    same_sheets(slip(order, mia, paper), f"return-slip-{paper}")

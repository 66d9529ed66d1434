"""Numbers of documents by the settings of their shop: prefixes, years, and that no number is given twice."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import UTC, datetime

import pytest
import time_machine
from flask import Flask
from hypothesis import given, strategies as st
from sqlalchemy import select

from webapp.audit.actor import Actor
from webapp.billing.contract import DocumentKind
from webapp.billing.number_settings import NAME, NUMBERS, Form, meet
from webapp.billing.numbering import draw_numbers, hold_issuing
from webapp.channels.models import Shop
from webapp.channels.shops import change_shop, create_shop, sequence_of
from webapp.db import db, hold_name, unit_of_work
from webapp.errors import Invalid
from webapp.settings.services import change

INVOICE, MEMO = DocumentKind.INVOICE, DocumentKind.CREDIT_MEMO
Shops = Callable[..., Shop]


@pytest.fixture
def shop(store: object) -> Shop:
    return db.session.scalars(select(Shop)).one()


@pytest.fixture
def other(shop: Shop, operator: Actor) -> Shop:
    with unit_of_work():
        return create_shop("Other", prefix="X-", padding=4, actor=operator)


def draw(shop: Shop, count: int = 1, kind: DocumentKind = INVOICE) -> list[str]:
    with unit_of_work():
        return draw_numbers(kind, [shop.id] * count)


def declare(shop: Shop, actor: Actor, **values: object) -> None:
    with unit_of_work():
        change(NUMBERS, values, db.session.get_one(Shop, shop.id), actor=actor)


def test_another_prefix_counts_from_the_next_number_on_and_the_earlier_one_goes_on(shop: Shop, operator: Actor) -> None:
    assert draw(shop, 2) == ["INV-000001", "INV-000002"]
    declare(shop, operator, invoice_prefix="R-")
    assert draw(shop) == ["R-000001"]
    declare(shop, operator, invoice_prefix="")
    assert draw(shop) == ["INV-000003"]
    declare(shop, operator, invoice_prefix="R-")
    assert draw(shop) == ["R-000002"]


def test_each_kind_has_its_own(shop: Shop, operator: Actor) -> None:
    declare(shop, operator, invoice_prefix="A-", credit_memo_prefix="B-")
    assert (draw(shop), draw(shop, kind=MEMO)) == (["A-000001"], ["B-000001"])


def test_numbers_begin_again_each_year_of_the_shop(shop: Shop, operator: Actor) -> None:
    with unit_of_work():
        change_shop(shop, name="Shop", prefix="", zone="Pacific/Auckland", padding=5, actor=operator)
    declare(shop, operator, invoice_yearly=True)
    with time_machine.travel(datetime(2026, 12, 31, 10, 59, 59, tzinfo=UTC), tick=False):
        assert draw(shop, 2) == ["INV-2026-00001", "INV-2026-00002"]
    with time_machine.travel(datetime(2026, 12, 31, 11, tzinfo=UTC), tick=False):  # midnight there
        assert draw(shop, 2) == ["INV-2027-00001", "INV-2027-00002"]
    with time_machine.travel(datetime(2026, 12, 31, 10, tzinfo=UTC), tick=False):  # a clock that was set back
        assert draw(shop) == ["INV-2027-00003"]


def test_switching_years_on_and_off_gives_no_number_twice(shop: Shop, operator: Actor) -> None:
    found = draw(shop)
    with time_machine.travel(datetime(2026, 6, 1, tzinfo=UTC), tick=False):
        for yearly in (True, False, True):
            declare(shop, operator, invoice_yearly=yearly)
            found += draw(shop)
    assert found == ["INV-000001", "INV-2026-000001", "INV-000002", "INV-2026-000002"]


def test_a_rollback_across_a_change_leaves_no_gap(shop: Shop, operator: Actor) -> None:
    draw(shop)
    declare(shop, operator, invoice_prefix="R-", invoice_yearly=True)
    with time_machine.travel(datetime(2026, 6, 1, tzinfo=UTC), tick=False):
        with suppress(ZeroDivisionError), unit_of_work():
            draw_numbers(INVOICE, [shop.id])
            _ = 1 / 0
        assert draw(shop) == ["R-2026-000001"]


@pytest.mark.parametrize(
    ("prefix", "yearly"),
    [("INV-X-", False), ("INV-X-1", False), ("INV-X-", True), ("CM-", False), ("R-2026-", False), ("INV-", False)],
)
def test_a_prefix_that_could_give_the_number_of_another_is_refused(
    shop: Shop, other: Shop, operator: Actor, prefix: str, yearly: bool
) -> None:
    declare(other, operator, invoice_yearly=yearly)
    declare(shop, operator, credit_memo_prefix="R-", credit_memo_yearly=True)
    target = other if prefix == "INV-" else shop
    with pytest.raises(Invalid, match="This prefix could give the same numbers"):
        declare(target, operator, invoice_prefix="CM-X-" if prefix == "CM-" else prefix, invoice_yearly=yearly)


def test_no_prefix_that_was_ever_used_is_given_to_another(shop: Shop, other: Shop, operator: Actor) -> None:
    declare(shop, operator, invoice_prefix="R-")
    draw(shop)
    declare(shop, operator, invoice_prefix="S-")
    draw(shop)
    with pytest.raises(Invalid, match="This prefix could give the same numbers"):
        declare(other, operator, invoice_prefix="R-")
    with pytest.raises(Invalid, match="Use up to 12"):
        declare(other, operator, invoice_prefix="R/")


def test_a_new_shop_never_meets_a_prefix_that_another_has_chosen(shop: Shop, operator: Actor) -> None:
    declare(shop, operator, invoice_prefix="INV-X-")
    assert draw(shop) == ["INV-X-000001"]
    with unit_of_work():
        late = create_shop("Late", prefix="X-", padding=6, actor=operator)
    assert draw(late) == [f"INV-X-{late.id}-000001"]
    assert draw(late) == [f"INV-X-{late.id}-000002"]


def test_order_numbers_are_not_concerned(shop: Shop, operator: Actor) -> None:
    declare(shop, operator, invoice_prefix="R-")
    draw(shop)
    assert (sequence_of(shop).prefix, sequence_of(shop).next) == ("", 1)


prefixes = st.text("A-12", max_size=8)


@given(one=st.builds(Form, prefixes, st.booleans()), other=st.builds(Form, prefixes, st.booleans()))
def test_two_sequences_meet_exactly_where_they_can_give_the_same_number(one: Form, other: Form) -> None:
    def numbers(form: Form) -> set[str]:
        heads = [f"{form.prefix}{year}-" for year in (1111, 1112, 2121)] if form.yearly else [form.prefix]
        digits = [str(count) for count in (*range(1, 130), 1111, 2121, 11111, 21211, 12112, 21121212)]
        return {head + count.zfill(width) for head in heads for count in digits for width in (1, 3, 6)}

    if numbers(one) & numbers(other):
        assert meet(one, other)
    assert meet(one, other) == meet(other, one)


@pytest.mark.parametrize("database", ["postgres"], indirect=True)
def test_who_holds_documents_back_locks_no_sequence_before_the_name(app: Flask, shop: Shop) -> None:
    draw(shop)  # an invoice; credit memos have no sequence yet
    shop_id = shop.id
    db.session.rollback()

    def hold() -> None:
        with app.app_context():
            with unit_of_work():
                hold_issuing([shop_id])
            db.session.remove()

    with ThreadPoolExecutor(1) as pool:
        with unit_of_work():
            hold_name(NAME)  # as who begins a sequence does
            waiting = pool.submit(hold)
            with suppress(TimeoutError):
                waiting.result(0.5)
            assert draw_numbers(INVOICE, [shop_id]) == ["INV-000002"]
        waiting.result(60)

"""Templates of messages: whose text an order gets, what is filled in, and what can't be kept or sent."""

import re
from collections.abc import Callable

import pytest

from webapp.audit.actor import Actor
from webapp.channels.messages import MessagesAnswer
from webapp.channels.models import Shop, Store
from webapp.channels.shops import create_shop
from webapp.db import unit_of_work
from webapp.errors import Forbidden, Invalid
from webapp.messaging import allowed, services, templates
from webapp.messaging.composing import composed_message, fill_from_template, templates_offered
from webapp.messaging.models import MessageTemplate
from webapp.messaging.situations import CUSTOM, SITUATIONS, TEXTS
from webapp.messaging.text_rules import address_in, advertising_in, link_in, phone_in, site_in
from webapp.messaging.variables import VARIABLES, variables_in
from webapp.orders.models import Order
from webapp.sync.allowed_messages import ask_allowed
from webapp.testing import FakeChannel, incoming_line, incoming_order


@pytest.fixture
def order(make_order: Callable[..., Order]) -> Order:
    order = make_order()
    ask_allowed(order.id)
    return order


def add(actor: Actor, *, shop: Shop | None = None, **about: str) -> MessageTemplate:
    wish = {"situation": "delay", "language": "en", "text": "Late: {order_number}."} | about
    with unit_of_work():
        return templates.add_template(shop=shop, **wish, actor=actor)


def test_each_language_has_a_text_for_each_situation_that_may_be_sent() -> None:
    for texts in TEXTS.values():
        assert set(texts) == SITUATIONS.keys() - {CUSTOM}
        for text in texts.values():
            assert set(variables_in(text)) <= VARIABLES.keys()
            assert [find(text) for find in (link_in, address_in, phone_in, site_in, advertising_in)] == [""] * 5
            assert templates.checked_text(text) == text
    for text in TEXTS["fr"].values():
        assert not re.search(r"(?<!\N{NO-BREAK SPACE})[:;!?]", text)


def test_a_text_of_the_shop_replaces_that_of_every_shop_which_replaces_the_standard_one(
    order: Order, operator: Actor
) -> None:
    with unit_of_work():
        other = create_shop(name="Other", prefix="X-", zone="UTC", actor=operator)
    assert templates.template_for(order, "delay-en").text == TEXTS["en"]["delay"]
    of_all = add(operator, text="Of every shop.")
    add(operator, shop=other, text="Of the other shop.")
    assert templates.template_for(order, "delay-en").text == "Of every shop."
    own = add(operator, shop=order.shop, text="Of this shop.")
    assert templates.template_for(order, "delay-en").text == "Of this shop."
    with pytest.raises(templates.TemplateThere):
        add(operator, shop=order.shop)
    with unit_of_work():
        templates.change_template(templates.find_template(own.id, operator), text="Changed.", actor=operator)
    assert templates.template_for(order, "Delay").text == "Changed."
    with unit_of_work():
        templates.remove_template(templates.find_template(own.id, operator), actor=operator)
        templates.remove_template(templates.find_template(of_all.id, operator), actor=operator)
    assert templates.template_for(order, "delay").text == TEXTS["en"]["delay"]


def test_the_buyers_language_comes_first(order: Order, operator: Actor, channel: FakeChannel) -> None:
    def languages() -> list[str]:
        return list(dict.fromkeys(one.language for one in templates.templates_for(order)))

    assert (allowed.buyer_locale(order), languages()[0]) == ("de", "en")  # the marketplace's
    with unit_of_work():
        allowed.note_allowed(order.id, MessagesAnswer(["problem"], "fr_BE"))
    assert (allowed.buyer_locale(order), languages()) == ("fr_BE", ["fr", "en"])
    assert str(templates_offered(order).help) == "The buyer's language according to Fake channel: French."
    with unit_of_work():
        allowed.note_allowed(order.id, MessagesAnswer(["problem"], "de_DE"))
    assert languages() == ["en", "fr"]  # nothing is in German
    assert str(templates_offered(order).help) == "There is no template in the buyer's language: German."
    add(operator, language="DE-at", text="Verspätet.")
    assert languages() == ["de", "en", "fr"]
    with pytest.raises(templates.TemplateThere):
        add(operator, language="de_DE")


def test_variables_are_filled_by_the_templates_language(
    take: Callable[..., list[Order]], operator: Actor, mia: Actor, channel: FakeChannel
) -> None:
    lines = [incoming_line("MUG", 2), incoming_line("PLATE", 1)]
    [order] = take(incoming_order(lines))
    ask_allowed(order.id)
    text = "{order_number} {items} {total} {ordered_on} {tracking_number} {buyer_name} {write_here} {shop_name}"
    add(operator, language="fr", situation=CUSTOM, name="Everything", text=text)
    found = templates.filled_for(order, "everything", mia)
    assert order.channel_order_number in found.text
    titles = [line.title for line in order.lines]
    assert f"2 × {titles[0]} et 1 × {titles[1]}" in found.text
    assert found.without == ["tracking_number", "write_here"]
    assert "{tracking_number}" in found.text
    hidden = Actor(mia.kind, mia.id, rights=mia.rights - {"buyers.see"})
    assert "buyer_name" in templates.filled_for(order, "everything", hidden).without


def test_a_text_with_a_variable_left_is_not_sent(order: Order, operator: Actor) -> None:
    filling = fill_from_template(order, "question-en", "", operator)
    assert filling.values == {"started_from": "question-en", "kind": "details"}  # the kind that is meant for questions
    with pytest.raises(Invalid, match=r"still has \{write_here\}"):
        services.checked_message(order, "details", filling.text)
    kind, text, started_from = composed_message(order, "", "", "delay", operator)
    assert services.checked_message(order, kind, text).text == text
    assert started_from == ("delay", "")
    assert composed_message(order, "problem", "Mine.", "delay", operator) == ("problem", "Mine.", None)
    with pytest.raises(templates.UnknownTemplate, match="no template “holiday”"):
        composed_message(order, "", "", "holiday", operator)


@pytest.mark.parametrize(
    ("wish", "problem"),
    [
        ({"text": "Hello {buyer}"}, r"There is no variable \{buyer\}. The variables are: \{order_number\}, "),
        ({"text": " \n"}, "Enter a value"),
        ({"text": "x" * 4001}, "This text has 4001 characters. Shorten it to 4000 or fewer"),
        ({"situation": CUSTOM}, "name: Enter a value"),
        ({"situation": CUSTOM, "name": "x" * 61}, "This text has 61 characters. Shorten it to 60 or fewer"),
        ({"language": "klingon"}, "is not a language code"),
        ({"situation": "holiday"}, "Choose a situation"),
    ],
)
def test_what_can_not_be_kept(operator: Actor, store: Store, wish: dict[str, str], problem: str) -> None:
    with pytest.raises(Invalid, match=problem):
        add(operator, **wish)


def test_who_works_for_some_shops_changes_only_theirs(order: Order, operator: Actor) -> None:
    of_all = add(operator)
    limited = Actor(operator.kind, rights=frozenset({"settings.edit"}), shops=frozenset({order.shop_id}))
    with pytest.raises(Forbidden):
        add(limited, language="fr")
    with pytest.raises(Forbidden), unit_of_work():
        templates.change_template(of_all, text="Mine.", actor=limited)
    assert add(limited, shop=order.shop).shop_id == order.shop_id

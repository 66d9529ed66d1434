"""Writing to the buyer from a template, and drafts, without and with scripts."""

from collections.abc import Callable
from datetime import timedelta

import pytest
import time_machine

from tests.ui.conftest import Browser
from webapp.audit.actor import Actor
from webapp.clock import now
from webapp.db import unit_of_work
from webapp.messaging.queries import list_messages, thread_of
from webapp.messaging.templates import add_template, find_template, remove_template, template_of
from webapp.orders.models import Order
from webapp.sync.allowed_messages import ask_allowed
from webapp.testing import FakeChannel


@pytest.fixture
def order(make_order: Callable[..., Order], channel: FakeChannel) -> Order:
    channel.buyer_language = "fr_FR"
    order = make_order()
    ask_allowed(order.id)
    return order


@pytest.fixture
def url(order: Order) -> str:
    return f"/orders/{order.number}/actions/message"


def test_a_template_is_put_into_the_form_and_sent(browser: Browser, order: Order, url: str, operator: Actor) -> None:
    form = browser.get(url).text
    assert f"To the buyer of {order.number}, through Fake channel" in form
    assert "Fake channel allowed these kinds of messages at " in form
    assert form.index('value="delay-fr"') < form.index("<summary>English</summary>") < form.index('value="delay-en"')
    filled = browser.post(url, {"template-fill": "delay-fr", "kind": "", "text": "Bonjour Jeanne !"}).text
    assert 'name="started_from" type="hidden" value="delay-fr"' in filled
    assert "Bonjour Jeanne !\n\nBonjour,\n\nNous sommes désolés" in filled.replace("\r", "")
    assert '<option selected value="problem">' in filled  # the kind that is meant for delays
    assert "The text of “Delay” was inserted. The kind of message is now “Unexpected problem”." in filled
    assert list_messages(operator) == []
    typed = {"kind": "problem", "started_from": "delay-fr", "template": "delay-fr"}
    emptied = browser.post(url, typed | {"text": ""})
    assert (emptied.status_code, list_messages(operator)) == (422, [])
    assert browser.post(url, typed | {"text": "Bonjour"}).status_code == 302
    assert [one.said["text"] for one in thread_of(order, operator) or [] if one.said] == ["Bonjour"]
    assert "From the template “Delay”" in browser.get(f"/orders/{order.number}?tab=messages").text


def test_the_thread_names_a_template_that_is_gone(browser: Browser, order: Order, url: str, operator: Actor) -> None:
    with unit_of_work():
        row = add_template(
            situation="custom", language="fr", shop=None, name="Vacances", text="Nous revenons.", actor=operator
        )
    typed = {"kind": "problem", "text": "Nous revenons.", "started_from": str(row.id)}
    assert browser.post(url, typed).status_code == 302
    with unit_of_work():
        remove_template(find_template(row.id, operator), actor=operator)
    assert "From the template “Vacances”" in browser.get(f"/orders/{order.number}?tab=messages").text
    assert browser.post(url, typed | {"text": "Encore une fois."}).status_code == 302  # an old form is still sent
    assert [template_of(one.message) for one in list_messages(operator)] == ["", "Vacances"]


def test_with_scripts_the_page_puts_it_in(browser: Browser, url: str) -> None:
    answer = browser.post(url, {"template-fill": "question-en", "text": "Typed"}, htmx=True)
    assert (answer.headers["HX-Retarget"], answer.headers["HX-Reswap"]) == ("#message-template-filled", "innerHTML")
    assert 'data-fills="message-text" data-text="Hello,' in answer.text
    assert 'data-sets="message-kind" data-text="details"' in answer.text
    assert 'data-sets="message-started_from" data-text="question-en"' in answer.text
    assert "Replace these variables in the text: {write_here}." in answer.text
    unknown = browser.post(url, {"template-fill": "holiday"}, htmx=True)
    assert (unknown.status_code, "“holiday”" in unknown.text) == (409, True)
    left = browser.post(url, {"kind": "details", "text": "Hello {write_here}"}, htmx=True)
    assert (left.status_code, "This text still has {write_here}. Replace it with your own words" in left.text) == (
        422,
        True,
    )


def test_a_draft_comes_back_until_it_is_sent_or_discarded(
    make_browser: Callable[..., Browser], mia: Actor, make_user: Callable[..., Actor], order: Order, url: str
) -> None:
    browser, other = make_browser(mia), make_browser(make_user(name="Ben"))
    typed = {"kind": "details", "text": "Which color?", "started_from": "question-en"}
    assert "Your draft from" in browser.post(f"{url}/draft", typed, htmx=True).text
    form = browser.get(url).text
    assert "Which color?" in form
    assert '<option selected value="details">' in form
    assert 'name="started_from" type="hidden" value="question-en"' in form
    assert "Your draft from" in form
    assert "Which color?" not in other.get(url).text
    assert "Your draft from" not in browser.post(f"{url}/draft", {"kind": "", "text": ""}, htmx=True).text
    assert "Your draft from" not in browser.get(url).text

    browser.post(f"{url}/draft", typed, htmx=True)
    browser.post(f"{url}/draft", typed | {"text": "x" * 10_001}, htmx=True)  # can't be kept
    assert "Which color?" in browser.get(url).text
    assert browser.post(f"{url}/draft/discard").status_code == 302
    assert "Which color?" not in browser.get(url).text

    browser.post(f"{url}/draft", typed | {"submission_key": "a-key"}, htmx=True)
    assert browser.post(url, typed | {"submission_key": "a-key"}).status_code == 302
    browser.post(f"{url}/draft", typed | {"submission_key": "a-key"}, htmx=True)  # it comes late
    assert "Which color?" not in browser.get(url).text
    assert browser.post(f"/orders/{order.number}/actions/ship/draft", {}).status_code == 404


def test_the_age_of_the_answer_is_told(browser: Browser, order: Order, url: str) -> None:
    with time_machine.travel(now() + timedelta(minutes=30)):
        at = now() - timedelta(minutes=30)
        assert f"Fake channel allowed these kinds of messages at {at:%H:%M}." in browser.get(url).text

"""Writing to the buyer in a real browser: a template is put where the cursor is, and what is typed is kept."""

from collections.abc import Callable
from typing import Any

import pytest
from playwright.sync_api import expect

from tests.ui.frame.test_look import _flaws, desk, page  # noqa: F401 - the fixtures of a desk in a browser
from webapp.orders.models import Order
from webapp.sync.allowed_messages import ask_allowed
from webapp.testing import FakeChannel

pytestmark = [pytest.mark.browser, pytest.mark.parametrize("database", ["sqlite"], indirect=True)]


def test_a_template_is_put_at_the_cursor_and_a_draft_is_kept(
    page: Any,  # noqa: F811
    make_order: Callable[..., Order],
    channel: FakeChannel,
) -> None:
    channel.buyer_language = "en_GB"
    order = make_order()
    ask_allowed(order.id)
    page.goto(f"/orders/{order.number}")
    page.click("#order-writing a")
    text = page.locator("#message-text")
    text.fill("Dear Jane,\nBye")
    text.press("ControlOrMeta+Home")
    text.press("End")
    page.get_by_role("button", name="Question", exact=True).press("Enter")
    expect(page.get_by_role("status").filter(has_text="The text of “Question” was inserted.")).to_be_visible()
    expect(text).to_be_focused()
    page.keyboard.type("Which color?")  # what is left to be written is selected
    value = text.input_value()
    assert value.startswith("Dear Jane,Hello,\n\nThank you for your order")
    assert "\n\nWhich color?\n\n" in value
    assert value.endswith("\nBye")
    expect(page.locator("#message-kind")).to_have_value("details")
    expect(page.get_by_text("Only you can see it")).to_be_visible()
    assert _flaws(page) == []

    page.reload()
    page.goto(f"/orders/{order.number}")
    page.click("#order-writing a")
    expect(text).to_have_value(value)
    page.get_by_role("button", name="Discard draft").click()
    expect(text).to_have_value("")

    page.get_by_role("button", name="Delay", exact=True).click()  # the second of three steps
    expect(page.locator("#message-kind")).to_have_value("problem")
    page.click("form.chosen button.main")
    expect(page.locator(".toast[data-tone=good]").last).to_contain_text("Message to the buyer written")
    page.click("#order-writing a")
    expect(text).to_have_value("")
    page.goto(f"/orders/{order.number}?tab=messages")
    expect(page.locator("blockquote.message")).to_contain_text("We are sorry: your order")
    expect(page.locator(".thread")).to_contain_text("From the template “Delay”")


def test_the_preview_is_drawn_again_once_the_channel_answers_otherwise(
    page: Any,  # noqa: F811
    make_order: Callable[..., Order],
    channel: FakeChannel,
) -> None:
    order = make_order()
    ask_allowed(order.id)
    page.goto(f"/orders/{order.number}/actions/message")
    page.get_by_role("button", name="Delay", exact=True).first.click()
    preview = page.locator(".previewed blockquote")
    expect(preview).to_be_visible()
    channel.messages = ["problem"]
    ask_allowed(order.id)
    page.evaluate("htmx.trigger('form.chosen [data-live]', 'refresh')")
    expect(page.locator("#message-kind option")).to_have_count(2)  # with the empty one
    expect(preview).to_be_visible()

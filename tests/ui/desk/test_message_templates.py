"""Message templates under Settings: a text of one's own in the place of a standard one, and back."""

from collections.abc import Callable

from tests.ui.conftest import Browser
from webapp.orders.models import Order

URL = "/settings/templates"


def test_a_standard_text_is_replaced_previewed_and_comes_back(
    browser: Browser, make_order: Callable[..., Order]
) -> None:
    order = make_order()
    listed = browser.get(f"{URL}/").text
    assert "/settings/templates/new?situation=delay&amp;language=fr" in listed
    form = browser.get(f"{URL}/new?situation=delay&language=en").text
    assert "We are sorry: your order {order_number}" in form
    assert f"We are sorry: your order {order.channel_order_number}" in form  # on the latest order
    wish = {"situation": "delay", "language": "en", "shop": str(order.shop_id), "text": "Late: {order_numbre}."}
    wrong = browser.post(f"{URL}/new", wish)
    assert wrong.status_code == 422
    assert "There is no variable {order_numbre}. The variables are: {order_number}, " in wrong.text
    text = {"text": "Late: {order_number}, {tracking_number}."}
    preview = {"preview": "1", "order": order.number or ""}
    shown = browser.post(f"{URL}/new", wish | text | preview, htmx=True).text
    assert f"Late: {order.channel_order_number}, {{tracking_number}}." in shown
    assert "These have no value for this order: {tracking_number}." in shown
    assert "There is no order" in browser.post(f"{URL}/new", wish | text | preview | {"order": "0-0"}).text
    assert browser.post(f"{URL}/new", wish | text).status_code == 302
    assert "There is already a template for this situation" in browser.post(f"{URL}/new", wish | text).text
    listed = browser.get(f"{URL}/").text
    assert "Late: {order_number}" in listed
    edited = browser.get(f"{URL}/1").text
    assert "Delete and go back" in edited
    assert browser.post(f"{URL}/1", {"text": "Later: {order_number}."}).status_code == 302
    assert "Later: {order_number}" in browser.get(f"{URL}/").text
    assert browser.post(f"{URL}/1/delete").status_code == 302
    assert "Later: {order_number}" not in browser.get(f"{URL}/").text
    assert browser.get(f"{URL}/1").status_code == 404


def test_custom_templates_have_names(browser: Browser, make_order: Callable[..., Order]) -> None:
    make_order()
    wish = {"situation": "custom", "language": "pt", "shop": "", "text": "Olá"}
    assert "Enter a value" in browser.post(f"{URL}/new", wish).text
    assert browser.post(f"{URL}/new", wish | {"name": "Saudação"}).status_code == 302
    listed = browser.get(f"{URL}/").text
    assert "Saudação" in listed
    assert "Portuguese" in listed

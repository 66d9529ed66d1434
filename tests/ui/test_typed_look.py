"""What was typed, in a real browser: it stays until it is taken, in the form that it was typed for and in no other."""

from collections.abc import Callable
from typing import Any

import pytest

from tests.ui.test_look import desk, page  # noqa: F401 - the fixtures of a desk in a browser
from webapp.orders.models import Order
from webapp.testing import incoming_order

pytestmark = [pytest.mark.browser, pytest.mark.parametrize("database", ["sqlite"], indirect=True)]


def test_a_form_that_leaves_the_page_as_it_is_can_be_sent_again(
    page: Any,  # noqa: F811
    take: Callable[..., list[Order]],
) -> None:
    take(incoming_order())
    page.goto("/orders/export")
    with page.expect_download():
        page.click("main form button.main")
    page.wait_for_timeout(2100)
    page.uncheck("main form input[name=column] >> nth=0")
    with page.expect_download():
        page.click("main form button.main")

    page.goto("/dashboard/report")
    show = page.get_by_role("button", name="Show", exact=True)
    show.click()
    page.wait_for_url("**/report?*by=*#card-sales")
    show.click()  # the same address: the page stays
    page.select_option("#sales-by", "month")
    show.click()
    page.wait_for_url("**/report?*by=month*")

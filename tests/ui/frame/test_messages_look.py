"""Messages at the foot of a page, in a real browser: they take room of their own and cover nothing."""

from typing import Any

import pytest

from tests.ui.frame.test_look import _flaws, desk, page  # noqa: F401 - the fixtures of a desk in a browser

pytestmark = [pytest.mark.browser, pytest.mark.parametrize("database", ["sqlite"], indirect=True)]
COVERED = """() => {
  const messages = document.querySelector("#messages");
  return [...document.querySelectorAll("main :is(a, button, summary)")].filter((target) => {
    if (!target.checkVisibility()) return false;
    target.scrollIntoView({ block: "nearest" });
    const { left, right, top, bottom } = target.getBoundingClientRect();
    return messages.contains(document.elementFromPoint((left + right) / 2, (top + bottom) / 2));
  }).map((target) => target.outerHTML);
}"""


@pytest.mark.usefixtures("orders")
@pytest.mark.parametrize("width", [390, 1440])
def test_a_message_covers_no_link_and_no_bar(page: Any, width: int) -> None:  # noqa: F811
    page.set_viewport_size({"width": width, "height": 500})
    for path in ("/styleguide/", "/dashboard/"):
        page.goto(path)
        page.evaluate("document.dispatchEvent(new Event('not-kept'))")
        page.wait_for_selector("#messages .toast")
        assert page.evaluate(COVERED) == []
    page.goto("/orders/")
    page.locator("tbody .tick input").first.check()
    page.evaluate("document.dispatchEvent(new Event('not-kept'))")
    page.wait_for_selector("#messages .toast")
    bar, messages = (page.locator(part).bounding_box() for part in (".bulk-bar", "#messages"))
    assert bar["y"] + bar["height"] <= messages["y"]
    assert messages["y"] + messages["height"] <= 500
    assert _flaws(page) == []
    page.locator("#messages [data-dismiss]").click()
    assert page.locator("#messages").bounding_box()["height"] == 0

"""The page *Plugins* in a real browser, with something that failed."""

from typing import Any

import pytest
from playwright.sync_api import expect

from tests.ui.frame.test_look import _flaws, desk, page  # noqa: F401 - the fixtures of a desk in a browser
from webapp.hooks import failures
from webapp.hooks.failures import Failure

pytestmark = [pytest.mark.browser, pytest.mark.parametrize("database", ["sqlite"], indirect=True)]


def test_what_failed_is_told_without_a_flaw(page: Any, plugin_failures: list[Failure]) -> None:  # noqa: F811
    failures.note("broken", "badge", "late", KeyError("no"))
    failures.send()
    page.goto("/plugins/")
    expect(page.get_by_role("heading", name="What failed in the last seven days")).to_be_visible()
    for width, scheme in ((1440, "light"), (390, "dark")):
        page.set_viewport_size({"width": width, "height": 900})
        page.emulate_media(color_scheme=scheme)
        assert _flaws(page) == []
    plugin_failures.clear()

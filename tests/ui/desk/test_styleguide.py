"""The style guide shows every component that pages are made of, in both themes, with nothing drawn for it alone."""

import re
from pathlib import Path

from tests.ui.conftest import Browser

TEMPLATES = Path(__file__).parents[3] / "webapp" / "ui" / "templates"
FRAME = {"icon", "mark", "way", "order_state"}  # parts of others, or of the frame of every page


def test_every_component_is_shown_by_its_name(browser: Browser) -> None:
    macros = set(re.findall(r"{%-? macro (\w+)\(", (TEMPLATES / "macros" / "ui.html").read_text()))
    shown = set(re.findall(r"<code>\W?(\w+)", browser.get("/styleguide/").text))

    assert macros - FRAME <= shown


def test_every_component_is_used_by_a_page() -> None:
    ours = TEMPLATES / "macros" / "ui.html"
    pages = "".join(
        path.read_text() for path in TEMPLATES.rglob("*.html") if path != ours and path.parent.name != "styleguide"
    )
    macros = re.findall(r"{%-? macro (\w+)\(", ours.read_text())

    assert [name for name in macros if not re.search(rf"\b{name}\(", pages)] == []


def test_each_stands_there_in_both_themes_with_ids_of_its_own(browser: Browser) -> None:
    text = browser.get("/styleguide/").text
    ids = re.findall(r' id="([^"]+)"', text)

    assert text.count('data-sample data-theme="light"') == text.count('data-sample data-theme="dark"') >= 20
    assert len(ids) == len(set(ids))
    named = re.findall(r' (?:for|aria-labelledby|aria-describedby|aria-controls)="([^"]+)"', text)
    assert {one for names in named for one in names.split()} <= set(ids)
    assert len(browser.queries) <= 4

"""Panels of plugins: each loads by itself, and a fault stays in its place."""

import time
from collections.abc import Callable, Iterator

import pytest
from sqlalchemy import text

from tests.ui.conftest import Browser
from webapp.audit.actor import Actor
from webapp.db import db
from webapp.errors import Invalid
from webapp.hooks import hookimpl, hooks
from webapp.hooks.failures import Failure
from webapp.orders.contract import Panel
from webapp.orders.models import Order

ENDLESS = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 200000000) SELECT max(i) FROM n"


def _broken(order: Order, actor: Actor) -> str:
    raise ValueError("Mrs. Quixelworth")


def _refused(order: Order, actor: Actor) -> str:
    raise Invalid(field="margin", problem="is not known yet.")


def _slow(order: Order, actor: Actor) -> str:
    return str(db.session.scalar(text(ENDLESS)))


def _unsure(order: Order) -> bool:
    raise KeyError("Quixelworth")


class Plugin:
    """A plugin with panels of every temper."""

    @hookimpl
    def register_panels(self) -> list[Panel]:
        return [
            Panel(code="margin", label="Margin", render=lambda order, actor: f"<p>{order.number}: <b>12 %</b></p>"),
            Panel(code="broken", label="Broken", render=_broken),
            Panel(code="refused", label="Refused", render=_refused),
            Panel(code="slow", label="Slow", render=_slow, seconds=0.2),
            Panel(code="secret", label="Secret", render=_broken, right="orders.raw"),
            Panel(code="elsewhere", label="Elsewhere", render=_broken, shows=lambda order: False),
            Panel(code="unsure", label="Unsure", render=_broken, shows=_unsure),
        ]


@pytest.fixture(autouse=True)
def _plugin(app: object, plugin_failures: list[Failure]) -> Iterator[None]:
    hooks.manager.register(Plugin(), name="margins")
    yield
    plugin_failures.clear()


def test_the_page_names_its_panels_and_waits_for_none(make_order: Callable[..., Order], browser: Browser) -> None:
    page = browser.get(f"/orders/{make_order().number}").text

    for code, there in (("margin", True), ("broken", True), ("secret", True), ("elsewhere", False), ("unsure", True)):
        assert (f'id="panel-{code}"' in page) is there, code
    assert "<b>12 %</b>" not in page


def test_a_panel_is_drawn_alone_or_as_a_page(make_order: Callable[..., Order], browser: Browser) -> None:
    url = f"/orders/{make_order().number}/panels/margin"

    part, whole = browser.get(url, htmx=True).text, browser.get(url).text

    assert "<html" not in part
    assert "<html" in whole
    assert "<b>12 %</b>" in part
    assert "<b>12 %</b>" in whole
    assert browser.get(url.replace("margin", "elsewhere"), htmx=True).status_code == 404


@pytest.mark.parametrize(
    ("code", "said"),
    [
        ("broken", "“Broken” of the plugin “margins” failed."),
        ("unsure", "“Unsure” of the plugin “margins” failed."),
        ("refused", "is not known yet."),
        ("slow", "took too long"),
    ],
)
def test_a_fault_stays_in_its_place(
    make_order: Callable[..., Order], browser: Browser, logged: Callable[[], str], code: str, said: str
) -> None:
    began = time.monotonic()
    for htmx in (True, False):
        answer = browser.get(f"/orders/{make_order().number}/panels/{code}", htmx=htmx)
        assert (answer.status_code, said in answer.text) == (200, True)
    assert time.monotonic() - began < 20
    assert "Quixelworth" not in logged()
    if code != "refused":
        assert code in logged()


def test_a_panel_needs_its_right(
    make_order: Callable[..., Order], make_browser: Callable[..., Browser], mia: Actor
) -> None:
    order, clerk = make_order(), make_browser(mia)

    assert 'id="panel-secret"' not in clerk.get(f"/orders/{order.number}").text
    assert clerk.get(f"/orders/{order.number}/panels/secret", htmx=True).status_code == 404

"""Templates are strict: what nothing gives is an error, and so is a property that fails."""

from collections.abc import Callable
from html import unescape
from typing import Any

import pytest
from flask import Flask, render_template_string
from jinja2 import Environment, UndefinedError

from tests.ui.conftest import Browser
from webapp.audit.actor import Actor
from webapp.channels.models import Store
from webapp.hooks import hookimpl, hooks
from webapp.hooks.failures import Failure
from webapp.orders.contract import Panel
from webapp.orders.models import Order
from webapp.reporting.contract import Card
from webapp.ui.frame.templating import StrictEnvironment


class Parcel:
    """What templates are given in these tests."""

    weight = 3

    @property
    def carrier(self) -> str:
        return self.contract.carrier  # type: ignore[attr-defined,no-any-return]


class Around:
    """Words around a parcel; whatever is not here is the parcel's own."""

    def __init__(self) -> None:
        self.parcel = Parcel()

    def __getattr__(self, name: str) -> Any:
        return getattr(self.parcel, name)

    @property
    def label(self) -> str:
        return self.parcel.address  # type: ignore[attr-defined,no-any-return]


@pytest.fixture
def environment() -> StrictEnvironment:
    return StrictEnvironment(Flask(__name__))


def drawn(environment: Environment, template: str) -> str:
    return environment.from_string(template).render(parcel=Parcel(), around=Around(), facts={"weight": 4})


@pytest.mark.parametrize("used", ["nothing", "parcel.nothing", "parcel['nothing']", "facts.nothing", "around.nothing"])
@pytest.mark.parametrize("template", ["{{ USED }}", "{% if USED %}{% endif %}", "{% for one in USED %}{% endfor %}"])
def test_what_nothing_gives_is_an_error(environment: StrictEnvironment, template: str, used: str) -> None:
    with pytest.raises(UndefinedError, match="nothing"):
        drawn(environment, template.replace("USED", used))


def test_a_template_may_ask_what_it_is_given(environment: StrictEnvironment) -> None:
    asked = "{{ nothing is defined }} {{ parcel.nothing|default('–') }} {{ facts.weight }} {{ parcel['weight'] }}"
    assert drawn(environment, asked) == "False – 4 3"
    read = "{{ around.weight }} {{ [parcel]|map(attribute='weight')|join }} {{ facts.items()|length }} {{ [7][0] }}"
    assert drawn(environment, read) == "3 3 1 7"


@pytest.mark.parametrize(
    ("used", "missing"),
    [
        ("parcel.carrier", "contract"),
        ("parcel['carrier']", "contract"),
        ("parcel|attr('carrier')", "contract"),
        ("parcel.carrier|default('–')", "contract"),
        ("parcel.carrier is defined", "contract"),
        ("[parcel]|map(attribute='carrier')|list", "contract"),
        ("[parcel]|selectattr('carrier')|list", "contract"),
        ("around.carrier", "contract"),
        ("around.label", "address"),
    ],
)
def test_a_property_that_fails_is_no_missing_one(environment: StrictEnvironment, used: str, missing: str) -> None:
    with pytest.raises(RuntimeError, match=f"'{missing}'") as failed:
        drawn(environment, "{{ USED }}".replace("USED", used))
    assert isinstance(failed.value.__cause__, AttributeError)
    assert failed.value.__cause__.name == missing


# --- Plugins ----------------------------------------------------------------------------------------------------------


def _within(order: Order, actor: Actor) -> str:
    return render_template_string("{{ parcel.carrier }}", parcel=Parcel())


class Plugin:
    """A plugin whose templates use what nothing gives, and a property that fails."""

    @hookimpl
    def register_panels(self) -> list[Panel]:
        return [
            Panel(code="unknown", label="Unknown", render=lambda order, actor: render_template_string("{{ margin }}")),
            Panel(code="within", label="Within", render=_within),
        ]

    @hookimpl
    def register_cards(self) -> list[Card]:
        return [Card(code="unknown", label="Unknown", render=lambda actor: render_template_string("{{ margin }}"))]


@pytest.mark.parametrize("code", ["unknown", "within"])
def test_a_panel_whose_template_fails_says_so(
    make_order: Callable[..., Order], browser: Browser, plugin_failures: list[Failure], code: str
) -> None:
    hooks.manager.register(Plugin(), name="faulty")
    order = make_order()

    answer = browser.get(f"/orders/{order.number}/panels/{code}", htmx=True)

    assert (answer.status_code, "of the plugin “faulty” failed" in unescape(answer.text)) == (200, True)
    assert {(one.place, one.code) for one in plugin_failures} == {("panel", code)}
    plugin_failures.clear()
    assert browser.get(f"/orders/{order.number}").status_code == 200


def test_a_card_whose_template_fails_says_so(browser: Browser, store: Store, plugin_failures: list[Failure]) -> None:
    hooks.manager.register(Plugin(), name="faulty")

    whole = browser.get("/dashboard/?whole=1")

    assert whole.status_code == 200
    assert "“Unknown” of the plugin “faulty” failed" in unescape(whole.text)
    assert "To do today" in whole.text
    assert [(one.place, one.code) for one in plugin_failures] == [("card", "unknown")]
    plugin_failures.clear()

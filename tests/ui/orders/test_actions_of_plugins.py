"""Actions of plugins whose undo, input or refusal is odd: the act counts or fails as a whole."""

from collections.abc import Callable
from typing import Annotated, Any, ClassVar

import pytest
from pydantic import field_validator
from sqlalchemy import text

from tests.ui.conftest import Browser
from webapp.audit.actor import Actor
from webapp.db import db, unit_of_work
from webapp.errors import Refusal
from webapp.hooks import hookimpl, hooks
from webapp.hooks.failures import Failure
from webapp.jobs import runs
from webapp.jobs.models import Run
from webapp.orders import bulk
from webapp.orders.contract import ActionInput, OrderAction
from webapp.orders.inputs import FormField, Kind
from webapp.orders.models import Order
from webapp.orders.services import comment
from webapp.testing import incoming_line, incoming_order


class EngraveInput(ActionInput):
    words: Annotated[str, FormField("Words")] = "none"
    size: Annotated[int, FormField("Size")] = 1
    deep: Annotated[bool, FormField("Deep", Kind.TICK)] = False
    units: Annotated[dict[int, int], FormField("Units", Kind.QUANTITIES)] = {}
    machine: str = "first"

    @field_validator("words")
    @classmethod
    def _odd(cls, words: str) -> str:
        if words == "odd":
            raise KeyError("Quixelworth")
        return words


class Engrave(OrderAction):
    code, label, right, bulk = "engrave", "Engrave", "orders.ship", True
    counterpart = "sand_down"  # which nobody registers
    Input = EngraveInput
    undone: ClassVar[Any] = None
    broken: ClassVar[set[int]] = set()  # ids of orders whose refusal fails

    def refusal(self, order: Order, actor: Actor) -> Refusal | None:
        if order.id in self.broken:
            db.session.scalar(text("SELECT quixelworth FROM nowhere"))
        return None

    def perform(self, order: Order, data: EngraveInput, actor: Actor) -> None:
        comment(order, f"{data.words}, {data.size}, {data.deep}", actor=actor)

    def undo(self, order: Order, data: EngraveInput) -> Any:
        return self.undone


@pytest.fixture
def engrave(app: object, monkeypatch: pytest.MonkeyPatch) -> type[Engrave]:
    class Plugin:
        @hookimpl
        def register_order_actions(self) -> list[OrderAction]:
            return [Engrave()]

    hooks.manager.register(Plugin(), name="engraving")
    monkeypatch.setattr(Engrave, "broken", set())
    return Engrave


@pytest.fixture
def ids(take: Callable[..., list[Order]]) -> list[int]:
    return [order.id for order in take(*(incoming_order([incoming_line()]) for _ in range(3)))]


def begun(ids: list[int], actor: Actor) -> int:
    with unit_of_work():
        return bulk.start_bulk("engrave", EngraveInput(words="Ada"), actor=actor, ids=ids).id


def ended(run_id: int) -> Run:
    db.session.expire_all()
    return runs.find_run(run_id)


@pytest.mark.parametrize(
    ("undone", "posted"),
    [
        (("engrave", {"words": "Bo", "size": 3, "deep": True}), ['name="size" value="3"', 'name="deep" value="y"']),
        (("engrave", {"words": "Bo", "deep": False}), ['name="words" value="Bo"']),
        (("engrave", {"units": {"1": 1}}), []),  # the message has no form for it
        (("engrave", {"machine": "second"}), []),  # nor has any form
        (7, []),
        (("nowhere", {}), []),
    ],
    ids=str,
)
def test_the_undo_of_an_act_is_offered_if_a_message_can_post_it(
    engrave: type[Engrave],
    make_order: Callable[..., Order],
    browser: Browser,
    monkeypatch: pytest.MonkeyPatch,
    plugin_failures: list[Failure],
    undone: Any,
    posted: list[str],
) -> None:
    order = make_order()
    monkeypatch.setattr(engrave, "undone", undone)
    answer = browser.post(f"/orders/{order.number}/actions/engrave", {"words": "Ada"}, htmx=True)
    assert answer.status_code == 200
    assert ("Undo" in answer.text) is bool(posted)
    assert all(field in answer.text for field in posted)
    assert (len(plugin_failures) == 1) is (undone == 7)
    plugin_failures.clear()
    db.session.expire_all()
    assert order.comments == 1


def test_an_input_whose_check_fails_is_the_plugins_failure(
    engrave: type[Engrave], make_order: Callable[..., Order], browser: Browser, plugin_failures: list[Failure]
) -> None:
    order = make_order()
    answer = browser.post(f"/orders/{order.number}/actions/engrave", {"words": "odd"}, htmx=True)
    assert (answer.status_code, "“Engrave” of the plugin “engraving” failed" in answer.text) == (500, True)
    assert [(one.place, one.code) for one in plugin_failures] == [("form", "engrave")]
    plugin_failures.clear()
    db.session.expire_all()
    assert order.comments == 0


def test_in_bulk_a_refusal_that_fails_in_the_database_concerns_its_order_alone(
    engrave: type[Engrave], ids: list[int], olga: Actor, work: Callable[[], int], plugin_failures: list[Failure]
) -> None:
    engrave.broken.add(ids[1])
    run_id = begun(ids, olga)
    work()
    assert [row.state for row in bulk.results_of(ended(run_id))] == ["done", "failed", "done"]
    plugin_failures.clear()


def test_a_run_is_shown_without_an_undo_if_nobody_registers_the_counterpart(
    engrave: type[Engrave], ids: list[int], olga: Actor, browser: Browser, work: Callable[[], int]
) -> None:
    run_id = begun(ids, olga)
    work()
    strip = browser.get(f"/runs/{run_id}/strip", htmx=True)
    assert (strip.status_code, "3 done" in strip.text, "Undo" in strip.text) == (200, True, False)
    assert browser.post(f"/runs/{run_id}/undo").status_code == 409
    hooks.manager.unregister(name="engraving")
    assert browser.get(f"/runs/{run_id}/strip", htmx=True).status_code == 200


def test_a_text_may_name_the_character_that_can_not_be_kept(make_order: Callable[..., Order], browser: Browser) -> None:
    order, null = make_order(), "\\u0000"
    assert (
        browser.post(f"/orders/{order.number}/actions/comment", {"text": f"No {null}!"}, htmx=True).status_code == 200
    )

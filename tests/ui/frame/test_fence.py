"""The fence around plugins: whatever error one makes, in whatever place, the page works and the place shows the error.

The page of plugins shows the error with its time and its stack.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from html import unescape
from typing import Annotated, Any

import pytest
from sqlalchemy import ColumnElement, text

from tests.ui.conftest import Browser
from webapp.audit.actor import Actor
from webapp.db import db, unit_of_work
from webapp.errors import Refusal
from webapp.hooks import failures, fence, hookimpl, hooks
from webapp.hooks.failures import Failure
from webapp.hooks.registered import faults_of, registered
from webapp.i18n import lazy_gettext as _l
from webapp.jobs.schedule import Schedule, enqueue_due
from webapp.lists.exporting import Table
from webapp.orders.attention import AttentionKind
from webapp.orders.contract import ActionInput, Badge, OrderAction, Panel
from webapp.orders.events import events_of, record
from webapp.orders.inputs import FormField, Kind, Offered
from webapp.orders.listing import ORDER_LIST
from webapp.orders.models import Order
from webapp.orders.queries import find_order
from webapp.orders.services import act, actions, raise_attention
from webapp.reporting.contract import Card
from webapp.search.contract import ORDERS, Column, ColumnKind, KeyKind, QueryKey, WordSource
from webapp.settings.declared import Setting, SettingsGroup
from webapp.testing import FakeChannel
from webapp.vault.jobs import destroy_unused_keys

TEMPERS = ("raises", "wrong_type", "attribute_error", "wrong_sql", "exits", "slow")


def seconds(temper: str) -> float:
    """The time that a thing may take: almost none if slowness is the fault."""
    return 0.05 if temper == "slow" else 1000.0


class Untrue:
    """An object of no valid type."""

    def __bool__(self) -> bool:
        raise ValueError("Quixelworth")


class Faulty:
    """A plugin that makes the error of its temper everywhere."""

    def __init__(self, temper: str) -> None:
        self.temper = temper

    def do(self, right: Any) -> Any:
        match self.temper:
            case "raises":
                raise ValueError("Quixelworth")
            case "wrong_type":
                return Untrue()
            case "attribute_error":
                return self.reading
            case "wrong_sql":
                return db.session.scalar(text("SELECT quixelworth FROM nowhere"))
            case "exits":
                raise SystemExit(3)
        time.sleep(0.06)
        return right

    @property
    def reading(self) -> Any:
        return self.temper.quixelworth  # type: ignore[attr-defined]

    @hookimpl
    def register_badges(self) -> list[Badge]:
        return [Badge(code="moody", label="Moody", shows=lambda order: self.do(True))]

    @hookimpl
    def register_columns(self) -> list[Column]:
        def of_drawing(orders: Sequence[Order], actor: Actor) -> Mapping[int, Any]:
            return {order.id: 5 for order in orders if self.temper == "wrong_type"}

        return [
            Column(code="moody", label="Moody", values=lambda orders, actor: self.do({}), default=True),
            Column(code="drawn", label="Drawn", values=of_drawing, kind=ColumnKind.TIME, default=True),
        ]

    @hookimpl
    def register_query_keys(self) -> list[QueryKey]:
        def condition(values: Sequence[Any], actor: Actor) -> ColumnElement[bool]:
            found: ColumnElement[bool] = self.do(Order.id > 0)
            return found

        return [
            QueryKey(code="moody", label="Moody", kind=KeyKind.YES_NO, condition=condition, filter=False),
            QueryKey(
                code="mood",
                label="Mood",
                kind=KeyKind.CHOICE,
                condition=condition,
                choices=lambda actor: self.do({"good": "Good"}),
            ),
        ]

    @hookimpl
    def register_word_sources(self) -> list[WordSource]:
        return [WordSource(code="moody", label="Moody", find=lambda words: self.do({}))]

    @hookimpl
    def register_panels(self) -> list[Panel]:
        return [
            Panel(
                code="moody", label="Moody", render=lambda order, actor: self.do("fine"), seconds=seconds(self.temper)
            ),
            Panel(code="unsure", label="Unsure", render=lambda order, actor: "fine", shows=lambda order: self.do(True)),
        ]

    @hookimpl
    def register_cards(self) -> list[Card]:
        return [Card(code="moody", label="Moody", render=lambda actor: self.do("fine"), seconds=seconds(self.temper))]

    @hookimpl
    def register_order_actions(self) -> list[OrderAction]:
        return [Unsure(self), Formless(self), Undoing(self)]

    @hookimpl
    def register_schedules(self) -> list[Schedule]:
        return [Schedule(destroy_unused_keys, every=1, due=lambda: self.do(False))]


class Unsure(OrderAction):
    """An act whose check fails."""

    code, label, right, bulk = "unsure", "Unsure", "orders.ship", True

    def __init__(self, plugin: Faulty) -> None:
        self.plugin = plugin

    def refusal(self, order: Order, actor: Actor) -> Refusal | None:
        refusal: Refusal | None = self.plugin.do(None)
        return refusal

    def perform(self, order: Order, data: Any, actor: Actor) -> None:
        raise AssertionError("it was not possible")


class Formless(Unsure):
    """An act whose form fails."""

    code, label = "formless", "Formless"

    def refusal(self, order: Order, actor: Actor) -> Refusal | None:
        return None

    def offered(self, order: Order | None, actor: Actor) -> Mapping[str, Offered]:
        fields: Mapping[str, Offered] = self.plugin.do({})
        return fields


class Undoing(Formless):
    """An act that fails while it is done."""

    code, label = "failing", "Failing"

    def offered(self, order: Order | None, actor: Actor) -> Mapping[str, Offered]:
        return {}

    def perform(self, order: Order, data: Any, actor: Actor) -> None:
        order.due_at = order.placed_at
        self.plugin.do(None)
        raise ValueError("Quixelworth")


@pytest.fixture(params=TEMPERS)
def temper(request: pytest.FixtureRequest, app: object, monkeypatch: pytest.MonkeyPatch) -> str:
    """The kind of the plugin's error; for "slow", a twentieth of a second is too long."""
    hooks.manager.register(Faulty(request.param), name="moods")
    monkeypatch.setattr(fence, "LONG", seconds(request.param))
    return str(request.param)


@pytest.fixture
def order(make_order: Callable[..., Order]) -> Order:
    return make_order()


def _noted(noted: list[Failure], temper: str, place: str, browser: Browser) -> None:
    """The failure was recorded with this plugin and place, and is on the page of plugins."""
    found = [one for one in noted if (one.plugin, one.place) == ("moods", place)]
    assert found, [(one.plugin, one.place, one.code) for one in noted]
    assert all((one.problem == "slow") == (temper == "slow") for one in found)
    noted.clear()
    page = unescape(browser.get("/plugins/").text)
    assert "moods" in page
    assert "Quixelworth" not in page
    if temper == "slow":
        assert "Too slow" in page
    elif temper == "wrong_type":
        assert "WrongType" in page or "ValueError" in page
    else:
        kind = {"raises": "ValueError", "attribute_error": "AttributeError", "exits": "SystemExit"}
        assert kind.get(temper, "Error") in page
        assert "test_fence.py" in page


FAILED = "of the plugin “moods” failed"


def test_badge_and_columns(browser: Browser, order: Order, temper: str, plugin_failures: list[Failure]) -> None:
    page = browser.get("/orders/")
    row = unescape(page.text)
    assert page.status_code == 200
    assert str(order.number) in row
    assert ("Moody: failed" in row) is (temper != "slow")
    assert (f"“Moody” {FAILED}" in row.partition("c-moody")[2]) is (temper != "slow")
    assert {"badge", "column"} <= {one.place for one in plugin_failures}
    _noted(plugin_failures, temper, "badge", browser)


def test_a_value_that_is_not_of_its_kind(browser: Browser, order: Order, plugin_failures: list[Failure]) -> None:
    hooks.manager.register(Faulty("wrong_type"), name="moods")
    row = unescape(browser.get("/orders/").text)
    assert str(order.number) in row
    assert f"“Drawn” {FAILED}" in row
    _noted(plugin_failures, "wrong_type", "column", browser)


def test_a_column_in_an_export(
    browser: Browser, order: Order, operator: Actor, temper: str, plugin_failures: list[Failure]
) -> None:
    if temper == "exits":
        pytest.skip("a process may be told to exit")
    table = Table(ORDER_LIST, operator, ORDERS, ("moody", "drawn"))
    [row] = table.cells([order.id])
    assert order.number in row
    assert ("failed" in row) is (temper != "slow")
    plugin_failures.clear()


def test_the_order_page(browser: Browser, order: Order, temper: str, plugin_failures: list[Failure]) -> None:
    """Its badges, its acts, and the panels that load by themselves."""
    answer = browser.get(f"/orders/{order.number}")
    page = unescape(answer.text)
    assert answer.status_code == 200
    assert 'id="panel-moody"' in page
    if temper != "slow":
        assert "Moody: failed" in page
        assert f"“Unsure” {FAILED}" in page
    _noted(plugin_failures, temper, "refusal", browser)


@pytest.mark.parametrize("code", ["moody", "unsure"])
def test_panel(browser: Browser, order: Order, temper: str, code: str, plugin_failures: list[Failure]) -> None:
    answer = browser.get(f"/orders/{order.number}/panels/{code}", htmx=True)
    assert answer.status_code == 200
    assert ("fine" in answer.text) is (temper == "slow")
    assert (FAILED in unescape(answer.text)) is (temper != "slow")
    _noted(plugin_failures, temper, "panel", browser)


def test_card(browser: Browser, order: Order, temper: str, plugin_failures: list[Failure]) -> None:
    answer = browser.get("/dashboard/cards/moody")
    whole = unescape(browser.get("/dashboard/?whole=1").text)
    assert answer.status_code == 200
    assert ("fine" in answer.text) is (temper == "slow")
    assert (FAILED in whole) is (temper != "slow")
    assert "To do today" in whole
    _noted(plugin_failures, temper, "card", browser)


@pytest.mark.parametrize("query", ["moody:yes", "mood:good"])
def test_key(browser: Browser, order: Order, temper: str, query: str, plugin_failures: list[Failure]) -> None:
    answer = browser.get("/orders/", {"q": query})
    assert answer.status_code == (200 if temper == "slow" else 422)
    assert (FAILED in unescape(answer.text)) is (temper != "slow")
    assert browser.get("/orders/").status_code == 200
    _noted(plugin_failures, temper, "key", browser)


def test_filters_and_completion(browser: Browser, order: Order, temper: str, plugin_failures: list[Failure]) -> None:
    filters = browser.get("/orders/filters")
    completed = browser.post("/orders/complete", {"q": "mood:", "at": "5"}, htmx=True)
    assert filters.status_code == 200
    assert completed.status_code == 200
    assert (f"“Mood” {FAILED}" in unescape(filters.text)) is (temper != "slow")
    _noted(plugin_failures, temper, "key", browser)


def test_words(browser: Browser, order: Order, temper: str, plugin_failures: list[Failure]) -> None:
    """The other places are searched, and the list says which was not."""
    listed = browser.post("/orders/search", {"text": "mug"})
    while listed.status_code in (302, 303):
        listed = browser.get(listed.location)
    assert listed.status_code == 200
    assert str(order.number) in listed.text
    assert (f"“Moody” {FAILED}" in unescape(listed.text)) is (temper != "slow")
    _noted(plugin_failures, temper, "words", browser)


def test_form(browser: Browser, order: Order, temper: str, plugin_failures: list[Failure]) -> None:
    for htmx in (True, False):
        answer = browser.get(f"/orders/{order.number}/actions/formless", htmx=htmx)
        assert answer.status_code == (200 if temper == "slow" else 500)
        assert (f"“Formless” {FAILED}" in unescape(answer.text)) is (temper != "slow")
        if not htmx:
            assert str(order.number) in answer.text
    _noted(plugin_failures, temper, "form", browser)


class OddGroups(ActionInput):
    parcels: Annotated[list[str], FormField("Parcels", Kind.GROUPS)] = []


class OddKind(ActionInput):
    note: Annotated[str, FormField("Note", "paper")] = ""  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("name", "given", "why"),
    [
        ("Input", dict, "its Input is no ActionInput"),
        ("Input", OddGroups, "groups are a list of one model"),
        ("Input", OddKind, "gave “str” where “Kind” is needed"),
        ("place", "comments", "gave “str” where “Place” is needed"),
    ],
    ids=str,
)
def test_an_action_that_no_page_can_draw_is_left_out(
    browser: Browser, order: Order, name: str, given: Any, why: str, plugin_failures: list[Failure]
) -> None:
    class Plugin:
        @hookimpl
        def register_order_actions(self) -> list[OrderAction]:
            return [type("Odd", (Formless,), {name: given, "code": "odd"})(Faulty("raises"))]

    hooks.manager.register(Plugin(), name="moods")
    assert browser.get(f"/orders/{order.number}/actions/odd").status_code == 404
    assert [faults_of("moods")] == [[f"register_order_actions: {why}"]]
    plugin_failures.clear()


@pytest.mark.parametrize("value", [{"a": 1}, [{"a": 1}]], ids=str)
def test_a_problem_with_values_that_no_sentence_has(
    browser: Browser, order: Order, mia: Actor, value: Any, plugin_failures: list[Failure]
) -> None:
    class Plugin:
        @hookimpl
        def register_attention_kinds(self) -> list[AttentionKind]:
            return [AttentionKind("odd", _l("Odd"), _l("Because of %(what)s."), _l("Mend it."))]

    hooks.manager.register(Plugin(), name="moods")
    with unit_of_work():
        raise_attention(order, "odd", what=value)
        record(order, "looked_at", actor=mia)
    for path in ("/orders/", f"/orders/{order.number}"):
        page = browser.get(path)
        assert (page.status_code, "Odd" in page.text) == (200, True)
    assert {(one.plugin, one.place) for one in plugin_failures} == {("moods", "label")}
    plugin_failures.clear()


@pytest.mark.parametrize("code", ["unsure", "failing"])
def test_act(browser: Browser, order: Order, temper: str, code: str, plugin_failures: list[Failure]) -> None:
    """Nothing of the act is kept."""
    if (temper, code) == ("slow", "unsure"):
        pytest.skip("it is possible after all")
    before, due = len(events_of(order)), order.due_at
    answer = browser.post(f"/orders/{order.number}/actions/{code}", htmx=True)
    assert answer.status_code == 500
    assert FAILED in unescape(answer.text)
    db.session.rollback()
    assert len(events_of(order)) == before
    assert order.due_at == due
    assert any(one.place in ("refusal", "action") for one in plugin_failures)
    plugin_failures.clear()


def test_link_to_the_channel(
    browser: Browser,
    order: Order,
    temper: str,
    channel: FakeChannel,
    monkeypatch: pytest.MonkeyPatch,
    plugin_failures: list[Failure],
) -> None:
    faulty = Faulty(temper)
    monkeypatch.setattr(channel, "order_url", lambda *_: faulty.do("https://fake.test/1"))
    monkeypatch.setattr(channel, "status_label", lambda *_: faulty.do("Unshipped"))
    monkeypatch.setattr(channel, "package_status_label", lambda *_: faulty.do("On its way"))
    monkeypatch.setattr(channel, "service_label", lambda *_: faulty.do("Standard"))
    monkeypatch.setattr(channel, "marketplace", lambda *_: faulty.do(None))
    monkeypatch.setattr(channel, "carriers", lambda *_: faulty.do(()))
    for tab in ("overview", "channel", "shipments", "updates", "timeline"):
        answer = browser.get(f"/orders/{order.number}", {"tab": tab})
        assert answer.status_code == 200
        assert ("own site failed" in answer.text) is (temper != "slow")
    assert browser.get("/orders/").status_code == 200
    assert browser.get(f"/orders/{order.number}/packing-slip").status_code == 200
    assert {"link", "label", "marketplace", "carriers"} <= {one.place for one in plugin_failures}
    plugin_failures.clear()


def test_schedule(temper: str, plugin_failures: list[Failure], monkeypatch: pytest.MonkeyPatch) -> None:
    """A schedule whose check fails is enqueued, and the other schedules are still served."""
    if temper == "exits":
        pytest.skip("a process may be told to exit")
    schedules = registered("register_schedules", Schedule)
    assert len(enqueue_due(schedules)) >= (0 if temper == "slow" else 1)
    assert ("schedule" in {one.place for one in plugin_failures}) is (temper != "slow")
    failures.send()
    plugin_failures.clear()


def test_what_is_registered_is_of_its_kind(app: object, browser: Browser, plugin_failures: list[Failure]) -> None:
    class Wrong:
        @hookimpl
        def register_badges(self) -> list[Any]:
            return ["Prime", Badge(code="right", label="Right", shows=lambda order: True)]

        @hookimpl
        def register_cards(self) -> list[Any]:
            return [Card(code="wordless", label=7, render=lambda actor: "")]  # type: ignore[arg-type]

        @hookimpl
        def register_panels(self) -> list[Panel]:
            raise KeyError("Quixelworth")

    hooks.manager.register(Wrong(), name="wrong")
    assert [badge.code for badge in registered("register_badges", Badge)][-1] == "right"
    assert "wordless" not in [card.code for card in registered("register_cards", Card)]
    assert registered("register_panels", Panel) == ()
    assert len(plugin_failures) == 3
    plugin_failures.clear()
    page = unescape(browser.get("/plugins/").text)
    assert page.count("<strong>wrong</strong>") == 3
    assert "gave “str” where “Badge” is needed" in page


def test_failures_are_counted_and_forgotten_after_a_week(
    browser: Browser, order: Order, plugin_failures: list[Failure], monkeypatch: pytest.MonkeyPatch
) -> None:
    hooks.manager.register(Faulty("raises"), name="moods")
    browser.get("/dashboard/cards/moody")
    browser.get("/dashboard/cards/moody")
    plugin_failures.clear()
    assert [one.times for one in failures.recent() if one.place == "card"] == [2]
    monkeypatch.setattr(failures, "KEPT", -1)
    assert failures.recent() == []
    assert "Nothing failed." in browser.get("/plugins/").text


def test_a_clerk_acting_twice_is_told_the_same(
    order: Order, mia: Actor, temper: str, plugin_failures: list[Failure]
) -> None:
    if temper in ("slow", "exits", "wrong_sql"):
        pytest.skip("told otherwise")
    action = next(one for one in registered("register_order_actions", OrderAction) if one.code == "unsure")
    for _ in range(2):
        with pytest.raises(fence.PluginFailed, match=FAILED):
            act(action, order, ActionInput(), mia)
    plugin_failures.clear()


def test_what_lacks_a_word_is_not_registered(app: object, plugin_failures: list[Failure]) -> None:
    class Codeless(Undoing):
        code = ""

    class Rightless(OrderAction):
        code, label = "rightless", "Rightless"

        def refusal(self, order: Order, actor: Actor) -> Refusal | None:
            return None

        def perform(self, order: Order, data: Any, actor: Actor) -> None:
            pass

    class Wrong:
        @hookimpl
        def register_order_actions(self) -> list[OrderAction]:
            return [Codeless(Faulty("raises")), Rightless()]

        @hookimpl
        def register_schedules(self) -> list[Any]:
            return [Schedule(len, every=60)]  # type: ignore[arg-type]

    hooks.manager.register(Wrong(), name="wrong")
    assert {"", "rightless"}.isdisjoint(actions())
    assert all(schedule.every > 0 for schedule in registered("register_schedules", Schedule))
    assert [one.code for one in plugin_failures] == ["register_order_actions"] * 2 + ["register_schedules"]
    plugin_failures.clear()


def test_two_groups_of_settings_with_one_code_are_one(
    app: object, browser: Browser, plugin_failures: list[Failure]
) -> None:
    class Another:
        @hookimpl
        def register_settings(self) -> list[SettingsGroup]:
            return [SettingsGroup("archive", "Another archive", [Setting(name="shelves", label="Shelves", default=1)])]

    hooks.manager.register(Another(), name="another")
    page = browser.get("/settings/").text
    assert "Archiving" in page
    assert "Another archive" not in page
    assert [(one.plugin, one.place) for one in plugin_failures] == [("another", "registration")]
    plugin_failures.clear()


def test_the_words_of_attention_and_settings_may_fail(
    browser: Browser, order: Order, mia: Actor, plugin_failures: list[Failure]
) -> None:
    def choices() -> Mapping[str, str]:
        raise ValueError("Quixelworth")

    class Plugin:
        @hookimpl
        def register_attention_kinds(self) -> list[AttentionKind]:
            return [AttentionKind("odd", _l("Odd"), _l("Because of %(nothing)s."), _l("Mend it."))]

        @hookimpl
        def register_settings(self) -> list[SettingsGroup]:
            shelf = Setting(name="shelf", label="Shelf", default="a", choices=choices)
            return [SettingsGroup("shelves", "Shelves", [shelf])]

    hooks.manager.register(Plugin(), name="moods")
    with unit_of_work():
        raise_attention(order, "odd", something="else")
        record(order, "looked_at", actor=mia)
    for path in ("/orders/", f"/orders/{order.number}", "/settings/"):
        page = browser.get(path)
        assert page.status_code == 200
        assert ("Shelves" if path == "/settings/" else "Odd") in page.text
    assert f"“Shelves” {FAILED}" in unescape(page.text)
    assert {one.place for one in plugin_failures} == {"label", "setting"}
    plugin_failures.clear()


def test_a_failed_statement_is_seen_through_the_error_that_a_plugin_makes_of_it(
    browser: Browser, order: Order, plugin_failures: list[Failure]
) -> None:
    def render(actor: Actor) -> str:
        try:
            db.session.execute(text("SELECT quixelworth FROM nowhere"))
        except Exception as error:
            raise LookupError from error
        return ""

    class Plugin:
        @hookimpl
        def register_cards(self) -> list[Card]:
            return [Card(code="lost", label="Lost", render=render)]

        @hookimpl
        def register_badges(self) -> list[Badge]:
            return [Badge(code="lost", label="Lost", shows=lambda order: bool(render(Actor.operator())))]

    hooks.manager.register(Plugin(), name="moods")
    assert browser.get("/dashboard/?whole=1").status_code == 200
    assert browser.get("/orders/").status_code == 200
    plugin_failures.clear()


def test_who_is_at_fault_is_whose_code_it_came_out_of(
    order: Order, mia: Actor, plugin_failures: list[Failure], monkeypatch: pytest.MonkeyPatch
) -> None:
    def called_by_another(*_given: object, **_more: object) -> None:
        raise ValueError("Quixelworth")

    hooks.manager.register(Faulty("slow"), name="moods")
    action = actions()["comment"]
    monkeypatch.setattr(f"{type(action).__module__}.comment", called_by_another)
    with pytest.raises(fence.PluginFailed), unit_of_work():
        act(action, find_order(str(order.number), mia, lock=True), action.Input(text="Hello"), mia)
    assert [one.plugin for one in plugin_failures] == ["moods"]
    plugin_failures.clear()


def test_one_schedule_that_is_wrong_keeps_no_other_back(app: object, plugin_failures: list[Failure]) -> None:
    def leave() -> bool:
        raise SystemExit(3)

    wrong = Schedule(len, every=1)  # type: ignore[arg-type]
    right = Schedule(destroy_unused_keys, every=1, due=leave)
    assert enqueue_due([wrong, right]) == [destroy_unused_keys.name]
    assert len(plugin_failures) == 2
    plugin_failures.clear()
    with pytest.raises(ValueError, match="every so many seconds"):
        Schedule(destroy_unused_keys, every=0)

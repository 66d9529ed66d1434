"""The documents tell the truth: the guide's examples run on a real desk, and whatever a page names is there.

Python blocks of the extenders' guide begin with the path that the file would have. Those of plugins are loaded as such,
those of tests are collected here with the desk's fixtures; the tests below add what a reader would try next.
"""

import ast
import json
import re
import sys
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from types import ModuleType

import click
import pytest
import time_machine
from click.testing import CliRunner
from sqlalchemy import select

from plugins.amazon.plugin import register_commands
from tests.own_plugins import OwnPlugins
from tests.pages import FENCE, INLINE, LINK, anchors
from tests.ui.conftest import Browser
from tools import floors
from webapp import api, schema
from webapp.accounts.services import create_user, hashed
from webapp.audit.actor import Actor
from webapp.channels import described
from webapp.channels.incoming import OrdersPage
from webapp.channels.models import Store
from webapp.channels.services import access, add_store, get_channel, remember_marketplaces
from webapp.cli.main import COMMANDS, cli
from webapp.clock import now
from webapp.config import Configuration
from webapp.db import db, unit_of_work
from webapp.errors import Forbidden, sentence_of
from webapp.fulfillment.services import shipping_refusal
from webapp.hooks import hooks, specs
from webapp.hooks.registered import faults_of
from webapp.jobs.schedule import registered
from webapp.lists.listing import list_page
from webapp.orders.attention import in_words
from webapp.orders.badges import Badges
from webapp.orders.events import event_words, events_of
from webapp.orders.inputs import input_fields
from webapp.orders.listing import ORDER_LIST
from webapp.orders.models import Order
from webapp.orders.queries import comments_of, find_order
from webapp.orders.services import act, find_action, read_input
from webapp.search.compiling import compile_query
from webapp.search.query import parse
from webapp.search.registered import list_columns
from webapp.settings.services import store_all
from webapp.sync import jobs, runs
from webapp.sync.models import StoreSync
from webapp.sync.taking_in.pages import prepare, take_in
from webapp.sync.taking_in.quarantine import quarantined_orders
from webapp.testing import FakeChannel, FakeChannelPlugin, again, incoming_line, incoming_order, line_again
from webapp.ui.frame import plugin_pages
from webapp.updates.queries import list_updates
from webapp.vault import services as vault
from webapp.vault.key_file import key_file

ROOT = Path(__file__).parents[1]
GUIDE = ROOT / "plugins" / "README.md"
FOLDERS = ("bench", "docs", "migrations", "plugins", "supervisor", "tests", "tools", "webapp")
PAGES = sorted([*ROOT.glob("*.md"), *(path for folder in FOLDERS for path in (ROOT / folder).rglob("*.md"))])
LARGEST_PICTURE = 150_000
_PATH = re.compile(rf"(?:{'|'.join(FOLDERS)})/[\w./-]+")
page = pytest.mark.parametrize("path", PAGES, ids=lambda path: path.relative_to(ROOT).as_posix())


# --- The guide's examples ---------------------------------------------------------------------------------------------


def _blocks() -> Iterator[tuple[str, str, int]]:
    """Each Python block of the guide: the path in its first line, its source, the line at which it begins."""
    text = GUIDE.read_text()
    for found in FENCE.finditer(text):
        if found[1] == "python":
            path = found[2].splitlines()[0].removeprefix("# ")
            yield path, found[2], text.count("\n", 0, found.start()) + 1


def _load(path: str, source: str, line: int) -> ModuleType:
    """The block as the module that it would be, with the guide's own line numbers in what it raises."""
    name = path.removesuffix(".py").replace("/", ".")
    if path.startswith("plugins/"):
        package = sys.modules.setdefault(name.rpartition(".")[0], ModuleType(name.rpartition(".")[0]))
        package.__path__ = []
    else:
        name = f"guide.{name}"
    module = sys.modules[name] = ModuleType(name)
    exec(compile("\n" * line + source, GUIDE, "exec"), module.__dict__)  # noqa: S102  # the guide is ours
    return module


EXAMPLES: dict[str, ModuleType] = {}
# Tables must not be declared in this process, and lists are mounted at the start: a test writes them as files.
WRITTEN = ("plugins/inspections/", "plugins/picking/")
for _path, _source, _line in _blocks():
    if _path.startswith(WRITTEN):
        continue
    EXAMPLES[_path] = _load(_path, _source, _line)
    if _path.startswith("tests/"):
        globals().update({name: value for name, value in vars(EXAMPLES[_path]).items() if name.lower()[:4] == "test"})
PLUGINS = {path: module for path, module in EXAMPLES.items() if path.startswith("plugins/")}


@pytest.fixture(autouse=True)
def plugins_of_the_guide(request: pytest.FixtureRequest) -> None:
    """On a test's desk the guide's plugins are loaded with the bundled ones."""
    if "app" in request.fixturenames:
        request.getfixturevalue("app")
        for path, module in PLUGINS.items():
            hooks.manager.register(module, name=path)
        hooks.manager.check_pending()


def test_every_python_block_of_the_guide_says_which_file_it_is() -> None:
    assert all(re.fullmatch(r"(plugins|tests)/[\w/]+\.py", path) for path in EXAMPLES)
    assert len(PLUGINS) >= 8


@pytest.mark.parametrize("path", PLUGINS)
def test_a_plugin_of_the_guide_imports_the_api_and_nothing_else_of_ours(path: str) -> None:
    [source] = [source for block, source, _ in _blocks() if block == path]
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith(("webapp", "plugins")):
            assert node.module == "webapp.api"


def test_the_smallest_plugin_is_small() -> None:
    _, source, _ = next(_blocks())

    assert len(list(filter(None, source.splitlines()))) <= 20


def test_the_smallest_plugin_works_through_every_door(make_order: Callable[..., Order], mia: Actor) -> None:
    order = make_order(quantity=3)
    action = find_action("check")

    with unit_of_work():
        act(action, find_order(order.number or "", mia, lock=True), read_input(action, {}), mia, key="k1")

    [event, *_] = events_of(order)
    assert event.code == "checked"
    assert str(event_words()["checked"].sentence) % event.data["values"] == "Counted before packing, units: 3"


def test_the_right_of_the_guide_is_given_by_roles(
    make_order: Callable[..., Order], mia: Actor, make_user: Callable[..., Actor]
) -> None:
    order, action, packer = make_order(), find_action("grant_points"), make_user("packer", "Paul")
    with unit_of_work():
        act(action, find_order(order.number or "", mia, lock=True), read_input(action, {}), mia)
    with pytest.raises(Forbidden, match="grant loyalty points"), unit_of_work():
        act(action, find_order(order.number or "", packer, lock=True), read_input(action, {}), packer)
    assert vault.open_sealed([(order.id, "comment", comments_of(order)[0].sealed)]) == ["Granted 100 points."]


def test_an_action_of_the_guide_reads_its_input(make_order: Callable[..., Order], mia: Actor) -> None:
    order = make_order()
    action = find_action("shelf")

    with unit_of_work():
        given = read_input(action, {"shelf": "B12", "cold": True})
        act(action, find_order(order.number or "", mia, lock=True), given, mia)

    [comment] = comments_of(order)
    assert vault.open_sealed([(order.id, "comment", comment.sealed)]) == ["Cold shelf B12"]
    assert [one.name for one in input_fields(action, order, mia)] == list(action.Input.model_fields)


def test_the_kind_of_the_guide_is_told_and_corrected(
    app: object, mia: Actor, tmp_path: Path, work: Callable[[], int]
) -> None:
    folder = tmp_path / "shed"
    folder.mkdir()
    EXAMPLES["tests/plugins/orderfiles/test_orderfiles.py"].lay(folder, "A-1")
    store = _connected("orderfiles", {"folder": str(folder)})
    with unit_of_work():
        runs.start(store, actor=Actor.operator())
        jobs.import_orders.enqueue(store.id)
    work()
    for text in ("Fragile", "Fragile, keep dry"):
        with unit_of_work():
            order = find_order("A-1", mia, lock=True)
            action = find_action("packing_note")
            act(action, order, read_input(action, {"text": text}), mia)
    work()
    assert json.loads((folder / "A-1-note.sent").read_text()) == {"version": 1, "text": "Fragile, keep dry"}
    [update] = list_updates(mia)
    assert (update.kind, update.state, update.revision) == ("packing_note", "sent", 1)
    with unit_of_work():
        act(action, find_order("A-1", mia, lock=True), read_input(action, {"text": "No, leave it"}), mia)
    work()
    assert [(one.revision, one.state) for one in list_updates(mia)] == [(2, "sent"), (1, "withdrawn")]


def test_the_channel_of_the_guide_carries_an_order_in_and_its_shipment_out(
    app: object, mia: Actor, tmp_path: Path, work: Callable[[], int]
) -> None:
    folder = tmp_path / "shed"
    folder.mkdir()
    EXAMPLES["tests/plugins/orderfiles/test_orderfiles.py"].lay(folder, "A-1")
    (folder / "A-2.json").write_text("no JSON")
    EXAMPLES["tests/plugins/orderfiles/test_orderfiles.py"].lay(folder, "A-3", shelf="cellar")
    store = _connected("orderfiles", {"folder": str(folder), "page": "https://shed.test/{number}"})
    with unit_of_work():
        runs.start(store, actor=Actor.operator())
        jobs.import_orders.enqueue(store.id)
    work()

    order = find_order("A-1", mia)
    assert Badges().of(order) == []
    assert [label.text for label in Badges().of(find_order("A-3", mia))] == ["Cellar"]
    on_shelf = compile_query(parse("shelf:cellar"), mia)
    assert [found.channel_order_number for found in list_page(ORDER_LIST, mia, on_shelf).rows] == ["A-3"]
    assert described.order_url(store, "A-1", "home") == "https://shed.test/A-1"
    assert (order.state, str(order.total), order.residual_minor) == ("processing", "19.00", 0)
    assert [order.number for order in quarantined_orders(Actor.operator())] == ["A-2"]

    with unit_of_work():
        ship = find_action("ship")
        given = read_input(ship, {"carrier": "DHL", "tracking_number": "JD0001"})
        act(ship, find_order("A-1", mia, lock=True), given, mia)
    work()
    assert '"tracking_number": "JD0001"' in (folder / "A-1-1.sent").read_text()

    with unit_of_work():
        [update] = list_updates(mia, order=order)
        update.look_again_at = now() - timedelta(seconds=1)
        jobs.look_up.enqueue(store.id, "shipment")
    work()
    assert [update.state for update in list_updates(mia, order=order)] == ["effective"]


def test_the_stream_of_the_guide_reads_each_line_once_beside_the_orders(
    make_order: Callable[..., Order], store: Store, tmp_path: Path, work: Callable[[], int]
) -> None:
    order, news = make_order(), tmp_path / "news.txt"
    with unit_of_work():
        runs.start(db.session.get_one(Store, store.id), actor=Actor.operator())
    jobs.find_due()
    work()
    lane = (store.id, "carrier_news")
    problem = sentence_of(db.session.get_one(StoreSync, lane).last_failure)
    assert problem is not None
    assert problem.startswith("There is no file")
    news.write_text(f"{order.number};At the depot\n{order.number};On the road\nnobody;Lost\n")
    with unit_of_work():
        store_all(EXAMPLES["plugins/carriernews/plugin.py"].NEWS, {"carrier_news_file": str(news)})
    for minutes in (2, 15, 30):
        with time_machine.travel(now() + timedelta(minutes=minutes), tick=True):
            jobs.find_due()
            work()
        with news.open("a") as more:
            more.write(f"{order.number};After {minutes} minutes\n")
    sealed = [(order.id, "comment", comment.sealed) for comment in comments_of(order)]
    told = ["At the depot", "On the road", "After 2 minutes", "After 15 minutes"]
    assert sorted(vault.open_sealed(sealed)) == sorted(f"Carrier: {line}" for line in told)


def _connected(channel: str, settings: dict[str, str]) -> Store:
    with unit_of_work():
        store = add_store(channel, "Shed", settings, actor=Actor.operator())
    with unit_of_work():
        remember_marketplaces(store, get_channel(channel).connect(access(store)))
    return store


def test_the_provider_of_the_guide_gives_the_tracking_number(make_order: Callable[..., Order], mia: Actor) -> None:
    order = make_order(quantity=2)
    action = find_action("ship_from_roll")

    with unit_of_work():
        act(action, find_order(order.number or "", mia, lock=True), read_input(action, {}), mia)

    [update] = list_updates(mia, order=order)
    assert update.payload["package"]["tracking_number"] == f"ROLL{order.id:06d}"


def test_the_listener_of_the_guide_comments_on_big_orders(
    make_order: Callable[..., Order], work: Callable[[], int]
) -> None:
    big, small = make_order(quantity=12), make_order(quantity=2)
    work()

    assert len(comments_of(big)) == 1
    assert not comments_of(small)
    late = [schedule for schedule in registered() if schedule.job.name.endswith("count_late")]
    assert [schedule.every for schedule in late] == [3600]
    late[0].job()
    assert api.redis().get(api.redis_key("bigorders", "late")) == b"0"


def test_the_tax_watch_of_the_guide_sees_tax_that_moves_at_the_same_total(
    take: Callable[..., list[Order]],
) -> None:
    told = incoming_order([incoming_line(amounts=(api.IncomingAmount(api.Component.ITEM, 1000, 190),))], total=1190)
    take(told)
    take(again(told, lines=line_again(told, amounts=(api.IncomingAmount(api.Component.ITEM, 1070, 120),))))
    [order] = take(again(told, minutes=9, service_level="EXPRESS"))
    said = vault.open_sealed([(order.id, "comment", row.sealed) for row in comments_of(order)])
    assert sorted(said) == ["Tax changed by -0.70.", "Tax changed by 0.70."]


def test_the_shelves_of_the_guide_hear_what_moves_and_keep_orders_while_they_are_counted(
    take: Callable[..., list[Order]], mia: Actor
) -> None:
    told = incoming_order([incoming_line("MUG", 3)])
    take(told)
    [order] = take(again(told, lines=line_again(told, unfulfilled=1, canceled_by="BUYER")))
    assert vault.open_sealed([(order.id, "comment", row.sealed) for row in comments_of(order)]) == [
        "MUG: put 2 back on the shelf."
    ]
    assert shipping_refusal(order, mia) is None
    shelves = EXAMPLES["plugins/shelves/plugin.py"]
    with unit_of_work():
        store_all(shelves.SHELVES, {"counting": True})
    assert str(shipping_refusal(find_order(order.number or "", mia), mia)) == shelves.BeingCounted.sentence


def test_the_mark_of_the_guide_is_put_into_words(make_order: Callable[..., Order], mia: Actor) -> None:
    order, other = make_order(), make_order(ship_by=None)
    action = find_action("weekend")

    with unit_of_work():
        act(action, find_order(order.number or "", mia, lock=True), read_input(action, {}), mia)

    assert action.refusal(other, mia)
    [mark] = in_words(order.attention)
    assert mark.cause == f"It must leave on {order.ship_by:%Y-%m-%d}, when nobody collects."


def test_the_careful_action_of_the_guide_does_all_it_says(make_order: Callable[..., Order], mia: Actor) -> None:
    order = make_order()
    action = find_action("look_twice")

    with unit_of_work():
        act(action, find_order(order.number or "", mia, lock=True), read_input(action, {}), mia)

    db.session.refresh(order)
    assert action.bulk
    assert (order.on_hold, order.assignee_id) == (True, mia.id)
    assert order.due_at is not None
    assert action.refusal(order, mia)


def test_what_the_guide_adds_to_lists_and_pages_is_there(make_order: Callable[..., Order], mia: Actor) -> None:
    rush, late = (make_order(ship_by=now() + timedelta(hours=hours)) for hours in (1, 9))

    found = [
        list_page(ORDER_LIST, mia, compile_query(parse(text), mia)).rows for text in ("rush", "-rush", "rush:yes,no")
    ]
    assert [[order.id for order in orders] for orders in found] == [[rush.id], [late.id], [late.id, rush.id]]
    assert list_columns()["hours_left"].values([rush, late], mia) == {rush.id: 0, late.id: 8}
    assert "Rush" in [label.text for label in Badges().of(rush)]
    assert "Rush" not in [label.text for label in Badges().of(late)]
    [panel] = [one for panels in hooks.manager.hook.register_panels() for one in panels if one.code == "rush"]
    assert panel.shows(rush)
    assert not panel.shows(late)
    assert panel.render(rush, mia) == "<p>Pack it next: 0 h are left.</p>"
    [card] = [one for cards in hooks.manager.hook.register_cards() for one in cards if one.code == "rush"]
    assert card.render(mia) == "<p><strong>1</strong></p>"


@pytest.mark.own_desk
def test_the_plugins_of_the_guide_with_a_table_a_page_and_a_list_work(
    own_plugins: OwnPlugins, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(plugin_pages, "LONG", 60.0)  # however busy the machine is
    for plugin in ("inspections", "picking"):
        own_plugins.write(plugin, _written(plugin))
    with own_plugins.start() as app:
        key_file().create()
        assert schema.migrate() == {}
        schema.check()
        assert faults_of("inspections") == faults_of("picking") == []
        with unit_of_work():
            password_hash = hashed("Correct-Horse-7-Battery", "max@desk.test")
            user = create_user(
                email="max@desk.test", role="manager", actor=Actor.operator(), password_hash=password_hash, name="Max"
            )
            actor = user.as_actor()
        hooks.manager.register(FakeChannelPlugin(FakeChannel()))
        number = _an_order()
        browser = Browser(app).enter(actor)
        assert re.search(r'<a [^>]*href="/x/inspections/"[^>]*>\s*Inspections', browser.get("/x/inspections/").text)
        for given in (number, "9"):
            sent = browser.post("/x/inspections/", {"number": given, "inspector": "Ida"})
            assert (sent.status_code, sent.location) == (302, "/x/inspections/")
        shown = browser.get("/x/inspections/").text
        assert f"<li>{number} Ida</li>" in shown
        assert "There is no such order." in shown
        for query, there in (("wrap:plain", True), ("wrap:gift", False), (f"number:{number}", True)):
            listed = browser.get(f"/lists/picking/?q={query}")
            assert (listed.status_code, "MUG" in listed.text) == (200, there), query


def _written(plugin: str) -> dict[str, str]:
    """The files of a plugin of the guide, by their paths in its folder."""
    beginning = re.compile(rf"(?:# |{{# )plugins/{plugin}/([\w./]+)")
    blocks = (found[2] for found in FENCE.finditer(GUIDE.read_text()))
    return {found[1]: block for block in blocks if (found := beginning.match(block))}


def _an_order() -> str:
    with unit_of_work():
        store = add_store("fake", "Fake store", {"key": "k"}, actor=Actor.operator())
        remember_marketplaces(store, get_channel("fake").connect(access(store)))
    ready = prepare(store, OrdersPage([incoming_order()]))
    with unit_of_work():
        take_in(store, ready)
    return str(db.session.scalar(select(Order.number)))


def test_the_setting_of_the_guide_has_its_default(app: object) -> None:
    fits = EXAMPLES["plugins/parcels/plugin.py"].fits

    assert fits(10)
    assert not fits(11)


def test_the_process_and_the_command_of_the_guide_are_there(app: object, tmp_path: Path) -> None:
    group = click.Group()
    hooks.manager.hook.register_commands(cli=group)
    [scales] = [
        one for processes in hooks.manager.hook.register_processes() for one in processes if one.name == "scales"
    ]

    assert "are not running" in CliRunner().invoke(group, ["scales"]).output
    assert scales.argv(tmp_path, 9500)[1] == "http.server"


def test_the_guide_lists_every_hook_and_every_name_of_the_api() -> None:
    told = {word for span in INLINE.findall(GUIDE.read_text()) for word in re.findall(r"\w+", span)}

    assert {name for name, value in vars(specs).items() if hasattr(value, "waybill_spec")} <= told
    assert set(api.__all__) <= told


# --- What pages name --------------------------------------------------------------------------------------------------


def _code(text: str) -> Iterator[str]:
    """What stands in code on a page: fenced blocks, and spans outside of them."""
    for found in FENCE.finditer(text):
        yield found[2].replace("\\\n", " ")
    for span in INLINE.findall(FENCE.sub("", text)):
        yield span.replace("\n", " ")


@page
def test_every_relative_link_leads_somewhere(path: Path) -> None:
    for target in LINK.findall(FENCE.sub("", path.read_text())):
        if re.match(r"[a-z]+:", target):
            continue
        file, _, anchor = target.partition("#")
        there = (path.parent / file).resolve() if file else path
        assert there.exists(), target
        if anchor:
            assert anchor in anchors(there.read_text()), target


@page
def test_every_command_that_a_page_names_is_there(path: Path) -> None:
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    for code in _code(path.read_text()):
        for target in re.findall(r"(?:^|[\s$;&])make ([a-z]+)", code):
            assert target in targets, f"make {target}"
        for line in re.findall(r"python3? -m webapp([^\n#|;&]*)", code):
            _check_command(line.split())


def _check_command(given: list[str]) -> None:
    command: click.Command = cli
    told = {option for param in cli.params for option in param.opts} | {"--help", "-h"}
    for word in given:
        name = word.strip("“”.,:()[]…'\"")
        if name.startswith("--"):
            assert name.partition("=")[0] in told, f"{command.name} {name}"
        elif isinstance(command, click.Group) and re.fullmatch(r"[a-z]+", name):
            found = _commands_of_plugins().get(name) if command is cli and name not in COMMANDS else None
            found = found or command.get_command(click.Context(command), name)
            assert found is not None, " ".join(given)
            command = found
            told |= {option for param in command.params for option in param.opts}


def _commands_of_plugins() -> dict[str, click.Command]:
    """What the bundled plugins add, without a desk."""
    group = click.Group()
    register_commands(cli=group)
    return group.commands


@page
def test_every_file_and_variable_that_a_page_names_is_there(path: Path) -> None:
    text = path.read_text()
    for span in INLINE.findall(FENCE.sub("", text)):
        if _PATH.fullmatch(span):
            assert (ROOT / span).exists(), span
    sources = _sources()
    for variable in set(re.findall(r"WAYBILL_[A-Z_]+[A-Z]", text)):
        setting = variable.removeprefix("WAYBILL_").lower()
        assert variable in sources or re.search(rf"^    {setting}: ", sources, re.MULTILINE), variable


def _sources() -> str:
    files = [file for folder in ("webapp", "supervisor", "plugins", "tests") for file in (ROOT / folder).rglob("*.py")]
    return "\n".join(file.read_text() for file in [*files, ROOT / ".ci/run"])


def test_every_picture_is_shown_somewhere_and_none_is_large() -> None:
    shown = {
        (path.parent / target).resolve()
        for path in PAGES
        for target in LINK.findall(path.read_text())
        if target.endswith((".png", ".svg"))
    }
    taken = set((ROOT / "docs" / "pictures").iterdir())

    assert taken == shown
    assert all(picture.stat().st_size <= LARGEST_PICTURE for picture in taken)


def test_the_picture_of_the_floors_shows_the_contract_and_the_hooks() -> None:
    assert floors.PICTURE.read_text() == floors.drawn(), "draw it again: python -m tools.floors"


def test_the_architecture_page_shows_every_table_and_every_package(app: object) -> None:
    told = set(re.findall(r"\w+", (ROOT / "docs" / "architecture.md").read_text()))

    assert set(db.metadata.tables) <= told
    assert {path.parent.name for path in (ROOT / "webapp").glob("*/__init__.py")} <= told


def test_the_operators_page_lists_every_variable_and_every_command() -> None:
    told = set(INLINE.findall(FENCE.sub("", (ROOT / "docs" / "operators.md").read_text())))
    fields = Configuration.model_fields
    exceptions = {"database_url": "DATABASE_URL", "redis_url": "REDIS_URL"}

    assert {exceptions.get(name, f"WAYBILL_{name.upper()}") for name in fields if name != "version"} <= told
    assert set(_commands(cli, "")) <= told


def _commands(group: click.Group, before: str) -> Iterator[str]:
    context = click.Context(group)
    for name in COMMANDS if group is cli else group.commands:
        command = group.get_command(context, name)
        if isinstance(command, click.Group):
            yield from _commands(command, f"{name} ")
        else:
            yield before + name

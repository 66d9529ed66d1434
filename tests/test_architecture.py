"""Rules of the whole that no single module can keep: who may know what, and where things may be done."""

import ast
import inspect
import io
import re
import tokenize
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

from webapp import api
from webapp.channels.contract import Channel
from webapp.config import ROOT
from webapp.fulfillment.contract import FulfillmentProvider
from webapp.hooks import specs
from webapp.hooks.processes import Process
from webapp.orders.contract import OrderAction
from webapp.updates.contract import OutwardKind

DESK = sorted(path for folder in ("supervisor", "webapp") for path in (ROOT / folder).rglob("*.py"))
PLUGINS = sorted((ROOT / "plugins").rglob("*.py"))
TEMPLATES = sorted(path for kind in ("*.html", "*.css", "*.js") for path in (ROOT / "webapp/ui").rglob(kind))
FORBIDDEN_NAMES = {"utils", "util", "helpers", "helper", "core", "manager", "common", "misc"}


@cache
def tree_of(path: Path) -> ast.Module:
    return ast.parse(path.read_text())


def name_of(path: Path) -> str:
    return str(path.relative_to(ROOT))


def docstrings(tree: ast.Module) -> set[int]:
    """The lines that docstrings stand on."""
    lines: set[int] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef) and node.body:
            first = node.body[0]
            if isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant):
                lines.update(range(first.lineno, (first.end_lineno or first.lineno) + 1))
    return lines


@pytest.mark.parametrize("path", DESK, ids=name_of)
def test_the_desk_does_not_know_amazon(path: Path) -> None:
    """Reasons in comments and docstrings may name it, since its contract is a source; code and sentences may not."""
    prose = docstrings(tree_of(path))
    tokens = tokenize.generate_tokens(io.StringIO(path.read_text()).readline)
    named = [
        token.start[0]
        for token in tokens
        if token.type != tokenize.COMMENT and "amazon" in token.string.lower() and token.start[0] not in prose
    ]
    assert named == []


def test_no_page_of_the_desk_knows_amazon() -> None:
    # What was vendored is not ours to rename.
    own = [path for path in TEMPLATES if "vendor" not in path.parts]
    assert [name_of(path) for path in own if "amazon" in path.read_text().lower()] == []


def test_no_module_is_named_after_nothing() -> None:
    named = [path for path in DESK + PLUGINS if {path.stem, *path.relative_to(ROOT).parts[:-1]} & FORBIDDEN_NAMES]
    assert named == []


@pytest.mark.parametrize("path", DESK + PLUGINS, ids=name_of)
def test_every_module_says_what_it_is_about(path: Path) -> None:
    assert ast.get_docstring(tree_of(path))


def test_every_hook_is_documented() -> None:
    hooks = [entry for _, entry in inspect.getmembers(specs, inspect.isfunction) if entry.__module__ == specs.__name__]
    assert len(hooks) > 10
    assert [entry.__name__ for entry in hooks if not inspect.getdoc(entry)] == []


def test_everything_that_plugins_call_is_documented() -> None:
    bare = []
    for name in api.__all__:
        entry = getattr(api, name)
        if inspect.isfunction(entry) and entry.__module__.startswith("webapp.") and not inspect.getdoc(entry):
            bare.append(name)
        if inspect.isclass(entry) and entry.__module__.startswith("webapp.") and not entry.__doc__:
            bare.append(name)
    assert bare == []


def test_the_plugins_door_names_all_that_it_holds() -> None:
    # `_l` and the like are how a module is written, not what it offers.
    imported = {
        alias.asname or alias.name
        for node in ast.walk(tree_of(ROOT / "webapp/api.py"))
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }
    assert imported == set(api.__all__)


def calls(tree: ast.Module) -> Iterator[tuple[str, int]]:
    """Every call by its dotted name, with its line."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            yield ast.unparse(node.func), node.lineno


@pytest.mark.parametrize("path", [path for path in DESK if path.name != "clock.py"], ids=name_of)
def test_the_time_is_asked_of_the_clock(path: Path) -> None:
    asked = [call for call in calls(tree_of(path)) if call[0].endswith((".utcnow", "datetime.now", "datetime.today"))]
    assert asked == []


# Where a response gets headers that are built from something variable. Constants are set as they are, anywhere.
SETS_HEADERS = {"webapp/ui/frame/header_values.py", "webapp/ui/frame/headers.py", "webapp/ui/frame/redirects.py"}


def is_built(value: ast.expr) -> bool:
    """Whether a header's value holds anything but constants, which are named in capitals."""
    names = [node.id for node in ast.walk(value) if isinstance(node, ast.Name)]
    return any(not name.isupper() for name in names)


def headers_built_in(path: Path) -> list[int]:
    """The lines that put something variable into a response's headers, or cookies, in another way than `put`."""
    lines = []
    for node in ast.walk(tree_of(path)):
        if isinstance(node, ast.Assign | ast.AnnAssign | ast.AugAssign):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            held = [part for target in targets for part in ast.walk(target) if isinstance(part, ast.Subscript)]
            named = [part for part in held if ast.unparse(part.value).endswith("headers")]
            located = [target for target in targets if ast.unparse(target).endswith(".location")]
            if (named and node.value is not None and is_built(node.value)) or located:
                lines.append(node.lineno)
        if isinstance(node, ast.Call):
            called = ast.unparse(node.func)
            if called.endswith(
                ("headers.add", "headers.set", "headers.setdefault", "headers.extend", "headers.update")
            ):
                lines += [node.lineno] if any(is_built(value) for value in node.args[1:]) or node.keywords else []
            if called.split(".")[-1] in ("Response", "make_response"):
                lines += [node.lineno for given in node.keywords if given.arg == "headers" and is_built(given.value)]
    return lines


@pytest.mark.parametrize("path", [path for path in DESK if name_of(path) not in SETS_HEADERS], ids=name_of)
def test_headers_are_built_by_the_one_function_that_checks_them(path: Path) -> None:
    assert headers_built_in(path) == []


def test_every_page_leads_on_by_the_one_function_that_checks_the_target() -> None:
    asked = {name_of(path) for path in DESK for called, _ in calls(tree_of(path)) if called.endswith("flask.redirect")}
    assert asked == {"webapp/ui/frame/redirects.py"}
    imported = [
        name_of(path)
        for path in DESK
        for node in ast.walk(tree_of(path))
        if isinstance(node, ast.ImportFrom) and node.module in ("flask", "werkzeug.utils", "flask.helpers")
        if any(alias.name == "redirect" for alias in node.names)
    ]
    assert imported == []


def test_pages_of_plugins_lead_to_routes_of_their_own() -> None:
    targets = [
        ast.unparse(node.args[0])
        for path in PLUGINS
        for node in ast.walk(tree_of(path))
        if isinstance(node, ast.Call) and ast.unparse(node.func).split(".")[-1] == "redirect"
    ]
    assert [target for target in targets if not target.startswith("url_for(")] == []


# Who ends a transaction, and why. Everything else happens within the unit of work that its door opened.
MAY_COMMIT = {
    "webapp/db.py": "the unit of work itself",
    "webapp/channels/services.py": "numbers are drawn in a short transaction of their own",
    "webapp/sync/taking_in/pages.py": "ends the reading transaction before numbers are drawn",
    "webapp/sync/jobs.py": "a door: ends the reading transaction before the network is asked",
    "webapp/sync/taking_in/loading.py": "a door: ends the reading transaction before it forks",
}
DOORS = ("webapp/ui/", "webapp/rest/", "webapp/cli/")  # routes and commands end their own reading


def test_services_never_commit() -> None:
    found = {
        name_of(path)
        for path in DESK + PLUGINS
        for called, _ in calls(tree_of(path))
        if called.endswith("session.commit")
    }
    assert {name for name in found if not name.startswith(DOORS)} == set(MAY_COMMIT)


# Where orders are read without `visible(actor)`, and why. Whoever adds a place here gives the reason.
MAY_READ_ORDERS = {
    "webapp/orders/queries.py:visible": "the place where every query starts",
    "webapp/orders/queries.py:locked": "takes the lock of an order that was found by `visible`",
    "webapp/reporting/changes.py:_counted_columns": "orders are counted as they change, and nobody looks",
    "webapp/reporting/folding.py:missing": "all orders are counted again; who reads the figures asks for the right",
    "webapp/reporting/taxes.py:_lines": "sums of documents by the country of their orders, of the actor's shops alone",
    "webapp/orders/search_words.py:beginnings": "tells how usual a beginning is; nobody reads which orders",
    "webapp/orders/search_words.py:_found_by_number": "ids to compare with; the list that asks starts from `visible`",
    "webapp/orders/cancel_requests.py:requests_of": "of the orders that a page or a list has read",
    "webapp/sync/taking_in/new_orders.py": "the import writes orders for the store that it reads, and nobody looks",
    "webapp/sync/taking_in/known_orders.py": "the same",
    "webapp/sync/delivering.py:_locked": "a job takes the locks of the orders whose updates it claims",
    "webapp/sync/settling.py:settle": "a job takes the locks of the orders whose updates it settles",
    "webapp/sync/recovery.py:_doubt": "the same, of those that may have left since a backup",
    "webapp/updates/ending.py:_lock": "the same, for a kind that is told their end",
    "webapp/billing/attention.py:compare": "the import marks orders that it holds, and nobody looks",
    "webapp/billing/dues.py:_write": "a job looks at orders that were told of, and nobody reads them",
    "webapp/billing/dues.py:look_again": "the same",
    "webapp/documents/upload_dues.py:_write": "the same, for uploads",
    "webapp/sync/call_log.py:_orders_of": "a job ties the calls that a channel reported to their orders",
    "webapp/billing/transactions.py:_place": "ids of orders that transactions are of; nobody reads them",
    "webapp/messaging/mail_route.py:_order_of": "a job sends a message; whoever wrote it found the order",
    "webapp/sync/allowed_messages.py:_ask": "a job asks the channel; whoever enqueues it found the order",
    "webapp/messaging/reviews.py:_known": "of the orders that a page or a run has read",
    "webapp/messaging/review_rule.py:_consider_some": "ids of orders that a job then locks by `locked_all`",
    "webapp/sync/denials.py:no_longer_owed": "numbers of orders whose updates ended; nobody reads them",
}
READS = (
    "select",
    "db.select",
    "sa.select",
    "db.session.query",
    "session.query",
    "db.session.get",
    "db.session.get_one",
)


def order_readings(path: Path) -> Iterator[str]:
    """Functions that select orders, or one of their columns, from the table itself."""
    for function in ast.walk(tree_of(path)):
        if not isinstance(function, ast.FunctionDef):
            continue
        for node in ast.walk(function):
            if (
                isinstance(node, ast.Call)
                and ast.unparse(node.func) in READS
                and any(ast.unparse(argument).split(".")[0] == "Order" for argument in node.args)
            ):
                yield function.name


def test_every_reading_of_orders_starts_from_what_the_actor_may_see() -> None:
    places = {(name_of(path), function) for path in DESK + PLUGINS for function in order_readings(path)}
    found = {name if name in MAY_READ_ORDERS else f"{name}:{function}" for name, function in places}
    assert found - set(MAY_READ_ORDERS) == set(), "start from visible(actor), or give the reason"
    assert set(MAY_READ_ORDERS) - found == set(), "no longer needed"


def test_every_column_that_names_a_weeks_key_counts_for_its_life() -> None:
    """A key is destroyed once no `PeriodName` names its week. The list of weeks itself keeps none."""
    columns = {
        f"{entry.name}.{node.target.id}": ast.unparse(node)
        for path in DESK + PLUGINS
        for entry in ast.walk(tree_of(path))
        if isinstance(entry, ast.ClassDef)
        for node in entry.body
        if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name) and node.target.id.endswith("period")
    }
    assert [name for name, column in columns.items() if "PeriodName" not in column] == ["VaultPeriod.period"]
    assert len(columns) > 1


# What plugins implement, whose functions are called through the fence alone: handed to `ask`, or called by a function
# that is. Beside these, the only direct calls, and why.
CONTRACTS = (Channel, OutwardKind, OrderAction, FulfillmentProvider, Process)
MAY_CALL_PLUGINS = {
    "webapp/channels/contract.py": "the contract's own functions call each other",
    "webapp/orders/contract.py": "the contract's own functions call each other",
    "webapp/updates/ending.py:__call__": "a listener, which is told its facts within the fence",
}
NO_PLUGINS = {  # what has a function of the same name and is no plugin's
    "asking", "bulk", "calls", "db.engine", "deciding", "denials", "described", "engine", "exporting", "psycopg",
    "reader()", "self._reader", "ship_list", "sqlite3",
}  # fmt: skip


def test_no_door_knows_an_action_by_its_code() -> None:
    """Where its form stands, what it asks and how it works in bulk are said by the action."""
    codes = {"ship", "cancel", "hold", "release", "comment", "assign", "tag", "status", "due", "archive", "restore"}
    codes |= {"address"}
    found = set()
    for path in [path for path in DESK if name_of(path).startswith(("webapp/ui/", "webapp/cli/", "webapp/orders/"))]:
        for node in ast.walk(tree_of(path)):
            if isinstance(node, ast.Compare):
                words = {ast.unparse(one).rpartition(".")[2] for one in (node.left, *node.comparators)}
                constants = {one.value for one in ast.walk(node) if isinstance(one, ast.Constant)}
                if words & {"code", "action", "action_code"} and constants & codes:
                    found.add(f"{name_of(path)}:{node.lineno}")
            finding = isinstance(node, ast.Call) and ast.unparse(node.func).endswith("find_action")
            if finding and any(isinstance(one, ast.Constant) for one in node.args):
                found.add(f"{name_of(path)}:{node.lineno}")
    for template in (ROOT / "webapp").rglob("*.html"):
        if re.search(r'code(=| == | in \()"(ship|hold|release|comment|address)"', template.read_text()):
            found.add(template.name)
    assert found == set()


def functions_of(contract: type) -> set[str]:
    """What a plugin gives by implementing this: methods, or fields that are functions."""
    own = {name for name, entry in vars(contract).items() if inspect.isfunction(entry)}
    fields = {name for name, kind in vars(contract).get("__annotations__", {}).items() if "Callable" in str(kind)}
    return {name for name in own | fields if not name.startswith("_")}


def asked_in(tree: ast.Module) -> set[str]:
    """The functions of a module that are handed to `ask`, or to a function of the module that hands it on."""
    asking = {"ask", "_word"}
    handed = [node.args for node in ast.walk(tree) if isinstance(node, ast.Call) and ast.unparse(node.func) in asking]
    return {ast.unparse(argument) for arguments in handed for argument in arguments}


def calls_outside_the_fence(path: Path) -> Iterator[str]:
    """Functions that call a plugin's function themselves."""
    names = set().union(*map(functions_of, CONTRACTS))
    asked = asked_in(tree_of(path))

    def walk(node: ast.AST, within: str) -> Iterator[str]:
        if isinstance(node, ast.FunctionDef):
            within = node.name
        if isinstance(node, ast.Lambda):
            within = ast.unparse(node)
        called = node.func if isinstance(node, ast.Call) else None
        if isinstance(called, ast.Attribute) and called.attr in names and ast.unparse(called.value) not in NO_PLUGINS:
            yield from () if within in asked else [within]
        for child in ast.iter_child_nodes(node):
            yield from walk(child, within)

    yield from walk(tree_of(path), "")


def test_plugins_are_called_through_the_fence_alone() -> None:
    within = [path for path in DESK if name_of(path) != "webapp/testing.py"]  # contract tests call them as they are
    places = {(name_of(path), function) for path in within for function in calls_outside_the_fence(path)}
    found = {name if name in MAY_CALL_PLUGINS else f"{name}:{function}" for name, function in places}
    assert found - set(MAY_CALL_PLUGINS) == set(), "call it through `ask`, or give the reason"
    assert set(MAY_CALL_PLUGINS) - found == set(), "no longer needed"

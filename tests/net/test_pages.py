"""The pages of a seeded desk in both languages, their numbers of statements, and its commands' JSON."""

import json
import re
from collections.abc import Callable, Iterator

import pytest
import time_machine

from tests.cli.conftest import Command
from tests.net.conftest import Keep
from tests.net.seeded import AT, seed
from tests.ui.conftest import Browser
from webapp.audit.actor import Actor
from webapp.channels.models import Store
from webapp.orders.models import Order
from webapp.testing import FakeChannel

PAGES = {
    "dashboard": "/dashboard/",
    "dashboard-sales": "/dashboard/cards/sales",
    "report": "/dashboard/report",
    "orders": "/orders/",
    "orders-found": "/orders/?q=state:processing+sku:MUG&sort=-total",
    "orders-none-found": "/orders/?q=sku:NONE",
    "orders-refused": "/orders/?q=total:much",
    "shipments": "/shipments/",
    "shipments-filters": "/shipments/filters",
    "outbox": "/outbox/",
    "outbox-decide": "/outbox/decide?all=1&act=close",
    "communication": "/communication/?q=state:complete",
    "orders-columns": "/orders/columns",
    "orders-filters": "/orders/filters",
    "bulk-hold": "/orders/bulk?order=1&order=2&action=hold",
    "export": "/orders/export?order=1",
    "ship-list": "/orders/ship-list?order=1&order=2",
    "packing-slips": "/orders/packing-slips?order=1&order=4",
    "pick-list": "/orders/pick-list?order=1&order=4",
    "return-slip": "/orders/{plain}/return-slip",
    "invoices": "/invoices/",
    "taxes": "/reports/taxes",
    "palette": "/palette/?order={plain}",
    "views": "/orders/views/",
    "statuses": "/settings/statuses/",
    "runs": "/runs/",
    "run": "/runs/1",
    "stores": "/stores/",
    "store": "/stores/1",
    "store-traffic": "/stores/1/traffic",
    "store-settings": "/stores/1/settings",
    "store-add": "/stores/add/fake",
    "settings": "/settings/",
    "status": "/settings/statuses/packing",
    "tags": "/settings/tags/",
    "erasing": "/stores/1/settings/erasing",
    "shops": "/settings/shops/",
    "shop": "/settings/shops/2",
    "people": "/settings/people/",
    "person": "/settings/people/2",
    "account": "/account",
    "plugins": "/plugins/",
    "not-found": "/nowhere",
    **{f"order-{sort}": f"/orders/{{{sort}}}" for sort in ("plain", "held", "long", "organized", "refused", "yen")},
    **{f"order-{tab}": f"/orders/{{sent}}?tab={tab}" for tab in ("shipments", "updates", "timeline", "channel")},
    "act-ship": "/orders/{plain}/actions/ship",
    "act-hold": "/orders/{plain}/actions/hold",
}
# What differs between desks, starts or moments, and its replacement.
PASSING = (
    (r'"X-CSRFToken": "[^"]*"', '"X-CSRFToken": "…"'),
    (r'name="csrf_token" value="[^"]*"', 'name="csrf_token" value="…"'),
    (r'name="(submission_key|key)" type="hidden" value="[^"]*"', r'name="\1" type="hidden" value="…"'),
    (r'(Request|Requête) <span class="code">[0-9a-f]{16}</span>', r'\1 <span class="code">…</span>'),
    (r"\?v=[0-9a-f]{12}", "?v=…"),
    (r'(c-took" data-label="[^"]*">)[0-9.,]+', r"\1…"),  # how long a call took
    (r"· [0-9.,]+[ \u00a0]s ·", "· … s ·"),
)
# A template's line breaks are not compared: browsers ignore spaces around these elements.
_AS_WRITTEN = re.compile(r"(<(?:pre|textarea|address)\b.*?</(?:pre|textarea|address)>)", re.DOTALL)
_BLOCK = (
    "article|aside|body|br|caption|col|colgroup|dd|details|dialog|div|dl|dt|fieldset|figcaption|figure|footer|form|g|"
    "h[1-6]|head|header|hr|html|legend|li|link|main|meta|nav|ol|option|p|path|rect|script|section|select|summary|"
    "table|tbody|td|tfoot|th|thead|title|tr|ul"
)
_AROUND_BLOCKS = re.compile(rf"""[ \n]*(<(/?)(?:{_BLOCK})\b(?:"[^"]*"|'[^']*'|[^"'>])*>)[ \n]*""")
_TAG_OR_SPACE = re.compile(r"""(<[a-z](?:"[^"]*"|'[^']*'|[^"'>])*>)|[ \n]+""")
_VALUE_OR_SPACE = re.compile(r"""("[^"]*"|'[^']*')|[ \n]+(?=>)|([ \n]+)""")
_FRAME = re.compile(r"^.*(?=<main)|(?<=</main>).*$", re.DOTALL)  # equal on every page


@pytest.fixture(autouse=True)
def _still() -> Iterator[None]:
    with time_machine.travel(AT, tick=False):
        yield


@pytest.fixture
def numbers(
    take: Callable[..., list[Order]],
    work: Callable[[], int],
    store: Store,
    channel: FakeChannel,
    olga: Actor,
    mia: Actor,
) -> dict[str, str]:
    """The orders of a seeded desk: the number of each, by what it is an example of."""
    return {sort: str(order.number) for sort, order in seed(take, work, store, channel, olga, mia).items()}


def test_pages_and_their_statements(browser: Browser, numbers: dict[str, str], keep: Keep) -> None:
    statements = []
    for name, path in PAGES.items():
        for language in ("en", "fr"):
            answer = browser.get(path.format(**numbers), Accept_Language=language)
            drawn = answer.text if name == "dashboard" else _FRAME.sub("", answer.text)
            keep(f"pages/{name}.{language}.html", f"<!-- {answer.status_code} -->\n{_lasting(drawn)}")
        statements.append(f"{len(browser.queries):3} {name}\n")

    keep("statements.txt", "".join(statements))


COMMANDS = (
    "status",
    "store list",
    "user list",
    "orders list",
    "orders show {plain}",
    "orders show {sent}",
    "orders show {yen}",
    "updates list",
    "quarantine list",
    "runs list",
)


def test_json_of_commands(cli: Command, numbers: dict[str, str], keep: Keep) -> None:
    told = []
    for command in COMMANDS:
        ended = cli("--json", *command.format(**numbers).split())
        told.append(f"$ {command}: {ended.code:d}\n{json.dumps(ended.document, indent=1, sort_keys=True)}\n")

    keep("json.txt", "\n".join(told))


def _lasting(page: str) -> str:
    for passing, stands_for in PASSING:
        page = re.sub(passing, stands_for, page)
    parts = _AS_WRITTEN.split(page)
    parts[::2] = [_AROUND_BLOCKS.sub(_one_a_line, _TAG_OR_SPACE.sub(_on_one_line, part)) for part in parts[::2]]
    return "".join(parts)


def _on_one_line(found: re.Match[str]) -> str:
    """A tag with one space between its attributes, whose values are unchanged; any other space as one."""
    return _VALUE_OR_SPACE.sub(lambda part: part[1] or (" " if part[2] else ""), found[1]) if found[1] else " "


def _one_a_line(block: re.Match[str]) -> str:
    return block[1] if block[2] else f"\n{block[1]}"

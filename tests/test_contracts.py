"""The contracts are honest: the desk reads whatever a plugin may give, and the guide names all of it and no more."""

import ast
import dataclasses
import inspect
import re
from collections.abc import Iterator
from enum import Enum
from functools import cache
from typing import Any

import pytest

from webapp import api
from webapp.config import ROOT

GUIDE = ROOT / "plugins" / "README.md"
CORE = [
    path
    for folder in ("supervisor", "webapp")
    for path in sorted((ROOT / folder).rglob("*.py"))
    if path.name not in ("api.py", "testing.py")
]
VALUES = {
    "AmountLeft",
    "AmountsOfLine",
    "Job",
    "LazyString",
    "LineWish",
    "Model",
    "Money",
    "Refundable",
    "Remaining",
    "UtcDateTime",
    "Wish",
}  # what plugins use and no contract
# What plugins build, or implement, and the desk reads:
READ = {
    "Accepted", "ActionInput", "AttentionKind", "Badge", "Call", "CancelReason", "Card", "Carrier", "Channel", "Check",
    "Column", "Connection", "Contradicted", "Correction", "Denial", "DoneElsewhere", "DraftRow", "Effective",
    "EventGroup", "EventWords",
    "Expansion", "Filling", "Flag", "FormField", "Found", "FulfillmentProvider", "GuideStep", "Impossible",
    "IncomingAmount", "IncomingLine", "IncomingOrder", "IncomingPackage", "IncomingTransaction", "Label", "Link",
    "ListWords", "MailRoute", "Marketplace", "MenuEntry", "MessageKind", "MessagesAnswer",
    "NotCarriedOut", "NotYet", "NothingLearned", "Offered", "OrderAction",
    "OrdersPage", "OutwardKind", "Owing", "PackageAction", "PackageInput", "Panel", "PartAction", "PracticeStore",
    "Preview",
    "Process",
    "ProductCode", "QueryKey", "RefundPart", "RefundPlan", "RefundReason", "Refused", "ReturnItem",
    "ReviewWindow", "Right", "Schedule", "Sent",
    "Setting", "SettingsGroup", "Shown", "Stream", "StreamPage", "Subject", "TransactionPart",
    "TransactionsPage", "UnitsOfLine", "Unknown", "UnreadableOrder", "UpdateKind", "View", "Waits", "WordSource",
}  # fmt: skip
# What the desk builds and plugins read:
TOLD = {
    "Actor", "Amount", "AmountChange", "AttachedFile", "Attempt", "Batch", "Begun", "Bound", "Calling",
    "ComposedMessage", "DocumentIssued", "Loaded", "OrdersChange", "OrdersWindow", "PlainRow", "RefundAmount",
    "RefundRequest", "SettingsChange", "ShipmentCreated", "StoreAccess", "TransactionsWindow", "UnitsMoved", "Update",
    "UpdateOwed", "UpdateSettled", "UploadedDocument",
}  # fmt: skip
# Where something is read by code, or a template, that does not name the class:
READ_IN = {
    "OutwardKind.goes_first": "webapp/sync/delivering.py",
    "Card.wide": "webapp/ui/templates/desk/dashboard/_card.html",
    "Carrier.needs_name": "webapp/fulfillment/services.py",
    "Carrier.tracking_url": "webapp/ui/orders/order_page.py",
    "MailRoute.relayed": "webapp/messaging/previewing.py",
    "Channel.buyers_kept_at_most": "webapp/channels/keeping.py",
    "Channel.guide": "webapp/ui/templates/desk/stores/_guide.html",
    "OrderAction.foremost": "webapp/ui/templates/orders/_actions.html",
    "Check.label": "webapp/ui/templates/desk/stores/_test.html",
    "Check.ok": "webapp/ui/templates/desk/stores/_test.html",
    "Check.sentence": "webapp/ui/templates/desk/stores/_test.html",
    "Expansion.cells": "webapp/lists/exporting.py",
    "Expansion.head": "webapp/lists/exporting.py",
    "Expansion.help": "webapp/ui/templates/lists/exports/choose.html",
    "Flag.row": "webapp/ui/orders/channel_side.py",
    "FormField.add": "webapp/ui/forms/actions.py",
    "FormField.each": "webapp/ui/forms/actions.py",
    "FormField.only_with": "webapp/ui/forms/actions.py",
    "FormField.remove": "webapp/ui/forms/actions.py",
    "GuideStep.text": "webapp/ui/templates/desk/stores/_guide.html",
    "GuideStep.title": "webapp/ui/templates/desk/stores/_guide.html",
    "GuideStep.url": "webapp/ui/templates/desk/stores/_guide.html",
    "IncomingAmount.charged": "webapp/sync/taking_in/rows.py",
    "IncomingAmount.component": "webapp/sync/taking_in/rows.py",
    "IncomingAmount.discount": "webapp/sync/taking_in/rows.py",
    "IncomingAmount.tax": "webapp/sync/taking_in/rows.py",
    "IncomingPackage.carrier": "webapp/sync/taking_in/rows.py",
    "IncomingPackage.delivered": "webapp/sync/taking_in/rows.py",
    "IncomingPackage.lines": "webapp/sync/taking_in/rows.py",
    "IncomingPackage.number": "webapp/sync/taking_in/rows.py",
    "IncomingPackage.service": "webapp/sync/taking_in/rows.py",
    "IncomingPackage.shipped_at": "webapp/sync/taking_in/rows.py",
    "IncomingPackage.status": "webapp/sync/taking_in/rows.py",
    "IncomingPackage.tracking_number": "webapp/sync/taking_in/rows.py",
    "Link.text": "webapp/lists/exporting.py",
    "Link.url": "webapp/ui/lists/cells.py",
    "ListWords.back": "webapp/ui/templates/lists/views/index.html",
    "ListWords.choose": "webapp/ui/lists/exports.py",
    "ListWords.chosen": "webapp/ui/templates/lists/_bulk.html",
    "ListWords.counted": "webapp/ui/templates/lists/_count.html",
    "ListWords.counted_more": "webapp/ui/templates/lists/_count.html",
    "ListWords.empty": "webapp/ui/templates/lists/index.html",
    "ListWords.empty_text": "webapp/ui/templates/lists/index.html",
    "ListWords.every": "webapp/ui/templates/lists/index.html",
    "ListWords.filter": "webapp/ui/templates/lists/_query.html",
    "ListWords.in_background": "webapp/ui/templates/lists/exports/choose.html",
    "ListWords.newer": "webapp/ui/templates/lists/_news.html",
    "ListWords.none": "webapp/ui/templates/lists/index.html",
    "ListWords.older": "webapp/ui/templates/lists/index.html",
    "ListWords.placeholder": "webapp/ui/templates/lists/_search_box.html",
    "ListWords.region": "webapp/ui/templates/lists/index.html",
    "ListWords.save": "webapp/ui/templates/lists/views/index.html",
    "ListWords.search": "webapp/ui/templates/lists/_search_box.html",
    "ListWords.select": "webapp/ui/templates/lists/index.html",
    "ListWords.where": "webapp/ui/templates/lists/_views.html",
    "ListWords.show": "webapp/ui/templates/lists/index.html",
    "Marketplace.currency": "webapp/channels/services.py",
    "Marketplace.language": "webapp/documents/packing.py",
    "Marketplace.zone": "webapp/channels/services.py",
    "MessageKind.situations": "webapp/messaging/templates.py",
    "Offered.further": "webapp/ui/forms/filling.py",
    "Offered.default": "webapp/ui/forms/actions.py",
    "Offered.fold": "webapp/ui/forms/actions.py",
    "Offered.lines": "webapp/ui/forms/actions.py",
    "Offered.most": "webapp/ui/forms/actions.py",
    "Offered.none": "webapp/ui/forms/actions.py",
    "Offered.suggestions": "webapp/ui/forms/actions.py",
    "OrderAction.answers_cancel_request": "webapp/ui/templates/orders/_summary.html",
    "OrderAction.previews": "webapp/ui/templates/orders/_actions.html",
    "Offered.amounts": "webapp/ui/forms/actions.py",
    "RefundPart.code": "webapp/billing/memos.py",
    "RefundPart.line": "webapp/billing/memos.py",
    "OrderAction.icon": "webapp/ui/templates/orders/_actions.html",
    "OutwardKind.label": "webapp/hooks/fence.py",
    "Process.ready_path": "supervisor/preparing.py",
    "Process.variables": "supervisor/preparing.py",
    "ReviewWindow.closes": "webapp/messaging/reviews.py",
    "ReviewWindow.opens": "webapp/messaging/reviews.py",
    "Stream.label": "webapp/hooks/fence.py",
    "Subject.recent": "webapp/ui/templates/lists/_problem.html",
    "Subject.topic": "webapp/ui/lists/list_pages.py",
    "Subject.within": "webapp/search/registered.py",
    "UnitsOfLine.sku": "webapp/ui/templates/orders/_quantities.html",
    "UnitsOfLine.title": "webapp/ui/templates/orders/_quantities.html",
    "UpdateKind.gather": "webapp/updates/owing.py",
    "UpdateKind.label": "webapp/channels/described.py",
    "View.saved": "webapp/ui/templates/lists/_views.html",
    "View.tone": "webapp/ui/templates/lists/_tally.html",
}
# What a class itself reads, in a method that the desk calls:
READ_WITHIN = {
    "Channel.poll_every": "poll_interval",
    "OrderAction.perform": "perform_many",
    "PackageAction.nothing": "refusal",
    "PartAction.nothing": "refusal",
    "Schedule.code": "is_due",
    "Schedule.due": "is_due",
    "Setting.check": "parse",
    "Setting.choices": "options",
    "Setting.compact": "parse",
    "Setting.day": "parse",
    "Stream.channels": "reads",
}


def members(kind: type) -> set[str]:
    """The public members of a contract; of an error only what it has beside any other, and of an action on one part
    of an order what it has beside other actions.
    """
    if issubclass(kind, Enum):
        return {str(one.value) for one in kind}
    found: set[str] = set()
    for one in kind.__mro__:
        if one.__module__.startswith("webapp."):
            found |= {*vars(one), *vars(one).get("__annotations__", {})}
    plain = {name for name in found if not name.startswith(("_", "model_"))}
    if issubclass(kind, api.PartAction):
        return plain - members(api.OrderAction)
    return plain - members(api.DeskError) if issubclass(kind, Exception) and kind is not api.DeskError else plain


CONTRACTS: dict[str, type] = {
    name: kind
    for name in api.__all__
    if inspect.isclass(kind := getattr(api, name))
    and kind.__module__.startswith("webapp.")
    and not hasattr(kind, "__table__")
    and name not in VALUES
}
FIELDS = [
    (name, member) for name in sorted(READ) for member in sorted(members(CONTRACTS[name])) if name != "ActionInput"
]


@cache
def _reads() -> dict[str, tuple[set[str], dict[str, set[str]]]]:
    """By file of the core: the names in it, and the attributes that it reads with the classes within which it does."""
    return {str(path.relative_to(ROOT)): _read_by(ast.parse(path.read_text())) for path in CORE}


def _read_by(tree: ast.Module) -> tuple[set[str], dict[str, set[str]]]:
    names: set[str] = set()
    read: dict[str, set[str]] = {}

    def walk(node: ast.AST, within: str) -> None:
        match node:
            case ast.ClassDef():
                within = node.name
            case ast.Name():
                names.add(node.id)
            case ast.alias():
                names.update((node.name, node.asname or node.name))
            case ast.Attribute(ctx=ast.Load()):
                read.setdefault(node.attr, set()).add(within)
            case ast.MatchClass():
                for name in node.kwd_attrs:
                    read.setdefault(name, set()).add(within)
            case ast.Call(func=ast.Name(id="getattr"), args=[_, ast.Constant(value=str(name)), *_]):
                read.setdefault(name, set()).add(within)
        for child in ast.iter_child_nodes(node):
            walk(child, within)

    walk(tree, "")
    return names, read


def _is_read(file: str, member: str, *, beside: str = "") -> bool:
    return bool(_reads()[file][1].get(member, set()) - {beside})


def test_every_contract_is_known_as_read_or_told() -> None:
    others = {name for name, kind in CONTRACTS.items() if issubclass(kind, (Enum, Exception))}
    assert set(CONTRACTS) - others == READ | TOLD
    assert not READ & TOLD


@pytest.mark.parametrize(("name", "member"), FIELDS, ids=map(".".join, FIELDS))
def test_the_desk_reads_what_a_plugin_may_give(name: str, member: str) -> None:
    """By code that names the class; where that is elsewhere, `READ_IN` says where."""
    if place := READ_IN.get(f"{name}.{member}"):
        if place.endswith(".html"):
            assert re.search(rf"\.{member}\b", (ROOT / place).read_text())
        else:
            assert _is_read(place, member, beside=name)
        return
    member = READ_WITHIN.get(f"{name}.{member}", member)
    files = [file for file, (names, _read) in _reads().items() if name in names]
    assert any(_is_read(file, member, beside=name) for file in files)


def test_what_is_read_of_other_classes_does_not_count() -> None:
    """As `FulfillmentProvider.refusal` was read by nobody, while that of an action is read everywhere."""
    files = [file for file, (names, _read) in _reads().items() if "FulfillmentProvider" in names]
    assert files
    assert not any(_is_read(file, "refusal", beside="FulfillmentProvider") for file in files)


def test_what_is_said_to_be_read_elsewhere_is_a_member() -> None:
    known = {f"{name}.{member}" for name, member in FIELDS}
    assert {*READ_IN, *READ_WITHIN} <= known


def _calls(name: str) -> Iterator[ast.Call]:
    for text in (path.read_text() for path in CORE):
        for node in ast.walk(ast.parse(text)) if f"{name}(" in text or "cls(" in text else ():
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in (name, "cls"):
                yield node


@pytest.mark.parametrize("name", sorted(TOLD - {"Attempt", "Batch", "Calling", "Loaded", "PlainRow"}))
def test_the_desk_fills_what_it_tells(name: str) -> None:
    """`Attempt` and `Batch` are implemented, the counts of `Loaded` are added to, `PlainRow` has what was read, and
    `Calling` what was called.
    """
    kind: Any = CONTRACTS[name]
    fields = [one.name for one in dataclasses.fields(kind)] if dataclasses.is_dataclass(kind) else kind._fields
    given: set[str] = set()
    for call in _calls(name):
        given |= set(fields[: len(call.args)]) | {str(keyword.arg) for keyword in call.keywords}
    given |= {"Update": {"private"}, "StoreAccess": {"report"}}.get(name, set())  # by `replace`, before the network
    assert set(fields) <= given


# --- The guide --------------------------------------------------------------------------------------------------------


def _table() -> dict[str, set[str]]:
    """The guide's table of members: by class, those that it names."""
    text = GUIDE.read_text()
    part = text[text.index("\n## All members of the contracts\n") :]
    part = part[: part.index("\n## ", 1)]
    rows = re.findall(r"^\| `(\w+)` \| [^|]* \| ([^|]*) \|$", part, re.MULTILINE)
    return {name: set(re.findall(r"`(\w+)", cell)) for name, cell in rows}


def test_the_guide_names_every_member_of_the_contracts_and_no_other() -> None:
    there = {name: found for name, kind in CONTRACTS.items() if (found := members(kind))}
    assert _table() == there


def test_whatever_the_guide_calls_a_member_of_something_is_one() -> None:
    named = re.findall(r"`(\w+)\.(\w+)", GUIDE.read_text())
    odd = [f"{name}.{member}" for name, member in named if name in CONTRACTS and not _has(name, member)]
    assert odd == []


def _has(name: str, member: str) -> bool:
    return member in members(CONTRACTS[name]) or hasattr(CONTRACTS[name], member)

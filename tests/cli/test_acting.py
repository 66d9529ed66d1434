"""Acting on orders from the command line: every action through one command, once for each key, by right."""

import json
from collections.abc import Callable, Mapping
from typing import Any

import pytest

from tests.cli.conftest import ON_SQLITE, PARCEL, UPDATE, Command, MakeOrder, one_sentence
from tests.refunds import shipped_order
from webapp.audit.actor import Actor
from webapp.errors import Refusal
from webapp.hooks import hookimpl, hooks
from webapp.hooks.failures import Failure
from webapp.orders.contract import OrderAction, PartAction
from webapp.orders.inputs import Offered
from webapp.orders.models import Order
from webapp.orders.services import actions
from webapp.testing import FakeChannel

PACKAGE = {"number", "carrier", "carrier_name", "service", "tracking_number", "shipped_at", "lines"}


def test_shipping_tells_what_the_channel_is_owed(
    cli: Command, make_order: MakeOrder, channel: FakeChannel, work: Callable[[], int]
) -> None:
    order = make_order(quantity=2)
    done = cli("orders", "act", order.number, "ship", "--data", PARCEL, "--json").document
    assert done.keys() == {"order", "made", "updates", "message"}
    assert (done["made"], done["message"]) == ([], "Ship: done.")
    [update] = done["updates"]
    assert (done["order"], update["kind"], update["state"]) == (order.number, "shipment", "owed")

    shown = cli("orders", "show", order.number, "--json").document
    [package] = shown["shipments"][0]["packages"]
    assert shown["state"] == "complete"
    assert package.keys() == PACKAGE
    assert package["lines"] == {str(shown["lines"][0]["id"]): 2}
    assert shown["shipments"][0]["origin"] == "desk"
    assert shown["updates"][0].keys() == UPDATE
    assert shown["actions"][0]["why"] == "Nothing is left to ship."

    work()
    assert cli("updates", "wait", update["id"], "--until", "sent", "--seconds", 0).code == 0
    assert len(channel.told("shipment")) == 1


@ON_SQLITE
def test_canceling_and_taking_it_back(cli: Command, make_order: MakeOrder) -> None:
    order = make_order(quantity=2)
    line = cli("orders", "show", order.number, "--json").document["lines"][0]["id"]
    act = ("orders", "act", order.number, "cancel", "--data")
    refused = one_sentence(cli(*act, '{"reason": "Whim"}'))
    assert refused.startswith("reason: Choose a reason that Fake channel accepts: NoInventory,")
    done = cli(*act, json.dumps({"reason": "NoInventory", "lines": {str(line): 1}}), "--json").document
    [update] = done["updates"]
    assert (update["kind"], update["state"]) == ("cancel", "held")
    assert cli("orders", "show", order.number, "--json").document["state"] == "canceling"
    assert [row["number"] for row in cli("orders", "list", "--state", "canceling", "--json").document] == [order.number]
    assert cli("orders", "act", order.number, "undo_cancel").code == 0
    assert cli("orders", "show", order.number, "--json").document["state"] == "processing"


@ON_SQLITE
def test_the_same_key_answers_with_the_first_result(cli: Command, make_order: MakeOrder) -> None:
    order = make_order()
    ship = ("orders", "act", order.number, "ship", "--data", PARCEL, "--key", "k1", "--json")
    first, second = cli(*ship), cli(*ship)
    assert first.document == second.document
    other = cli("orders", "act", order.number, "comment", "--data", '{"text": "a"}', "--key", "k1")
    assert (other.code, one_sentence(other)) == (1, "This key was already used for another action. Send a new key.")


@ON_SQLITE
def test_comments_are_told_and_named(cli: Command, make_order: MakeOrder, mia: Actor) -> None:
    order = make_order()
    said = cli("orders", "act", order.number, "comment", "--data", '{"text": "Fragile"}', "--as", "mia@desk.test")
    assert said.code == 0
    [hidden] = cli("orders", "show", order.number, "--json").document["comments"]
    assert hidden["text"] is None
    assert "shown with --reveal" in cli("orders", "show", order.number).out
    [comment] = cli("orders", "show", order.number, "--reveal", "--json").document["comments"]
    assert comment["text"] == "Fragile"
    assert comment["by"] == {"kind": "person", "id": mia.id, "name": "Mia"}


@ON_SQLITE
def test_every_act_goes_through_the_same_command(cli: Command, make_order: MakeOrder, mia: Actor) -> None:
    order = make_order()
    acts = (
        ("hold", {"reason": "Ask Mrs. Quixelworth", "until": "2031-01-01"}),
        ("release", {}),
        ("assign", {"assignee": "mia@desk.test"}),
        ("tag", {"new": "gift"}),
        ("due", {"due": "2031-01-01T10:00:00Z"}),
        ("address", {"name": "J", "line1": "1 Way", "city": "Berlin", "postal_code": "10115", "country": "DE"}),
    )
    for action, data in acts:
        done = cli("orders", "act", order.number, action, "--data", json.dumps(data))
        assert (done.code, done.err) == (0, ""), action
    shown = cli("orders", "show", order.number, "--json").document
    assert (shown["assignee"], shown["tags"], shown["due_at"]) == ("Mia", ["gift"], "2031-01-01T10:00:00Z")
    assert [entry["text"] for entry in shown["timeline"]][1:4] == [
        "Due date set: 2031-01-01T10:00:00Z",
        "Tags added: gift",
        "Assigned to Mia",
    ]
    assert shown["holds"][0]["reason"] is shown["addresses"] is None
    revealed = cli("orders", "show", order.number, "--json", "--reveal").document
    assert revealed["holds"][0]["reason"] == "Ask Mrs. Quixelworth"
    assert (revealed["addresses"]["delivery"]["line1"], revealed["addresses"]["channel"]["line1"]) == (
        "1 Way",
        "7 Zanzibar Mews",
    )
    assert revealed["addresses"]["hints"] == []
    text = cli("orders", "show", order.number).out
    assert "Quixelworth" not in text
    refused = cli("orders", "act", order.number, "archive")
    assert (refused.code, one_sentence(refused).startswith("This order is still open.")) == (1, True)


@ON_SQLITE
def test_an_address_is_taken_if_it_can_be_delivered_to(cli: Command, make_order: MakeOrder) -> None:
    order = make_order()
    abroad = {"name": "J", "line1": "1 Way", "city": "Berlin", "postal_code": "62701-1234", "country": "DE"}
    assert cli("orders", "act", order.number, "address", "--data", json.dumps(abroad)).code == 0
    shown = cli("orders", "show", order.number, "--json", "--reveal").document
    assert shown["addresses"]["hints"] == ["“62701-1234” is not a postal code of Germany. Example: 26133."]
    nowhere = {"name": "J", "line1": "1 Way", "country": "DE"}
    refused = cli("orders", "act", order.number, "address", "--data", json.dumps(nowhere))
    assert (refused.code, one_sentence(refused)) == (
        1,
        "city: Enter a value. postal_code: Enter a value. Addresses in Germany need one.",
    )


@ON_SQLITE
@pytest.mark.parametrize(
    ("data", "code", "sentence"),
    [
        ("{", 2, "--data must be a JSON object"),
        ("[]", 2, "--data must be a JSON object"),
        ('{"x": 1}', 1, "x: This field does not exist"),
        ('{"carrier": "DHL", "tracking_number": ""}', 1, "Enter a tracking number"),
        ('{"carrier": "Pigeon", "tracking_number": "1"}', 1, "does not accept the carrier “Pigeon”"),
        ('{"packages": []}', 1, "Choose at least one"),
        ('{"carrier": "DHL", "tracking_number": "1", "lines": {"999": 1}}', 1, "Line 999 is not on this order"),
        ('{"carrier": "DHL", "tracking_number": "1", "ship_date": "soon"}', 1, "Enter a date and time"),
    ],
)
def test_bad_input_ships_nothing(cli: Command, make_order: MakeOrder, data: str, code: int, sentence: str) -> None:
    order = make_order()
    ended = cli("orders", "act", order.number, "ship", "--data", data, "--json")
    assert ended.code == code
    assert sentence in one_sentence(ended)
    assert cli("orders", "show", order.number, "--json").document["shipments"] == []


@ON_SQLITE
def test_an_unknown_choice_names_the_choices_by_the_field_that_was_typed(
    cli: Command, take: Callable[..., list[Order]]
) -> None:
    [order] = take(shipped_order())
    for given, field in (('{"reason": "odd"}', "reason"), ('{"items": [{"reason": "odd"}]}', "items 1 › reason")):
        refused = one_sentence(cli("orders", "act", order.number, "return", "--data", given))
        assert refused.startswith(f"{field}: Choose one of these values: no_longer_wanted, ordered_by_mistake, ")
    cli("orders", "act", order.number, "return", "--data", '{"reason": "other"}')
    given = '{"return_id": 1, "condition": "odd"}'
    refused = one_sentence(cli("orders", "act", order.number, "accept_return", "--data", given))
    assert refused == "condition: Choose one of these values: unknown, unopened, opened, damaged."


@ON_SQLITE
def test_too_many_units_are_refused(cli: Command, make_order: MakeOrder) -> None:
    order = make_order(quantity=2)
    line = cli("orders", "show", order.number, "--json").document["lines"][0]["id"]
    data = json.dumps({"carrier": "DHL", "tracking_number": "1", "lines": {line: 3}})
    ended = cli("orders", "act", order.number, "ship", "--data", data)
    assert (ended.code, one_sentence(ended)) == (1, "The quantity is too high. Units of MUG left to ship: 2.")


def test_all_that_is_wrong_with_an_input_is_said_at_once(cli: Command, make_order: MakeOrder) -> None:
    given = '{"packages": [{"carrier": 7}, {"lines": {"x": 1, "41": "y"}, "odd": 1}], "ship_anyway": "perhaps"}'
    refused = cli("orders", "act", make_order().number, "ship", "--data", given)
    assert refused.code == 1
    for said in (
        "packages 1 › carrier: This value must be text.",
        "packages 2 › odd: This field does not exist. Remove it.",
        "packages 2 › lines: “x”: Enter a whole number.",
        "packages 2 › lines › 41: Enter a whole number.",
        "ship_anyway: Enter yes or no.",
    ):
        assert said in refused.err


@ON_SQLITE
def test_rights_hold_for_who_acts(cli: Command, make_order: MakeOrder, make_user: Callable[..., Actor]) -> None:
    order = make_order()
    make_user("read_only", "Rae")
    ship = cli("orders", "act", order.number, "ship", "--data", PARCEL, "--as", "rae@desk.test")
    assert (ship.code, one_sentence(ship)) == (1, "You don't have the right to do this (ship orders).")
    assert cli("orders", "list", "--reveal", "--as", "rae@desk.test").code == 1
    assert cli("orders", "show", order.number, "--as", "rae@desk.test", "--json").document["actions"] == []


def test_actions_say_what_they_take(cli: Command, make_order: MakeOrder) -> None:
    order = make_order(quantity=2)
    told = {one["code"]: one for one in cli("orders", "actions", order.number, "--json").document}
    assert told["ship"]["why_not"] is None
    assert told["release"]["why_not"] == "This order is not on hold."
    parcel = told["ship"]["input"]["$defs"]["PackageFields"]["properties"]
    assert (parcel["carrier"]["title"], parcel["tracking_number"]["title"]) == ("Carrier", "Tracking number")
    assert "DHL" in [choice["value"] for choice in parcel["carrier"]["choices"]]
    assert told["hold"]["input"]["required"] == ["reason"]
    many = {one["code"]: one for one in cli("orders", "actions", "--json").document}
    assert "why_not" not in many["ship"]
    assert "choices" not in many["ship"]["input"]["$defs"]["PackageFields"]["properties"]["carrier"]
    assert "Hold" in cli("orders", "actions").out


@ON_SQLITE
def test_what_an_order_does_not_have_nothing_can_be_done_to(cli: Command, take: Callable[..., list[Order]]) -> None:
    [order] = take(shipped_order())

    def why_not() -> dict[str, str | None]:
        return {one["code"]: one["why_not"] for one in cli("orders", "actions", order.number, "--json").document}

    about_parts = {code: type(action) for code, action in actions().items() if isinstance(action, PartAction)}
    refused = {code: why for code, why in why_not().items() if why}
    assert about_parts.keys() <= refused.keys()
    assert {refused[code] for code in about_parts if code.endswith("_return")} == {"This order has no return."}
    assert refused["approve_refund"] == refused["decline_refund"] == "This order has no refund that waits for approval."
    assert refused["correct_invoice"] == "This order has no invoice."
    assert all(why in cli("orders", "actions", order.number).out for why in refused.values())
    cli("orders", "act", order.number, "return", "--data", '{"reason": "other"}')
    cli("orders", "act", order.number, "invoice")
    now = why_not()
    assert now["authorize_return"] is now["close_return"] is now["correct_invoice"] is None
    assert now["receive_return"] == "This return has no units on their way back."


class Formless(OrderAction):
    code, label, right = "formless", "Formless", "orders.ship"

    def refusal(self, order: Order, actor: Actor) -> Refusal | None:
        return None

    def perform(self, order: Order, data: Any, actor: Actor) -> None:
        raise AssertionError("nobody does it")

    def offered(self, order: Order | None, actor: Actor) -> Mapping[str, Offered]:
        raise KeyError("Quixelworth")


class FormlessPlugin:
    @hookimpl
    def register_order_actions(self) -> list[OrderAction]:
        return [Formless()]


def test_actions_go_on_past_one_whose_form_fails(cli: Command, app: object, plugin_failures: list[Failure]) -> None:
    hooks.manager.register(FormlessPlugin(), name="odd")
    ended = cli("orders", "actions", "--json")
    told = {one["code"]: one for one in ended.document}
    assert (ended.code, "“Formless” of the plugin “odd” failed" in ended.err) == (1, True)
    assert (told["formless"]["input"], told["hold"]["input"]["required"]) == (None, ["reason"])
    plugin_failures.clear()

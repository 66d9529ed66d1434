"""Review requests from the command line: acts as any other."""

from collections.abc import Callable
from datetime import timedelta

from tests.cli.conftest import Command
from webapp.channels.incoming import ChannelStage
from webapp.clock import now
from webapp.orders.models import Order


def test_a_review_is_requested_and_stopped(cli: Command, make_order: Callable[..., Order]) -> None:
    at = now() - timedelta(days=10)
    values = {"stage": ChannelStage.SHIPPED, "status": "SHIPPED", "created_at": at - timedelta(days=6)}
    order = make_order(**values, deliver_by=at)
    done = cli("orders", "act", order.number, "request_review", "--json").document
    assert [(one["kind"], one["state"]) for one in done["updates"]] == [("review_request", "held")]
    again = cli("orders", "act", order.number, "request_review")
    assert (again.code, "was already requested" in again.err) == (1, True)
    [found] = cli("orders", "list", "--query", "review:requested", "--json").document
    assert found["number"] == order.number
    assert cli("orders", "act", order.number, "stop_review").code == 0
    assert cli("orders", "act", order.number, "stop_review").code == 1


def test_a_review_is_not_requested_too_early(cli: Command, make_order: Callable[..., Order]) -> None:
    refused = cli("orders", "act", make_order().number, "request_review")
    assert (refused.code, "once the whole order has been shipped" in refused.err) == (1, True)

"""`runs index` puts all orders into the search index again."""

from collections.abc import Callable
from typing import Any

from webapp.db import db
from webapp.jobs import runs
from webapp.orders.models import Order
from webapp.testing import incoming_order


def test_an_operator_has_everything_indexed_again(
    cli: Callable[..., Any], take: Callable[..., list[Order]], work: Callable[[], int]
) -> None:
    take(incoming_order(), incoming_order())
    begun = cli("runs", "index", "--json").document
    assert (begun["kind"], begun["state"]) == ("index", "queued")
    assert cli("runs", "index", "--json").document["id"] == begun["id"]  # one is enough
    work()
    db.session.rollback()
    run = runs.find_run(begun["id"])
    assert (run.state, run.done, run.total) == ("done", 2, 2)

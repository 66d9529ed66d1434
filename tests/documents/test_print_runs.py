"""Slips of many orders as one PDF: a run makes it even if a worker dies, only the person who started it can open it,
and it is deleted with a buyer or by its date.
"""

import io
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
import time_machine
from flask import Flask
from pypdf import PdfReader
from sqlalchemy import delete, update

from tests.documents.examples import document
from webapp.accounts.models import User
from webapp.audit.actor import Actor
from webapp.clock import now
from webapp.config import configuration
from webapp.db import db, unit_of_work
from webapp.documents import packing, pdf, print_runs, store
from webapp.documents.composed import Text
from webapp.documents.print_runs import SlipsOutdated, TooManyToPrint, open_file, print_chunk, start_print
from webapp.errors import NotFound, sentence_of
from webapp.jobs import runs
from webapp.jobs.models import Run, RunResult
from webapp.orders.bulk import NothingChosen
from webapp.orders.models import Order
from webapp.testing import JANE, incoming_line, incoming_order
from webapp.vault import files, services as vault
from webapp.vault.jobs import forget_files
from webapp.vault.models import VaultFile

Work = Callable[[], int]


@pytest.fixture
def orders(take: Callable[..., list[Order]]) -> list[Order]:
    buyers = [JANE | {"address": JANE["address"] | {"name": f"Buyer Number{place}"}} for place in range(7)]
    return take(*(incoming_order([incoming_line("MUG", 2)], buyer=buyer) for buyer in buyers))


@pytest.fixture(autouse=True)
def _small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(print_runs, "CHUNK", 3)


def begin(actor: Actor, orders: list[Order], paper: str = "") -> int:
    with unit_of_work():
        return start_print(actor=actor, ids=[order.id for order in orders], paper=paper).id


def found(run_id: int) -> Run:
    db.session.rollback()
    return runs.find_run(run_id)


def pages(run_id: int, actor: Actor) -> list[str]:
    content = b"".join(open_file(found(run_id), actor).chunks())
    return [page.extract_text() for page in PdfReader(io.BytesIO(content)).pages]


def results(run_id: int) -> list[tuple[str, str | None]]:
    rows = db.session.scalars(db.select(RunResult).where(RunResult.run_id == run_id).order_by(RunResult.position))
    return [(row.state, sentence_of(row.problem)) for row in rows]


def lying() -> int:
    return len(list(files.folder().iterdir()))


def test_a_run_makes_one_pdf_of_all_slips_in_the_order_in_which_they_were_chosen(
    orders: list[Order], mia: Actor, work: Work
) -> None:
    run_id = begin(mia, orders[::-1], "letter")
    work()
    run = found(run_id)
    assert (run.state, run.done, run.failed) == ("done", 7, 0)
    sheets = pages(run_id, mia)
    assert [f"Buyer Number{place}" in sheets[6 - place] for place in range(7)] == [True] * 7
    assert results(run_id) == [("done", None)] * 7
    assert lying() == 1  # the parts are gone


def test_what_must_not_leave_has_its_reason_in_the_results(orders: list[Order], mia: Actor, work: Work) -> None:
    with unit_of_work():
        db.session.execute(update(Order).where(Order.id == orders[1].id).values(canceling=True))
    run_id = begin(mia, orders)
    work()
    assert (found(run_id).state, found(run_id).failed) == ("done", 1)
    assert len(pages(run_id, mia)) == 6
    assert results(run_id)[1] == ("refused", "This order is being canceled.")


def test_whether_an_order_may_leave_is_asked_again_as_all_is_drawn_and_as_it_is_fetched(
    orders: list[Order], mia: Actor, work: Work, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_id = begin(mia, orders)
    keep_part = store.keep_part

    def cancel(*args: Any) -> VaultFile:
        db.session.execute(update(Order).where(Order.id == orders[0].id).values(canceling=True))
        return keep_part(*args)

    monkeypatch.setattr(store, "keep_part", cancel)
    work()
    assert len(pages(run_id, mia)) == 6
    assert (found(run_id).failed, results(run_id)[0][0]) == (1, "refused")
    with unit_of_work():
        db.session.execute(update(Order).where(Order.id == orders[5].id).values(on_hold=True))
    with pytest.raises(SlipsOutdated, match="on hold"):
        open_file(found(run_id), mia)


def test_nothing_that_may_leave_makes_no_file(orders: list[Order], mia: Actor, work: Work) -> None:
    with unit_of_work():
        db.session.execute(update(Order).values(canceling=True))
    run_id = begin(mia, orders)
    work()
    assert (found(run_id).state, sentence_of(found(run_id).problem)) == ("failed", str(print_runs.NothingToPrint()))
    assert {state for state, _why in results(run_id)} == {"refused"}
    assert lying() == 0


def test_too_many_or_none_begin_nothing(orders: list[Order], mia: Actor, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(print_runs, "MOST", 2)
    for chosen, refusal in (([], NothingChosen), (orders, TooManyToPrint)):
        with pytest.raises(refusal):
            begin(mia, chosen)
    assert len(packing.chosen_ids(mia, ids=[order.id for order in orders], most=2)) == 3


def test_a_letter_in_the_name_of_a_buyer_is_told_of_and_not_kept(
    take: Callable[..., list[Order]], mia: Actor, work: Work
) -> None:
    [order] = take(incoming_order([incoming_line()], buyer=JANE | {"address": JANE["address"] | {"name": "שלום"}}))
    run_id = begin(mia, [order])
    work()
    [(state, sentence)] = results(run_id)
    assert (state, "shows their numbers instead" in str(sentence)) == ("done", True)
    assert "05E9" not in str([row.problem for row in db.session.scalars(db.select(RunResult))])


def test_half_a_character_stops_no_file(app: Flask) -> None:
    """The import accepts none; the name of a shop may have one."""
    odd = store.OfOrder(7, document(notes=(Text("Half \ud83d here"),)))
    with files.writing() as writer:
        store.write_part(writer, [odd])
    with unit_of_work():
        run = runs.begin(print_runs.KIND, actor=Actor.operator())
        row = store.keep_part(writer, run, 0, [])
        [read] = store.read_part(row)
    assert read == replace(odd, document=document(notes=(Text("Half ? here"),)))


# --- Who may have it, and until when ----------------------------------------------------------------------------------


def test_a_file_is_for_whoever_asked_while_they_see_what_it_shows(
    orders: list[Order], mia: Actor, make_user: Callable[..., Actor], work: Work
) -> None:
    run_id = begin(mia, orders)
    work()
    assert store.can_fetch(found(run_id), mia)
    for other in (
        make_user("clerk", "Cleo"),
        Actor(mia.kind, id=mia.id, rights=mia.rights - {"buyers.see"}),
        Actor(mia.kind, id=mia.id, rights=mia.rights - {"orders.view"}),
        Actor(mia.kind, id=mia.id, rights=mia.rights, shops=frozenset()),
    ):
        assert not store.can_fetch(found(run_id), other)
        with pytest.raises(NotFound):
            open_file(found(run_id), other)


def test_a_file_shows_buyers_if_its_author_might_see_them_when_it_was_made(
    orders: list[Order], make_user: Callable[..., Actor], work: Work
) -> None:
    rae = make_user("read_only", "Rae")
    run_id = begin(rae, orders)
    with unit_of_work():
        db.session.execute(update(User).where(User.id == rae.id).values(role="clerk"))
    work()
    clerk = db.session.get_one(User, rae.id).as_actor()
    assert "Buyer Number0" in "".join(pages(run_id, clerk))
    assert not store.can_fetch(found(run_id), rae)


def test_whoever_was_let_go_meanwhile_prints_nothing(orders: list[Order], mia: Actor, work: Work) -> None:
    run_id = begin(mia, orders)
    with unit_of_work():
        db.session.execute(update(User).where(User.id == mia.id).values(disabled_at=now()))
    work()
    assert found(run_id).state == "failed"
    assert lying() == 0


def test_a_file_goes_with_a_buyer_whom_it_tells_of(orders: list[Order], mia: Actor, work: Work) -> None:
    run_id = begin(mia, orders)
    work()
    with unit_of_work():
        vault.erase([orders[3].id])
    assert not store.can_fetch(found(run_id), mia)
    assert lying() == 0


def test_a_file_goes_by_its_date(orders: list[Order], mia: Actor, work: Work) -> None:
    run_id = begin(mia, orders)
    work()
    with time_machine.travel(now() + timedelta(days=1, minutes=1)):
        assert not store.can_fetch(found(run_id), mia)
        db.session.rollback()
        forget_files()
        assert lying() == 0


def test_a_buyer_who_is_erased_as_slips_are_made_is_in_no_file(
    orders: list[Order], mia: Actor, work: Work, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Once while the finished parts are drawn, and once while a part is composed."""
    for place, (module, name) in enumerate(((pdf, "draw"), (packing, "slips_for"))):
        run_id = begin(mia, orders)
        original, erased = getattr(module, name), orders[place].id

        def erase(*args: Any, _original: Any = original, _erased: int = erased, **more: Any) -> Any:
            made = _original(*args, **more)
            db.session.rollback()
            with unit_of_work():
                if _erased not in vault.erased([_erased]):
                    vault.erase([_erased])
            return made

        with monkeypatch.context() as patched:
            patched.setattr(module, name, erase)
            work()
        sheets = pages(run_id, mia)
        assert len(sheets) == 7
        assert not any(f"Buyer Number{place}" in sheet for sheet in sheets)
        assert "does not provide the address" in " ".join(sheets[place].split())


# --- Two at once, killed, stopped -------------------------------------------------------------------------------------


def test_a_worker_that_dies_costs_one_chunk_and_leaves_nothing_that_opens(
    orders: list[Order], mia: Actor, work: Work, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_id = begin(mia, orders)
    composed: list[int] = []
    slips_for = packing.slips_for

    def note(actor: Actor, *, ids: list[int]) -> packing.Slips:
        composed.extend(ids)
        return slips_for(actor, ids=ids)

    monkeypatch.setattr(packing, "slips_for", note)
    for chunk, place in enumerate(("keep_part", "keep_part", "keep_part", "keep_whole")):
        with monkeypatch.context() as dying:
            dying.setattr(store, place, lambda *args: pytest.exit("killed"))
            dying.setattr(files.Writer, "discard", lambda writer: None)  # a killed worker deletes nothing
            with pytest.raises(pytest.exit.Exception):
                print_chunk(run_id, chunk)
        db.session.rollback()
        print_chunk(run_id, chunk)
    assert found(run_id).state == "done"
    assert len(pages(run_id, mia)) == 7
    assert composed == [
        order_id for start in (0, 3, 6) for order_id in [one.id for one in orders[start : start + 3]] * 2
    ]
    left = {path.name for path in files.folder().iterdir()} - set(db.session.scalars(db.select(VaultFile.name)))
    assert len(left) == 4  # no row has their keys; deleted within hours
    for name in left:
        (files.folder() / name).unlink()


def test_a_job_that_comes_twice_does_nothing_the_second_time(orders: list[Order], mia: Actor, work: Work) -> None:
    run_id = begin(mia, orders)
    print_chunk(run_id, 0)
    parts = set(store.parts_of(run_id))
    print_chunk(run_id, 0)
    db.session.rollback()
    assert set(store.parts_of(run_id)) == parts == {0}
    work()
    assert len(pages(run_id, mia)) == 7


def test_a_run_that_is_stopped_leaves_nothing(orders: list[Order], mia: Actor, work: Work) -> None:
    run_id = begin(mia, orders)
    print_chunk(run_id, 0)
    with unit_of_work():
        runs.stop(runs.find_run(run_id, lock=True))
    work()
    assert (found(run_id).state, found(run_id).done) == ("stopped", 3)
    assert not store.can_fetch(found(run_id), mia)
    assert lying() == 0


def test_a_part_that_is_gone_from_the_disk_is_composed_again(orders: list[Order], mia: Actor, work: Work) -> None:
    run_id = begin(mia, orders)
    for chunk in range(3):
        print_chunk(run_id, chunk)
    for path in files.folder().iterdir():
        path.unlink()
    work()
    assert (found(run_id).state, len(pages(run_id, mia))) == ("done", 7)


def test_a_bug_ends_a_run_and_leaves_nothing(
    orders: list[Order], mia: Actor, work: Work, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_id = begin(mia, orders)
    monkeypatch.setattr(runs, "TRIES", 1)
    monkeypatch.setattr(pdf, "draw", lambda *args: 1 / 0)
    for chunk in range(3):
        print_chunk(run_id, chunk)
    with pytest.raises(ZeroDivisionError):
        print_chunk(run_id, 3)
    assert found(run_id).state == "failed"
    assert not [path for path in files.folder().iterdir() if path.name not in _names()]


def _names() -> set[str]:
    return set(db.session.scalars(db.select(VaultFile.name)))


def test_two_clerks_print_at_once_each_a_file_of_their_own(
    orders: list[Order], mia: Actor, make_user: Callable[..., Actor], work: Work
) -> None:
    cleo = make_user("clerk", "Cleo")
    mine, hers = begin(mia, orders[:4]), begin(cleo, orders[2:])
    work()
    assert [len(pages(mine, mia)), len(pages(hers, cleo))] == [4, 5]
    assert not store.can_fetch(found(hers), mia)


def test_nothing_of_a_buyer_is_readable_on_the_disk(orders: list[Order], mia: Actor) -> None:
    run_id = begin(mia, orders)
    print_chunk(run_id, 0)
    content = b"".join(path.read_bytes() for path in (configuration().data_dir / "files").iterdir())
    assert content
    assert b"Buyer" not in content
    db.session.rollback()
    with unit_of_work():
        db.session.execute(delete(Run).where(Run.id == run_id))

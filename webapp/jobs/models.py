"""Runs: one row for each piece of long work, of any kind, with its progress; and missed facts, with the orders that
they concern.
"""

from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import ForeignKey, Index
from sqlalchemy.orm import Mapped, mapped_column

from webapp.db import Json, Model


class RunState(StrEnum):
    QUEUED = "queued"
    RUNNING = "running"
    PAUSED = "paused"
    DONE = "done"
    FAILED = "failed"
    STOPPED = "stopped"


OPEN_STATES = (RunState.QUEUED, RunState.RUNNING, RunState.PAUSED)


class Run(Model):
    """Long work: sync, bulk, export, backfill, print. It is done by jobs of one chunk each."""

    __tablename__ = "runs"
    __table_args__ = (Index("ix_runs_subject_started", "kind", "subject_id", "started_at"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    kind: Mapped[str]
    subject_id: Mapped[int | None]  # what it works on, by its kind: a store for `sync`
    actor_kind: Mapped[str]
    actor_id: Mapped[int | None]
    state: Mapped[str] = mapped_column(default=RunState.QUEUED)
    wish: Mapped[str | None]  # `pause` or `stop`, honoured between two chunks
    started_at: Mapped[datetime]
    ended_at: Mapped[datetime | None]
    quiet: Mapped[bool] = mapped_column(default=False)  # started by the clock, and nothing was found to do
    chunk: Mapped[int] = mapped_column(default=0)  # the next chunk's number: a job with a lower one does nothing
    look_again_at: Mapped[datetime | None]  # when the schedule assumes that the job is lost, or stops a paused run
    total: Mapped[int | None]
    done: Mapped[int] = mapped_column(default=0)
    failed: Mapped[int] = mapped_column(default=0)
    numbers: Mapped[dict[str, Any]] = mapped_column(default=dict)
    problem: Mapped[dict[str, Any] | None]  # a stored DeskError

    @property
    def is_open(self) -> bool:
        return self.state in OPEN_STATES


class RunResult(Model):
    """The result for one thing that a run worked on."""

    __tablename__ = "run_results"
    __table_args__ = (Index("ix_run_results_state", "run_id", "state", "position"),)

    run_id: Mapped[int] = mapped_column(ForeignKey("runs.id", ondelete="CASCADE"), primary_key=True)
    position: Mapped[int] = mapped_column(primary_key=True)
    subject_id: Mapped[int]
    state: Mapped[str]
    problem: Mapped[dict[str, Any] | None]


class MissedFact(Model):
    """A fact that a plugin's listener failed to handle: the listener is called again."""

    __tablename__ = "missed_facts"

    id: Mapped[int] = mapped_column(primary_key=True)
    plugin: Mapped[str]
    hook: Mapped[str]
    facts: Mapped[Any] = mapped_column(Json)  # the arguments of the hook: ids, codes and columns, nothing about buyers
    at: Mapped[datetime]
    next_at: Mapped[datetime] = mapped_column(index=True)
    tries: Mapped[int]


class MissedFactOrder(Model):
    """An order that a missed fact concerns: the order's page says so until the fact is handled or dropped."""

    __tablename__ = "missed_fact_orders"

    order_id: Mapped[int] = mapped_column(ForeignKey("orders.id", ondelete="CASCADE"), primary_key=True)
    missed_fact_id: Mapped[int] = mapped_column(
        ForeignKey("missed_facts.id", ondelete="CASCADE"), primary_key=True, index=True
    )

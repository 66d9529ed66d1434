"""A practice Amazon in this process with a clock that tests move, and a seller who calls it."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from flask import Flask

from plugins.amazon.practice import Practice
from plugins.amazon.practice.server import application
from tests.plugins.amazon.practice.feeder import Feeder
from tests.plugins.amazon.practice.seller import Clock, Seller


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def make_app(tmp_path: Path, clock: Clock) -> Iterator[Callable[..., Flask]]:
    opened: list[Practice] = []

    def make(directory: str = "amazon", **options: Any) -> Flask:
        settings = {"rates": 1000.0, "edge": 120.0} | options.pop("settings", {})
        practice = Practice(tmp_path / directory, now=clock, settings=settings, **options)
        opened.append(practice)
        return application(practice)

    yield make
    for practice in opened:
        practice.close()


@pytest.fixture
def app(make_app: Callable[..., Flask]) -> Flask:
    return make_app(orders=60)


@pytest.fixture
def seller(app: Flask) -> Seller:
    return Seller(app)


@pytest.fixture
def feeder(seller: Seller, clock: Clock) -> Feeder:
    return Feeder(seller, clock)

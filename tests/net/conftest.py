"""The desk's outside, kept as files, so that it only changes on purpose.

Each test compares texts with files in `kept/`, which both databases share. `WAYBILL_KEEP=1 pytest tests/net` writes the
files again; read the changes in the diff of the commit.
"""

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from flask import Flask

from plugins.amazon.channel import AmazonChannel
from tests.cli.conftest import cli  # noqa: F401 - a fixture
from tests.ui.conftest import browser, make_browser, olga  # noqa: F401 - fixtures
from webapp.hooks import hooks
from webapp.testing import FakeChannel, FakeChannelPlugin

KEEPS = os.environ.get("WAYBILL_KEEP") == "1"
KEPT = Path(__file__).parent / "kept"
Keep = Callable[[str, str], None]


class LikeAmazon(FakeChannel):
    """A channel that calls its product codes, and what it says of orders, as Amazon does."""

    product_code, flags = AmazonChannel.product_code, AmazonChannel.flags


@pytest.fixture
def channel(app: Flask) -> FakeChannel:
    """The channel of the seeded desk."""
    fake = LikeAmazon()
    hooks.manager.register(FakeChannelPlugin(fake))
    return fake


@pytest.fixture(scope="session")
def keep() -> Keep:
    """Compare a text with the file of this name in `kept/`."""

    def compare(name: str, text: str) -> None:
        file = KEPT / name
        if KEEPS:
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text)
        assert text.splitlines() == (file.read_text().splitlines() if file.exists() else []), f"kept/{name}"

    return compare

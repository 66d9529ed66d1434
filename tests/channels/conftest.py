"""Tests of channels look at the browser's and the command line's side of them, too."""

from tests.cli.conftest import cli
from tests.ui.conftest import browser, make_browser, olga

__all__ = ["browser", "cli", "make_browser", "olga"]

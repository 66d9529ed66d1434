"""Structured logs, with the ids of request and job, and never with buyer data or a secret.

By rule only codes and ids are logged; in addition, keys that could hold more are masked.
"""

import logging
import sys
from collections.abc import MutableMapping
from contextlib import suppress
from typing import Any, TextIO

import structlog

from webapp.config import Configuration
from webapp.whole_lines import WholeLines

_MASKED = {
    "password",
    "secret",
    "token",
    "refresh_token",
    "client_secret",
    "access_token",
    "buyer",
    "address",
    "email",
    "body",
}


def _mask(logger: Any, method: str, entry: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    for name in _MASKED & entry.keys():
        entry[name] = "•••"
    return entry


class _Lasting:
    """A stream for logs that never raises: entries that can't be written are counted, and reported once writing
    works again.

    The first failure is reported once, on the process's own standard error if that is another stream.
    """

    def __init__(self, stream: TextIO) -> None:
        self._stream = WholeLines(stream)
        self._is_own = stream is sys.__stderr__
        self._lost = 0

    def write(self, text: str) -> int:
        lost = self._lost
        try:
            if lost:
                self._stream.write(f"log_was_not_written lines={lost}\n")
            self._stream.write(text)
            self._stream.flush()
        except (OSError, ValueError) as error:  # the second error of a stream that was closed
            self._lose(text, error)
        else:
            self._lost -= lost
        return len(text)

    def flush(self) -> None:
        """Do nothing: each write is flushed."""

    def _lose(self, text: str, error: Exception) -> None:
        first, self._lost = self._lost == 0, self._lost + text.count("\n")
        if first and sys.__stderr__ is not None and not self._is_own:
            with suppress(OSError, ValueError):
                print(f"waybill: the log can't be written: {type(error).__name__}", file=sys.__stderr__, flush=True)


def configure(configuration: Configuration) -> None:
    """One line for each event, on standard error; the logs of libraries have this form, too."""
    lasting: Any = _Lasting(sys.stderr)
    shared: list[Any] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        _mask,
    ]
    json_lines = configuration.log_format == "json"
    renderer: Any = (
        structlog.processors.JSONRenderer()
        if json_lines  # otherwise its tracebacks would show the values of local variables, wherever Rich is installed
        else structlog.dev.ConsoleRenderer(colors=False, exception_formatter=structlog.dev.plain_traceback)
    )
    structlog.configure(
        processors=[*shared, structlog.processors.format_exc_info if json_lines else _same, renderer],
        wrapper_class=structlog.make_filtering_bound_logger(configuration.log_level),
        logger_factory=structlog.WriteLoggerFactory(file=lasting),  # a line is one write
        cache_logger_on_first_use=False,
    )
    formatter = structlog.stdlib.ProcessorFormatter(foreign_pre_chain=shared, processor=renderer)
    handler = logging.StreamHandler(lasting)
    handler.setFormatter(formatter)
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(logging.WARNING)
    logging.getLogger("httpx").setLevel(logging.WARNING)  # its INFO lines contain URLs
    logging.getLogger("factur-x").setLevel(logging.CRITICAL)  # its errors quote the document, and are raised as well


def _same(logger: Any, method: str, entry: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    return entry

"""Structured logs, with the ids of request and job, and never with buyer data or a secret.

Whatever is logged is codes and ids by rule; as a second line of defense, keys that could hold more are masked.
"""

import logging
import sys
from collections.abc import MutableMapping
from typing import Any, TextIO, cast

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


def configure(configuration: Configuration) -> None:
    """One line an event, on standard error; libraries' own logs come in the same form."""
    shared: list[Any] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        _mask,
    ]
    json_lines = configuration.log_format == "json"
    lines = WholeLines(sys.stderr)
    renderer: Any = (
        structlog.processors.JSONRenderer()
        if json_lines  # else its own tracebacks would show the values of local variables, wherever Rich is installed
        else structlog.dev.ConsoleRenderer(colors=False, exception_formatter=structlog.dev.plain_traceback)
    )
    structlog.configure(
        processors=[*shared, structlog.processors.format_exc_info if json_lines else _same, renderer],
        wrapper_class=structlog.make_filtering_bound_logger(configuration.log_level),
        logger_factory=structlog.WriteLoggerFactory(file=cast(TextIO, lines)),
        cache_logger_on_first_use=False,
    )
    formatter = structlog.stdlib.ProcessorFormatter(foreign_pre_chain=shared, processor=renderer)
    handler = logging.StreamHandler(lines)
    handler.setFormatter(formatter)
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(logging.WARNING)
    logging.getLogger("httpx").setLevel(logging.WARNING)  # its INFO lines hold URLs


def _same(logger: Any, method: str, entry: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    return entry

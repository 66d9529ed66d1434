"""htmx's headers: the one module that reads and writes them, so that another version of it changes nothing else."""

import json
from typing import Any

from flask import Flask, Response
from htmx_flask import Htmx, request

from webapp.ui.frame.header_values import put

MESSAGES = "#messages"


def init_app(app: Flask) -> None:
    Htmx(app)
    app.after_request(_vary)


def is_htmx() -> bool:
    """Whether htmx asks for parts of a page; not where it restores a whole one from its history."""
    return bool(request.htmx) and not request.htmx.history_restore_request


def current_url() -> str:
    """The address of the page that htmx asks from."""
    return str(request.htmx.current_url or "") if request.htmx else ""


def target() -> str:
    """The id of the element that the answer goes into."""
    return str(request.htmx.target or "") if is_htmx() else ""


def announce(response: Response, event: str, detail: Any = None) -> Response:
    """Send an event to the page, on which panels reload that the core does not know."""
    put(response, "HX-Trigger", json.dumps({event: detail}))
    return response


def retarget(response: Response, target: str, swap: str = "outerHTML") -> Response:
    """Put the answer elsewhere than the asking element said."""
    put(response, "HX-Retarget", target)
    put(response, "HX-Reswap", swap)
    return response


def into_messages(response: Response) -> Response:
    """Add the answer to the live region and leave the page, with whatever was typed, as it is."""
    return retarget(response, MESSAGES, "beforeend")


def _vary(response: Response) -> Response:
    response.vary.add("HX-Request")
    return response

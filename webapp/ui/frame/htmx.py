"""htmx's headers: only this module reads and writes them, so that another version of htmx changes nothing else."""

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
    """Whether htmx requests parts of a page; False if it restores a whole page from its history."""
    return bool(request.htmx) and not request.htmx.history_restore_request


def current_url() -> str:
    """The address of the page that sent the htmx request."""
    return str(request.htmx.current_url or "") if request.htmx else ""


def target() -> str:
    """The id of the element that the answer replaces."""
    return str(request.htmx.target or "") if is_htmx() else ""


def announce(response: Response, event: str, detail: Any = None) -> Response:
    """Send an event to the page; panels that the core does not know reload on it."""
    put(response, "HX-Trigger", json.dumps({event: detail}))
    return response


def retarget(response: Response, target: str, swap: str = "outerHTML") -> Response:
    """Put the answer into another element than the requesting one named."""
    put(response, "HX-Retarget", target)
    put(response, "HX-Reswap", swap)
    return response


def into_messages(response: Response) -> Response:
    """Add the answer to the live region and leave the page, with whatever was typed, as it is."""
    return retarget(response, MESSAGES, "beforeend")


def _vary(response: Response) -> Response:
    response.vary.add("HX-Request")
    return response

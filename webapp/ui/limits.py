"""How often signing in may be tried: counted in the desk's Redis for all processes, in memory while that is gone.

Only failures count. One count is by where they come from, one by the address that is tried, wherever from.
"""

import hashlib
from typing import Any

from flask import Flask, Response, request
from flask_limiter import Limiter
from flask_limiter.util import get_remote_address

from webapp.config import configuration
from webapp.live import key

limiter = Limiter(get_remote_address, key_prefix=key("limits"))


def init_app(app: Flask) -> None:
    queue = configuration().queue
    app.config["RATELIMIT_STORAGE_URI"] = f"redis+{queue}" if queue.startswith("unix://") else queue
    app.config["RATELIMIT_STORAGE_OPTIONS"] = {"socket_connect_timeout": 2} if "redis" in queue else {}
    app.config["RATELIMIT_IN_MEMORY_FALLBACK_ENABLED"] = True
    limiter.init_app(app)


def tries(view: Any) -> Any:
    """Limit the failed tries of a sign-in form."""
    by_source = limiter.limit("10 per minute; 60 per hour", methods=["POST"], deduct_when=_failed)
    by_address = limiter.limit("10 per 15 minutes", key_func=_address, methods=["POST"], deduct_when=_failed)
    return by_source(by_address(view))


def _failed(response: Response) -> bool:
    return response.status_code in (410, 422)


def _address() -> str:
    address = request.form.get("email", "").strip().lower()
    return hashlib.sha256(address.encode()).hexdigest()[:24] if address else get_remote_address()

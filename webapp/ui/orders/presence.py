"""Who else has an order open: each open page posts a beat, which is only kept in Redis and only for a moment.

No row is written for it and nothing depends on it. While Redis can't be reached nobody is shown; concurrent acts are
resolved by the order's version.
"""

import time
import zlib
from typing import cast

from flask import Blueprint, request
from redis import RedisError
from werkzeug.wrappers import Response

from webapp.live import connection, key
from webapp.orders.queries import find_order
from webapp.ui.frame.access import current_actor, needs
from webapp.ui.frame.pages import page

bp = Blueprint("presence", __name__)
BEAT = 15  # seconds between two beats of an open page
GONE = 2.5 * BEAT  # after so many seconds without a beat a person has left
LEAVES = "leaves"


@bp.post("/orders/<number>/presence")
@needs("orders.view")
def beat(number: str) -> Response | str | tuple[str, int]:
    """Record that a person is here, or leaves, and show who else is; an empty answer if the page shows that already."""
    actor = current_actor()
    if actor.shops is not None:
        find_order(number, actor)
    if request.form.get(LEAVES):
        leave(number, actor.id or 0)
        return "", 204
    others = meet(number, actor.id or 0, actor.name)
    shown = _mark(others)
    if request.form.get("shown") == shown:
        return "", 204
    return page("orders/_presence.html", number=number, others=others, shown=shown)


def meet(number: str, person_id: int, name: str) -> list[str]:
    """Record a person as present, and return the names of the others."""
    at, own = time.time(), f"{person_id}:{name}"
    here = _key(number)
    try:
        with connection().pipeline() as pipe:
            pipe.zadd(here, {own: at})
            pipe.zremrangebyscore(here, 0, at - GONE)
            pipe.expire(here, int(2 * GONE))
            pipe.zrange(here, 0, 20)
            *_done, present = pipe.execute()
    except RedisError:
        return []
    people = [member.decode().partition(":") for member in present]
    return sorted({name for id_, _colon, name in people if id_ != str(person_id)})


def leave(number: str, person_id: int) -> None:
    """Record that a person has left."""
    try:
        present = cast(list[bytes], connection().zrange(_key(number), 0, -1))
        own = [member for member in present if member.partition(b":")[0] == str(person_id).encode()]
        if own:
            connection().zrem(_key(number), *own)
    except RedisError:
        return


def _key(number: str) -> str:
    return key("presence", number[:64])


def _mark(others: list[str]) -> str:
    """A short mark of the names shown, so that an unchanged answer is empty and no screen reader repeats it."""
    return f"{zlib.crc32(chr(10).join(others).encode()):08x}"

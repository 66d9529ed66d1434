"""Header values made from variable text: the only way by which they get into a response.

A line break in a value would begin another header, and the server refuses text that is not Latin-1: both would turn an
answer into an error. Redirect targets have a function of their own in `redirects`; constants are set directly.
"""

import re
from urllib.parse import quote

from werkzeug.wrappers import Response

LONGEST = 4_000  # characters of one value; servers and proxies refuse much more
_UNSENDABLE = re.compile(r"[^\x20-\x7e]+")
_UNSAFE_IN_NAMES = re.compile(r"[^\w .()+-]+")
_LONGEST_NAME = 120


def put(response: Response, name: str, value: str) -> None:
    """Set a header of the response, without characters that a header can't contain."""
    response.headers[name] = _UNSENDABLE.sub("", value)[:LONGEST]


def attach(response: Response, file_name: str) -> None:
    """Let a browser save the response as a file with this name, made safe for every system."""
    name = _UNSAFE_IN_NAMES.sub("-", file_name).strip(" .-")[-_LONGEST_NAME:] or "file"
    plain = name.encode("ascii", "replace").decode().replace("?", "-")
    value = f'attachment; filename="{plain}"'
    put(response, "Content-Disposition", value if plain == name else f"{value}; filename*=UTF-8''{quote(name)}")

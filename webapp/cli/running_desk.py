"""The files in which a desk that `up` runs describes itself to other commands: its addresses, processes and ports.

`up` writes them. A desk whose processes are started one by one has none.
"""

import json
import os
from pathlib import Path
from typing import Any

DESK_FILE, PORTS_FILE = "desk.json", "ports.json"


def running_desk(data_dir: Path) -> dict[str, Any]:
    """The description of the desk that `up` runs here; empty if none runs, also after one was killed."""
    written = read_json(data_dir / DESK_FILE)
    try:
        os.kill(written["pid"], 0)
    except (KeyError, OSError):
        return {}
    return written


def read_json(path: Path) -> dict[str, Any]:
    """The object in a JSON file; empty if there is no readable one."""
    try:
        read = json.loads(path.read_text())
    except (OSError, ValueError):
        return {}
    return read if isinstance(read, dict) else {}

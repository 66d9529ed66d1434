"""A worker that kills its work-horse, once, at a chosen step: run as a process by the crash tests (`tests.forks`).

    python -m tests.journeys.worker_that_dies '{"step": "webapp.sync.jobs.prepare", "when": "after", "mark": "/tmp/…"}'

The first call of the step dies by SIGKILL before or after it ran and leaves the mark; later calls work. Without a step
it is the usual crew, and nothing dies. Leases and the pauses between looks are shortened: a dead worker's leases end,
and the channel's answer is read, within seconds. A plugin of a test, named by the module that creates it, is loaded
too.
"""

import importlib
import json
import os
import signal
import sys
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

from plugins.amazon import solicitations
from plugins.amazon.channel import AmazonChannel
from webapp import create_app
from webapp.hooks import hooks
from webapp.jobs.crew import run_crew
from webapp.jobs.worker import run_worker
from webapp.sync import leases


def die_at(step: str, when: str, mark: Path, whom: str) -> None:
    """Replace the function of this dotted name (a class may be before a method) by one that kills its process once."""
    path, _, name = step.rpartition(".")
    try:
        owner: Any = importlib.import_module(path)
    except ModuleNotFoundError:
        module, _, kind = path.rpartition(".")
        owner = getattr(importlib.import_module(module), kind)
    whole = getattr(owner, name)

    def dying(*args: Any, **kwargs: Any) -> Any:
        first = not mark.exists()
        if first and when == "before":
            kill(mark, whom)
        result = whole(*args, **kwargs)
        if first and when == "after":
            kill(mark, whom)
        return result

    setattr(owner, name, dying)


def kill(mark: Path, whom: str) -> None:
    mark.touch()
    if whom == "worker":  # the whole worker, as by a power cut
        os.kill(os.getppid(), signal.SIGKILL)
    os.kill(os.getpid(), signal.SIGKILL)


def main() -> None:
    orders = json.loads(sys.argv[1])
    leases.LEASE = timedelta(seconds=orders.get("lease", 4))
    leases.IN_TIME = timedelta(seconds=2)
    solicitations.SHOWN_AFTER = timedelta(seconds=2)
    AmazonChannel.kinds = tuple(replace(kind, look_after=1.0, look_steps=(1.0,)) for kind in AmazonChannel.kinds)
    app = create_app()
    if orders.get("plugin"):
        hooks.manager.register(importlib.import_module(orders["plugin"]).plugin(), name="till")
    if orders.get("step"):
        die_at(orders["step"], orders["when"], Path(orders["mark"]), orders.get("whom", "horse"))
        run_worker(app)
    else:
        run_crew(app, 2)


if __name__ == "__main__":
    main()

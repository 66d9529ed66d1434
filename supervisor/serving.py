"""The web process as `up` starts it: it prepares the desk, unless it is a restart, and serves the pages.

    python -m supervisor.serving --port 8000 --prepare var/prepared.json

`python -m webapp web` serves, `supervisor.preparing` prepares; both load the whole desk.
"""

import gc
import sys
from pathlib import Path

import click


@click.command()
@click.option("--port", type=int, required=True)
@click.option("--prepare", "prepared", type=click.Path(path_type=Path), required=True)
def serve(port: int, prepared: Path) -> None:
    """Prepare the desk, unless the file for `up` exists already; then serve the pages."""
    from supervisor.preparing import prepare
    from webapp.cli.processes import serve_pages

    def prepare_once() -> None:
        if not prepared.exists():
            prepare(prepared)

    serve_pages(port, prepare_once)


if __name__ == "__main__":
    gc.set_threshold(50_000, 20, 20)  # as `python -m webapp` does: most of what loading creates is kept
    from webapp.cli.main import main

    sys.exit(main(command=serve))

"""`python -m webapp …`: the command line."""

import gc
import os
import sys
from importlib.util import find_spec
from pathlib import Path

OWN_PYTHON = Path(__file__).resolve().parents[1] / ".venv" / "bin" / "python"
NEEDED = ("click", "flask", "redis", "sqlalchemy")  # no Python has all of these by accident

if __name__ == "__main__":
    own = Path(sys.prefix) == OWN_PYTHON.parents[1]
    if not own and not all(map(find_spec, NEEDED)) and OWN_PYTHON.exists():  # after `make run` any Python will do
        os.execv(OWN_PYTHON, [str(OWN_PYTHON), "-m", "webapp", *sys.argv[1:]])  # noqa: S606  it is our own

    gc.set_threshold(50_000, 20, 20)  # loading creates little garbage: collecting it often takes a tenth of the start
    from webapp.cli.main import main

    sys.exit(main())

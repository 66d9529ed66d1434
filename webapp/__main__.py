"""`python -m webapp …`: the command line."""

import os
import sys
from importlib.util import find_spec
from pathlib import Path

OWN_PYTHON = Path(__file__).resolve().parents[1] / ".venv" / "bin" / "python"

if __name__ == "__main__":
    if find_spec("click") is None and OWN_PYTHON.exists():  # any Python will do for those who ran `make run`
        os.execv(OWN_PYTHON, [str(OWN_PYTHON), "-m", "webapp", *sys.argv[1:]])  # noqa: S606  it is our own

    from webapp.cli.main import main

    sys.exit(main())

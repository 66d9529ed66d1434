"""Writes the lock files that setting up installs from; for developers, after a change in pyproject.toml.

They carry every package with its hashes and no address, so that each machine takes the same wheels from its own index.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
LOCKS = {
    "requirements.lock": [],
    "requirements-test.lock": ["--group", "test", "--group", "browser", "--group", "lint"],
    "requirements-setup.lock": ["--only-group", "setup"],
}


def main() -> int:
    export = ["uv", "export", "--quiet", "--frozen", "--no-emit-project", "--no-default-groups"]
    plain = ["--format", "requirements-txt", "--no-annotate", "--no-header"]
    subprocess.run(["uv", "lock", *sys.argv[1:]], cwd=ROOT, check=True)
    for name, groups in LOCKS.items():
        written = subprocess.run([*export, *groups, *plain], cwd=ROOT, check=True, capture_output=True)
        (ROOT / name).write_bytes(written.stdout)
    return 0


if __name__ == "__main__":
    sys.exit(main())

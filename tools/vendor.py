"""Fetch the browser's third-party files into `webapp/ui/static/vendor/`, pinned, with licenses and checksums.

Run by hand when a version changes: `python tools/vendor.py` (needs npm; the desk itself never does). What is vendored
is committed, so that neither a merchant's machine nor a test run fetches anything. The icon sprite is drawn here too:
to use a new icon, add its Tabler name to ICONS and run this again.
"""

from __future__ import annotations

import argparse
import base64
import hashlib
import re
import subprocess
import tarfile
import tempfile
from pathlib import Path

STATIC = Path(__file__).resolve().parent.parent / "webapp" / "ui" / "static"
VENDOR = STATIC / "vendor"
SUMS = VENDOR / "SHA384SUMS"

# Exact versions: an unpinned htmx.org is 4.x, whose headers and inheritance differ.
PACKAGES: dict[str, dict[str, str]] = {
    "htmx.org@2.0.11": {"dist/htmx.min.js": "htmx.min.js", "LICENSE": "htmx.LICENSE.txt"},
    "idiomorph@0.8.0": {"dist/idiomorph-ext.min.js": "idiomorph-ext.min.js", "LICENSE": "idiomorph.LICENSE.txt"},
    "@fontsource-variable/inter@5.3.0": {
        "files/inter-latin-wght-normal.woff2": "inter-latin.woff2",
        "files/inter-latin-ext-wght-normal.woff2": "inter-latin-ext.woff2",
        "LICENSE": "inter.LICENSE.txt",
    },
    "@tabler/icons@3.51.0": {"LICENSE": "tabler-icons.LICENSE.txt"},
}
ICON_PACKAGE = "@tabler/icons@3.51.0"
ICONS = """
    adjustments alert-circle alert-triangle archive archive-off arrow-down arrow-left arrow-right arrow-up bolt
    bookmark briefcase building-store building-warehouse calendar chart-bar check checklist chevron-down
    chevron-left chevron-right circle-check clock columns command copy dots download external-link eye eye-off
    filter flag flask gift hand-stop history hourglass inbox info-circle key keyboard link list lock
    lock-open logout map-pin menu-2 message package pencil pin pinned-off player-pause player-play player-stop
    plug-connected plus printer receipt refresh replace rocket search star tag trash truck-delivery user user-circle
    users world x
"""


def sha384(content: bytes) -> str:
    """The digest of a file in the form that browsers and SHA384SUMS use."""
    return "sha384-" + base64.b64encode(hashlib.sha384(content).digest()).decode()


def unpack(package: str, into: Path) -> Path:
    """Fetch one exact package through the ordinary npm client and return its unpacked folder."""
    archive = subprocess.run(
        ["npm", "pack", "--silent", package],
        cwd=into,
        check=True,
        capture_output=True,
        text=True,
    ).stdout.strip()
    folder = into / Path(archive).stem
    with tarfile.open(into / archive) as packed:
        packed.extractall(folder, filter="data")
    return folder / "package"


def sprite(folder: Path) -> str:
    """Draw the icons as one SVG of symbols, each with the color and size of the place where it is used."""
    symbols = []
    for name in sorted(ICONS.split()):
        drawing = (folder / "icons" / "outline" / f"{name}.svg").read_text()
        paths = "".join(re.findall(r'<(?:path|circle|rect|line)\b(?! stroke="none")[^>]*/>', drawing))
        symbols.append(
            f'<symbol id="{name}" viewBox="0 0 24 24" fill="none" stroke="currentColor" stroke-width="1.75"'
            f' stroke-linecap="round" stroke-linejoin="round">{paths}</symbol>'
        )
    return '<svg xmlns="http://www.w3.org/2000/svg">\n' + "\n".join(symbols) + "\n</svg>\n"


def main() -> None:
    """Fetch everything, draw the sprite, and list the files."""
    argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter).parse_args()
    VENDOR.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as name:
        for package, files in PACKAGES.items():
            folder = unpack(package, Path(name))
            for source, target in files.items():
                (VENDOR / target).write_bytes((folder / source).read_bytes())
            if package == ICON_PACKAGE:
                (STATIC / "icons.svg").write_text(sprite(folder))
    vendored = [file for file in VENDOR.iterdir() if file != SUMS] + [STATIC / "icons.svg"]
    lines = sorted(f"{sha384(file.read_bytes())}  {file.relative_to(STATIC).as_posix()}" for file in vendored)
    SUMS.write_text("\n".join(lines) + "\n")
    print(f"{len(lines)} files listed in {SUMS.relative_to(STATIC.parent)}")


if __name__ == "__main__":
    main()

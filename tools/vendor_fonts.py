"""Fetch the fonts of documents into `webapp/documents/fonts/`, pinned, with licenses, checksums and what each font has.

Run by hand when a version changes: `python tools/bootstrap.py shell python -m tools.vendor_fonts` (needs npm, and on
Debian or Ubuntu `apt-get` and `dpkg-deb`). What is fetched is committed. `coverage.json` lists the letters of each
font, so that a page can ask which font has a letter without reading the font; it leaves out what the PDF can't set:
letters that run from right to left, or that are joined and put in other places by rules of their script.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import subprocess
import tempfile
import unicodedata
from pathlib import Path

from reportlab.pdfbase.ttfonts import TTFontFile

from tools.vendor import unpack

FONTS = Path(__file__).resolve().parent.parent / "webapp" / "documents" / "fonts"
SUMS, COVERAGE = FONTS / "SHA256SUMS", FONTS / "coverage.json"
LICENSE = "LICENSE_FONT"

PACKAGES: dict[str, dict[str, str]] = {
    "@expo-google-fonts/noto-sans@0.4.2": {
        "400Regular/NotoSans_400Regular.ttf": "NotoSans-Regular.ttf",
        "700Bold/NotoSans_700Bold.ttf": "NotoSans-Bold.ttf",
        LICENSE: "NotoSans.LICENSE.txt",
    },
    "@expo-google-fonts/nanum-gothic@0.4.0": {
        "400Regular/NanumGothic_400Regular.ttf": "NanumGothic-Regular.ttf",
        LICENSE: "NanumGothic.LICENSE.txt",
    },
    "@expo-google-fonts/noto-sans-arabic@0.4.3": {
        "400Regular/NotoSansArabic_400Regular.ttf": "NotoSansArabic-Regular.ttf",
        LICENSE: "NotoSansArabic.LICENSE.txt",
    },
    "@expo-google-fonts/noto-sans-hebrew@0.4.1": {
        "400Regular/NotoSansHebrew_400Regular.ttf": "NotoSansHebrew-Regular.ttf",
        LICENSE: "NotoSansHebrew.LICENSE.txt",
    },
    "@expo-google-fonts/noto-sans-symbols@0.4.1": {
        "400Regular/NotoSansSymbols_400Regular.ttf": "NotoSansSymbols-Regular.ttf",
        LICENSE: "NotoSansSymbols.LICENSE.txt",
    },
    "@expo-google-fonts/noto-sans-symbols-2@0.4.1": {
        "400Regular/NotoSansSymbols2_400Regular.ttf": "NotoSansSymbols2-Regular.ttf",
        LICENSE: "NotoSansSymbols2.LICENSE.txt",
    },
    "@expo-google-fonts/noto-sans-thai@0.4.2": {
        "400Regular/NotoSansThai_400Regular.ttf": "NotoSansThai-Regular.ttf",
        LICENSE: "NotoSansThai.LICENSE.txt",
    },
}
DEBIAN = "fonts-droid-fallback=1:6.0.1r16-1.1"
OF_DEBIAN = {
    "usr/share/fonts/truetype/droid/DroidSansFallbackFull.ttf": "DroidSansFallback.ttf",
    "usr/share/doc/fonts-droid-fallback/copyright": "DroidSansFallback.LICENSE.txt",
}
APACHE = Path("/usr/share/common-licenses/Apache-2.0")
# Blocks of scripts that are set by rules which the PDF does not know; those from right to left are known by themselves.
JOINED = ((0x0900, 0x109F), (0x1780, 0x17FF), (0x1CD0, 0x1CFF), (0xA8E0, 0xA8FF), (0xA9E0, 0xA9FF), (0xAA60, 0xAA7F))
RIGHT_TO_LEFT = {"R", "AL", "AN"}


def letters(font: Path) -> list[int]:
    """The letters that the font draws."""
    return sorted(code for code, glyph in TTFontFile(str(font)).charToGlyph.items() if glyph)


def is_set_plainly(code: int) -> bool:
    """Whether the PDF sets this letter as it should be read: one glyph after the other, from left to right."""
    joined = any(first <= code <= last for first, last in JOINED)
    return not joined and unicodedata.bidirectional(chr(code)) not in RIGHT_TO_LEFT


def ranges(codes: list[int]) -> list[list[int]]:
    """Numbers as the first and last of each run."""
    found: list[list[int]] = []
    for code in codes:
        if found and found[-1][1] == code - 1:
            found[-1][1] = code
        else:
            found.append([code, code])
    return found


def coverage(font: Path) -> dict[str, list[list[int]]]:
    codes = letters(font)
    return {"page": ranges(codes), "pdf": ranges([code for code in codes if is_set_plainly(code)])}


def main() -> None:
    """Fetch every font and list what stands there now."""
    argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter).parse_args()
    FONTS.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as name:
        for package, files in PACKAGES.items():
            folder = unpack(package, Path(name))
            for source, target in files.items():
                (FONTS / target).write_bytes((folder / source).read_bytes())
        subprocess.run(["apt-get", "download", "--quiet", DEBIAN], cwd=name, check=True)
        [archive] = Path(name).glob("*.deb")
        subprocess.run(["dpkg-deb", "--extract", str(archive), name], check=True)
        for source, target in OF_DEBIAN.items():
            (FONTS / target).write_bytes((Path(name) / source).read_bytes())
        with (FONTS / "DroidSansFallback.LICENSE.txt").open("ab") as terms:  # which Debian keeps once for all packages
            terms.write(b"\n" + APACHE.read_bytes())
    fonts = sorted(FONTS.glob("*.ttf"))
    lines = [f'"{font.name}": {json.dumps(coverage(font), separators=(",", ":"))}' for font in fonts]
    COVERAGE.write_text("{\n" + ",\n".join(lines) + "\n}\n")
    listed = sorted(file for file in FONTS.iterdir() if file.suffix in (".ttf", ".txt"))
    SUMS.write_text("".join(f"{hashlib.sha256(file.read_bytes()).hexdigest()}  {file.name}\n" for file in listed))
    print(f"{len(listed)} files listed in {SUMS.name}")


if __name__ == "__main__":
    main()

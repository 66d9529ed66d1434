"""Draws the floors of the code and the hooks that cross them: `python tools/bootstrap.py shell python -m tools.floors`.

The floors are read from the import contract in pyproject.toml, what each floor is from its docstring, and what crosses
upwards from the code that calls hooks and listens to them. Run it after one of these changed; a test compares.
"""

import argparse
import ast
import re
import textwrap
import tomllib
from collections import defaultdict
from collections.abc import Iterator, Sequence
from html import escape
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PICTURE = ROOT / "docs" / "pictures" / "floors.svg"
CALLERS = {"ask_listeners", "refusals", "kept_now", "tell"}  # the functions that call a hook by its name
WIDTH, FLOORS, LEFT = 1160, 640, 20  # of the picture, of its column of floors, and of the margin
ROW, GAP, LANE = 42, 7, 18  # height of a floor, space between two, distance of two arrows
MOST_BESIDE = 3  # floors that are drawn beside each other; more are the ground, which is drawn as one
LETTER = 5.9  # width of a letter of a description, on average; fonts differ
STYLE = """
  svg { --back: #ffffff; --ink: #1c2430; --soft: #5a6675; --box: #f1f4f8; --edge: #c3ccd8; --hook: #2b5fd9; }
  @media (prefers-color-scheme: dark) {
    svg { --back: #151a21; --ink: #e6ebf2; --soft: #9aa7b8; --box: #202833; --edge: #3d4958; --hook: #82a8ff; }
  }
  text { font-family: system-ui, -apple-system, "Segoe UI", "Noto Sans", Helvetica, Arial, sans-serif; }
  .back { fill: var(--back); } .box { fill: var(--box); stroke: var(--edge); }
  .name { font-weight: 650; font-size: 14px; fill: var(--ink); }
  .what { font-size: 11px; fill: var(--soft); } .hook { font-size: 11px; fill: var(--hook); }
  .arrow { stroke: var(--hook); stroke-width: 1.5; fill: none; } .head { fill: var(--hook); }
"""


def contract() -> tuple[list[list[str]], list[list[str]]]:
    """The levels of `webapp`, with the floors that have code, and those of the families of pages; from the top down."""
    written = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
    layers = {one["containers"][0]: one["layers"] for one in written if one["type"] == "layers"}
    levels = [re.findall(r"\w+", layer) for layer in layers["webapp"]]
    there = [[name for name in level if not name.startswith("_") and source_of(name)] for level in levels]
    return [level for level in there if level], [re.findall(r"\w+", layer) for layer in layers["webapp.ui"]]


def source_of(floor: str) -> Path | None:
    """The file with the floor's docstring; None where there is no code yet."""
    folder = ROOT / "webapp"
    files = (folder / floor / "__init__.py", folder / f"{floor}.py")
    return next((file for file in files if file.exists()), None)


def description(floor: str) -> str:
    """The first sentence of the floor's docstring, without its full stop."""
    source = source_of(floor)
    text = ast.get_docstring(ast.parse(source.read_text())) if source else None
    return re.split(r"\.(?:\s|$)", " ".join((text or "").replace("`", "").split()), maxsplit=1)[0]


def crossings(order: Sequence[str]) -> dict[tuple[str, str], list[str]]:
    """The hooks that a floor calls and a higher floor listens to, by the two floors."""
    found: dict[tuple[str, str], set[str]] = defaultdict(set)
    listening = list(listeners())
    for hook, caller in calls():
        for heard, listener in listening:
            if heard == hook and order.index(listener) < order.index(caller):
                found[caller, listener].add(hook)
    return {pair: sorted(hooks) for pair, hooks in found.items()}


def calls() -> Iterator[tuple[str, str]]:
    """Each hook that is called by its name, with the floor that calls it."""
    for floor, node in nodes("**/*.py"):
        match node:
            case ast.Call(ast.Name(how), [ast.Constant(str(hook)), *_]) if how in CALLERS:
                yield hook, floor


def listeners() -> Iterator[tuple[str, str]]:
    """Each hook that a floor listens to, with this floor."""
    for floor, node in nodes("hookimpls.py"):
        match node:
            case ast.FunctionDef(name, decorator_list=[*_, ast.Name("hookimpl")]) if not name.startswith("register_"):
                yield name, floor


def nodes(files: str) -> Iterator[tuple[str, ast.AST]]:
    """Everything in these files of each floor."""
    for path in sorted((ROOT / "webapp").glob(f"*/{files}")):
        for node in ast.walk(ast.parse(path.read_text())):
            yield path.relative_to(ROOT / "webapp").parts[0], node


def drawn() -> str:
    """The picture as SVG."""
    levels, families = contract()
    order = [name for level in levels for name in level]
    tops = {name: LEFT + (place + 1) * (ROW + GAP) for place, level in enumerate(levels) for name in level}
    height = LEFT + (len(levels) + 1) * (ROW + GAP) + 40
    parts = list(
        box(
            LEFT,
            LEFT,
            FLOORS,
            "plugins/",
            "each imports api and nothing else of the desk; supervisor/ (up) is beside it",
        )
    )
    for level in levels:
        if len(level) > MOST_BESIDE:
            parts += box(LEFT, tops[level[0]], FLOORS, "ground", " · ".join(level))
            continue
        width = (FLOORS - GAP * (len(level) - 1)) / len(level)
        for place, name in enumerate(level):
            what = description(name)
            if name == "ui":
                what = "pages, by family: " + " › ".join(" · ".join(family) for family in families)
            parts += box(LEFT + place * (width + GAP), tops[name], width, name, what)
    parts += arrows(crossings(order), tops)
    note = "A floor imports only floors below it. Upwards it calls hooks (blue): higher floors and plugins listen."
    parts.append(f'<text class="what" x="{LEFT}" y="{height - 18}">{note}</text>')
    body = "\n".join(f"  {part}" for part in parts)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" role="img">\n'
        f"<title>The floors of Waybill and the hooks that cross them</title>\n<style>{STYLE}</style>\n"
        f'<rect class="back" width="{WIDTH}" height="{height}"/>\n{body}\n</svg>\n'
    )


def box(left: float, top: float, width: float, name: str, what: str) -> Iterator[str]:
    """A floor with its name and, in two lines beside it, what it is."""
    yield f'<rect class="box" x="{left:g}" y="{top:g}" width="{width:g}" height="{ROW}" rx="6"/>'
    indent = 108 if width > FLOORS / 2 else 52
    yield f'<text class="name" x="{left + 10:g}" y="{top + ROW / 2 + 5:g}"{squeezed(name, width)}>{name}</text>'
    lines = textwrap.wrap(what, int((width - indent - 12) / LETTER))[:2]
    for place, line in enumerate(lines):
        middle = top + ROW / 2 + 4 + (place - (len(lines) - 1) / 2) * 14
        yield f'<text class="what" x="{left + indent:g}" y="{middle:g}">{escape(line)}</text>'


def squeezed(name: str, width: float) -> str:
    """The attribute that makes a name fit into a narrow box."""
    return f' textLength="{width - 20:g}" lengthAdjust="spacingAndGlyphs"' if len(name) * 8 > width - 20 else ""


def arrows(crossing: dict[tuple[str, str], list[str]], tops: dict[str, int]) -> Iterator[str]:
    """An arrow from each floor that calls hooks up to one that listens, and the names of the hooks."""
    pairs = sorted(crossing, key=lambda pair: (tops[pair[0]] - tops[pair[1]], pair))
    edge = LEFT + FLOORS
    beside = edge + (len(pairs) + 1) * LANE + 6
    starts, lines, ends = (defaultdict[str, int](int) for _ in range(3))
    for place, (caller, listener) in enumerate(pairs, 1):
        lane = edge + place * LANE
        start, end = tops[caller] + 10 + 9 * starts[caller], tops[listener] + ROW - 8 - 9 * ends[listener]
        starts[caller] += 1
        ends[listener] += 1
        yield f'<path class="arrow" d="M{edge} {start:g} H{lane} V{end:g} H{edge + 7}"/>'
        yield f'<path class="head" d="M{edge + 1} {end:g} l8 -4 v8 z"/>'
        label = f"{', '.join(crossing[caller, listener])} → {listener}"
        for line in textwrap.wrap(label, int((WIDTH - beside - 10) / LETTER)):
            baseline = tops[caller] + 14 + 13 * lines[caller]
            yield f'<text class="hook" x="{beside}" y="{baseline}">{escape(line)}</text>'
            lines[caller] += 1


def main() -> None:
    """Draw the picture."""
    argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter).parse_args()
    PICTURE.write_text(drawn())
    print(f"{PICTURE.relative_to(ROOT)} is drawn.")


if __name__ == "__main__":
    main()

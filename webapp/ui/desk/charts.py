"""Charts as SVG, drawn by the server: bars over a scale of round numbers, the period before as a line. The page has
the table with the numbers.

The drawing is stretched to its place and contains no text, which would be stretched too: text is around it in HTML.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

HEIGHT, STEP = 100.0, 10.0
_GAP = 1.6
_LABELS = 7


@dataclass(frozen=True, slots=True)
class Bar:
    """One bar: its place, and its tooltip."""

    x: float
    y: float
    width: float
    height: float
    title: str


@dataclass(frozen=True, slots=True)
class Chart:
    """All that the template draws; `marks` are the labels of the scale, from the top down."""

    title: str
    description: str
    width: float
    bars: Sequence[Bar]
    line: str  # the points of the period before; empty without one
    marks: Sequence[str]
    labels: Sequence[str]


def bars(
    values: Sequence[int],
    *,
    title: str,
    description: str,
    titles: Sequence[str],
    labels: Sequence[str],
    words: Callable[[int], str],
    before: Sequence[int | None] = (),
) -> Chart:
    """A chart of these values; `words` formats a value of the scale. `before` is compared position by position; None in
    it is not known, and not drawn.
    """
    known = [(at, value) for at, value in enumerate(before) if value is not None]
    top = round_top(max([*values, *(value for _at, value in known), 0]))
    width = STEP * max(len(values), 1)
    drawn = [
        Bar(round(STEP * at + _GAP / 2, 2), round(HEIGHT - tall, 2), STEP - _GAP, round(tall, 2), said)
        for at, (value, said) in enumerate(zip(values, titles, strict=True))
        for tall in [HEIGHT * max(value, 0) / top]
    ]
    points = [
        f"{STEP * (at + 0.5):g},{HEIGHT - HEIGHT * max(value, 0) / top:.2f}" for at, value in known if at < len(values)
    ]
    marks = [words(top), words(top // 2) if top % 2 == 0 else "", words(0)]
    return Chart(
        title=title,
        description=description,
        width=width,
        bars=drawn,
        line=" ".join(points) if any(before) else "",
        marks=marks,
        labels=thinned(labels),
    )


def round_top(highest: int) -> int:
    """The smallest round number (one digit and zeros) that is not exceeded."""
    if highest <= 2:
        return 2
    power = 1
    while power * 10 < highest:
        power *= 10
    return next(step * power for step in (1, 2, 3, 4, 5, 6, 8, 10) if step * power >= highest and step * power > 1)


def thinned(labels: Sequence[str]) -> list[str]:
    """As many labels as fit beside each other, including the first and the last."""
    if len(labels) <= _LABELS:
        return list(labels)
    places = [round(at * (len(labels) - 1) / (_LABELS - 1)) for at in range(_LABELS)]
    return [labels[place] for place in places]

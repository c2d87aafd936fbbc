"""What do curves look like, drawn without a library?"""

import math
from collections.abc import Sequence
from typing import NamedTuple
from xml.sax.saxutils import escape

_WIDTH, _HEIGHT = 420, 250
_LEFT, _RIGHT, _TOP, _BOTTOM = 62, 20, 34, 40
_COLUMNS = 2
_STYLE = (
    "text{font:12px sans-serif;fill:#333}.title{font-weight:bold}"
    ".grid{stroke:#ddd}.line{fill:none;stroke:#1a6fb5;stroke-width:2}.dot{fill:#1a6fb5}"
)


class Curve(NamedTuple):
    """Requests per second by something: pairs of x, above zero, and y."""

    title: str
    points: Sequence[tuple[float, float]]


def svg(curves: Sequence[Curve]) -> str:
    """Draw each curve in a panel of its own: x is logarithmic, y begins at zero."""
    rows = math.ceil(len(curves) / _COLUMNS)
    width, height = _WIDTH * _COLUMNS, _HEIGHT * rows
    panels = [
        f'<g transform="translate({number % _COLUMNS * _WIDTH},'
        f'{number // _COLUMNS * _HEIGHT})">{_panel(curve)}</g>'
        for number, curve in enumerate(curves)
    ]
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" '
        f'width="{width}" height="{height}"><style>{_STYLE}</style>'
        f'<rect width="{width}" height="{height}" fill="#fff"/>{"".join(panels)}</svg>\n'
    )


def _panel(curve: Curve) -> str:
    xs = [math.log10(x) for x, _ in curve.points]
    most = _round_up(max(y for _, y in curve.points))
    first, span = xs[0], (xs[-1] - xs[0]) or 1.0
    inner_width, inner_height = _WIDTH - _LEFT - _RIGHT, _HEIGHT - _TOP - _BOTTOM

    def across(x: float) -> float:
        return _LEFT + (x - first) / span * inner_width

    def up(y: float) -> float:
        return _TOP + (1 - y / most) * inner_height

    parts = [f'<text class="title" x="{_LEFT}" y="20">Requests/s by {escape(curve.title)}</text>']
    for quarter in range(5):
        y = most * quarter / 4
        parts.append(
            f'<line class="grid" x1="{_LEFT}" x2="{_WIDTH - _RIGHT}" '
            f'y1="{up(y):.1f}" y2="{up(y):.1f}"/>'
            f'<text x="{_LEFT - 6}" y="{up(y) + 4:.1f}" text-anchor="end">{y:,.0f}</text>'
        )
    places = [(across(log), up(y)) for log, (_, y) in zip(xs, curve.points, strict=True)]
    line = " ".join(f"{x:.1f},{y:.1f}" for x, y in places)
    parts.append(f'<polyline class="line" points="{line}"/>')
    for (x, y), (value, _) in zip(places, curve.points, strict=True):
        parts.append(
            f'<circle class="dot" cx="{x:.1f}" cy="{y:.1f}" r="3"/>'
            f'<text x="{x:.1f}" y="{_HEIGHT - _BOTTOM + 18}" text-anchor="middle">{value:,}</text>'
        )
    return "".join(parts)


def _round_up(value: float) -> float:
    """Return a number above it that quarters look well of."""
    if value <= 0:
        return 1.0
    magnitude = 10.0 ** math.floor(math.log10(value))
    return next(step * magnitude for step in (1, 2, 4, 6, 8, 10) if step * magnitude >= value)

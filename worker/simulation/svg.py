"""The curves of a report as an SVG document: backlogs above, rates below, a colour per lane."""

from collections.abc import Callable, Mapping, Sequence
from html import escape
from typing import Final

from worker.core.message.lane import Lane
from worker.simulation.report import Curves, Report

_WIDTH: Final = 860
_HEIGHT: Final = 520
_LEFT: Final = 70
_RIGHT: Final = 20
#: Where each plot begins, and how high it is.
_TOPS: Final = (50, 300)
_PLOT: Final = 170
_GUIDES: Final = 4
_COLOURS: Final = {Lane.OTP: "#c0392b", Lane.NOTIFY: "#d68910", Lane.MARKETING: "#2471a3"}


def svg(report: Report) -> str:
    """A document of its own."""
    curves = {lane: one.curves for lane, one in report.lanes.items()}
    size = f'width="{_WIDTH}" height="{_HEIGHT}"'
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" {size} font-family="sans-serif" font-size="12">',
        f'<rect {size} fill="white"/>',
        *_legend(curves),
        *_plot(report, curves, "Backlog, messages", _TOPS[0], lambda one: one.backlog),
        *_plot(report, curves, "Accepted, messages per second", _TOPS[1], lambda one: one.rate),
        "</svg>",
    ]
    return "\n".join(parts) + "\n"


def _legend(curves: Mapping[Lane, Curves]) -> list[str]:
    return [
        f'<text x="{_LEFT + 110 * index}" y="20" fill="{_COLOURS[lane]}">{escape(lane.value)}</text>'
        for index, lane in enumerate(curves)
    ]


def _plot(
    report: Report,
    curves: Mapping[Lane, Curves],
    title: str,
    top: int,
    values: Callable[[Curves], Sequence[float]],
) -> list[str]:
    """One plot, whose upper end is the highest value."""
    highest = max((max(values(one), default=0.0) for one in curves.values()), default=0.0) or 1.0
    bottom, right = top + _PLOT, _WIDTH - _RIGHT
    parts = [f'<text x="{_LEFT}" y="{top - 10}">{escape(title)}</text>']
    for guide in range(_GUIDES + 1):
        y = bottom - _PLOT * guide / _GUIDES
        parts += [
            f'<line x1="{_LEFT}" y1="{y:.1f}" x2="{right}" y2="{y:.1f}" stroke="#dddddd"/>',
            f'<text x="{_LEFT - 6}" y="{y + 4:.1f}" text-anchor="end">{_short(highest * guide / _GUIDES)}</text>',
        ]
        x, seconds = _LEFT + (right - _LEFT) * guide / _GUIDES, report.seconds * guide / _GUIDES
        parts.append(f'<text x="{x:.1f}" y="{bottom + 18}" text-anchor="middle">{_short(seconds)} s</text>')
    for lane, one in curves.items():
        points = _points(values(one), report, highest, bottom)
        parts.append(f'<polyline points="{points}" fill="none" stroke="{_COLOURS[lane]}" stroke-width="1.5"/>')
    return parts


def _points(values: Sequence[float], report: Report, highest: float, bottom: int) -> str:
    """Each value at the middle of its step, within the plot."""
    length = max(report.seconds, report.step_s)
    width = _WIDTH - _RIGHT - _LEFT
    xs = (min((index + 0.5) * report.step_s / length, 1.0) for index in range(len(values)))
    places = ((_LEFT + width * x, bottom - _PLOT * y / highest) for x, y in zip(xs, values, strict=True))
    return " ".join(f"{x:.1f},{y:.1f}" for x, y in places)


def _short(number: float) -> str:
    """A number as an axis has it.

    >>> [_short(number) for number in (0, 0.5, 12, 1500, 2_000_000)]
    ['0', '0.5', '12', '1.5k', '2M']
    """
    for least, unit in ((1e6, "M"), (1e3, "k")):
        if number >= least:
            return f"{number / least:.3g}{unit}"
    return f"{number:.3g}"

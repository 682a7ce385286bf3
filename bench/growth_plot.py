"""Draws how costs grow (limits.py) as an SVG: both axes by powers of ten. The same figures give the same file.

matplotlib is needed here and nowhere else.
"""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

import matplotlib
from limits import Point
from matplotlib.axes import Axes
from matplotlib.figure import Figure

CURVES: Final[dict[str, Callable[[Point], float]]] = {
    "recording, s": lambda point: point.recording.wall,
    "file, MB": lambda point: point.size / 1e6,
    "seek, median, ms": lambda point: point.seek,
    "seek, 99 %, ms": lambda point: point.worst,
}
TITLES: Final = {"steps": "an interpreter, by steps", "events": "interrupt mask calls, by events"}


def draw(points: Sequence[Point], path: Path) -> None:
    """Write the file."""
    with matplotlib.rc_context({"svg.hashsalt": "pvtrace", "svg.fonttype": "none"}):
        figure(points).savefig(path, format="svg", metadata={"Date": None, "Creator": None})


def figure(points: Sequence[Point]) -> Figure:
    """One picture for steps, one for events."""
    whole = Figure(figsize=(10, 4.4), layout="constrained")
    left, right = whole.subplots(1, 2, sharey=True)
    _picture(left, [point for point in points if point.of == "steps"])
    _picture(right, [point for point in points if point.of == "events"])
    left.set_ylabel("seconds, MB, milliseconds")
    whole.legend(*left.get_legend_handles_labels(), loc="outside lower center", ncols=5)
    return whole


def _picture(axes: Axes, points: Sequence[Point]) -> None:
    """The dotted line has slope 1: what grows as the work does runs beside it."""
    counts = [point.amount for point in points]
    for name, value in CURVES.items():
        axes.loglog(counts, [value(point) for point in points], marker="o", markersize=4, label=name)
    most = points[-1].recording.wall / counts[-1]
    axes.loglog(counts, [most * count for count in counts], ":", color="gray", label="slope 1")
    axes.set_title(TITLES[points[0].of])
    axes.set_xlabel(points[0].of)
    axes.grid(visible=True, alpha=0.3)

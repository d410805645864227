"""Plots as inline SVG: no file beside the page, no font to load, sharp at every width."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from io import StringIO
from typing import Any

COLOURS = {"mmse": "#2563a8", "bm25": "#b4540a", "hybrid": "#7c3aed", "popularity": "#6b7280", "oracle": "#1a7f4b"}
OTHER_COLOURS = ("#0369a1", "#be185d", "#0f766e", "#854d0e")
Point = tuple[float, float, float, float]
"""x, y, low, high"""


def figure_svg(figure: Any, title: str, prefix: str) -> str:
    """A matplotlib figure as an `<svg>` as wide as its container; `prefix` keeps the ids of several plots apart."""
    buffer = StringIO()
    figure.savefig(buffer, format="svg", metadata={"Date": None, "Creator": None})
    text = buffer.getvalue()
    text = text[text.index("<svg"):]
    text = re.sub(r'\b(id="|href="#|url\(#)', rf"\g<1>{prefix}-", text)
    text = re.sub(r'(<svg[^>]*?) width="[^"]*"', r"\1", text, count=1)
    text = re.sub(r'(<svg[^>]*?) height="[^"]*"', r"\1", text, count=1)
    return text.replace("<svg", f'<svg role="img" aria-label="{title}"', 1)


def _axes(width: float, height: float) -> tuple[Any, Any]:
    figure, axes = axes_of(width, height, 1)
    return figure, axes[0]


def axes_of(width: float, height: float, panels: int) -> tuple[Any, list[Any]]:
    """A matplotlib figure of so many inches with as many plots side by side, in the report's style."""
    import matplotlib
    from matplotlib.figure import Figure

    matplotlib.rcParams.update({"svg.fonttype": "none", "font.family": "sans-serif", "font.size": 10,
                                "svg.hashsalt": "mmse"})
    figure = Figure(figsize=(width, height), layout="constrained")
    made = list(figure.subplots(1, panels, squeeze=False)[0])
    for axes in made:
        axes.spines[["top", "right"]].set_visible(False)
        axes.grid(axis="y", color="#dfe4ea", linewidth=0.8)
        axes.set_axisbelow(True)
    return figure, made


def recall_plot(lines: Mapping[tuple[str, str], Sequence[Point]], title: str, marked_k: int | None) -> str:
    """Recall by k with 95 % intervals: one line per (system, search); the index is dashed."""
    figure, axes = _axes(5.6, 3.4)
    colours = _colours([system for system, _ in lines])
    for (system, search), points in lines.items():
        x, y, low, high = zip(*points)
        errors = [[max(b - a, 0) for a, b in zip(low, y)], [max(b - a, 0) for a, b in zip(y, high)]]
        axes.errorbar(
            x, y, yerr=errors, color=colours[system], label=f"{system}, {search}", capsize=2, linewidth=1.6,
            linestyle="--" if search == "ann" else "-", marker="o", markersize=3.5,
        )
    ticks = sorted({point[0] for points in lines.values() for point in points})
    axes.set_xscale("log")
    axes.set_xticks(ticks, [f"{t:g}" for t in ticks])
    axes.minorticks_off()
    if marked_k:
        axes.axvline(marked_k, color="#9aa4b2", linewidth=1, linestyle=":")
    axes.set_ylim(0, 1.03)
    axes.set_xlabel("k")
    axes.set_title(title, fontsize=10, loc="left")
    figure.legend(frameon=False, fontsize=9, ncols=3, loc="outside lower center")
    return figure_svg(figure, title, re.sub(r"\W+", "-", title))


def position_plot(points: Sequence[tuple[int, float]], title: str) -> str:
    """A share by position."""
    figure, axes = _axes(5.6, 2.8)
    axes.bar([x for x, _ in points], [100 * y for _, y in points], color="#2563a8", width=0.8)
    axes.set_xlabel("position")
    axes.set_ylabel("%")
    axes.set_xlim(0.4, max(x for x, _ in points) + 0.6)
    return figure_svg(figure, title, re.sub(r"\W+", "-", title))


def _colours(systems: Sequence[str]) -> dict[str, str]:
    others = [s for s in dict.fromkeys(systems) if s not in COLOURS]
    return COLOURS | {s: OTHER_COLOURS[i % len(OTHER_COLOURS)] for i, s in enumerate(others)}


def sparkline(series: Sequence[tuple[int, float]], days: int) -> str:
    """A line over the last `days` days from (days ago, value), oldest first, with a dot for the last value.

    It begins at 0 where all values lie above it, the lowest below half of the highest.
    """
    values = [value for _, value in series]
    low, high = min(values), max(values)
    low = 0.0 if 0 < low < high / 2 else low
    spread = (high - low) or 1.0
    points = [(100 * (days - ago) / days, 24 - 20 * ((value - low) / spread if high > low else 0.5)) for ago, value in series]
    line = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
    x, y = points[-1]
    return (
        f'<svg class="spark" viewBox="-3 0 106 28" role="img" aria-label="the last {days} days">'
        f'<polyline points="{line}" fill="none" stroke="#2563a8" stroke-width="1.5"/>'
        f'<circle cx="{x:.1f}" cy="{y:.1f}" r="2.6" fill="#b4540a"/></svg>'
    )


def bins_plot(now: Sequence[float], before: Sequence[float]) -> str:
    """Shares by bin as bars, and those of before, where there are any, as a line of steps over them."""
    highest, width = max([*now, *before]) or 1.0, 100 / len(now)
    bars = "".join(
        f'<rect x="{n * width + 0.2 * width:.1f}" y="{26 - 24 * share / highest:.1f}" width="{0.7 * width:.1f}" '
        f'height="{24 * share / highest:.1f}" fill="#9dbbe0"/>' for n, share in enumerate(now)
    )
    steps = " ".join(
        f"{n * width:.1f},{26 - 24 * share / highest:.1f} {(n + 1) * width:.1f},{26 - 24 * share / highest:.1f}"
        for n, share in enumerate(before)
    )
    line = f'<polyline points="{steps}" fill="none" stroke="#b4540a" stroke-width="1"/>' if steps else ""
    return f'<svg class="bins" viewBox="-1 0 102 28" role="img" aria-label="share by bin">{bars}{line}</svg>'

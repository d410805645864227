"""The ablation as a picture: one row an arm, ordered and clicked recall at K with their intervals."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

COLOURS = {"ordered": "#1b7f4d", "clicked": "#2563a8"}
GREY = "#6b7280"


def save_plot(path: Path, report: Mapping[str, Any]) -> Path:
    """Writes an SVG from a report of `table.report_of`; returns the path."""
    import matplotlib
    from matplotlib.figure import Figure

    arms, at = report["arms"], report["ks"].index(report["k"])
    with matplotlib.rc_context({"svg.fonttype": "none", "font.size": 10, "svg.hashsalt": "mmse"}):
        figure = Figure(figsize=(9.6, 1.2 + 0.32 * len(arms)), layout="constrained")
        for axes, (truth, colour) in zip(figure.subplots(1, 2, sharey=True), COLOURS.items()):
            _panel(axes, arms, at, truth, colour, report["against"])
            axes.set_title(f"{truth} recall@{report['k']}", fontsize=10, loc="left")
        path.parent.mkdir(parents=True, exist_ok=True)
        figure.savefig(path, format="svg", metadata={"Date": None, "Creator": None})
    return path


def _panel(axes: Any, arms: list[dict[str, Any]], at: int, truth: str, colour: str, against: str) -> None:
    places = range(len(arms))
    values = [arm[truth][at] for arm in arms]
    means = [v["mean"] for v in values]
    errors = [[v["mean"] - v["low"] for v in values], [v["high"] - v["mean"] for v in values]]
    axes.errorbar(means, places, xerr=errors, fmt="o", color=colour, markersize=4, capsize=2.5, linewidth=1.2)
    axes.axvline(next(v["mean"] for v, arm in zip(values, arms) if arm["arm"] == against), color=GREY, linewidth=1, linestyle=":")
    axes.set_yticks(list(places), [arm["arm"] for arm in arms])
    axes.set_ylim(len(arms) - 0.5, -0.5)
    axes.spines[["top", "right"]].set_visible(False)

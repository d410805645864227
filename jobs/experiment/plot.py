"""The sequential test as a picture: B - A over the users that have arrived, with the always-valid interval."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

BLUE, GREY = "#2563a8", "#6b7280"


def save_plot(path: Path, report: Mapping[str, Any]) -> Path:
    """Writes an SVG with one panel a metric, from a report as `--json` prints it; returns the path."""
    import matplotlib
    from matplotlib.figure import Figure

    with matplotlib.rc_context({"svg.fonttype": "none", "font.size": 10, "svg.hashsalt": "mmse"}):
        figure = Figure(figsize=(9.6, 3.8), layout="constrained")
        metrics = report["metrics"]
        for axes, (name, metric) in zip(figure.subplots(1, len(metrics), squeeze=False)[0], metrics.items()):
            _panel(axes, name.upper(), metric)
        days, (a, b) = ", ".join(report["days"]), (report[side]["name"] for side in "ab")
        figure.suptitle(f"SIMULATION, not real people: {days}\nA: {a}    B: {b}", fontsize=9)
        path.parent.mkdir(parents=True, exist_ok=True)
        figure.savefig(path, format="svg", metadata={"Date": None, "Creator": None})
    return path


def _panel(axes: Any, name: str, metric: Mapping[str, Any]) -> None:
    looks = [look for look in metric["looks"] if look["half"] is not None]
    users = [look["users"] for look in looks]
    middle = [look["difference"] for look in looks]
    low, high = ([d + sign * look["half"] for d, look in zip(middle, looks)] for sign in (-1, 1))
    axes.fill_between(users, low, high, color=BLUE, alpha=0.18, linewidth=0, label="always-valid interval")
    axes.plot(users, middle, color=BLUE, marker="o", markersize=3, linewidth=1.4, label="B - A")
    fixed = metric["fixed"]
    axes.errorbar(
        [users[-1] * 1.04], [fixed["difference"]], [[fixed["difference"] - fixed["low"]], [fixed["high"] - fixed["difference"]]],
        color="black", marker="s", markersize=4, capsize=3, label="fixed horizon",
    )
    axes.axhline(0, color=GREY, linewidth=1)
    axes.axhline(metric["expected"]["difference"], color=GREY, linewidth=1, linestyle=":", label="expected (the truth)")
    axes.set_title(f"{name} per session, B - A", fontsize=10, loc="left")
    axes.set_xlabel("users that have arrived")
    axes.spines[["top", "right"]].set_visible(False)
    reach = 1.6 * max(abs(v) for v in (low[-1], high[-1], fixed["low"], fixed["high"]))
    axes.set_ylim(-reach, reach)  # the first looks are much wider: they leave the picture
    axes.legend(frameon=False, fontsize=8, loc="lower right")

"""Recall against speed, as a plot: which settings of a search were tried and which was taken."""

from __future__ import annotations

from collections.abc import Sequence

from jobs.index.choosing import Row, frontier
from jobs.report.plots import axes_of, figure_svg


def pareto_svg(rows: Sequence[Row], chosen: Row, target: float, k: int) -> str:
    """Left queries per second of one core, right the latency of the slowest hundredth, both by recall; the chosen is ringed."""
    from matplotlib.ticker import LogLocator, NullFormatter

    title = f"recall@{k} and speed"
    figure, panels = axes_of(8.4, 3.2, 2)
    for axes, value, name in zip(panels, ("qps", "p99_ms"), ("queries a second, one core", "p99, ms, one by one")):
        axes.scatter([r.recall for r in rows], [getattr(r, value) for r in rows], s=16, color="#9dbbe0")
        axes.scatter([chosen.recall], [getattr(chosen, value)], s=70, facecolors="none", edgecolors="#b4540a", linewidths=1.6)
        axes.axvline(target, color="#9aa4b2", linewidth=1, linestyle=":")
        axes.set_yscale("log")
        axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axes.yaxis.set_major_formatter("{x:,g}")
        axes.yaxis.set_minor_formatter(NullFormatter())
        axes.set_xlabel(f"recall@{k}")
        axes.set_title(name, fontsize=10, loc="left")
    best = frontier(rows)
    panels[0].plot([r.recall for r in best], [r.qps for r in best], color="#2563a8", linewidth=1.4)
    label = f"{chosen.probes} lists" + (f", {chosen.refine} x {k} compared again" if chosen.refine > 1 else "")
    panels[0].annotate(
        label, (chosen.recall, chosen.qps), (0.03, 0.06), textcoords="axes fraction", fontsize=9,
        arrowprops={"arrowstyle": "-", "color": "#b4540a", "linewidth": 0.8, "shrinkB": 5},
    )
    return figure_svg(figure, title, "search")


__all__ = ["pareto_svg"]

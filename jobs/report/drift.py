"""How the figures of a day compare with those of the 28 days before it, from the manifests."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from statistics import median

from jobs.report.plots import sparkline
from jobs.report.published import Published
from schemas import DATASETS, Dataset

WEEK, MONTH = 7, 28
SHOWN = 12
"""Figures that moved furthest; the others are folded away."""
Series = Sequence[tuple[int, float]]
"""(days before the date, value), oldest first; the date itself is 0."""


@dataclass(frozen=True)
class DriftLine:
    """One figure of a day: its value, the medians of the 7 and 28 days before, how many days those are, and a plot of all."""

    dataset: str
    metric: str
    today: float
    week: float | None
    month: float | None
    days: int
    outside: bool
    """Below or above everything that the 28 days before it have seen, seven of them at least."""
    plot: str

    @property
    def change(self) -> float | None:
        """Against the median of the 7 days before, else of 28, relative; None where there is none, or it is 0."""
        usual = self.month if self.week is None else self.week
        return self.today / usual - 1 if usual else None


def drift_lines(published: Published, dt: str) -> list[DriftLine]:
    """Every figure of the day that has a value other than 0 on some day, those outside their range first, then by change."""
    day = date.fromisoformat(dt)
    before = {(day - timedelta(days=n)).isoformat(): n for n in range(MONTH, -1, -1)}
    lines = []
    for name in sorted(dataset for dataset, of in published.entry.snapshots if of == dt):
        by_day = {n: m.metrics | {"rows": float(m.rows)} for of, n in before.items() if (m := published.manifest(name, of))}
        every = ((metric, series_of(by_day, metric)) for metric in watched(DATASETS[name], by_day[0]))
        lines += [drift_line(name, metric, series) for metric, series in every if any(value for _, value in series)]
    return sorted(lines, key=lambda line: (not line.outside, -abs(line.change or 0), line.dataset, line.metric))


def watched(dataset: Dataset, today: Mapping[str, float]) -> list[str]:
    """Metrics of the day that the dataset declares or checks, and its rows where it has any."""
    declared = ["rows"] * bool(dataset.columns) + [m.name for m in dataset.metrics] + [c.metric for c in dataset.checks]
    return [name for name in dict.fromkeys(declared) if name in today]


def series_of(by_day: Mapping[int, Mapping[str, float]], metric: str) -> Series:
    """One figure of the days that have it, oldest first."""
    return [(n, by_day[n][metric]) for n in sorted(by_day, reverse=True) if metric in by_day[n]]


def drift_line(dataset: str, metric: str, series: Series) -> DriftLine:
    """The last value beside those before it."""
    today, earlier = series[-1][1], series[:-1]
    values = [value for _, value in earlier]
    outside = len(values) >= WEEK and not min(values) <= today <= max(values)
    return DriftLine(
        dataset, metric, today, _median(v for n, v in earlier if n <= WEEK), _median(values), len(values), outside,
        sparkline(series, max(WEEK, series[0][0])),
    )


def _median(values: Iterable[float]) -> float | None:
    known = list(values)
    return median(known) if known else None

"""How the rows of a day lie in bins, beside the week before: hours, lengths, prices."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from jobs.report.plots import bins_plot
from jobs.report.published import Published
from jobs.runtime import history
from schemas import DATASETS

MODERATE, MAJOR = 0.1, 0.25
"""Usual bands of the population stability index."""


@dataclass(frozen=True)
class Shift:
    """One distribution of a day: its index against the week before (None with too few days) and both as a plot."""

    dataset: str
    name: str
    doc: str
    index: float | None
    plot: str

    @property
    def word(self) -> str:
        """stable, moderate or major; a dash where nothing was compared."""
        if self.index is None:
            return "–"
        return "stable" if self.index < MODERATE else "moderate" if self.index <= MAJOR else "major"


def shifts(published: Published, dt: str) -> list[Shift]:
    """Every distribution of the day's datasets, the furthest shifted first."""
    found = []
    for dataset in sorted(name for name, day in published.entry.snapshots if day == dt and DATASETS[name].distributions):
        past = history.past_days(published.warehouse, published.entry, dataset, dt)
        manifest = published.manifest(dataset, dt)
        today = {} if manifest is None else manifest.metrics
        for of in DATASETS[dataset].distributions:
            if sum(now := history.bins_of(of.name, today)):
                week = [history.bins_of(of.name, day) for day in history.last_week(dt, past)]
                before = [sum(column) for column in zip(*week)]
                found.append(Shift(
                    dataset, of.name, of.doc, history.psi(of.name, dt, today, past), bins_plot(shares(now), shares(before)),
                ))
    return sorted(found, key=lambda shift: (-(shift.index or 0.0), shift.dataset, shift.name))


def shares(bins: Sequence[float]) -> list[float]:
    """Bins as shares of their sum; nothing of nothing."""
    total = sum(bins)
    return [count / total for count in bins] if total else []

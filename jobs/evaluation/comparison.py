"""Systems side by side on the same queries: values per query, intervals, and the K where they are compared."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mmse_model.bootstrap import Interval, bootstrap_intervals, paired_interval, randomisation_test
from mmse_model.metrics import AP, RR, Judgements, Measure, Recall, nDCG

Floats = NDArray[np.float64]

BM25_BAND = (0.5, 0.85)
"""Recall of BM25 between which a comparison is neither hopeless nor won by everybody (#2)."""


@dataclass(frozen=True)
class Run:
    """What one system retrieves: dense ids (Q, K), best first, -1 where there are fewer."""

    system: str
    search: str
    ranked: NDArray[np.int64]

    @property
    def name(self) -> tuple[str, str]:
        """What tells runs apart."""
        return self.system, self.search

    def part(self, first: int, end: int) -> Run:
        """The answers to some of the queries."""
        return Run(self.system, self.search, self.ranked[first:end])


@dataclass(frozen=True)
class Values:
    """Values per query of every run and measure for one truth, on the queries that have a relevant item.

    `queries` (Qt,) are positions among all queries, `relevant` (Qt,) counts, `values` (R, M, Qt).
    """

    truth: str
    queries: NDArray[np.int64]
    relevant: NDArray[np.int64]
    runs: tuple[tuple[str, str], ...]
    measures: tuple[str, ...]
    values: Floats

    def of(self, system: str, search: str, measure: str) -> Floats:
        """(Qt,) values of one run and measure."""
        return self.values[self.runs.index((system, search)), self.measures.index(measure)]


def published_measures(ks: Sequence[int]) -> tuple[Measure, ...]:
    """recall at every k; nDCG@10 for the top; RR and AP down to the depth that was retrieved."""
    return (*(Recall @ k for k in ks), nDCG @ 10, RR @ ks[-1], AP @ ks[-1])


def measure_runs(truth: str, judgements: Judgements, runs: Sequence[Run], measures: Sequence[Measure]) -> Values:
    """Every measure of every run, per query."""
    answered = judgements.relevant > 0
    chosen = judgements.select(answered)
    values = np.zeros((len(runs), len(measures), chosen.queries))
    for r, run in enumerate(runs):
        gains = chosen.gains(run.ranked[answered])
        for m, measure in enumerate(measures):
            values[r, m] = measure.from_gains(gains, chosen)
    names = tuple(run.name for run in runs)
    return Values(truth, np.flatnonzero(answered), chosen.relevant, names, tuple(map(str, measures)), values)


def choose_k(ks: Sequence[int], recalls: Sequence[float] | None) -> tuple[int, str]:
    """The K at which systems are compared, and why that one; `recalls` are BM25's ordered recalls at `ks`.

    The smallest k in the band: short lists are what retrieval is for, and the rule leaves nothing to choose
    after the figures are known. Without one in the band the nearest to it; without BM25 the largest.
    """
    low, high = BM25_BAND
    if recalls is None:
        return ks[-1], "the largest k: BM25 was left out"
    within = [k for k, recall in zip(ks, recalls) if low <= recall <= high]
    if within:
        return within[0], f"the smallest k at which BM25's ordered recall is within {low}-{high}"
    distance = [max(low - recall, recall - high) for recall in recalls]
    return ks[int(np.argmin(distance))], f"BM25's ordered recall is within {low}-{high} at no k; the nearest"


def mean_table(values: Values, resamples: int, seed: int) -> list[dict[str, Any]]:
    """One row for each run and measure: the mean over queries with its 95 % interval."""
    if not len(values.queries):
        return []
    flat = values.values.reshape(-1, len(values.queries)).T
    intervals = bootstrap_intervals(flat, resamples, seed)
    names = [(*run, measure) for run in values.runs for measure in values.measures]
    return [
        {"system": system, "search": search, "truth": values.truth, "metric": metric, **_figures("mean", interval)}
        for (system, search, metric), interval in zip(names, intervals)
    ]


def recall_rows(table: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """The rows of `mean_table` that are recall, with `k` and `recall` in place of `metric` and `mean`."""
    rows = []
    for row in table:
        name, _, k = row["metric"].partition("@")
        if name == Recall.name:
            kept = {key: row[key] for key in ("system", "search", "truth", "low", "high")}
            rows.append({**kept, "k": int(k), "recall": row["mean"]})
    return rows


def paired_differences(values: Values, k: int, resamples: int, seed: int) -> list[dict[str, Any]]:
    """mmse (exact) against every other run, by recall at K."""
    return [{**row, "k": k} for row in measure_differences(values, str(Recall @ k), resamples, seed)]


def measure_differences(values: Values, measure: str, resamples: int, seed: int) -> list[dict[str, Any]]:
    """mmse (exact) against every other run, query by query: difference, interval, p of the randomisation test."""
    if not len(values.queries):
        return []
    ours, rows = values.of("mmse", "exact", measure), []
    for system, search in values.runs:
        if (system, search) != ("mmse", "exact"):
            theirs = values.of(system, search, measure)
            rows.append({
                "a": "mmse", "b": system, "search": search, "truth": values.truth, "metric": measure,
                **_figures("difference", paired_interval(ours, theirs, resamples, seed)),
                "p": randomisation_test(ours, theirs, resamples, seed),
            })
    return rows


def _figures(name: str, interval: Interval) -> dict[str, float]:
    return {name: interval.mean, "low": interval.low, "high": interval.high}

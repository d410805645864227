"""Intervals of means over queries and training seeds: both were sampled, so both are resampled."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mmse_model.bootstrap import Interval

Floats = NDArray[np.float64]


def two_level_interval(
    values: ArrayLike, resamples: int, seed: int, level: float = 0.95, against: ArrayLike | None = None
) -> Interval:
    """Percentile interval of mean(values), or of mean(values) - mean(against), over seeds and queries.

    `values` (R, Q) holds one row for each training run and one column for each query; `against` (R2, Q) the other
    system's on the same queries. Each resample draws queries once for both, and runs for each by itself, with
    replacement (Davison and Hinkley 1997, 3.8: a bootstrap of crossed levels, which is conservative). With one run there
    is nothing to resample at that level.

    Raises ValueError without a run or a query, or where the queries differ in number.
    """
    tables = [_table(values), *([] if against is None else [_table(against)])]
    queries = tables[0].shape[1]
    if any(table.shape[1] != queries for table in tables):
        raise ValueError(f"{[table.shape for table in tables]}: expected as many queries in both")
    generator = np.random.default_rng(seed)
    drawn = generator.multinomial(queries, np.full(queries, 1 / queries), size=resamples) / queries
    means = np.zeros(resamples)
    for sign, table in zip((1.0, -1.0), tables):
        runs = len(table)
        weights = generator.multinomial(runs, np.full(runs, 1 / runs), size=resamples) / runs
        means += sign * np.einsum("br,br->b", weights, drawn @ table.T)
    tail = (1 - level) / 2
    low, high = np.quantile(means, [tail, 1 - tail])
    middle = sum(sign * table.mean() for sign, table in zip((1.0, -1.0), tables))
    return Interval(float(middle), float(low), float(high))


def _table(values: ArrayLike) -> Floats:
    table = np.asarray(values, np.float64)
    if table.ndim != 2 or not table.size:
        raise ValueError(f"shape {table.shape}: expected (runs, queries), at least one of each")
    return table


__all__ = ["two_level_interval"]

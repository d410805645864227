"""Intervals and tests for means over queries. Queries are the unit: they are what was sampled.

Every function takes values (Q,) or (Q, S): one row per query, one column per system. All columns
share the same resamples, so that an interval of a difference is a paired one.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]

BLOCK_CELLS = 4_000_000
"""Resampling counts held at a time (32 MB): memory does not grow with queries times resamples."""

EXACT_QUERIES = 16
"""Up to this many queries the randomisation test enumerates every flip of signs instead of sampling."""


@dataclass(frozen=True)
class Interval:
    """A mean with the ends of its interval."""

    mean: float
    low: float
    high: float


def bootstrap_means(values: ArrayLike, resamples: int, seed: int) -> Floats:
    """(B, S) means of B resamples of the queries, drawn with replacement (Efron 1979).

    `values` (Q, S). A resample is a row of counts that sum to Q, so that each block of resamples is
    one matrix product.
    """
    values = np.asarray(values, np.float64)
    queries = len(values)
    if not queries or resamples < 1:
        raise ValueError(f"{queries} queries, {resamples} resamples: expected at least one of each")
    generator = np.random.default_rng(seed)
    blocks = [
        generator.multinomial(queries, np.full(queries, 1.0 / queries), size=size) @ values / queries
        for size in _blocks(resamples, queries)
    ]
    return np.concatenate(blocks)


def bootstrap_intervals(values: ArrayLike, resamples: int, seed: int, level: float = 0.95) -> list[Interval]:
    """Percentile bootstrap interval of the mean of each column of `values` (Q, S)."""
    values = np.asarray(values, np.float64)
    tail = (1 - level) / 2
    low, high = np.quantile(bootstrap_means(values, resamples, seed), [tail, 1 - tail], axis=0)
    return [Interval(*map(float, ends)) for ends in zip(values.mean(0), low, high)]


def paired_interval(a: ArrayLike, b: ArrayLike, resamples: int, seed: int, level: float = 0.95) -> Interval:
    """Percentile bootstrap interval of mean(a - b), a and b (Q,) on the same queries."""
    difference = _difference(a, b)
    return bootstrap_intervals(difference[:, None], resamples, seed, level)[0]


def randomisation_test(a: ArrayLike, b: ArrayLike, resamples: int, seed: int) -> float:
    """Two-sided p of mean(a - b) when the two systems are exchanged at random for each query.

    Fisher's paired randomisation test. Up to `EXACT_QUERIES` differing queries every exchange is
    enumerated; beyond, `resamples` are drawn and p = (1 + as extreme) / (1 + resamples), which is never 0.
    Queries where both agree cannot change the sum and are left out.
    """
    difference = _difference(a, b)
    difference = difference[difference != 0]
    queries = len(difference)
    if not queries:
        return 1.0
    observed = abs(difference.sum()) * (1 - 1e-12)  # equal sums in another order of addition count as equal
    if queries <= EXACT_QUERIES:
        bits = np.arange(2**queries)[:, None] >> np.arange(queries) & 1
        return float(np.mean(np.abs((1 - 2 * bits) @ difference) >= observed))
    generator = np.random.default_rng(seed)
    extreme = 0
    for size in _blocks(resamples, queries):
        signs = 1.0 - 2.0 * generator.integers(0, 2, (size, queries), dtype=np.int8)
        extreme += int((np.abs(signs @ difference) >= observed).sum())
    return (1 + extreme) / (1 + resamples)


def _difference(a: ArrayLike, b: ArrayLike) -> Floats:
    a, b = np.asarray(a, np.float64), np.asarray(b, np.float64)
    if a.shape != b.shape or a.ndim != 1:
        raise ValueError(f"shapes {a.shape} and {b.shape}: expected (Q,) twice, one value per query of each system")
    return a - b


def _blocks(resamples: int, queries: int) -> Iterator[int]:
    """Sizes that sum to `resamples`, each of at most BLOCK_CELLS / queries."""
    largest = max(1, BLOCK_CELLS // queries)
    for start in range(0, resamples, largest):
        yield min(largest, resamples - start)

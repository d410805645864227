"""The hybrid baseline: what two systems rank high together, without comparing their scores."""

from __future__ import annotations

from collections.abc import Sequence
from functools import reduce

import numpy as np
from numpy.typing import NDArray

from jobs.evaluation.comparison import Run
from mmse_model.metrics import NO_ITEM, rank

Ids = NDArray[np.int64]


def hybrid_run(runs: Sequence[Run], constant: float) -> list[Run]:
    """The model with exact search and BM25, fused; nothing where either did not take part."""
    by_name = {run.name: run.ranked for run in runs}
    parts = [by_name.get((system, "exact")) for system in ("mmse", "bm25")]
    if any(part is None for part in parts):
        return []
    return [Run("hybrid", "exact", reciprocal_rank_fusion([part for part in parts if part is not None], constant))]


def reciprocal_rank_fusion(rankings: Sequence[Ids], constant: float) -> Ids:
    """One ranking of several (Q, K), best first: score(item) = sum over rankings of 1 / (constant + rank), rank from 1.

    Cormack, Clarke and Buettcher, "Reciprocal Rank Fusion outperforms Condorcet" (SIGIR 2009). An item that a ranking
    lacks gets nothing from it. Ties as everywhere (`mmse_model.metrics.rank`). Returns (Q, K), K of the first ranking.
    """
    ids = np.concatenate(rankings, axis=1)
    points = np.concatenate([np.broadcast_to(1 / (constant + np.arange(1, r.shape[1] + 1)), r.shape) for r in rankings], axis=1)
    order = np.argsort(ids, axis=1, kind="stable")
    ids, points = np.take_along_axis(ids, order, 1), np.take_along_axis(points, order, 1)
    first = np.ones(ids.shape, bool)
    first[:, 1:] = ids[:, 1:] != ids[:, :-1]
    # An item stands as often as there are rankings that hold it, one beside the other: its first place takes all points.
    copies = [np.where(_shifted(ids, n) == ids, _shifted(points, n), 0.0) for n in range(1, len(rankings))]
    total = reduce(np.add, copies, points)
    return rank(total, np.where(first, ids, NO_ITEM), rankings[0].shape[1])[0]


def _shifted(values: NDArray, places: int) -> NDArray:
    """Each row moved to the left; what is beyond its end is an item that is none, without points."""
    moved = np.full_like(values, NO_ITEM - 1 if values.dtype == np.int64 else 0)
    moved[:, : values.shape[1] - places] = values[:, places:]
    return moved

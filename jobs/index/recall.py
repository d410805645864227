"""Figures of a built index from two searches for a sample of its own vectors."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from jobs.index.verifying import RECALL_AT, Findings, Hits

TIE = 1e-6
"""Items whose inner products differ by less are equally good answers."""


def figures_of(
    findings: Findings, own: np.ndarray, errors: Mapping[str, float]
) -> tuple[dict[str, float], dict[str, Any]]:
    """Metrics for the audit, and figures with intervals for the card, of a sample with dense ids `own` (Q,).

    `errors` are mean squared distances: `codec_mean_squared_error` and `list_distance`.
    """
    found, best = without_own(findings.approximate, own), without_own(findings.exact, own)
    recall = {str(k): mean_and_interval(recalls(found, best, k)) for k in RECALL_AT}
    metrics = {
        "self_recall_at_1": round(self_recall(findings.approximate, own, errors["codec_mean_squared_error"]), 6),
        **{name: round(error, 9) for name, error in errors.items()}, **list_figures(findings.sizes),
    }
    figures = {**metrics, "recall_vs_exact": recall, "queries": len(own)}
    return {**metrics, **{f"recall_at_{k}_vs_exact": recall[str(k)]["mean"] for k in RECALL_AT}}, figures


def self_recall(hits: Hits, own: np.ndarray, error: float) -> float:
    """Share of sampled vectors, with dense ids `own` (Q,), that find themselves nearest.

    `error` is the codec's mean squared error. It blurs near-duplicates: an own id counts as
    nearest where it is that close to the first. A vector with more near-duplicates than `hits`
    has places decides nothing and is left out; where none decides, the share is 0.
    """
    distances, ids = hits
    close = distances <= distances[:, :1] + 4 * error + TIE
    found = ((ids == own[:, None]) & close).any(axis=1)
    crowded = ~found & ~(ids == own[:, None]).any(axis=1) & close[:, -1]
    decided = len(own) - int(crowded.sum())
    return float(found.sum()) / decided if decided else 0.0


def without_own(hits: Hits, own: np.ndarray) -> Hits:
    """The hits with each query's own id moved out, order kept, one place fewer."""
    distances, ids = hits
    order = np.argsort(ids == own[:, None], axis=1, kind="stable")[:, : ids.shape[1] - 1]
    return np.take_along_axis(distances, order, 1), np.take_along_axis(ids, order, 1)


def recalls(approximate: Hits, exact: Hits, k: int) -> np.ndarray:
    """Recall@k of every query, float64 (Q,): the share of the k found that are among the k best.

    Whatever scores as much as the k-th best is among them. `exact` holds distances -<q, v>, and
    more than k of them, so that ties are seen; own ids have been left out of both.
    """
    reachable = (exact[1] >= 0).sum(axis=1)
    wanted = np.minimum(k, reachable)
    bound = np.take_along_axis(exact[0], np.maximum(wanted - 1, 0)[:, None], 1) + TIE
    values = np.zeros(len(wanted))
    for row, (found, best, limit) in enumerate(zip(approximate[1][:, :k], exact[1], bound[:, 0])):
        good = best[(best >= 0) & (exact[0][row] <= limit)]
        values[row] = np.isin(found[found >= 0], good).sum() / wanted[row] if wanted[row] else 1.0
    return values


def mean_and_interval(values: np.ndarray) -> dict[str, float]:
    """The mean of per-query values and its 95 % normal interval, cut to 0..1, six decimals."""
    mean = float(values.mean())
    half = 1.96 * float(values.std(ddof=1)) / math.sqrt(len(values)) if len(values) > 1 else 0.0
    return {"mean": round(mean, 6), "low": round(max(0.0, mean - half), 6), "high": round(min(1.0, mean + half), 6)}


def list_figures(sizes: np.ndarray) -> dict[str, float]:
    """Of the inverted lists' sizes (lists,): the largest, the share that is empty, and the imbalance.

    The imbalance is lists * sum(size^2) / N^2: how many times more vectors a query compares
    with than under lists of equal size.
    """
    total, squares = float(sizes.sum()), float((sizes.astype(np.float64) ** 2).sum())
    return {
        "largest_list": float(sizes.max()),
        "empty_lists_share": float((sizes == 0).mean()),
        "list_imbalance": round(len(sizes) * squares / total**2, 6) if total else 0.0,
    }

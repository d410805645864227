"""Vectors put into 262,144 lists: the flat quantizer against two levels. A step of benchmarks/index_build.py."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import faiss
import numpy as np

from benchmarks.index_vectors import DIMENSION, blocks, held_out
from mmse_model.kmeans import assign, assigner_over, cheapest_assigner

QUERIES = 1_000
MANY_LISTS, FLAT_ROWS, SEARCHED = 262_144, 20_000, (128, 1_024)


def assign_step(excess: float) -> dict[str, Any]:
    """The flat quantizer on 20,000 vectors, scaled up; two levels on all of 1M. `excess` is `index.assign_excess`.

    Codes are exact, so that a query finds of its 10 nearest those whose list is probed: the lists of these alone are needed
    from the flat quantizer. Building the assigner is counted apart; a build does it once, not once a task.
    """
    faiss.omp_set_num_threads(1)
    rows = 1_000_000
    drawn = np.concatenate([vectors for _, vectors in blocks(rows)])
    generator = np.random.default_rng(3)
    centroids = drawn[np.sort(generator.choice(rows, MANY_LISTS, replace=False))]
    queries = held_out(QUERIES)
    nearest = faiss.knn(queries, drawn, 10)[1]
    flat = faiss.IndexFlatL2(DIMENSION)
    flat.add(centroids)
    flat_seconds, _ = timed(lambda: flat.search(drawn[:FLAT_ROWS], 1))
    exact_lists = flat.search(drawn[nearest.ravel()], 1)[1].reshape(nearest.shape)
    probed = {str(probes): flat.search(queries, probes)[1] for probes in SEARCHED}
    building, assigner = timed(lambda: assigner_over(centroids, 1))
    found = {}
    used = cheapest_assigner(centroids, drawn[::500], excess, 1).nprobe
    for probes in sorted({2, 4, 8, 16, used}):
        assigner.nprobe = probes
        seconds, lists = timed(lambda: np.concatenate([assign(assigner, part)[1] for part in np.split(drawn, 50)]))
        ratio = seconds / (flat_seconds * rows / FLAT_ROWS)
        drop = {
            searched: round(probed_share(exact_lists, among) - probed_share(lists[nearest], among), 5)
            for searched, among in probed.items()
        }
        found[str(probes)] = {"cpu_seconds": round(seconds, 1), "ratio_to_flat": round(ratio, 4), "recall_drop": drop}
    return {
        "flat_cpu_seconds_per_million": round(flat_seconds * rows / FLAT_ROWS), "assigner_cpu_seconds": round(building, 1),
        "recall": {searched: round(probed_share(exact_lists, among), 4) for searched, among in probed.items()},
        "probes": found, "used": used,
    }


def probed_share(lists: np.ndarray, probed: np.ndarray) -> float:
    """Share of the neighbours, in `lists` (Q, k), whose list is among a query's `probed` (Q, p)."""
    return float(np.mean([np.isin(row, tried).mean() for row, tried in zip(lists, probed)]))


def timed(work: Callable[[], Any]) -> tuple[float, Any]:
    """Processor seconds and the result."""
    started = time.process_time()
    result = work()
    return time.process_time() - started, result

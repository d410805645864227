"""Recall and speed of two indexes of the same vectors, in turns: a step of benchmarks/index_autofaiss.py."""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import faiss
import numpy as np

from benchmarks.index_vectors import held_out
from mmse_model.ann import map_index, merge_nearest
from mmse_model.shards import OpenShard

K, QUERIES, ROUNDS = 10, 4_000, 3
FINE = 1.02
"""Between two numbers of lists of which only the larger reaches a recall, and whose ratio is smaller, nothing more is tried."""
TARGETS = (0.90, 0.95, 0.97)

Search = Callable[[np.ndarray, int], np.ndarray]
"""Queries (Q, D) and lists to search to ids (Q, K)."""


def search_shards(paths: list[Path]) -> Search:
    """Ours: shards mapped, lists found once for all of them."""
    shards = [OpenShard.of(map_index(path)) for path in paths]

    def search(queries: np.ndarray, probes: int) -> np.ndarray:
        coarse, lists = shards[0].probe(queries, probes)
        found = [shard.search(queries, K, lists, coarse) for shard in shards]
        return merge_nearest(np.concatenate([d for d, _ in found], 1), np.concatenate([i for _, i in found], 1), K)[1]

    return search


def search_one(path: Path, hnsw: bool) -> Search:
    """autofaiss': one index in memory; where a graph finds the lists, it looks at twice as many, as autofaiss' tuner has it."""
    index, space = faiss.read_index(str(path)), faiss.ParameterSpace()

    def search(queries: np.ndarray, probes: int) -> np.ndarray:
        space.set_index_parameters(index, f"nprobe={probes}" + (f",efSearch={2 * probes},ht=2048" if hnsw else ""))
        return index.search(queries, K)[1]

    return search


def probes_of(param: str) -> int:
    """The lists that autofaiss' tuner chose: of "nprobe=64,efSearch=128,ht=2048" 64."""
    return int(dict(part.split("=") for part in param.split(","))["nprobe"])


def recall(found: np.ndarray, best: np.ndarray) -> float:
    """Share of the nearest `best` (Q, k) that are among `found` (Q, k)."""
    return float(np.mean([np.isin(true, row).mean() for row, true in zip(found, best)]))


def least_probes(reaches: Callable[[int], bool], most: int) -> int | None:
    """The fewest lists of 1 to `most` that reach it, to within FINE, by doubling and then halving; None where all do not."""
    low, high = 0, 1
    while not reaches(high):
        if high == most:
            return None
        low, high = high, min(most, 2 * high)
    while high - low > 1 and high > FINE * low:
        middle = (low + high) // 2
        low, high = (low, middle) if reaches(middle) else (middle, high)
    return high


def speeds(searches: list[Callable[[], Any]], rounds: int = ROUNDS) -> list[float]:
    """Median processor seconds of each, in turns. All have been called before, for recall: pages have come in."""
    took: list[list[float]] = [[] for _ in searches]
    for _ in range(rounds):
        for search, seconds in zip(searches, took):
            begun = time.thread_time()
            search()
            seconds.append(time.thread_time() - begun)
    return [float(np.median(seconds)) for seconds in took]


def measure(ours: Search, theirs: Search, own: tuple[int, int], lists: tuple[int, int], best: np.ndarray) -> dict[str, Any]:
    """At what each chooses, at each recall of TARGETS and at that which autofaiss' choice gives: lists, recall, queries a second.

    `own`, the choices, and `lists`, all there are, are ours and theirs. None where an index does not get there.
    """
    queries, known = held_out(QUERIES), {}

    def recall_at(name: str, probes: int) -> float:
        if (name, probes) not in known:
            known[name, probes] = recall((ours if name == "ours" else theirs)(queries, probes), best)
        return known[name, probes]

    def least(name: str, target: float) -> int | None:
        return least_probes(lambda probes: recall_at(name, probes) >= target - 1e-9, lists[name == "autofaiss"])

    reached = int(1e4 * recall_at("autofaiss", own[1]) + 1e-6) / 1e4  # rounded down: it must be reached
    chosen: dict[str, dict[str, int | None]] = {"own choice": dict(zip(("ours", "autofaiss"), own))}
    for target in (*TARGETS, reached):
        chosen[f"{target:.4f}"] = {name: least(name, target) for name in ("ours", "autofaiss")}
    wanted = sorted({(name, probes) for row in chosen.values() for name, probes in row.items() if probes})
    calls = [lambda f=ours if name == "ours" else theirs, p=probes: f(queries, p) for name, probes in wanted]
    took = dict(zip(wanted, speeds(calls)))
    return {row: {name: None if probes is None else {
        "probes": probes, "recall": round(recall_at(name, probes), 4), "qps": round(QUERIES / took[name, probes]),
    } for name, probes in sides.items()} for row, sides in chosen.items()}


def search_step(chosen: argparse.Namespace, best: np.ndarray, own: int, tuned: str) -> dict[str, Any]:
    """Both indexes of a case, one thread; `own` and `tuned` are what we and autofaiss choose."""
    faiss.omp_set_num_threads(1)
    folder = chosen.folder / chosen.case
    shards, index = sorted((folder / "spark").glob("shard-*.faiss")), folder / "autofaiss" / "knn.index"
    theirs = faiss.extract_index_ivf(faiss.read_index(str(index))).nlist
    searches = search_shards(shards), search_one(index, "efSearch" in tuned)
    rows = measure(*searches, (own, probes_of(tuned)), (chosen.lists, theirs), best)
    return {"at": rows, "mib": {"ours": _mib(shards), "autofaiss": _mib([index])}, "shards": len(shards)}


def _mib(paths: list[Path]) -> int:
    return round(sum(path.stat().st_size for path in paths) / 2**20)

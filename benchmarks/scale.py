"""What a billion items would take: python -m benchmarks.scale

Cost models are straight lines through measured processor seconds (MEASURED below; embedding is measured here, `--items`), carried
on to --vectors items. The index is planned by the job's own functions over row groups that are described, not read:
sizes of lists and cells are drawn from a power law.
Prints two tables and, last, one JSON object.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from typing import Any

import numpy as np
import torch

from benchmarks.fit import Point, extrapolated
from jobs.index.plan import RowGroup, driver_sample, estimate_memory, fit_lists, plan_shards, rows_at_once
from jobs.index.training import group_cells
from jobs.runtime.config import Config
from jobs.runtime.index_section import IndexSettings
from mmse_model.codecs import code_bytes
from mmse_model.encoder import Encoder
from mmse_model.grains import Grains
from mmse_model.kmeans import cell_count, share_out
from mmse_model.towers import TwoTower

DIMENSION, GROUP = 128, 65_536
PER_ITEM = {"label_impressions": 10, "build_tuples": 10, "embed_items": 1}
"""Events, impressions and vectors for an item of the catalogue: an assumption; a shop knows its own."""

MEASURED: dict[str, tuple[Point, ...]] = {
    "label_impressions": ((1_283_248, 30.1), (2_562_891, 53.2), (5_119_163, 95.3), (10_230_743, 190.9)),
    "build_tuples": ((1_254_244, 28.6), (2_508_654, 40.8), (5_010_748, 65.0), (10_022_432, 117.2)),
}
"""Job -> (size, processor seconds, JVM and Python workers): docs/COST.md and docs/TUPLES.md."""

TUPLES_SEEN = ((33_792, 15.0), (67_584, 26.3), (135_168, 41.7), (270_336, 79.4))
"""(tuples trained on, each epoch's again, processor seconds) of the demo's train_model with 1, 2, 4 and 8 epochs."""
SEEN = 100_000_000
"""Tuples of a large shop's training: an assumption; they follow the settings of `tuples` and `train`, not the catalogue."""
TRAINED = ((102_400, 2_048, 7.1), (204_800, 4_096, 14.9), (819_200, 16_384, 85.7))
ADDED = ((250_000, 2_048, 1.3), (1_000_000, 4_096, 8.8), (4_000_000, 16_384, 77.4))
"""(vectors, lists, processor seconds) of `python -m benchmarks.index_build` with 250k, 1M and 4M vectors."""


def by_cells(vectors: float, lists: int) -> float:
    """What the cost of two levels follows: every vector is compared with a multiple of sqrt(lists) centroids."""
    return vectors * lists**0.5


def sizes_at(vectors: int, lists: int, sample: int) -> dict[str, float]:
    """What each job is carried on to."""
    index = {"index, training": by_cells(sample, lists), "index, adding": by_cells(vectors, lists), "train_model": SEEN}
    return {**{job: share * vectors for job, share in PER_ITEM.items()}, **index}


def index_runs() -> dict[str, tuple[Point, ...]]:
    """The index's points, by vectors * sqrt(lists), and those of training, by tuples."""
    runs = {"index, training": TRAINED, "index, adding": ADDED}
    by_lists = {job: tuple((by_cells(n, lists), seconds) for n, lists, seconds in found) for job, found in runs.items()}
    return {"train_model": TUPLES_SEEN, **by_lists}


def measure_embedding(sizes: list[int]) -> list[Point]:
    """Processor seconds of one thread for encoding so many titles of eight words with an untrained model of 128 dimensions."""
    config = Config.model_validate({})
    words = [f"word{n}" for n in range(5_000)]
    grains = Grains.build({"word": words}, config.grains)
    torch.manual_seed(1)
    encoder = Encoder(TwoTower(grains.layout, config.model), grains, threads=1, block=config.embed.block, fixed=True)
    generator, points = np.random.default_rng(1), []
    for size in [1_024, *sizes]:  # the first one warms up
        titles = [" ".join(f"word{n}" for n in row) for row in generator.integers(0, len(words), (size, 8))]
        started = time.process_time()
        encoder.encode_items(titles, ["Acme"] * size, ["A > B"] * size, ["shop"] * size, [1.0] * size)
        points.append((size, round(time.process_time() - started, 2)))
    return points[1:]


def power_law(count: int, total: int, exponent: float, seed: int) -> np.ndarray:
    """`count` sizes, int64, that add up to `total`, the n-th largest expected in proportion to n^-exponent; in random order."""
    shares = np.arange(1, count + 1) ** -exponent
    generator = np.random.default_rng(seed)
    return generator.permutation(generator.multinomial(total, shares / shares.sum()))


def grown_bytes(sizes: np.ndarray, entry: int) -> int:
    """Bytes that FAISS has reserved for lists of these sizes: a vector doubles its capacity when it is full."""
    held = sizes[sizes > 0]
    return int((2 ** np.ceil(np.log2(held)) * entry).sum())


def simulate_plan(vectors: int, settings: IndexSettings, exponent: float) -> dict[str, Any]:
    """Shards, training and memory as the job would plan them."""
    groups = [RowGroup("", "", n, first, min(first + GROUP, vectors) - 1) for n, first in enumerate(range(0, vectors, GROUP))]
    tasks = plan_shards(groups, settings.shards, settings.rows_per_shard)
    lists, entry = fit_lists(settings.lists, vectors), code_bytes(settings.codec, DIMENSION) + 8
    memory = estimate_memory(tasks, settings, lists, DIMENSION, vectors)
    sample = min(vectors, settings.train_per_list * lists)
    sizes = power_law(lists, vectors, exponent, 1)
    widest = max(task.end - task.first for task in tasks)
    of_one = np.random.default_rng(2).multinomial(widest, sizes / sizes.sum())
    shard = widest * entry + lists * 4 * DIMENSION
    return {
        "shards": len(tasks), "lists": lists, "largest_list": int(sizes.max()), "shard_mib": round(shard / 2**20),
        "index_gib": round((vectors * entry + len(tasks) * lists * 4 * DIMENSION) / 2**30),
        "centroids_share": round(len(tasks) * lists * 4 * DIMENSION / (vectors * entry + len(tasks) * lists * 4 * DIMENSION), 3),
        "lists_of_a_shard_mib": round(grown_bytes(of_one, entry) / 2**20), "driver_mib": round(memory.driver),
        "task_mib": round(memory.task), "shuffle_bytes": 0, "raw_gib": round(vectors * 4 * DIMENSION / 2**30),
        "codes_shuffled_by_list_gib": round(vectors * (entry + 4) / 2**30), **simulate_training(sample, lists, exponent),
    }


def simulate_training(sample: int, lists: int, exponent: float) -> dict[str, Any]:
    """Pieces and groups of cells of a two-level training whose cells have power-law sizes."""
    cells, rows = power_law(cell_count(lists), sample, exponent / 2, 3), rows_at_once(DIMENSION)
    shares = share_out(lists, cells, cells.astype(float))
    groups = group_cells(cells[None, :], shares, rows)
    largest = max(int(group.starts[0, -1] - group.starts[0, 0]) for group in groups)
    return {
        "sample": sample, "sample_gib": round(sample * 4 * DIMENSION / 2**30, 1), "driver_sample": driver_sample(sample, lists),
        "cells": len(cells), "training_tasks": len(groups), "largest_task_rows": largest,
    }


def main(arguments: list[str] | None = None) -> int:
    """Fits, simulates and prints."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.scale", description="Costs carried on to a billion items.")
    parser.add_argument("--vectors", type=int, default=1_000_000_000)
    parser.add_argument("--lists", type=int, default=262_144)
    parser.add_argument("--rows-per-shard", type=int, default=4_000_000)
    parser.add_argument("--exponent", type=float, default=0.5, help="of the sizes of lists (default: %(default)s)")
    parser.add_argument("--items", type=int, nargs="+", default=[32_768, 65_536, 131_072], help="three sizes or more to embed")
    chosen = parser.parse_args(arguments)
    settings = IndexSettings(lists=chosen.lists, rows_per_shard=chosen.rows_per_shard)
    plan = simulate_plan(chosen.vectors, settings, chosen.exponent)
    runs = {**MEASURED, "embed_items": tuple(measure_embedding(chosen.items)), **index_runs()}
    targets = sizes_at(chosen.vectors, plan["lists"], plan["sample"])
    print("| job | sizes measured | at | core-hours | 95 % interval |\n|---|---|---:|---:|---|")
    costs = {}
    for job, points in runs.items():
        low, middle, high = (seconds / 3_600 for seconds in extrapolated(points, targets[job]))
        costs[job] = {"points": points, "core_hours": [round(value, 1) for value in (max(0.0, low), middle, high)]}
        sizes = ", ".join(f"{size:,.0f}" for size, _ in points)
        print(f"| {job} | {sizes} | {targets[job]:.3g} | {middle:.1f} | {max(0.0, low):.1f} to {high:.1f} |")
    print("\n| plan | |\n|---|---:|")
    for name, value in plan.items():
        print(f"| {name} | {value:,} |")
    print(json.dumps({"vectors": chosen.vectors, "costs": costs, "plan": plan}))
    return 0


if __name__ == "__main__":
    sys.exit(main())

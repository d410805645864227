"""Speed of training end to end, from Parquet files to updated weights: python -m benchmarks.training [--repeats 10]

Writes synthetic tuples and item stream in the layout of the real datasets, and trains for one epoch in three ways:
"files" is a training run as the job makes it, its loader reading the files; "memory" is the same run with the same batches
from tensors in memory; "plain" is an ordinary EmbeddingBag two-tower loop on clicks alone (benchmarks/plain_towers.py), from
memory, too. The ways take turns in one process, forwards and backwards; a ratio is taken within a round, and medians over
the rounds count. The first two must end with the same losses, bit by bit. Prints a table and, last, one JSON object.

examples:
  python -m benchmarks.training                                # the whole measurement, on a quiet machine
  python -m benchmarks.training --steps 8 --repeats 2          # a look
  python -m benchmarks.training --batch 512 --loader-workers 2
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.machine import machine
from benchmarks.training_files import ENTRIES_PER_TUPLE, write
from benchmarks.training_race import FILES, MEMORY, PLAIN, WAYS, Race, Turn, make_task
from mmse_model.batch import EMPTY, Batch
from mmse_model.config import TrainSettings
from mmse_model.encoder import torch_threads
from mmse_model.training import pick_device


def ratios(rounds: Sequence[dict[str, Turn]], way: str, other: str, field: str = "tuples_per_second") -> list[float]:
    """A figure of one way by the other's, ascending, one of each round."""
    return sorted(getattr(turns[way], field) / getattr(turns[other], field) for turns in rounds)


def median(rounds: Sequence[dict[str, Turn]], way: str, field: str = "tuples_per_second") -> float:
    """The median of a figure of one way over the rounds."""
    return statistics.median(getattr(turns[way], field) for turns in rounds)


def texts_per_tuple(batches: Sequence[Batch]) -> float:
    """Queries, titles as queries and items that a step encodes, by its tuples: an item once however often it stands there."""
    texts = sum(
        b.rows + len(b.stream_ids) + len(np.setdiff1d(np.concatenate([b.dense_ids.flatten(), b.stream_ids]), [EMPTY]))
        for b in batches
    )
    return texts / sum(b.rows for b in batches)


def report(rounds: Sequence[dict[str, Turn]], race: Race) -> dict[str, Any]:
    """The figures of the last line; of those that are judged by, every round's as well."""
    to_memory, train = ratios(rounds, FILES, MEMORY), race.task.train
    return {
        "tuples_per_second": round(median(rounds, FILES)),
        "ratio_to_in_memory": round(statistics.median(to_memory), 3),
        "wait_share": round(median(rounds, FILES, "wait_share"), 4),
        "in_memory_tuples_per_second": round(median(rounds, MEMORY)),
        "plain_tuples_per_second": round(median(rounds, PLAIN)),
        "ratio_to_plain": round(statistics.median(ratios(rounds, FILES, PLAIN)), 3),
        "cpu_ratio_to_in_memory": round(statistics.median(ratios(rounds, FILES, MEMORY, "cpu_s_per_million")), 3),
        "texts_per_tuple": {"ours": round(texts_per_tuple(race.batches), 1), PLAIN: 2},
        "ratios_to_in_memory": [round(r, 3) for r in to_memory],
        "wait_shares": sorted(round(turns[FILES].wait_share, 4) for turns in rounds),
        "batch": train.batch_size, "stream_items": train.stream_items, "steps": len(race.batches), "repeats": len(rounds),
        "threads": train.threads, "loader_workers": train.loader_workers, "device": str(pick_device()),
        "cores_used": len(os.sched_getaffinity(0)), **machine(),
    }


def table(rounds: Sequence[dict[str, Turn]]) -> str:
    """The ways as Markdown: medians over the rounds."""
    lines = ["| way | tuples/s | of memory | waiting | processor s per million |", "|---|---:|---:|---:|---:|"]
    for way in WAYS:
        ratio = statistics.median(ratios(rounds, way, MEMORY))
        lines.append(f"| {way} | {median(rounds, way):,.0f} | {ratio:.2f} | {median(rounds, way, 'wait_share'):.1%} | "
                     f"{median(rounds, way, 'cpu_s_per_million'):,.0f} |")
    return "\n".join(lines)


def arguments_of(given: list[str] | None) -> argparse.Namespace:
    """What was asked for."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.training", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--steps", type=int, default=24, help="batches of an epoch, which is one turn")
    parser.add_argument("--repeats", type=int, default=10, help="rounds that count; one more comes before them")
    parser.add_argument("--batch", type=int, default=1_024, help="tuples per step; there are twice as many stream entries")
    parser.add_argument("--cores", type=int, default=2, help="cores that the process may use, and torch threads")
    parser.add_argument("--loader-workers", type=int, default=TrainSettings().loader_workers, help="train.loader_workers")
    parser.add_argument("--folder", type=Path, help="where to work; emptied at the end (default: a temporary folder)")
    return parser.parse_args(given)


def main(arguments: list[str] | None = None) -> int:
    """Measures and prints."""
    chosen = arguments_of(arguments)
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[: chosen.cores])
    train = TrainSettings(
        epochs=1, batch_size=chosen.batch, stream_items=ENTRIES_PER_TUPLE * chosen.batch, threads=chosen.cores,
        loader_workers=chosen.loader_workers,
    )
    with tempfile.TemporaryDirectory(prefix="mmse-training-", dir=chosen.folder) as name, torch_threads(train.threads):
        files = write(Path(name), chosen.steps * chosen.batch, lists=False)
        race = Race(make_task(Path(name), files, train))
        rounds = [race.round(number) for number in range(chosen.repeats + 1)]
        if len({turns[way].loss for turns in rounds for way in (FILES, MEMORY)}) != 1:
            sys.exit(f"files and memory have not trained on the same batches: {rounds}")
        print(table(rounds[1:]))
        print(json.dumps(report(rounds[1:], race)))
    return 0


if __name__ == "__main__":
    sys.exit(main())

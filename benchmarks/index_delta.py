"""What a day's changes cost an index: python -m benchmarks.index_delta --vectors 4000000

Vectors of benchmarks/index_vectors.py; of a day's changes a third is removed, a third changed and a third new. Every step is a
process of its own, with the job's own functions on local[2]; processor seconds of JVM, driver and all Python workers, after
a warm-up:

    build    the whole index, training included, and its recall@10 of 4,000 queries
    empty    comparing with a day on which nothing changed, and the delta of it, the cheapest of three times
    day      the same with 1 % of the items changed, the cheapest of three times
    many     with 20 %: and recall@10 of the same queries, beside an index that is built anew of that day's items

`delta_share` is what the delta of 1 % costs beyond the empty one, of the build; `recall_lost` how far the grown index is behind
the new one, with the 95 % interval over queries. The last line is one JSON object.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import faiss
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from benchmarks.index_build import build, described, lists_for, train
from benchmarks.index_vectors import DIMENSION, GROUP, blocks, centres, draw, held_out, write_embeddings
from benchmarks.machine import Jvm, machine
from jobs.index.building import Trained, build_shards
from jobs.index.comparing import count_changes, plan_pairs, plan_tasks
from jobs.index.delta_shards import build_delta
from jobs.index.plan import plan_shards, read_row_groups
from jobs.index.sampling import FULL, row_hashes
from jobs.index.vectors import pack_vectors
from jobs.runtime.config import Config
from jobs.runtime.index_section import IndexSettings
from mmse_model.ann import merge_nearest
from mmse_model.index_files import Delta, IndexCard, Shard
from mmse_model.retriever import ShardSearcher
from schemas import EMBEDDINGS

SHARES = {"day": 0.01, "many": 0.2}
QUERIES, PROBES, TRIES = 4_000, 32, 3
FRESH = 1 << 20
"""Blocks from this number on are new vectors."""


def day_blocks(rows: int, share: float) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """Ids, vectors and inputs of a later day, block by block: by row hash a third of the share is gone, a third changed."""
    around = centres()
    for first, vectors in blocks(rows):
        ids = np.arange(first, first + len(vectors))
        place = row_hashes(ids, 1, "churn") / FULL
        changed = (place >= share / 3) & (place < 2 * share / 3)
        vectors[changed] = draw(FRESH + first // GROUP, GROUP, around)[: len(vectors)][changed]
        kept = place >= share / 3
        yield ids[kept], vectors[kept], np.where(changed, ids + (1 << 40), ids)[kept]
    for first in range(0, round(rows * share / 3), GROUP):
        ids = np.arange(rows + first, rows + min(first + GROUP, round(rows * share / 3)))
        yield ids, draw(2 * FRESH + first // GROUP, GROUP, around)[: len(ids)], ids


def write_day(folder: Path, rows: int, share: float) -> None:
    """The files of a later day."""
    folder.mkdir(parents=True, exist_ok=True)
    for number, (ids, vectors, inputs) in enumerate(day_blocks(rows, share)):
        columns = [pa.array(ids), pa.array([f"o{n}" for n in ids.tolist()]), pack_vectors(vectors), pa.array(inputs)]
        table = pa.Table.from_arrays(columns, schema=EMBEDDINGS.arrow_schema())
        pq.write_table(table, folder / f"part-{number:05d}.parquet", compression="none", use_dictionary=False)


def groups_of(folder: Path) -> Any:
    """Row groups of embeddings files."""
    return read_row_groups(folder, described(sorted(folder.glob("*.parquet"))))


def build_step(chosen: argparse.Namespace, spark: Any, spent: Any) -> dict[str, Any]:
    """The index of the first day, and its recall there."""
    folder = chosen.folder / "index"
    found = whole(chosen, spark, spent, chosen.folder / "embeddings", folder)
    faiss.omp_set_num_threads(2)
    best = exact_of(day_blocks(chosen.vectors, 0.0))
    return {**found, "recall": round(float(recalls_of(folder, best).mean()), 4)}


def whole(chosen: argparse.Namespace, spark: Any, spent: Any, source: Path, folder: Path) -> dict[str, Any]:
    """Trains and fills, and writes the card."""
    tasks, begun = plan_shards(groups_of(source), 2, chosen.settings.rows_per_shard), spent()
    trained = train(spark, tasks, chosen.settings, chosen.lists, chosen.vectors, folder)
    shards = tuple(b.shard for b in build_shards(spark, tasks, folder, DIMENSION, trained) if b.shard)
    seconds = spent() - begun
    card_of(chosen, trained, shards).write(folder)
    return {"cpu_seconds": round(seconds, 1), "shards": len(shards), "rows": sum(shard.rows for shard in shards)}


def card_of(chosen: argparse.Namespace, trained: Trained, shards: tuple[Shard, ...]) -> IndexCard:
    """What a search must know."""
    return IndexCard(
        chosen.settings.codec, DIMENSION, chosen.lists, PROBES, chosen.vectors, shards, trained.sha256, trained.digest, "m", "e",
        "i", None, faiss.__version__, assigner_sha256=trained.assigner_sha256,
    )


def delta_step(chosen: argparse.Namespace, spark: Any, spent: Any) -> dict[str, Any]:
    """The cheapest of TRIES deltas; of the day with many changes one, and the figures of recall."""
    if chosen.step == "many":
        found, delta = grow(chosen, spark, spent)
        card = IndexCard.read(chosen.folder / "index")
        return found | recall_figures(chosen, spark, spent, replace(card, deltas=(delta,)))
    return min((grow(chosen, spark, spent)[0] for _ in range(TRIES)), key=lambda found: found["cpu_seconds"])


def grow(chosen: argparse.Namespace, spark: Any, spent: Any) -> tuple[dict[str, Any], Delta]:
    """Compares, and writes the delta beside the shards."""
    base, name, folder = chosen.folder / "embeddings", chosen.step, chosen.folder / "index"
    later = base if name == "empty" else chosen.folder / name
    now, then, card, most = groups_of(later), groups_of(base), IndexCard.read(folder), chosen.settings.rows_per_shard
    begun = spent()
    pairs = plan_pairs(now, then, 2, most)
    counts = spark.sparkContext.parallelize(pairs, len(pairs)).map(count_changes).collect()
    touched = [(pair, count[0] + count[1]) for pair, count in zip(pairs, counts) if any(count)]
    tasks = plan_tasks([pair for pair, _ in touched], [rows for _, rows in touched], 2, most)
    number = 1 + list(SHARES).index(name) if name in SHARES else 9
    work = partial(
        build_delta, folder=str(folder), number=number, dimension=DIMENSION, trained_sha256=card.trained_sha256,
        assigner_sha256=card.assigner_sha256,
    )
    grown = spark.sparkContext.parallelize(tasks, len(tasks)).map(work).collect() if tasks else []
    found: dict[str, Any] = {"cpu_seconds": round(spent() - begun, 2), "changes": np.sum(counts, axis=0).tolist()}
    shards, tombstones = (g.shard for g in grown if g.shard), (g.tombstones for g in grown if g.tombstones)
    return found, Delta("e", 0, 0, 0, tuple(shards), tuple(tombstones))


def recall_figures(chosen: argparse.Namespace, spark: Any, spent: Any, card: IndexCard) -> dict[str, Any]:
    """Recall@10 of the grown index and of one that is built anew, and how often a removed item, or an old vector, was found."""
    folder, anew, share = chosen.folder / "index", chosen.folder / "anew", SHARES["many"]
    card.write(folder)
    rebuilt = whole(chosen, spark, spent, chosen.folder / "many", anew)
    faiss.omp_set_num_threads(2)
    best = exact_of(day_blocks(chosen.vectors, share))
    grown, new = recalls_of(folder, best), recalls_of(anew, best)
    gone = next(blocks(GROUP))[1][row_hashes(np.arange(GROUP), 1, "churn") / FULL < share / 3]
    removed = np.flatnonzero(row_hashes(np.arange(chosen.vectors), 1, "churn") / FULL < share / 3)
    hits = ShardSearcher.open(folder, PROBES, hashes=False).search(gone[:1_000], 100)[1]
    lost, error = float((new - grown).mean()), 1.96 * float((new - grown).std()) / QUERIES**0.5
    return {
        "recall_grown": round(float(grown.mean()), 4), "recall_anew": round(float(new.mean()), 4),
        "recall_lost": [round(value, 4) for value in (lost, lost - error, lost + error)],
        "removed_found": int(np.isin(hits, removed).sum()), "asked_for_removed": len(hits),
        "anew_cpu_seconds": rebuilt["cpu_seconds"],
    }


def exact_of(days: Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]) -> np.ndarray:
    """Ids (QUERIES, 10) of the nearest to the held-out queries by comparing with every vector."""
    queries = held_out(QUERIES)
    distances, best = np.full((QUERIES, 10), np.inf, np.float32), np.full((QUERIES, 10), -1)
    for ids, vectors, _ in days:
        near, at = faiss.knn(queries, np.ascontiguousarray(vectors), min(10, len(ids)))
        distances, best = merge_nearest(np.concatenate([distances, near], 1), np.concatenate([best, ids[at]], 1), 10)
    return best


def recalls_of(folder: Path, best: np.ndarray) -> np.ndarray:
    """recall@10 of each query (QUERIES,) by the index in a folder."""
    hits = ShardSearcher.open(folder, PROBES, hashes=False).search(held_out(QUERIES), 10)[1]
    return np.array([np.isin(*pair).mean() for pair in zip(hits, best)])


def step(chosen: argparse.Namespace) -> dict[str, Any]:
    """One step, after a warm-up on a few thousand vectors."""
    from jobs.runtime.session import start_session

    spark = start_session(Config.model_validate({"spark": {"driver_memory": "1g", "master": "local[2]"}}), "benchmark")
    jvm, small = Jvm(spark), chosen.settings.model_copy(update={"two_level_lists": 16})
    warm = plan_shards(groups_of(chosen.folder / "embeddings")[:1], 2, 20_000)
    build(spark, warm, small, 64, 60_000, chosen.folder / f"warm-{chosen.step}")
    work = build_step if chosen.step == "build" else delta_step
    return work(chosen, spark, lambda: jvm.cpu_seconds_with_workers() + time.process_time())


STEPS = ("build", "empty", *SHARES)


def main(arguments: list[str] | None = None) -> int:
    """Measures, each step in a process of its own, and prints."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.index_delta", description="Cost of a day's changes.")
    parser.add_argument("--vectors", type=int, default=4_000_000)
    parser.add_argument("--folder", type=Path, help="where to work (default: build/delta-VECTORS)")
    parser.add_argument("--step", choices=STEPS, help=argparse.SUPPRESS)
    chosen = parser.parse_args(arguments)
    chosen.lists, chosen.folder = lists_for(chosen.vectors), chosen.folder or Path("build") / f"delta-{chosen.vectors}"
    chosen.settings = IndexSettings(lists=chosen.lists, rows_per_shard=500_000)
    if chosen.step:
        print(json.dumps(step(chosen)))
        return 0
    write_embeddings(chosen.folder / "embeddings", chosen.vectors)
    for name, share in SHARES.items():
        write_day(chosen.folder / name, chosen.vectors, share)
    found = {}
    for name in STEPS:
        command = [sys.executable, "-m", "benchmarks.index_delta", "--vectors", str(chosen.vectors), "--step", name]
        done = subprocess.run([*command, "--folder", str(chosen.folder)], check=True, stdout=subprocess.PIPE, text=True)
        found[name] = json.loads(done.stdout.splitlines()[-1])
        print(f"{name}: {json.dumps(found[name])}", flush=True)
    share = (found["day"]["cpu_seconds"] - found["empty"]["cpu_seconds"]) / found["build"]["cpu_seconds"]
    print(json.dumps({"vectors": chosen.vectors, "lists": chosen.lists, "delta_share": round(share, 4), **found, **machine()}))
    return 0


if __name__ == "__main__":
    sys.exit(main())

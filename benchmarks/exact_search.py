"""Cost of exact search on executors: python -m benchmarks.exact_search --queries 20000 --vectors 5000000

Writes unit vectors as embeddings files, searches them with `jobs.evaluation.exact.search_embeddings` on a local Spark with as
many cores as the machine, and with faiss' IndexFlatIP in one process over the same blocks. What both find is compared. Processor
seconds are those of the JVM, of this process and of Spark's Python workers; memory is the largest worker's resident set.
Prints a line for each and, last, one JSON object.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import faiss
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from benchmarks.machine import Jvm, machine
from jobs.evaluation.exact import embedding_blocks, row_groups, search_embeddings
from jobs.index.vectors import pack_vectors
from jobs.runtime.config import Config
from jobs.runtime.session import start_session
from mmse_model.metrics import rank

GROUP = 65_536
FILES = 8
ROUNDING = 1e-6
"""Between inner products of unit vectors that two libraries have summed in float32."""


def unit(generator: np.random.Generator, rows: int, dimension: int) -> np.ndarray:
    """Random float32 vectors of norm 1, (rows, dimension)."""
    vectors = generator.standard_normal((rows, dimension), dtype=np.float32)
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def write_vectors(folder: Path, rows: int, dimension: int, seed: int) -> list[Path]:
    """Embeddings files of row groups of GROUP vectors, drawn one group at a time."""
    generator, schema = np.random.default_rng(seed), pa.schema([("dense_id", pa.int64()), ("vector", pa.binary())])
    paths = [folder / f"part-{n}.parquet" for n in range(FILES)]
    writers = [pq.ParquetWriter(path, schema, compression="none", use_dictionary=False) for path in paths]
    for n, first in enumerate(range(0, rows, GROUP)):
        count = min(GROUP, rows - first)
        columns = [pa.array(np.arange(first, first + count)), pack_vectors(unit(generator, count, dimension))]
        writers[n % FILES].write_table(pa.Table.from_arrays(columns, schema=schema), row_group_size=GROUP)
    for writer in writers:
        writer.close()
    return [path for path in paths if pq.read_metadata(path).num_rows]


def one_process(queries: np.ndarray, files: list[Path], k: int, block_rows: int) -> tuple[np.ndarray, np.ndarray]:
    """IndexFlatIP of each block, and faiss' own heap for what was found."""
    best = faiss.ResultHeap(len(queries), k, keep_max=True)
    for ids, vectors in embedding_blocks(row_groups(files), queries.shape[1], block_rows):
        index = faiss.IndexFlatIP(queries.shape[1])
        index.add(vectors)
        scores, places = index.search(queries, min(k, len(ids)))
        best.add_result(scores, ids[places])
    best.finalize()
    return rank(best.D, best.I, k)


def main(arguments: list[str] | None = None) -> int:
    """Measures and prints."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.exact_search", description="Cost of exact search on executors.")
    parser.add_argument("--queries", type=int, default=20_000)
    parser.add_argument("--vectors", type=int, default=5_000_000)
    parser.add_argument("--dimension", type=int, default=128)
    parser.add_argument("-k", type=int, default=100)
    parser.add_argument("--block", type=int, default=GROUP, help="item vectors in memory at a time (evaluate.block_items)")
    parser.add_argument("--folder", type=Path, help="where to work; emptied at the end (default: a temporary folder)")
    chosen = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory(prefix="mmse-exact-", dir=chosen.folder) as folder:
        files = write_vectors(Path(folder), chosen.vectors, chosen.dimension, seed=1)
        queries = unit(np.random.default_rng(2), chosen.queries, chosen.dimension)
        figures = measure(queries, files, chosen)
    print(json.dumps({"queries": chosen.queries, "vectors": chosen.vectors, "k": chosen.k, **figures, **machine()}))
    return 0


def measure(queries: np.ndarray, files: list[Path], chosen: argparse.Namespace) -> dict[str, Any]:
    """Both searches, one after the other; exits where a place's scores differ by more than float32 sums in another order can.

    Neighbours as close as that may stand the other way round: their share is reported.
    """
    spark = start_session(Config.model_validate({"spark": {"driver_memory": "1g"}}), "benchmark")
    jvm = Jvm(spark)
    search_embeddings(spark, queries[:10], files[:2], 10, 1_000)  # starts the workers
    started, cpu = time.monotonic(), jvm.cpu_seconds_with_workers() + time.process_time()
    ours, our_scores = search_embeddings(spark, queries, files, chosen.k, chosen.block)
    spent, seconds = jvm.cpu_seconds_with_workers() + time.process_time() - cpu, time.monotonic() - started
    worker_mib = jvm.worker_peak_mib()
    print(f"executors: {seconds:.1f} s, {spent:.1f} processor seconds, worker {worker_mib:,.0f} MiB", flush=True)
    spark.stop()
    started, cpu = time.monotonic(), time.process_time()
    theirs, their_scores = one_process(queries, files, chosen.k, chosen.block)
    alone, alone_cpu = time.monotonic() - started, time.process_time() - cpu
    print(f"one process: {alone:.1f} s, {alone_cpu:.1f} processor seconds", flush=True)
    if (apart := float(np.abs(our_scores - their_scores).max())) > ROUNDING:
        sys.exit(f"scores of one place differ by {apart:.2g}; expected at most {ROUNDING:g}")
    return {
        "seconds": round(seconds, 1), "cpu_seconds": round(spent, 1), "one_process_seconds": round(alone, 1),
        "one_process_cpu_seconds": round(alone_cpu, 1), "cpu_ratio": round(spent / alone_cpu, 3), "worker_mib": worker_mib,
        "scores_apart": apart, "swapped_neighbours": float((ours != theirs).mean()),
    }


if __name__ == "__main__":
    sys.exit(main())

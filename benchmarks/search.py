"""Latency and recall of a released index: python -m benchmarks.search --config conf/demo.yaml

Opens the newest release, takes distinct queries of the published log in hash order, and searches them one at a time on one
thread, text to ids, for several numbers of probes. Recall is against exact search over the published embeddings.
Prints a table and, last, one JSON object; `served` is the number of probes that the release uses.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import time
from pathlib import Path
from typing import Any

import faiss
import numpy as np
import pyarrow.parquet as pq

from benchmarks.machine import machine
from benchmarks.warehouse import files_of
from jobs.evaluation.exact import agreement, row_groups, search_groups
from jobs.release_reader import open_release
from jobs.runtime.config import load_config
from mmse_model.encoder import Encoder
from mmse_model.retriever import Retriever, ShardSearcher

DEPTHS = (10, 100, 500)
BLOCK = 65_536


def texts_of(files: list[str], count: int) -> list[str]:
    """`count` distinct normalised queries of requests, in the order of their SHA-256."""
    found: set[str] = set()
    for file in files:
        found.update(pq.read_table(file, columns=["query_norm"])["query_norm"].unique().to_pylist())
    return sorted(found - {"", None}, key=lambda text: hashlib.sha256(text.encode()).digest())[:count]


def latencies(retriever: Retriever, texts: list[str], k: int) -> np.ndarray:
    """(Q,) milliseconds from a text to its k ids."""
    spent = []
    for text in texts:
        started = time.perf_counter()
        retriever.search([text], k)
        spent.append(1e3 * (time.perf_counter() - started))
    return np.array(spent)


def measure(released: Any, folder: Path, texts: list[str], probes: int, exact: np.ndarray, k: int) -> dict[str, Any]:
    """Recall at each depth, and latency percentiles of searches for k items."""
    retriever = Retriever(released.encoder, ShardSearcher.open(folder, probes, hashes=False))
    ids, _ = retriever.search_vectors(released.encoder.encode_queries(texts), exact.shape[1])
    latencies(retriever, texts[:100], k)
    spent = latencies(retriever, texts, k)
    return {
        "probes": probes, **{f"recall_at_{d}": round(agreement(ids, exact, d), 4) for d in DEPTHS},
        "p50_ms": round(float(np.percentile(spent, 50)), 3), "p99_ms": round(float(np.percentile(spent, 99)), 3),
    }


def main(arguments: list[str] | None = None) -> int:
    """Measures and prints."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.search", description="Latency and recall of a released index.")
    parser.add_argument("--config", default="conf/demo.yaml", help="default: %(default)s")
    parser.add_argument("--queries", type=int, default=2_000, help="default: %(default)s")
    parser.add_argument("-k", type=int, default=100, help="items wanted where latency is measured (default: %(default)s)")
    chosen = parser.parse_args(arguments)
    config = load_config(chosen.config, [])
    faiss.omp_set_num_threads(1)
    released = open_release(config)
    card = released.retriever.card
    encoder = Encoder(released.retriever.encoder.model, released.retriever.encoder.grains, threads=1)
    texts = texts_of(files_of(config, ["requests"])["requests"], chosen.queries)
    groups = row_groups(Path(p) for p in files_of(config, ["embeddings"])["embeddings"])
    exact, _ = search_groups(groups, encoder.encode_queries(texts), max(DEPTHS), BLOCK)
    folder = Path(files_of(config, ["index"])["index"][0]).parent
    tried = sorted({card.probes, *(p for p in (4, 8, 16, 32, 64, 128) if p <= card.lists)})
    rows = [measure(Retriever(encoder, released.retriever.searcher), folder, texts, p, exact, chosen.k) for p in tried]
    names = ["| probes", *(f"recall@{d}" for d in DEPTHS), "p50 ms", "p99 ms |"]
    print(" | ".join(names), "|" + "---:|" * len(names), sep="\n")
    for row in rows:
        print("| " + " | ".join(str(value) for value in row.values()) + " |")
    served = next(row for row in rows if row["probes"] == card.probes)
    sizes = {"queries": len(texts), "vectors": card.vectors, "lists": card.lists, "k": chosen.k}
    print(json.dumps({**sizes, "served": served, "probes": rows, **machine()}))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())

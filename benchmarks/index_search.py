"""How fast an index is searched, by codec: python -m benchmarks.index_search --vectors 1000000

Every codec is a process of its own, one after the other, over the same files (benchmarks/index_vectors.py, shape "thin"):

    build    the job's own training and one shard, on local[2]
    tune     the job's own choice of how many lists and, where hits are compared again, how many (jobs/index/tuning.py), on
             2,500 held-out queries: 2,000 of them choose
    grid     every setting around it on 10,000 other queries, in batches of 2,000, one thread: recall@10 and queries per second

`tuned_vs_best` is the queries per second at the tuned setting, of those at the fastest one of the grid that reaches the target on
the 10,000. The last line is one JSON object, its head that of the first codec. What a codec has given is kept in the folder.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import faiss
import numpy as np

from benchmarks.index_build import described, exact, lists_for
from benchmarks.index_vectors import DIMENSION, SHAPES, held_out
from benchmarks.machine import machine
from jobs.index.building import build_shards
from jobs.index.choosing import REFINES, Setting
from jobs.index.plan import plan_shards, read_row_groups
from jobs.index.training import recipe_of, train_quantizer
from jobs.index.tuning import Asked, Tuned, asked_for, tune_on
from jobs.runtime.config import Config
from jobs.runtime.index_section import IndexSettings, TuningSettings
from mmse_model.ann import map_index
from mmse_model.codecs import CODECS, code_bytes
from mmse_model.index_files import IndexCard, Shard
from mmse_model.shards import OpenShard

K, JUDGED, BATCH = 10, 10_000, 2_000
TUNED_ON = asked_for(TuningSettings().queries)
TARGETS = {"flat": 0.97, "sq8": 0.97, "rabitq4": 0.95, "pq64x4fs+sq8": 0.95}
FINER = (1, 2, 3, 4, 5, 6, 7, 8, 10, 12, 14, 16)
"""Hits compared again, as multiples of K, on the grid; finer than what the job tries."""


def codec_step(chosen: argparse.Namespace) -> dict[str, Any]:
    """Builds, tunes and searches one codec."""
    from jobs.runtime.session import start_session

    config = Config.model_validate({"spark": {"driver_memory": "1g", "master": "local[2]"}})
    settings = IndexSettings(lists=chosen.lists, rows_per_shard=chosen.vectors, shards=1, codec=chosen.codec)
    paths = sorted((chosen.folder / "embeddings").glob("*.parquet"))
    tasks = plan_shards(read_row_groups(chosen.folder / "embeddings", described(paths)), 1, chosen.vectors)
    spark, folder = start_session(config, "benchmark"), chosen.folder / chosen.codec
    scratch = folder / "_training"
    scratch.mkdir(parents=True, exist_ok=True)
    recipe = recipe_of(settings, 1, chosen.vectors, DIMENSION, chosen.lists, scratch)
    trained = train_quantizer(spark, tasks, recipe, chosen.codec, folder)
    shard = build_shards(spark, tasks, folder, DIMENSION, trained)[0].shard
    assert shard is not None
    queries = held_out(TUNED_ON + JUDGED, SHAPES[chosen.shape])
    asked = Asked(queries[:TUNED_ON], np.full(TUNED_ON, -1), "held out")
    wanted = TuningSettings(recall=chosen.target, k=K)
    tuned = tune_on(spark, tasks, folder, card_of(chosen, shard), asked, wanted)
    spark.stop()
    judged = queries[TUNED_ON:]
    return {**figures(chosen, folder / shard.path, tuned, judged), "tuning": [row.as_json() for row in tuned.rows]}


def card_of(chosen: argparse.Namespace, shard: Shard) -> IndexCard:
    """What the tuning must know of the index."""
    return IndexCard(
        chosen.codec, DIMENSION, chosen.lists, 1, chosen.vectors, (shard,), "", "", "", "", "", None, faiss.__version__
    )


def figures(chosen: argparse.Namespace, path: Path, tuned: Tuned, judged: np.ndarray) -> dict[str, Any]:
    """The tuned setting on queries that it has not seen, beside the best of the grid."""
    faiss.omp_set_num_threads(1)
    opened, best = OpenShard.of(map_index(path)), exact(judged, chosen.vectors, K, SHAPES[chosen.shape])
    setting = tuned.chosen.setting
    search(opened, judged, setting)  # pages come in
    tried = grid(setting, chosen.lists, CODECS[chosen.codec].refined) if tuned.reached else [setting]
    measured = {one: measure(opened, judged, one, best) for one in tried}
    own = measured[setting]
    enough = {one: found for one, found in measured.items() if found["recall"] >= chosen.target}
    fastest = max(enough, key=lambda one: enough[one]["qps"]) if enough else setting
    return {
        "codec": chosen.codec, "target": chosen.target, "reached": tuned.reached,
        "recall_at_10": own["recall"], "recall_when_tuned": tuned.chosen.recall,
        "bytes_per_vector": round(path.stat().st_size / chosen.vectors, 1), "code_bytes": code_bytes(chosen.codec, DIMENSION),
        "qps_per_core": own["qps"], "probes": setting.probes, "refine": setting.refine, "scanned": tuned.chosen.scanned,
        "tuned_vs_best": round(own["qps"] / measured[fastest]["qps"], 3), "best": {**vars(fastest), **measured[fastest]},
        "grid": len(measured),
        "recall_of_all_lists": measure(opened, judged[:200], Setting(chosen.lists, 16), best[:200])["recall"],
    }


def grid(tuned: Setting, lists: int, refined: bool) -> Iterator[Setting]:
    """Every number of lists up to 16, then in steps of a 16th, to 1.5 times the tuned one; with every refinement, if any."""
    probes = {*range(1, 17), *(round(16 * (17 / 16) ** n) for n in range(1, 120)), tuned.probes}
    refines = sorted({*FINER, *REFINES, tuned.refine}) if refined else [1]
    for p in sorted(p for p in probes if tuned.probes / 3 <= p <= min(lists, 1.5 * tuned.probes)):
        yield from (Setting(p, r) for r in refines)


def measure(opened: OpenShard, queries: np.ndarray, setting: Setting, best: np.ndarray) -> dict[str, float]:
    """Recall@10 and queries per second, the faster of two batches."""
    seconds = []
    for _ in range(2):
        started = time.process_time()
        ids = search(opened, queries, setting)
        seconds.append(time.process_time() - started)
    recall = float(np.mean([np.isin(row, true).mean() for row, true in zip(ids, best)]))
    return {"recall": round(recall, 4), "qps": round(len(queries) / min(seconds))}


def search(opened: OpenShard, queries: np.ndarray, setting: Setting) -> np.ndarray:
    """Ids (Q, K)."""
    found = []
    for low in range(0, len(queries), BATCH):
        coarse, lists = opened.probe(queries[low : low + BATCH], setting.probes)
        found.append(opened.search(queries[low : low + BATCH], K, lists, coarse, refine=setting.refine)[1])
    return np.concatenate(found)


def main(arguments: list[str] | None = None) -> int:
    """Measures, each codec in a process of its own, and prints."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.index_search", description="Speed and recall of an index.")
    parser.add_argument("--vectors", type=int, default=1_000_000)
    parser.add_argument("--lists", type=int, help="default: 2,048, 4,096 or 16,384 by the number of vectors")
    parser.add_argument("--codecs", nargs="+", choices=CODECS, default=["sq8", "rabitq4", "pq64x4fs+sq8", "flat"])
    parser.add_argument("--target", type=float, help="recall@10 to tune for (default: .97, of rabitq4 and pq64x4fs+sq8 .95)")
    parser.add_argument("--shape", choices=SHAPES, default="thin", help="of the clusters")
    parser.add_argument("--folder", type=Path, help="where to work (default: build/search-VECTORS)")
    parser.add_argument("--codec", choices=CODECS, help=argparse.SUPPRESS)
    chosen = parser.parse_args(arguments)
    chosen.lists = chosen.lists or lists_for(chosen.vectors)
    chosen.folder = chosen.folder or Path("build") / f"search-{chosen.vectors}"
    if chosen.codec:
        chosen.target = chosen.target or TARGETS[chosen.codec]
        print(json.dumps(codec_step(chosen)))
        return 0
    write = [sys.executable, "-m", "benchmarks.index_vectors", "--vectors", str(chosen.vectors), "--shape", chosen.shape]
    subprocess.run([*write, "--folder", str(chosen.folder / "embeddings")], check=True)
    found = {codec: kept(chosen, codec) for codec in chosen.codecs}
    head = {name: found[chosen.codecs[0]][name] for name in ("recall_at_10", "bytes_per_vector", "qps_per_core", "tuned_vs_best")}
    short = {codec: {n: v for n, v in one.items() if n != "tuning"} for codec, one in found.items()}
    print(json.dumps({"vectors": chosen.vectors, "lists": chosen.lists, "shape": chosen.shape, **head, **short, **machine()}))
    return 0


def kept(chosen: argparse.Namespace, codec: str) -> dict[str, Any]:
    """What a codec has given, now or at an earlier run."""
    options = {"lists": chosen.lists, "shape": chosen.shape, "target": chosen.target}
    path = chosen.folder / f"{codec}.json"
    if not path.exists() or json.loads(path.read_text())["options"] != options:
        command = [sys.executable, "-m", "benchmarks.index_search", "--codec", codec, "--vectors", str(chosen.vectors)]
        command += ["--folder", str(chosen.folder), "--lists", str(chosen.lists), "--shape", chosen.shape]
        command += ["--target", str(chosen.target)] if chosen.target else []
        done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
        path.write_text(json.dumps({"options": options, "found": json.loads(done.stdout.splitlines()[-1])}))
    found: dict[str, Any] = json.loads(path.read_text())["found"]
    print(f"{codec}: {json.dumps({name: value for name, value in found.items() if name != 'tuning'})}", flush=True)
    return found


if __name__ == "__main__":
    sys.exit(main())

"""What building an index costs: python -m benchmarks.index_build --vectors 1000000

Every step is a process of its own, one after the other, over the same embeddings files (benchmarks/index_vectors.py):

    spark    the job's own training and shards on local[2]; processor seconds of the JVM, the driver and all Python workers, from
             the end of a warm-up on a few thousand vectors on; most memory resident (VmHWM) in driver and workers
    single   FAISS alone, one thread: flat k-means on as many vectors per list, then adding to the same codec and lists
    quality  distance of vectors that neither has seen to both indexes' centroids, and recall
    merge    the shards merged into one file on disk (mmse_model/merging.py)
    assign   262,144 centroids that are vectors, 1M vectors put into their lists: flat quantizer against two levels

Prints a line for each step and, last, one JSON object. What a step has found is kept in the folder, and not measured again with
the same options.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import faiss
import numpy as np

from benchmarks.index_assign import QUERIES, assign_step, timed
from benchmarks.index_vectors import DIMENSION, GROUP, SHAPES, Shape, blocks, centres, draw, held_out, write_embeddings
from benchmarks.machine import Jvm, machine, status_mib
from jobs.index.building import build_shards
from jobs.index.plan import estimate_memory, plan_shards, read_row_groups
from jobs.index.training import recipe_of, train_quantizer
from jobs.runtime.config import Config
from jobs.runtime.index_section import IndexSettings
from jobs.runtime.manifest import FileFacts
from mmse_model.ann import list_distance, map_index, merge_nearest, read_index, write_index
from mmse_model.index_files import TRAINED, file_digest
from mmse_model.kmeans import ITERATIONS
from mmse_model.merging import merge_files, refuse_unmergeable

PROBES = 16


def lists_for(rows: int) -> int:
    """2,048 lists for 250k vectors, 4,096 for 1M, 16,384 for 4M."""
    return 2_048 if rows < 500_000 else 4_096 if rows < 2_000_000 else 16_384


def settings_for(chosen: argparse.Namespace) -> IndexSettings:
    """The job's own defaults but for lists and shards of 500k vectors."""
    return IndexSettings(lists=chosen.lists, rows_per_shard=500_000, codec=chosen.codec)


def described(paths: list[Path]) -> list[FileFacts]:
    """The files as a manifest has them."""
    return [FileFacts(path.name, path.stat().st_size, 0, file_digest(path)) for path in paths]


def spark_step(chosen: argparse.Namespace) -> dict[str, Any]:
    """Trains and fills; processor seconds and memory."""
    from jobs.runtime.session import start_session

    config = Config.model_validate({"spark": {"driver_memory": "1g", "master": "local[2]"}})
    settings, paths = settings_for(chosen), embeddings(chosen)
    groups = read_row_groups(chosen.folder / "embeddings", described(paths))
    tasks = plan_shards(groups, settings.shards, settings.rows_per_shard)
    estimate = estimate_memory(tasks, settings, chosen.lists, DIMENSION, chosen.vectors)
    spark = start_session(config, "benchmark")
    jvm = Jvm(spark)

    def spent() -> float:
        return jvm.cpu_seconds_with_workers() + time.process_time()

    small = chosen.folder / "warm"
    build(spark, plan_shards(groups[:1], 2, 20_000), settings.model_copy(update={"two_level_lists": 16}), 64, 60_000, small)
    folder, started, begun = chosen.folder / "spark", time.monotonic(), spent()
    trained = train(spark, tasks, settings, chosen.lists, chosen.vectors, folder)
    training = spent() - begun
    shards = [built.shard for built in build_shards(spark, tasks, folder, DIMENSION, trained)]
    total = spent() - begun
    return {
        "train_cpu_seconds": round(training, 1), "add_cpu_seconds": round(total - training, 1), "cpu_seconds": round(total, 1),
        "seconds": round(time.monotonic() - started, 1), "jvm_cpu_seconds": round(jvm.cpu_seconds(), 1),
        "driver_mib": status_mib("self", "VmHWM"), "executor_mib": jvm.worker_peak_mib(), "jvm_mib": jvm.peak_mib(),
        "estimate_mib": {"driver": round(estimate.driver), "task": round(estimate.task)},
        "rows": sum(shard.rows for shard in shards if shard), "shards": len(shards), "training_digest": trained.digest,
    }


def train(spark: Any, tasks: Any, settings: IndexSettings, lists: int, rows: int, folder: Path) -> Any:
    """What the job trains, into `folder`."""
    scratch = folder / "_training"
    scratch.mkdir(parents=True, exist_ok=True)
    return train_quantizer(spark, tasks, recipe_of(settings, 1, rows, DIMENSION, lists, scratch), settings.codec, folder)


def build(spark: Any, tasks: Any, settings: IndexSettings, lists: int, rows: int, folder: Path) -> None:
    """Trains and fills."""
    build_shards(spark, tasks, folder, DIMENSION, train(spark, tasks, settings, lists, rows, folder))


def sample_of(rows: int, wanted: int) -> np.ndarray:
    """Vectors drawn like those of the files, together `wanted` or all."""
    around, count = centres(), min(rows, wanted)
    return np.concatenate([draw(n, min(GROUP, count - first), around) for n, first in enumerate(range(0, count, GROUP))])


def single_step(chosen: argparse.Namespace) -> dict[str, Any]:
    """FAISS alone. Drawing the vectors is not counted."""
    faiss.omp_set_num_threads(1)
    sample = sample_of(chosen.vectors, settings_for(chosen).train_per_list * chosen.lists)
    factory = {"flat": "Flat", "sq8": "SQ8"}[chosen.codec]
    index, started = faiss.index_factory(DIMENSION, f"IVF{chosen.lists},{factory}", faiss.METRIC_L2), time.process_time()
    index.cp.max_points_per_centroid, index.cp.niter = len(sample), chosen.single_iterations
    index.train(sample)
    training, adding, added = (time.process_time() - started) * ITERATIONS / chosen.single_iterations, 0.0, 0
    del sample
    write_index(index, chosen.folder / "single-trained.faiss")
    for first, vectors in blocks(chosen.vectors):
        if first >= chosen.single_rows:
            break
        started = time.process_time()
        index.add_with_ids(vectors, np.arange(first, first + len(vectors)))
        adding, added = adding + time.process_time() - started, added + len(vectors)
    write_index(index, chosen.folder / "single.faiss")
    adding *= chosen.vectors / added
    return {
        "train_cpu_seconds": round(training, 1), "add_cpu_seconds": round(adding, 1), "cpu_seconds": round(training + adding, 1),
        "added": added, "iterations": chosen.single_iterations,
    }


def quality_step(chosen: argparse.Namespace) -> dict[str, Any]:
    """Held-out distance to both indexes' centroids, and recall@10 beside exact search of both where both hold all vectors."""
    faiss.omp_set_num_threads(1)
    unseen = held_out(10_000)
    found = {"distance": list_distance(read_index(chosen.folder / "spark" / TRAINED), unseen)}
    whole = chosen.single_iterations == ITERATIONS
    if whole:
        found["single_distance"] = list_distance(read_index(chosen.folder / "single-trained.faiss"), unseen)
    queries = unseen[:QUERIES]
    best = exact(queries, chosen.vectors, 10)
    paths = {"recall": sorted((chosen.folder / "spark").glob("shard-*.faiss"))}
    if whole and chosen.single_rows >= chosen.vectors:
        paths["single_recall"] = [chosen.folder / "single.faiss"]
    recall = {name: recall_of(shards, queries, best) for name, shards in paths.items()}
    return {**{name: round(value, 5) for name, value in found.items()}, **recall, "probes": PROBES, "queries": QUERIES}


def exact(queries: np.ndarray, rows: int, k: int, shape: Shape = SHAPES["round"]) -> np.ndarray:
    """Ids (Q, k) of the nearest by comparing with every vector."""
    distances, ids = np.full((len(queries), k), np.inf, np.float32), np.full((len(queries), k), -1)
    for first, vectors in blocks(rows, shape):
        new, at = faiss.knn(queries, vectors, k)
        distances, ids = merge_nearest(np.concatenate([distances, new], 1), np.concatenate([ids, at + first], 1), k)
    return ids


def recall_of(shards: list[Path], queries: np.ndarray, best: np.ndarray) -> float:
    """Share of the 10 nearest that the shards together find."""
    return round(float(np.mean([np.isin(row, true).mean() for row, true in zip(nearest(shards, queries), best)])), 4)


def nearest(shards: list[Path], queries: np.ndarray) -> np.ndarray:
    """Ids (Q, 10) that the shards together find."""
    found = []
    for path in shards:
        index = map_index(path)
        index.nprobe = PROBES
        found.append(index.search(queries, 10))
    return merge_nearest(np.concatenate([d for d, _ in found], 1), np.concatenate([i for _, i in found], 1), 10)[1]


def merge_step(chosen: argparse.Namespace) -> dict[str, Any]:
    """The shards merged on disk: most anonymous memory (RssAnon, every 10 ms) and the hits beside those of the shards."""
    faiss.omp_set_num_threads(1)
    refuse_unmergeable(chosen.codec)
    folder, target, peak, done = chosen.folder / "spark", chosen.folder / "merged", [0.0], threading.Event()
    target.mkdir(exist_ok=True)

    def watch() -> None:
        while not done.wait(0.01):
            peak[0] = max(peak[0], status_mib("self", "RssAnon"))

    watcher = threading.Thread(target=watch)
    watcher.start()
    shards = sorted(folder.glob("shard-*.faiss"))
    seconds, merged = timed(lambda: merge_files(folder / TRAINED, shards, target))
    done.set()
    watcher.join()
    queries = held_out(100)
    merged.nprobe = PROBES
    return {
        "anon_mib": peak[0], "cpu_seconds": round(seconds, 1), "vectors": merged.ntotal,
        "same_hits": bool(np.array_equal(nearest(shards, queries), merged.search(queries, 10)[1])),
    }


STEPS = {
    "spark": spark_step, "single": single_step, "quality": quality_step, "merge": merge_step,
    "assign": lambda chosen: assign_step(settings_for(chosen).assign_excess),
}
OPTIONS = ("vectors", "lists", "codec", "single_rows", "single_iterations")
"""What the result of a step depends on."""


def embeddings(chosen: argparse.Namespace) -> list[Path]:
    """The files to build from."""
    return write_embeddings(chosen.folder / "embeddings", chosen.vectors)


def main(arguments: list[str] | None = None) -> int:
    """Measures, each step in a process of its own, and prints."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.index_build", description="Cost of building an index.")
    parser.add_argument("--vectors", type=int, default=1_000_000)
    parser.add_argument("--lists", type=int, help="default: 2,048, 4,096 or 16,384 by the number of vectors")
    parser.add_argument("--codec", choices=("flat", "sq8"), default="sq8")
    parser.add_argument("--single-rows", type=int, help="vectors that FAISS alone adds, the rest scaled up (default: all)")
    parser.add_argument(
        "--single-iterations", type=int, default=ITERATIONS, choices=range(1, ITERATIONS + 1), metavar="N",
        help="Lloyd steps of FAISS alone, scaled up to %(default)s; quality is compared after all of them only",
    )
    parser.add_argument("--folder", type=Path, help="where to work (default: build/index-VECTORS)")
    parser.add_argument("--steps", nargs="+", choices=STEPS, default=list(STEPS))
    parser.add_argument("--step", choices=STEPS, help=argparse.SUPPRESS)
    chosen = parser.parse_args(arguments)
    chosen.lists = chosen.lists or lists_for(chosen.vectors)
    chosen.single_rows = min(chosen.vectors, chosen.single_rows or chosen.vectors)
    chosen.folder = chosen.folder or Path("build") / f"index-{chosen.vectors}"
    if chosen.step:
        print(json.dumps(STEPS[chosen.step](chosen)))
        return 0
    write = [sys.executable, "-m", "benchmarks.index_vectors", "--vectors", str(chosen.vectors), "--folder"]
    subprocess.run([*write, str(chosen.folder / "embeddings")], check=True)
    found = {step: kept(chosen, step) for step in chosen.steps}
    print(json.dumps({"vectors": chosen.vectors, "lists": chosen.lists, **summary(found), **found, **machine()}))
    return 0


def kept(chosen: argparse.Namespace, step: str) -> dict[str, Any]:
    """What a step has found, now or at an earlier run."""
    path = chosen.folder / f"{step}.json"
    options = {name: getattr(chosen, name) for name in OPTIONS}
    if not path.exists() or json.loads(path.read_text())["options"] != options:
        command = [sys.executable, "-m", "benchmarks.index_build", "--step", step, "--folder", str(chosen.folder)]
        for name in OPTIONS:
            command += [f"--{name.replace('_', '-')}", str(getattr(chosen, name))]
        done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
        path.write_text(json.dumps({"options": options, "found": json.loads(done.stdout.splitlines()[-1])}))
    found = json.loads(path.read_text())["found"]
    print(f"{step}: {json.dumps(found)}", flush=True)
    return found


def summary(found: dict[str, dict[str, Any]]) -> dict[str, Any]:
    """The figures that have bars."""
    figures: dict[str, Any] = {}
    if {"spark", "single"} <= found.keys():
        spark, single = found["spark"], found["single"]
        figures["ratio_to_single_process"] = round(spark["cpu_seconds"] / single["cpu_seconds"], 3)
        figures["training_ratio_to_flat"] = round(spark["train_cpu_seconds"] / single["train_cpu_seconds"], 3)
    if "assign" in found:
        figures["assign_ratio_to_flat"] = found["assign"]["probes"][str(found["assign"]["used"])]["ratio_to_flat"]
    if "single_distance" in found.get("quality", {}):
        figures["distance_to_flat"] = round(found["quality"]["distance"] / found["quality"]["single_distance"], 4)
    if "merge" in found:
        figures["merge_anon_mib"] = found["merge"]["anon_mib"]
    return figures | {name: found["spark"][name] for name in ("driver_mib", "executor_mib") if "spark" in found}


if __name__ == "__main__":
    sys.exit(main())

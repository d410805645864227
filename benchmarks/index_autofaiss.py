"""Our build of an index beside autofaiss' (`distributed="pyspark"`): python -m benchmarks.index_autofaiss --vectors 1000000

The same vectors, the same lists and codec, local[2]; every step is a process of its own, one after the other:

    autofaiss    its build on our session, from Parquet files of lists of floats, which are written before and not counted
    ours         the job's own training and shards (`spark` of benchmarks/index_build.py), the same codec and number of lists
    tune         how many lists our job would search (jobs/index/tuning.py) for a recall@10 of .95 of 2,000 other queries
    search       recall@10 of 4,000 queries that neither has seen, and queries per processor second of one thread, all in a batch

Three cases: `flat` runs as autofaiss is; `sq8` with a patch (benchmarks/autofaiss_build.py); `capped` is what autofaiss
chooses by itself for an index of at most 200 MB, beside our `sq8`, which is smaller than that at a million vectors.
Processor seconds are those of the JVM, the driver and all Python workers after a warm-up. autofaiss tunes in its build: that is
counted apart, as is ours. Threads that wait for others sleep (OMP_WAIT_POLICY), else a busy machine would count them as work.
Prints a line for each step and, last, one JSON object. What a step has found is kept in the folder.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import faiss
import numpy as np

from benchmarks.autofaiss_build import CASES, autofaiss_step, missing, write_lists
from benchmarks.autofaiss_search import QUERIES, K, search_step
from benchmarks.index_build import described, exact, lists_for, settings_for, spark_step
from benchmarks.index_vectors import DIMENSION, centres, draw, held_out, write_embeddings
from benchmarks.machine import Jvm, machine
from jobs.index.building import describe_shard
from jobs.index.plan import plan_shards, read_row_groups
from jobs.index.trying import exact_nearest
from jobs.index.tuning import Asked, asked_for, tune_on
from jobs.runtime.config import Config
from jobs.runtime.index_section import TuningSettings
from mmse_model.index_files import IndexCard

STEPS = ("autofaiss", "ours", "tune", "search")
WANTED = TuningSettings(recall=0.95, k=K)
"""What we look for by ourselves."""


def write_step(chosen: argparse.Namespace) -> dict[str, Any]:
    """Vectors in both layouts and the queries' nearest, before anything is measured."""
    write_embeddings(chosen.folder / "embeddings", chosen.vectors)
    write_lists(chosen.folder / "lists", chosen.vectors)
    if not (path := chosen.folder / "nearest.npy").exists():
        faiss.omp_set_num_threads(1)
        np.save(path, exact(held_out(QUERIES), chosen.vectors, K))
    return {}


def ours_step(chosen: argparse.Namespace) -> dict[str, Any]:
    """Ours, in the case's folder."""
    chosen.folder, chosen.codec = chosen.folder / chosen.case, CASES[chosen.case].codec
    chosen.folder.mkdir(parents=True, exist_ok=True)
    if not (link := chosen.folder / "embeddings").exists():
        link.symlink_to("../embeddings")
    return spark_step(chosen)


def tune_step(chosen: argparse.Namespace) -> dict[str, Any]:
    """What our job would search with, and what finding that costs after a warm-up."""
    from jobs.runtime.session import start_session

    chosen.codec, folder = CASES[chosen.case].codec, chosen.folder / chosen.case / "spark"
    settings, paths = settings_for(chosen), write_embeddings(chosen.folder / "embeddings", chosen.vectors)
    tasks = plan_shards(read_row_groups(paths[0].parent, described(paths)), settings.shards, settings.rows_per_shard)
    spans = [(folder / task.file_name, task.first, task.end) for task in tasks]
    shards = tuple(describe_shard(*span, np.arange(*span[1:])) for span in spans)
    card = IndexCard(chosen.codec, DIMENSION, chosen.lists, 1, chosen.vectors, shards, *[""] * 5, None, faiss.__version__)
    spark = start_session(Config.model_validate({"spark": {"driver_memory": "1g", "master": "local[2]"}}), "benchmark")
    jvm, asked = Jvm(spark), draw((1 << 30) + 1, asked_for(WANTED.queries), centres())
    exact_nearest(spark, tasks, asked[:10], K)
    begun = jvm.cpu_seconds_with_workers() + time.process_time()
    tuned = tune_on(spark, tasks, folder, card, Asked(asked, np.full(len(asked), -1), "held out"), WANTED)
    spent = jvm.cpu_seconds_with_workers() + time.process_time() - begun
    row = tuned.chosen
    return {"probes": row.probes, "recall": row.recall, "tried": len(tuned.rows), "cpu_seconds": round(spent, 1)}


def compared_step(chosen: argparse.Namespace) -> dict[str, Any]:
    """Both searched."""
    theirs, own = (json.loads((chosen.folder / f"{chosen.case}-{step}.json").read_text()) for step in ("autofaiss", "tune"))
    return search_step(chosen, np.load(chosen.folder / "nearest.npy"), own["probes"], theirs["param"])


def summary(found: dict[str, dict[str, Any]]) -> dict[str, Any]:
    """Ours as a share of autofaiss': processor seconds, the fullest process, and its queries a second at each equal recall."""
    ours, theirs = found["ours"], found["autofaiss"]
    fullest = [max(side["driver_mib"], side["executor_mib"]) for side in (ours, theirs)]
    figures = {"cpu": round(ours["cpu_seconds"] / theirs["cpu_seconds"], 3), "peak": round(fullest[0] / fullest[1], 3)}
    rows = found["search"]["at"]
    return figures | {
        f"qps at {name}": round(row["ours"]["qps"] / row["autofaiss"]["qps"], 2)
        for name, row in rows.items() if name != "own choice" and row["ours"] and row["autofaiss"]
    }


def kept(chosen: argparse.Namespace, step: str, case: str) -> dict[str, Any]:
    """What a step has found, now or at an earlier run."""
    path = chosen.folder / f"{case}-{step}.json"
    if not path.exists():
        command = [sys.executable, "-m", "benchmarks.index_autofaiss", "--step", step, "--cases", case]
        command += ["--vectors", str(chosen.vectors), "--lists", str(chosen.lists), "--folder", str(chosen.folder)]
        paths = os.pathsep.join([str(Path.cwd()), str(chosen.autofaiss.resolve())])
        environment = {**os.environ, "PYTHONPATH": paths, "OMP_WAIT_POLICY": "passive"}
        done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, env=environment)
        path.write_text(done.stdout.splitlines()[-1])
    found = json.loads(path.read_text())
    print(f"{case} {step}: {json.dumps(found)}", flush=True)
    return found


def main(arguments: list[str] | None = None) -> int:
    """Measures, each step in a process of its own, and prints; 2 where autofaiss is not installed."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.index_autofaiss", description="Beside autofaiss.")
    parser.add_argument("--vectors", type=int, default=1_000_000)
    parser.add_argument("--lists", type=int, help="default: 2,048, 4,096 or 16,384 by the number of vectors")
    parser.add_argument("--folder", type=Path, help="where to work (default: build/autofaiss-VECTORS)")
    parser.add_argument("--autofaiss", type=Path, default=Path("build/autofaiss"), help="where it is installed (%(default)s)")
    parser.add_argument("--cases", nargs="+", choices=CASES, default=list(CASES))
    parser.add_argument("--step", choices=("write", *STEPS), help=argparse.SUPPRESS)
    chosen = parser.parse_args(arguments)
    chosen.lists = chosen.lists or lists_for(chosen.vectors)
    chosen.folder = (chosen.folder or Path("build") / f"autofaiss-{chosen.vectors}").resolve()
    if chosen.step:
        chosen.case = chosen.cases[0]
        steps = {"write": write_step, "autofaiss": autofaiss_step, "ours": ours_step, "tune": tune_step, "search": compared_step}
        print(json.dumps(steps[chosen.step](chosen)))
        return 0
    if sentence := missing(chosen.autofaiss):
        print(sentence, file=sys.stderr)
        return 2
    chosen.folder.mkdir(parents=True, exist_ok=True)
    kept(chosen, "write", chosen.cases[0])
    found = {case: {step: kept(chosen, step, case) for step in STEPS} for case in chosen.cases}
    bars = {case: summary(steps) for case, steps in found.items()}
    print(json.dumps({"vectors": chosen.vectors, "lists": chosen.lists, "ours_to_autofaiss": bars, **found, **machine()}))
    return 0


if __name__ == "__main__":
    sys.exit(main())

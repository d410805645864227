"""autofaiss' build with pyspark, measured as ours is: a step of benchmarks/index_autofaiss.py. It is no dependency of mmse.

What is patched, in this process only:

    get_optimal_hyperparameters    autofaiss 2.18 has no rule for IVF..,SQ8 and raises NotImplementedError when the index is
                                   built: it is given the key IVF..,Flat, whose rule varies nprobe alone
    index_factory                  under its default metric (inner product) it calls OPQMatrix with an argument that faiss-cpu
                                   1.15 does not know, TypeError; not patched, since we ask for L2, where it is not called

Nothing else is changed: it may have the 32 GB that are its default, takes what threads it wants, and is told no number of shards.
"""

from __future__ import annotations

import argparse
import logging
import re
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from benchmarks.index_vectors import DIMENSION, blocks
from benchmarks.machine import Jvm, status_mib

PACKAGES = ("autofaiss==2.18.0", "embedding-reader==1.8.1", "fire==0.7.1", "termcolor==3.3.0")
WARM = 8_192
"""Vectors of the build before the measured one."""


@dataclass(frozen=True)
class Case:
    """What autofaiss is asked for, and the codec that we build beside it; `key` None leaves the choice to autofaiss."""

    key: str | None
    codec: str
    cap: str = "16G"


CASES = {"flat": Case("IVF{lists},Flat", "flat"), "sq8": Case("IVF{lists},SQ8", "sq8"), "capped": Case(None, "sq8", "200MB")}


def missing(folder: Path) -> str | None:
    """How to install autofaiss where it is not in `folder`, one sentence."""
    if (folder / "autofaiss" / "__init__.py").exists():
        return None
    install = f"{sys.executable} -m pip install --no-deps --target {folder} {' '.join(PACKAGES)}"
    return f"{folder} has no autofaiss; expected what this puts there: {install}"


def write_lists(folder: Path, rows: int) -> None:
    """The vectors of the embeddings files once more, as the list<float> that autofaiss reads; kept where they are there."""
    folder.mkdir(parents=True, exist_ok=True)
    for number, (_, vectors) in enumerate(blocks(rows)):
        path = folder / f"part-{number:05d}.parquet"
        if not path.exists():
            values = pa.ListArray.from_arrays(np.arange(0, vectors.size + 1, DIMENSION, dtype=np.int32), vectors.ravel())
            draft = path.with_suffix(".draft")
            pq.write_table(pa.table({"embedding": values}), draft, compression="none", use_dictionary=False)
            draft.rename(path)


def tuned_as(key: str) -> str:
    """The key that autofaiss' tuner is given: that of exact vectors where it has no rule for 8 bits."""
    return re.sub(r"^(IVF\d+),SQ8$", r"\1,Flat", key)


def autofaiss_step(chosen: argparse.Namespace) -> dict[str, Any]:
    """Builds and tunes; processor seconds of each, memory until tuning begins and to the end."""
    from autofaiss import build_index
    from autofaiss.external import build, optimize

    from jobs.runtime.config import Config
    from jobs.runtime.session import start_session

    spark = start_session(Config.model_validate({"spark": {"driver_memory": "1g", "master": "local[2]"}}), "benchmark")
    jvm, case, folder = Jvm(spark), CASES[chosen.case], chosen.folder / chosen.case / "autofaiss"
    write_lists(chosen.folder / "warm-lists", WARM)
    folder.mkdir(parents=True, exist_ok=True)

    def spent() -> float:
        return jvm.cpu_seconds_with_workers() + time.process_time()

    def built(lists: str, key: str | None) -> dict[str, Any]:
        _, infos = build_index(
            str(chosen.folder / lists), file_format="parquet", embedding_column_name="embedding", index_key=key,
            metric_type="l2", max_index_memory_usage=case.cap, distributed="pyspark", verbose=logging.WARNING,
            index_path=str(folder / "knn.index"), index_infos_path=str(folder / "infos.json"),
            temporary_indices_folder=str((folder / "parts").resolve()),
        )
        if infos is None:
            raise RuntimeError("autofaiss refused to build; its log says why")
        return infos

    optimize.get_optimal_hyperparameters = _by_key(optimize.get_optimal_hyperparameters)
    built("warm-lists", "IVF16,Flat")
    costs: dict[str, float] = {}
    memory: dict[str, float] = {}

    def note() -> None:
        memory.setdefault("driver_mib", status_mib("self", "VmHWM"))
        memory.setdefault("executor_mib", jvm.worker_peak_mib())

    build.create_and_train_new_index = _counted(build.create_and_train_new_index, "train", spent, costs)
    for name in ("get_optimal_hyperparameters", "compute_fast_metrics"):
        setattr(optimize, name, _counted(getattr(optimize, name), "tune", spent, costs, note))
    started, begun = time.monotonic(), spent()
    infos = built("lists", case.key and case.key.format(lists=chosen.lists))
    total = spent() - begun
    return {
        "key": infos["index_key"], "param": infos["index_param"], "train_cpu_seconds": round(costs["train"], 1),
        "add_cpu_seconds": round(total - costs["train"] - costs["tune"], 1), "tune_cpu_seconds": round(costs["tune"], 1),
        "cpu_seconds": round(total - costs["tune"], 1), "seconds": round(time.monotonic() - started, 1), **memory,
        "tuned_driver_mib": status_mib("self", "VmHWM"), "jvm_mib": jvm.peak_mib(),
        "versions": {name: version(name) for name in ("autofaiss", "embedding_reader", "faiss-cpu", "pyspark")},
    }


def _by_key(tuner: Callable[..., str]) -> Callable[..., str]:
    """The tuner, given the key that it has a rule for."""

    def tuned(index: Any, index_key: str, **options: Any) -> str:
        return tuner(index, tuned_as(index_key), **options)

    return tuned


def _counted(
    work: Callable[..., Any], name: str, spent: Callable[[], float], costs: dict[str, float],
    before: Callable[[], None] | None = None,
) -> Callable[..., Any]:
    """The function, whose processor seconds are added to `costs`; what is called `before` it is not."""

    def counted(*given: Any, **options: Any) -> Any:
        if before:
            before()
        begun = spent()
        try:
            return work(*given, **options)
        finally:
            costs[name] = costs.get(name, 0.0) + spent() - begun

    return counted

"""The runs of a dataset that lie in the warehouse: those a kept entry names, those none names, and unfinished ones."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from pyspark.sql import functions as F

from jobs.runtime.manifest import ERASED, NAME, Manifest
from jobs.runtime.store import read_rows, run_folder
from schemas import DATASETS

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

    from jobs.runtime.snapshots import Entry

PLACE = ("_dt", "_run")


@dataclass(frozen=True)
class StoredRun:
    """A finished run on disk; `kept` where one of the kept entries names it."""

    folder: Path
    manifest: Manifest
    kept: bool

    @property
    def place(self) -> tuple[str, str]:
        """(dt, run id)."""
        return self.manifest.dt, self.manifest.run_id

    @property
    def origin(self) -> tuple[str, str]:
        """(dt, run id) of the job that first wrote it, before any erasure."""
        return self.manifest.dt, origin_of(self.manifest.run_id)


def origin_of(run_id: str) -> str:
    """`20260108T030303-abcdef.e12345` -> `20260108T030303-abcdef`."""
    return run_id.partition(".")[0]


def rewritten_id(run_id: str, erasure: str) -> str:
    """A name for what an erasure leaves of a run."""
    return f"{origin_of(run_id)}.e{erasure[-6:]}"


def stored_runs(warehouse: Path, dataset: str, kept: set[tuple[str, str, str]]) -> list[StoredRun]:
    """The finished runs of a dataset, by day and name."""
    folders = sorted(f.parent for f in (warehouse / dataset).glob(f"dt=*/run=*/{NAME}"))
    manifests = [(folder, Manifest.read(folder)) for folder in folders]
    return [StoredRun(folder, m, (dataset, m.dt, m.run_id) in kept) for folder, m in manifests]


def unfinished(warehouse: Path, datasets: Iterable[str]) -> list[Path]:
    """Runs of these datasets without a manifest, and all staging: attempts under way, or what killed ones left."""
    runs = [f for d in datasets for f in (warehouse / d).glob("dt=*/run=*") if not (f / NAME).is_file()]
    return sorted([f for f in runs if not (f / ERASED).is_file()] + list(warehouse.glob("*/_staging-*")))


def read_runs(spark: SparkSession, dataset: str, runs: Iterable[StoredRun]) -> DataFrame:
    """The rows of these runs with `_dt` and `_run`, the day and the run that they lie in."""
    paths = [run.folder / file.path for run in runs for file in run.manifest.files]
    rows = read_rows(spark, DATASETS[dataset], paths)
    if not paths:
        return rows.select("*", *[F.lit("").alias(name) for name in PLACE])
    place = r"/dt=([^/]+)/run=([^/]+)/"
    path = F.col("_metadata.file_path")
    return rows.select("*", *[F.regexp_extract(path, place, n).alias(name) for n, name in enumerate(PLACE, 1)])


def bury(folder: Path, new_run: str) -> None:
    """Deletes a run's files for good and leaves a note of where the rest went; done again, it finishes the work."""
    note = folder / ERASED
    note.write_text(json.dumps({"replaced_by": new_run}), encoding="utf-8")
    for path in folder.iterdir():
        if path != note:
            shutil.rmtree(path) if path.is_dir() else path.unlink()


def bury_replaced(warehouse: Path, entry: Entry) -> int:
    """Finishes what a killed erasure left after its commit: rewritten runs that still hold files. Returns how many."""
    buried = 0
    for (dataset, dt), runs in entry.replaced.items():
        for old, new in runs.items():
            folder = run_folder(warehouse, dataset, dt, old)
            if folder.is_dir() and any(path.name != ERASED for path in folder.iterdir()):
                bury(folder, new)
                buried += 1
    return buried

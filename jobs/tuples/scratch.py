"""Intermediate rows of one run: written once, read as often as needed, removed at the end."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

    from jobs.runtime.job import JobContext


@dataclass(frozen=True)
class Scratch:
    """A folder for intermediate Parquet.

    Rows on disk bound memory on any machine, and what was counted is what is used: a recomputed lineage
    may cost several times the work.
    """

    folder: Path

    def keep(self, name: str, frame: DataFrame) -> DataFrame:
        """Writes the frame and returns it as read back."""
        path = str(self.folder / name)
        frame.write.mode("errorifexists").parquet(path)
        return frame.sparkSession.read.schema(frame.schema).parquet(path)


@contextmanager
def scratch(context: JobContext, dataset: str) -> Iterator[Scratch]:
    """A scratch folder beside the runs of `dataset`; `gc` removes one that a killed run left."""
    folder = context.warehouse / dataset / f"_staging-{context.run_id}"
    try:
        yield Scratch(folder)
    finally:
        shutil.rmtree(folder, ignore_errors=True)

"""Where a run keeps its intermediate rows, and how a failure in the middle names the raw file behind it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from shutil import rmtree
from typing import TYPE_CHECKING

from jobs.ingest.deliveries import RawFile, unreadable_file

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

    from jobs.runtime.job import JobContext


@contextmanager
def scratch_folder(context: JobContext) -> Iterator[Path]:
    """A folder for this run alone, gone at its end; `mmse gc` removes what a killed run leaves."""
    folder = context.warehouse / "ledger" / f"_staging-{context.run_id}-records"
    try:
        yield folder
    finally:
        rmtree(folder, ignore_errors=True)


def keep(frame: DataFrame, folder: Path, split_by: Sequence[str] = ()) -> DataFrame:
    """Writes a frame to disk and reads it back, so that what follows does not compute it again."""
    frame.write.partitionBy(*split_by).parquet(str(folder))
    return frame.sparkSession.read.schema(frame.schema).parquet(str(folder))


@contextmanager
def files_named_in_errors(files: Sequence[RawFile]) -> Iterator[None]:
    """Turns a failed read into an InputError that names the file; any other failure passes unchanged."""
    from py4j.protocol import Py4JJavaError
    from pyspark.errors import PySparkException

    try:
        yield
    except (PySparkException, Py4JJavaError):
        unreadable = unreadable_file(files)
        if unreadable is None:
            raise
        raise unreadable from None

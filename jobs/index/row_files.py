"""Rows of float32 in files on the shared disk, written and read by Spark tasks that hand the driver a few figures each."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from mmse_model.ann import one_thread

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

T = TypeVar("T")
Found = TypeVar("Found")


class BadTraining(ValueError):
    """A task's fault; one sentence."""


def on_executors(spark: SparkSession, parts: Sequence[T], work: Callable[[T], Found]) -> list[Found]:
    """One Spark task for each part, in their order. Raises BadTraining with the first fault that one reports."""
    results = spark.sparkContext.parallelize(parts, len(parts)).map(partial(_guarded, work=work)).collect()
    for fault in (fault for _, fault in results if fault):
        raise BadTraining(fault)
    return [found for found, _ in results]


def _guarded(part: Any, work: Callable[[Any], Any]) -> tuple[Any, str | None]:
    """What the work found, or the sentence that says why it could not."""
    try:
        with one_thread():
            return work(part), None
    except (ValueError, OSError) as error:
        return None, str(error)


class complete:
    """A file to write that is there when the block ends, or not at all: another attempt of the task may be writing too."""

    def __init__(self, path: Path) -> None:
        self._path, self._draft = path, path.with_name(f".{path.name}.{os.getpid()}")

    def __enter__(self) -> Any:
        self._file = open(self._draft, "wb")  # noqa: SIM115
        return self._file

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        self._file.close()
        if kind is None:
            os.replace(self._draft, self._path)
        else:
            self._draft.unlink()


def write_rows(path: Path, parts: Iterator[np.ndarray] | Sequence[np.ndarray]) -> None:
    """Writes float32 rows one after the other, little-endian, without a header."""
    with complete(path) as handle:
        for part in parts:
            handle.write(np.ascontiguousarray(part, dtype="<f4"))


def read_rows(path: Path, dimension: int, first: int = 0, rows: int = -1) -> np.ndarray:
    """float32 (n, D): `rows` rows from `first` on, all that follow where `rows` is -1."""
    count = rows if rows < 0 else rows * dimension
    return np.fromfile(path, dtype="<f4", count=count, offset=4 * dimension * first).reshape(-1, dimension)

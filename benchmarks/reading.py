"""Ways of reading training files into memory, each in a process of its own that does nothing else:

    python -m benchmarks.reading '{"name": "loader", "workers": 2}' ROWS FOLDER
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from itertools import zip_longest
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from benchmarks.machine import status_mib
from benchmarks.training_files import ENTRIES_PER_TUPLE, SHAPES, Files
from mmse_model.batches import TupleLoader
from mmse_model.packed import stream_columns, tuple_columns
from schemas import ITEM_STREAM, TUPLES, Dataset

BATCH, QUEUE = 512, 50_000
Passes = Callable[[int], Iterator[Any]]
"""Number of a pass -> the query ids of one part of the tuples after the other; all else is read as well."""


@dataclass(frozen=True)
class Way:
    """One way of reading; `cores` is how many the process may use, 0 is all."""

    name: str
    workers: int = 1
    cores: int = 0
    passes: int = 2

    def __str__(self) -> str:
        workers = f", {self.workers} worker{'s' * (self.workers > 1)}" if self.name == "loader" else ""
        return f"{self.name}{workers}{f', {self.cores} core' if self.cores else ''}"


BARE, BATCHED = Way("bare scan"), Way("batched loader", passes=1)
LOADERS = tuple(Way("loader", workers) for workers in (1, 2, 3, 4))
ONE_CORE = (Way("bare scan", cores=1), Way("loader", cores=1))
WAYS = (BARE, *LOADERS, BATCHED, *ONE_CORE)


@dataclass(frozen=True)
class Measured:
    """One run: figures of its last pass, tuples a second of its first, peak resident memory, sum of all query ids."""

    rows_per_second: float
    first_rows_per_second: float
    cpu_s_per_million: float
    peak_mib: float
    checksum: int


def tuple_loader(files: Files, workers: int) -> Passes:
    """The loader under test, checksums included; they are verified in the first pass."""
    loader = TupleLoader(
        files.tuples, files.stream, SHAPES, BATCH, ENTRIES_PER_TUPLE * BATCH, seed=7, digests=files.digests(), workers=workers
    )
    return lambda number: (batch.query for batch in loader.epoch(number))


def bare_scan(files: Files, _: int) -> Passes:
    """Row groups into numpy views of Arrow's memory."""

    def scan(paths: Sequence[Path], dataset: Dataset, columns: Sequence[str]) -> Iterator[dict[str, Any]]:
        for path in paths:
            table = pq.ParquetFile(path).read_row_group(0, columns=columns, use_threads=False)
            yield {name: view_of(table[name].chunk(0), dataset.packed.get(name)) for name in columns}

    def run(_: int) -> Iterator[Any]:
        for arrays in scan(files.tuples, TUPLES, list(tuple_columns(SHAPES))):
            yield arrays["query"].reshape(-1, SHAPES["Q"])
        for _ in scan(files.stream, ITEM_STREAM, list(stream_columns(SHAPES))):
            pass

    return run


def view_of(column: pa.Array, dtype: str | None) -> Any:
    """A numpy array over the memory of an Arrow column that was just read, without a copy."""
    return column.to_numpy() if dtype is None else np.frombuffer(column.buffers()[2], dtype)


def batched_loader(files: Files, _: int) -> Passes:
    """Petastorm's own loader over list columns, tuples and stream side by side."""
    from petastorm import make_batch_reader
    from petastorm.pytorch import BatchedDataLoader

    def open_loader(paths: Sequence[Path], size: int) -> Any:
        reader = make_batch_reader([f"file://{p}" for p in paths], workers_count=2, num_epochs=1, seed=7)
        return BatchedDataLoader(reader, batch_size=size, shuffling_queue_capacity=QUEUE)

    def run(_: int) -> Iterator[Any]:
        with open_loader(files.tuple_lists, BATCH) as tuples, open_loader(
            files.stream_lists, ENTRIES_PER_TUPLE * BATCH
        ) as stream:
            for batch, _ in zip_longest(tuples, stream):
                if batch is not None:
                    yield batch["query"]

    return run


MAKERS = {"loader": tuple_loader, "bare scan": bare_scan, "batched loader": batched_loader}


def measure(way: Way, files: Files, rows: int) -> Measured:
    """Reads everything `way.passes` times in this process."""
    passes, checksum, speeds = MAKERS[way.name](files, way.workers), 0, []
    for number in range(way.passes):
        started, cpu, done = time.perf_counter(), time.process_time(), 0
        for queries in passes(number):
            if number == 0:  # the loader's last batch holds rows of the next epoch, too
                checksum += int(queries[: rows - done].sum())
            done += len(queries)
        speeds.append((done / (time.perf_counter() - started), 1e6 * (time.process_time() - cpu) / done))
    return Measured(round(speeds[-1][0]), round(speeds[0][0]), round(speeds[-1][1], 2), status_mib("self", "VmHWM"), checksum)


def main() -> None:
    """Measures the way that the first argument describes on files of ROWS tuples; the last line is JSON."""
    way = Way(**json.loads(sys.argv[1]))
    if way.cores:
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[: way.cores])
    print(json.dumps(asdict(measure(way, Files.below(Path(sys.argv[3])), int(sys.argv[2])))))


if __name__ == "__main__":
    main()

"""Row groups through Petastorm, handed over as the Arrow tables that they were decoded into.

Files are opened by Petastorm's make_batch_reader on explicit URLs, so that no `_common_metadata` (a pickle) is ever
looked for, and with its dummy pool, which alone keeps the order of the files. Its last step is replaced: it would make a
Python object of every packed value, which costs half as much again as decoding them.
"""

from __future__ import annotations

import time
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
from pyarrow.filesystem import LocalFileSystem

from mmse_model.packed_files import PackedError

# Petastorm calls deprecated parts of the pyarrow that it is pinned to, once per file.
warnings.filterwarnings("ignore", category=FutureWarning, module=r"petastorm(\.|$)")

FILES_AT_ONCE = 3
"""Files that one Petastorm reader is opened on. It queues three row groups at once and looks for more every 10 ms; its dummy
pool, when it finds the queue empty, sleeps for 100 ms."""


def open_reader(paths: Sequence[Path], columns: Sequence[str]) -> Any:
    """A Petastorm reader of Arrow tables over the files in this order, one row group at a time, once."""
    from petastorm import make_batch_reader

    urls = []
    for path in paths:
        text = str(path.absolute())
        if any(mark in text for mark in "#?%*"):
            raise PackedError(f"{path}: the path holds one of # ? % *; expected none, Petastorm reads it as a URL")
        urls.append(f"file://{text}")
    # Names are taken as regular expressions; the `$` keeps Petastorm from warning of those that begin alike.
    names = [f"{name}$" for name in columns]
    reader = make_batch_reader(
        urls, schema_fields=names, reader_pool_type="dummy", shuffle_row_groups=False, num_epochs=1,
        filesystem=LocalFiles(),
    )
    if not hasattr(reader, "_results_queue_reader"):
        raise RuntimeError("petastorm's Reader has no _results_queue_reader; expected that of 0.12.1")
    reader._results_queue_reader = ArrowTables()
    _wait_for_queue(reader)
    return reader


def _wait_for_queue(reader: Any, seconds: float = 0.02) -> None:
    """Returns when the reader's own thread has queued all row groups, or has had its time, where they are many."""
    stop = time.monotonic() + seconds
    while not reader.ventilator.completed() and time.monotonic() < stop:
        time.sleep(0.0002)


class LocalFiles(LocalFileSystem):
    """Petastorm's local file system, opening files by Arrow itself.

    Python file objects, which it opens otherwise, have Arrow's threads wait for the interpreter at every read, and abort
    the process when it ends while one of them is still being let go of.
    """

    def __init__(self) -> None:
        """The parent's does nothing but warn that pyarrow has newer file systems, which Petastorm cannot use."""

    def open(self, path: str, mode: str = "rb") -> pa.NativeFile:
        """A file to read from."""
        return pa.OSFile(str(path), mode)


class ArrowTables:
    """Hands over the Arrow table of each row group as it was decoded."""

    batched_output = True

    def read_next(self, workers_pool: Any, schema: Any, ngram: Any) -> pa.Table:
        """Called by Petastorm's Reader for the next row group."""
        return workers_pool.get_results()

"""Packed Parquet files through Petastorm: one numpy array per column, one `np.frombuffer` per packed column.

Files are opened by Petastorm's make_batch_reader on explicit URLs, so that no `_common_metadata` (a pickle) is ever
looked for, and with its dummy pool, which alone keeps the order of the files.
"""

from __future__ import annotations

import hashlib
import warnings
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
from numpy.typing import NDArray

from schemas import ITEM_STREAM, TUPLES, Dataset

# Petastorm calls deprecated parts of the pyarrow that it is pinned to, once per file.
warnings.filterwarnings("ignore", category=FutureWarning, module=r"petastorm(\.|$)")

FILES_AT_ONCE = 64
"""Files that one Petastorm reader is opened on: opening reads every footer."""

class PackedError(ValueError):
    """A file cannot be used as training data; one sentence that names it."""


Arrays = dict[str, NDArray[Any]]
"""Column -> array whose first axis is the row."""


@dataclass(frozen=True)
class PackedFile:
    """One Parquet file with what its footer says of it."""

    path: Path
    rows: int
    row_groups: int


@dataclass(frozen=True)
class PackedTable:
    """Files of one dataset, the columns to read, and the shape of each column's value in one row."""

    dataset: Dataset
    shapes: Mapping[str, tuple[int, ...]]
    files: tuple[PackedFile, ...]
    digests: Mapping[Path, str]
    """SHA-256 by file, verified before a file's rows are first used; a file without one is trusted."""
    _verified: set[Path] = field(default_factory=set, compare=False, repr=False)

    @property
    def rows(self) -> int:
        """Rows of all files."""
        return sum(f.rows for f in self.files)

    def read(self, pools: Sequence[Sequence[PackedFile]]) -> Iterator[Arrays]:
        """The rows of each pool of files, in the order given.

        Raises PackedError that names the file where it is damaged, of another shape, or not what was digested.
        """
        files = [file for pool in pools for file in pool]
        columns = self._columns(files)
        for pool in pools:
            parts = [next(columns) for _ in pool]
            yield {name: self._array(name, pool, [part[name] for part in parts]) for name in self.shapes}

    def _columns(self, files: Sequence[PackedFile]) -> Iterator[dict[str, NDArray[Any]]]:
        """The columns of each file as Petastorm gives them: packed ones are arrays of bytes objects."""
        for start in range(0, len(files), FILES_AT_ONCE):
            some = files[start : start + FILES_AT_ONCE]
            current = some[0]
            try:
                with open_reader([f.path for f in some], list(self.shapes)) as reader:
                    for current in some:
                        self._verify(current.path)
                        groups = [next(reader)._asdict() for _ in range(current.row_groups)]
                        yield {name: _joined([group[name] for group in groups]) for name in self.shapes}
            except PackedError:
                raise
            except Exception as error:
                raise PackedError(f"{current.path}: cannot be read ({' '.join(str(error).split())})") from error

    def _array(self, name: str, pool: Sequence[PackedFile], parts: Sequence[NDArray[Any]]) -> NDArray[Any]:
        """One array over the files of a pool; the bytes are copied once."""
        for file, part in zip(pool, parts):
            if len(part) != file.rows:
                raise PackedError(f"{file.path}: {len(part)} rows of {name} were read; expected {file.rows}")
        dtype, shape = self.dataset.packed.get(name), self.shapes[name]
        if dtype is None:
            return _joined(parts)
        width = int(np.prod(shape)) * np.dtype(dtype).itemsize
        for file, part in zip(pool, parts):
            if sum(map(len, part)) != width * len(part):
                raise PackedError(
                    f"{file.path}: {name} holds {sum(map(len, part)) / len(part):g} bytes a row; expected {width}, "
                    f"shape {shape} of {dtype}"
                )
        flat = np.frombuffer(b"".join(chain.from_iterable(parts)), dtype)
        return flat.reshape(-1, *shape)

    def _verify(self, path: Path) -> None:
        expected = self.digests.get(path)
        if expected is None or path in self._verified:
            return
        with open(path, "rb") as handle:
            found = hashlib.file_digest(handle, "sha256").hexdigest()
        if found != expected:
            raise PackedError(f"{path}: SHA-256 is {found}; expected {expected}, as its manifest says")
        self._verified.add(path)


def _joined(parts: Sequence[NDArray[Any]]) -> NDArray[Any]:
    return parts[0] if len(parts) == 1 else np.concatenate(parts)


def tuple_table(
    files: Sequence[Path], shapes: Mapping[str, int], digests: Mapping[Path, str] | None = None
) -> PackedTable:
    """Tuples; `shapes` holds Q, S, I and P."""
    q, s, i, p = (shapes[name] for name in "QSIP")
    columns = {"query": (q,), "dense_ids": (s,), "items": (s, i), "shares": (s, 2), "known_positives": (p,)}
    return PackedTable(TUPLES, columns, open_files(files, TUPLES), digests or {})


def stream_table(
    files: Sequence[Path], shapes: Mapping[str, int], digests: Mapping[Path, str] | None = None
) -> PackedTable:
    """The item stream; `shapes` holds Q and I."""
    columns = {"dense_id": (), "item": (shapes["I"],), "title_query": (shapes["Q"],), "share": (), "probability": ()}
    return PackedTable(ITEM_STREAM, columns, open_files(files, ITEM_STREAM), digests or {})


def open_files(paths: Sequence[Path], dataset: Dataset) -> tuple[PackedFile, ...]:
    """Footers of the files in name order; files without rows are left out.

    Raises PackedError that names a file which is no readable Parquet or has not the dataset's columns.
    """
    declared = {f.name: f.type for f in dataset.arrow_schema()}
    with ThreadPoolExecutor(8) as pool:
        files = pool.map(lambda path: _open_file(path, declared), sorted(map(Path, paths)))
        return tuple(f for f in files if f.rows)


def _open_file(path: Path, declared: Mapping[str, Any]) -> PackedFile:
    try:
        footer = pq.read_metadata(path)
    except Exception as error:
        raise PackedError(f"{path}: not a readable Parquet file ({' '.join(str(error).split())})") from None
    found = {f.name: f.type for f in footer.schema.to_arrow_schema()}
    for name, kind in declared.items():
        if found.get(name) != kind:
            raise PackedError(f"{path}: column {name} is {found.get(name, 'absent')}; expected {kind}")
    return PackedFile(path, footer.num_rows, footer.num_row_groups)


def open_reader(paths: Sequence[Path], columns: Sequence[str]) -> Any:
    """A Petastorm reader over the files in this order, one row group at a time, once."""
    from petastorm import make_batch_reader

    urls = []
    for path in paths:
        text = str(path.absolute())
        if any(mark in text for mark in "#?%*"):
            raise PackedError(f"{path}: the path holds one of # ? % *; expected none, Petastorm reads it as a URL")
        urls.append(f"file://{text}")
    # Names are taken as regular expressions; the `$` keeps Petastorm from warning of those that begin alike.
    names = [f"{name}$" for name in columns]
    return make_batch_reader(
        urls, schema_fields=names, reader_pool_type="dummy", shuffle_row_groups=False, num_epochs=1
    )

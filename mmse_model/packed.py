"""Packed Parquet files as numpy views of the memory that Arrow decoded them into: types, shapes and digests are checked."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from mmse_model.packed_files import Digests, PackedError, PackedFile, open_files
from mmse_model.row_groups import FILES_AT_ONCE, open_reader
from schemas import ITEM_STREAM, TUPLES, Dataset

Arrays = dict[str, NDArray[Any]]
"""Column -> array whose first axis is the row."""


@dataclass(frozen=True)
class PackedTable:
    """Files of one dataset, the columns to read, and the shape of each column's value in one row."""

    dataset: Dataset
    shapes: Mapping[str, tuple[int, ...]]
    files: tuple[PackedFile, ...]
    digests: Digests

    @property
    def rows(self) -> int:
        """Rows of all files."""
        return sum(f.rows for f in self.files)

    @cached_property
    def fingerprint(self) -> str:
        """Equal where files of the same content stand in the same order; without digests, files of the same name."""
        content = [[self.digests.of(f.path) or f.path.name, f.rows] for f in self.files]
        return hashlib.sha256(json.dumps(content).encode()).hexdigest()[:16]

    def read(self, files: Sequence[PackedFile]) -> Generator[Arrays, None, None]:
        """The rows of each file in the order given, (rows, *shape) by column; the arrays must not be written to.

        Raises PackedError that names the file where it is damaged, of another type or shape, or not what was digested.
        """
        for start in range(0, len(files), FILES_AT_ONCE):
            some = files[start : start + FILES_AT_ONCE]
            current = some[0]
            try:
                with open_reader([f.path for f in some], list(self.shapes)) as reader:
                    self._check_view(current.path, reader.schema.fields)
                    for current in some:
                        self.digests.verify(current.path)
                        yield self._arrays(current, [next(reader) for _ in range(current.row_groups)])
            except PackedError:
                raise
            except Exception as error:
                reason = " ".join(str(error).split()) or type(error).__name__
                raise PackedError(f"{current.path}: cannot be read ({reason})") from error

    @cached_property
    def _declared(self) -> Mapping[str, Any]:
        """The fields of the Unischema in `schemas`."""
        return self.dataset.unischema().fields

    def _check_view(self, path: Path, found: Mapping[str, Any]) -> None:
        """Compares Petastorm's view of a file with the Unischema, for the columns that are read."""
        for name in self.shapes:
            expected, field = self._declared[name], found[name]
            if (field.numpy_dtype, field.shape) != (expected.numpy_dtype, expected.shape):
                raise PackedError(
                    f"{path}: Petastorm finds {name} to be {field.numpy_dtype.__name__} {field.shape}; expected "
                    f"{expected.numpy_dtype.__name__} {expected.shape}, as the Unischema says"
                )

    def _arrays(self, file: PackedFile, groups: Sequence[pa.Table]) -> Arrays:
        """The columns of a file. A reader's view is of its first file only: here the types of every file are checked."""
        arrays = {}
        for name in self.shapes:
            chunks = [chunk for group in groups for chunk in group[name].chunks]
            parts = [self._packed(file, name, c) if name in self.dataset.packed else self._plain(file, name, c) for c in chunks]
            arrays[name] = parts[0] if len(parts) == 1 else np.concatenate(parts)
            if len(arrays[name]) != file.rows:
                raise PackedError(f"{file.path}: {len(arrays[name])} rows of {name} were read; expected {file.rows}")
        return arrays

    def _plain(self, file: PackedFile, name: str, column: pa.Array) -> NDArray[Any]:
        expected = np.dtype(self._declared[name].numpy_dtype)
        if column.null_count or column.type.to_pandas_dtype() != expected:
            raise PackedError(
                f"{file.path}: {name} is {column.type} with {column.null_count} nulls; expected {expected} without"
            )
        return column.to_numpy(zero_copy_only=False)

    def _packed(self, file: PackedFile, name: str, column: pa.Array) -> NDArray[Any]:
        """(rows, *shape) over the memory of a binary column: its values stand side by side."""
        dtype, shape = np.dtype(self.dataset.packed[name]), self.shapes[name]
        width = math.prod(shape) * dtype.itemsize
        if column.null_count or not pa.types.is_binary(column.type):
            raise PackedError(f"{file.path}: {name} is {column.type} with {column.null_count} nulls; expected binary without")
        _, ends, values = column.buffers()
        offsets = np.frombuffer(ends, np.int32)[column.offset : column.offset + len(column) + 1]
        widths = np.diff(offsets)
        if (widths != width).any():
            raise PackedError(
                f"{file.path}: {name} holds {widths[widths != width][0]} bytes a row; expected {width}: {shape} of {dtype.str}"
            )
        return np.ndarray((len(column), *shape), dtype, values, int(offsets[0]))


def tuple_columns(shapes: Mapping[str, int]) -> dict[str, tuple[int, ...]]:
    """What is read of a tuple, and the shape of each value; `shapes` holds Q, S, I and P, and N where rows have negatives."""
    q, s, i, p = (shapes[name] for name in "QSIP")
    columns = {"query": (q,), "dense_ids": (s,), "items": (s, i), "shares": (s, 2), "known_positives": (p,)}
    own = shapes.get("N", 0)
    return {**columns, "negative_ids": (own,), "negatives": (own, i)} if own else columns


def stream_columns(shapes: Mapping[str, int]) -> dict[str, tuple[int, ...]]:
    """What is read of an item stream entry, and the shape of each value; `shapes` holds Q and I."""
    return {"dense_id": (), "item": (shapes["I"],), "title_query": (shapes["Q"],), "share": (), "probability": ()}


def tuple_table(
    files: Sequence[Path], shapes: Mapping[str, int], digests: Mapping[Path, str] | None = None
) -> PackedTable:
    """Tuples."""
    return PackedTable(TUPLES, tuple_columns(shapes), open_files(files, TUPLES), Digests(digests or {}))


def stream_table(
    files: Sequence[Path], shapes: Mapping[str, int], digests: Mapping[Path, str] | None = None
) -> PackedTable:
    """The item stream."""
    return PackedTable(ITEM_STREAM, stream_columns(shapes), open_files(files, ITEM_STREAM), Digests(digests or {}))

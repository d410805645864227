"""Synthetic tuples and item stream of any size, in the layout that the job writes, and, where wanted, as list columns.

Shapes and sparsity are those of the demo's settings: titles of 5 to 14 words, queries of 1 to 5, about four of eight slots
with an item, two known positives: most of a packed row is padding.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from mmse_model.config import GrainsSettings
from mmse_model.layout import GrainLayout, make_layout
from mmse_model.packed import stream_columns, tuple_columns
from schemas import ITEM_STREAM, TUPLES, Dataset
from schemas.vocabulary import GRAINS

SHAPES = {"Q": 40, "S": 8, "I": 80, "P": 16}
ROWS_PER_FILE = 8_192
ENTRIES_PER_TUPLE = 2
CATALOGUE = 50_000
QUERY_GRAINS, ITEM_GRAINS = (8, 8, 24), (16, 16, 40, 8)
"""Widths of word, bigram, trigram and attribute in a row of ids."""
TABLE_ROWS = 25_000
"""Rows of each grain in the embedding table; tokens are drawn from the first 20,000."""
FILLED = (0.9, 0.9, 0.8, 0.7, 0.6, 0.2, 0.3, 0.05)
"""Share of tuples with an item in each slot."""


@dataclass(frozen=True)
class Files:
    """Paths of the packed files, and of the same rows as lists."""

    tuples: list[Path]
    stream: list[Path]
    tuple_lists: list[Path]
    stream_lists: list[Path]

    @staticmethod
    def below(folder: Path) -> Files:
        """The files that `write` wrote there."""
        names = ("tuples", "stream", "tuples_lists", "stream_lists")
        return Files(*(sorted((folder / name).glob("*.parquet")) for name in names))

    def digests(self) -> dict[Path, str]:
        """SHA-256 of every packed file."""
        return {path: hashlib.sha256(path.read_bytes()).hexdigest() for path in [*self.tuples, *self.stream]}


def write(folder: Path, rows: int, *, lists: bool = True) -> Files:
    """Writes `rows` tuples and twice as many stream entries; `lists` writes them as list columns, too."""
    catalogue = Catalogue(np.random.default_rng(7))
    _write(folder, "tuples", TUPLES, tuple_columns(SHAPES), rows, catalogue.tuples, lists)
    _write(folder, "stream", ITEM_STREAM, stream_columns(SHAPES), ENTRIES_PER_TUPLE * rows, catalogue.entries, lists)
    return Files.below(folder)


def grain_layout() -> GrainLayout:
    """Where the ids of the rows stand in the embedding table of a model."""
    settings = GrainsSettings()
    return make_layout(settings, {grain: TABLE_ROWS - getattr(settings, grain).bins for grain in GRAINS})


class Catalogue:
    """Items with their ids, and rows drawn over them, popular items more often."""

    def __init__(self, random: np.random.Generator) -> None:
        self.random = random
        self.items = self._ids(random.integers(5, 15, CATALOGUE), ITEM_GRAINS)

    def tuples(self, numbers: NDArray[np.int64]) -> dict[str, NDArray[Any]]:
        """The columns of some tuples."""
        n = len(numbers)
        dense = np.where(self.random.random((n, SHAPES["S"])) < FILLED, self._drawn(n, SHAPES["S"]), -1)
        there = (dense >= 0)[..., None]
        known = np.where(np.arange(SHAPES["P"]) < self.random.integers(1, 4, (n, 1)), self._drawn(n, SHAPES["P"]), -1)
        return {
            "query": self._ids(self.random.integers(1, 6, n), QUERY_GRAINS), "dense_ids": dense,
            "items": self.items[dense] * there, "shares": self.random.random((n, SHAPES["S"], 2)) * there,
            "known_positives": known, "query_id": numbers.astype(str), "query_norm": (numbers // 3).astype(str),
        }

    def entries(self, numbers: NDArray[np.int64]) -> dict[str, NDArray[Any]]:
        """The columns of some stream entries."""
        n = len(numbers)
        dense = self._drawn(n)
        return {
            "dense_id": dense, "item": self.items[dense], "probability": self.random.random(n), "share": self.random.random(n),
            "title_query": self._ids(self.random.integers(1, 6, n), QUERY_GRAINS),
        }

    def _drawn(self, *shape: int) -> NDArray[np.int64]:
        return (CATALOGUE * self.random.random(shape) ** 2).astype(np.int64)

    def _ids(self, words: NDArray[np.int64], grains: Sequence[int]) -> NDArray[np.int32]:
        """(N, sum of widths) token ids of texts of so many words, frequent tokens more often; the rest is padding."""
        counts = (words, words - 1, 6 * words, np.full_like(words, 6))
        parts = []
        for grain, (width, count) in enumerate(zip(grains, counts)):
            drawn = 1 + TABLE_ROWS * grain + 20_000 * self.random.random((len(words), width)) ** 3
            parts.append((drawn * (np.arange(width) < count[:, None])).astype(np.int32))
        return np.concatenate(parts, axis=1)


def row_bytes() -> int:
    """Bytes of one tuple and its stream entries as tensors."""
    def width(dataset: Dataset, shapes: Mapping[str, tuple[int, ...]]) -> int:
        types = {f.name: f.type.to_pandas_dtype() for f in dataset.arrow_schema()} | dict(dataset.packed)
        return sum(int(np.prod(shape)) * np.dtype(types[name]).itemsize for name, shape in shapes.items())

    return width(TUPLES, tuple_columns(SHAPES)) + ENTRIES_PER_TUPLE * width(ITEM_STREAM, stream_columns(SHAPES))


def _write(folder: Path, name: str, dataset: Dataset, shapes: Mapping[str, Any], rows: int, make: Any, lists: bool) -> None:
    packed, as_lists = folder / name, folder / f"{name}_lists"
    packed.mkdir(parents=True)
    as_lists.mkdir()
    plain = [c for c in dataset.column_names if c not in dataset.packed]
    for start in range(0, rows, ROWS_PER_FILE):
        columns = make(np.arange(start, min(start + ROWS_PER_FILE, rows)))
        file = f"part-{start:09}.parquet"
        _save(packed_table(dataset, columns), packed / file, plain)
        if lists:
            _save(list_table(dataset, shapes, columns), as_lists / file, True)


def _save(table: pa.Table, path: Path, dictionary: Any) -> None:
    """As Spark writes it: zstd level 3, one row group, pages of one MiB."""
    pq.write_table(
        table, path, compression="zstd", compression_level=3, use_dictionary=dictionary, row_group_size=ROWS_PER_FILE,
        data_page_size=1 << 20, write_batch_size=256,
    )


def packed_table(dataset: Dataset, columns: Mapping[str, NDArray[Any]]) -> pa.Table:
    """All declared columns; those that were not made hold one value throughout."""
    count = len(next(iter(columns.values())))
    arrays = []
    for field in dataset.arrow_schema():
        if field.name not in columns:
            value = b"" if pa.types.is_binary(field.type) else "train" if pa.types.is_string(field.type) else 0
            arrays.append(pa.array([value] * count).cast(field.type))
        elif field.name in dataset.packed:
            values = np.ascontiguousarray(columns[field.name].astype(dataset.packed[field.name]))
            offsets = np.arange(count + 1, dtype=np.int32) * (values.nbytes // count)
            arrays.append(pa.Array.from_buffers(field.type, count, [None, pa.py_buffer(offsets), pa.py_buffer(values)]))
        else:
            arrays.append(pa.array(columns[field.name]).cast(field.type))
    return pa.Table.from_arrays(arrays, schema=dataset.arrow_schema())


def list_table(dataset: Dataset, shapes: Mapping[str, Any], columns: Mapping[str, NDArray[Any]]) -> pa.Table:
    """The columns that training reads, packed ones as flat lists."""
    count, arrays = len(next(iter(columns.values()))), {}
    for name in shapes:
        dtype = dataset.packed.get(name)
        if dtype is None:
            arrays[name] = pa.array(columns[name]).cast(dataset.arrow_schema().field(name).type)
        else:
            flat = columns[name].astype(dtype).reshape(-1)
            offsets = np.arange(count + 1, dtype=np.int32) * (len(flat) // count)
            arrays[name] = pa.ListArray.from_arrays(pa.array(offsets), pa.array(flat))
    return pa.table(arrays)

"""The embeddings of an earlier run, read forward beside today's items: vectors are carried over without the JVM."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq

from jobs.index.plan import BATCH, RowGroup
from jobs.index.vectors import unpack_vectors
from jobs.runtime.errors import InputError
from mmse_model.index_files import file_digest

Rows = tuple[np.ndarray, np.ndarray, np.ndarray]
"""Dense ids int64 (n,), ascending, hashes of the inputs int64 (n,) and vectors float32 (n, D)."""


class EarlierVectors:
    """Vectors of an earlier run by dense id, for one task that asks in ascending order; none without row groups.

    One batch is in memory. Raises InputError where a file is not what its manifest says.
    """

    def __init__(self, groups: Sequence[RowGroup], dimension: int) -> None:
        self._groups, self._dimension = groups, dimension
        self._batches: Iterator[Rows] | None = None
        self._batch: Rows | None = None

    def vectors_of(self, ids: np.ndarray, inputs: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """float32 (n, D) and bool (n,): the vectors of those of the ascending `ids` (n,) that had the same `inputs` (n,).

        Rows of the others are not filled.
        """
        vectors, carried = np.empty((len(ids), self._dimension), dtype=np.float32), np.zeros(len(ids), dtype=bool)
        for before, before_inputs, before_vectors in self._between(int(ids[0]), int(ids[-1])):
            low, high = np.searchsorted(ids, [before[0], before[-1] + 1])
            at = np.searchsorted(before, ids[low:high])
            same = (before[at] == ids[low:high]) & (before_inputs[at] == inputs[low:high])
            vectors[low:high][same] = before_vectors[at[same]]
            carried[low:high] |= same
        return vectors, carried

    def _between(self, first: int, last: int) -> Iterator[Rows]:
        """The batches that reach into first..last; the next call begins with the last of them."""
        if self._batches is None:
            self._batches = self._read([group for group in self._groups if group.last >= first])
            self._batch = next(self._batches, None)
        while self._batch is not None:
            before = self._batch[0]
            if before[-1] >= first and before[0] <= last:
                yield self._batch
            if before[-1] > last:
                return
            self._batch = next(self._batches, None)

    def _read(self, groups: Sequence[RowGroup]) -> Iterator[Rows]:
        verified = None
        for group in groups:
            if group.path != verified and file_digest(Path(group.path)) != group.sha256:
                raise InputError(f"{group.path}: altered since it was published (its SHA-256 differs from the manifest)")
            verified = group.path
            with pq.ParquetFile(group.path) as file:
                columns = ["dense_id", "inputs", "vector"]
                for batch in file.iter_batches(BATCH, row_groups=[group.number], columns=columns):
                    vectors = unpack_vectors(batch["vector"], self._dimension)
                    yield batch["dense_id"].to_numpy(), batch["inputs"].to_numpy(), vectors

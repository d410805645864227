"""Encoding items in fixed blocks of dense ids, on executors."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import lru_cache
from typing import Any, Protocol

import numpy as np
import pyarrow as pa

from jobs.index.vectors import pack_vectors
from schemas import EMBEDDINGS

TEXT_COLUMNS = ("title", "brand", "category_path", "shop", "price")


class ItemEncoder(Protocol):
    """What embedding needs of `mmse_model.encoder.Encoder`."""

    def encode_items(
        self, titles: Sequence[str], brands: Sequence[str | None], category_paths: Sequence[str | None],
        shops: Sequence[str | None], prices: Sequence[float | None],
    ) -> np.ndarray:
        """float32 (N, D), unit norm."""


@lru_cache(maxsize=1)
def open_encoder(model_folder: str) -> Any:
    """The encoder of a published model: read from disk once per Python worker, with one torch thread.

    More threads would split sums differently, and Spark has given the other cores to other tasks.
    """
    from mmse_model.encoder import Encoder

    return Encoder.open(model_folder, threads=1)


def encode_blocks(
    batches: Iterator[pa.RecordBatch], opener: Callable[[], ItemEncoder], block: int
) -> Iterator[pa.RecordBatch]:
    """Items in dense-id order to rows of `embeddings`: one call of the encoder per block of dense ids."""
    encoder = None
    for items in whole_blocks(batches, block):
        encoder = encoder or opener()
        vectors = encoder.encode_items(*(items[name].to_pylist() for name in TEXT_COLUMNS))
        columns = [items["dense_id"].combine_chunks(), items["object_id"].combine_chunks(), pack_vectors(vectors)]
        yield pa.RecordBatch.from_arrays(columns, schema=EMBEDDINGS.arrow_schema())


def whole_blocks(batches: Iterator[pa.RecordBatch], block: int) -> Iterator[pa.Table]:
    """Rows in dense-id order, cut where `dense_id // block` changes and nowhere else.

    Arrow batches end anywhere; the bits of a vector may depend on how many rows are
    multiplied together, hence on the block, which depends on the dense ids alone.
    """
    pending: list[pa.RecordBatch] = []
    current = None
    for batch in batches:
        numbers = batch.column("dense_id").to_numpy() // block
        starts = [0, *(np.flatnonzero(np.diff(numbers)) + 1).tolist(), len(numbers)]
        for start, end in zip(starts, starts[1:]):
            if start == end:
                continue
            if pending and numbers[start] != current:
                yield pa.Table.from_batches(pending)
                pending = []
            current = numbers[start]
            pending.append(batch.slice(start, end - start))
    if pending:
        yield pa.Table.from_batches(pending)

"""Encoding items on executors: those whose text or attributes changed, the others keep the vector of the run before."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import pyarrow as pa
from pyspark.sql import functions as F

from jobs.index.earlier import EarlierVectors
from jobs.index.vectors import pack_vectors
from mmse_model.attributes import price_bounds
from schemas import EMBEDDINGS

if TYPE_CHECKING:
    from pyspark.sql import Column

TEXT_COLUMNS = ("title", "brand", "category_path", "shop", "price")
GATHERED = 32_768
"""Items in memory at a time: of so many, even where few changed, the tower is called for more than a handful."""


class ItemEncoder(Protocol):
    """What embedding needs of `mmse_model.encoder.Encoder`."""

    dimension: int

    def encode_items(
        self, titles: Sequence[str], brands: Sequence[str | None], category_paths: Sequence[str | None],
        shops: Sequence[str | None], prices: Sequence[float | None],
    ) -> np.ndarray:
        """float32 (N, D), unit norm; the bits of a row depend on its item alone."""


@lru_cache(maxsize=1)
def open_encoder(model_folder: str, block: int) -> Any:
    """The encoder of a published model: read from disk once per Python worker, with one torch thread and fixed calls.

    More threads would split sums differently, and Spark has given the other cores to other tasks.
    """
    from mmse_model.encoder import Encoder

    return Encoder.open(model_folder, threads=1, block=block, fixed=True)


def inputs_hash(price_buckets: int) -> Column:
    """What the item tower reads of an item, its object and the null pattern along, as 64 bits.

    Of the price that is its bucket (`mmse_model.attributes.price_bucket`): most prices move within one. That a changed
    item has the hash it had before has a chance of 2^-64.
    """
    return F.xxhash64("object_id", *_read_of_an_item(price_buckets))


def text_hash(price_buckets: int) -> Column:
    """What the item tower reads of an item, without its object: items that are told in the same words have the same."""
    return F.xxhash64(*_read_of_an_item(price_buckets))


def _read_of_an_item(price_buckets: int) -> list[Column]:
    price = F.col("price")
    above = sum((price >= bound).cast("int") for bound in price_bounds(price_buckets).tolist())
    bucket = F.when((price > 0) & ~F.isnan(price), F.lit(0) + above).otherwise(-1)
    texts = [F.col(name) for name in ("title", "brand", "category_path", "shop")]
    return [*texts, *(text.isNull() for text in texts), bucket]


def encode_changed(
    batches: Iterator[pa.RecordBatch], opener: Callable[[], ItemEncoder], dimension: int, earlier: EarlierVectors
) -> Iterator[pa.RecordBatch]:
    """Items in dense-id order to rows of `embeddings`, D = `dimension`; the encoder is opened where an item needs it."""
    encoder = None
    for items in gathered(batches, GATHERED):
        vectors, carried = earlier.vectors_of(items["dense_id"].to_numpy(), items["inputs"].to_numpy())
        changed = np.flatnonzero(~carried)
        if len(changed):
            encoder = encoder or opener()
            texts = items.select(TEXT_COLUMNS).take(changed)
            vectors[changed] = encoder.encode_items(*(texts[name].to_pylist() for name in TEXT_COLUMNS))
        whole = items.combine_chunks().append_column("vector", pack_vectors(vectors))
        yield from whole.select(EMBEDDINGS.column_names).cast(EMBEDDINGS.arrow_schema()).to_batches()


def gathered(batches: Iterator[pa.RecordBatch], rows: int) -> Iterator[pa.Table]:
    """Tables of exactly `rows` rows, the last of fewer: Arrow batches end anywhere."""
    held: list[pa.RecordBatch] = []
    missing = rows
    for batch in batches:
        while len(batch):
            held.append(batch.slice(0, missing))
            batch, missing = batch.slice(missing), missing - len(held[-1])
            if not missing:
                yield pa.Table.from_batches(held)
                held, missing = [], rows
    if held:
        yield pa.Table.from_batches(held)

"""Rows of fixed shape: token ids of items and queries, gathered into one packed binary column per array.

Everything here runs inside mapInArrow, on whole Arrow batches; numpy arrays become binary columns by one copy.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray
from pyspark.sql import functions as F

from jobs.tuples.placement import SORTED, in_files
from jobs.tuples.titles import title_queries
from mmse_model.batch import EMPTY
from mmse_model.grains import Grains
from schemas import ITEM_STREAM, TUPLES

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

ITEM_TEXT = ("title", "brand", "category_path", "shop", "price")
PLACE = "_split string, _rank bigint"
ENTRY = ("slot", "dense_id", "item", "share", "probability")

Batches = Iterable[pa.RecordBatch]


@dataclass(frozen=True)
class Shapes:
    """Q and I ids, S slots, P known positives: the shapes of the packed columns."""

    Q: int
    S: int
    I: int  # noqa: E741 - the name that the manifest and the batches use
    P: int

    def facts(self) -> dict[str, int]:
        """As the manifest has them."""
        return {"Q": self.Q, "S": self.S, "I": self.I, "P": self.P}


def pack(rows: NDArray[Any]) -> pa.Array:
    """A binary column with the little-endian bytes of each row of an array (N, ...)."""
    count = len(rows)
    width = rows[0].nbytes if count else 0
    offsets = np.arange(count + 1, dtype=np.int32) * np.int32(width)
    little = rows.astype(rows.dtype.newbyteorder("<"), copy=False)
    data = np.ascontiguousarray(little).tobytes()
    return pa.Array.from_buffers(pa.binary(), count, [None, pa.py_buffer(offsets), pa.py_buffer(data)])


def unpack(column: pa.Array, dtype: str, width: int) -> NDArray[Any]:
    """(N, width) array of a binary column; the inverse of `pack`."""
    return np.frombuffer(b"".join(column.to_pylist()), dtype).reshape(-1, width)


def item_ids(items: DataFrame, grains: Grains) -> DataFrame:
    """`dense_id, item`: the packed ids of each item, computed once however many tuples it stands in."""

    def run(batches: Batches) -> Iterator[pa.RecordBatch]:
        for batch in batches:
            ids = grains.item_ids(*(batch.column(name).to_pylist() for name in ITEM_TEXT))
            yield pa.RecordBatch.from_arrays([batch.column("dense_id"), pack(ids)], ["dense_id", "item"])

    return items.select("dense_id", *ITEM_TEXT).mapInArrow(run, "dense_id bigint, item binary")


def assemble_tuples(heads: DataFrame, slots: DataFrame, grains: Grains, shapes: Shapes) -> DataFrame:
    """The dataset `tuples`, placed and sorted.

    Args:
        heads: One row per tuple: `_split, _rank, _file, query_id, ts, query_norm, known, query_seen`.
        slots: One row per filled slot: the same place, `query_id, last_event_ts` and the columns of ENTRY.
        grains: The vocabulary.
        shapes: Shapes of the packed columns.
    """
    # Heads and slots meet in the one wide shuffle, by file; a join would need another.
    rows = heads.unionByName(
        slots.withColumn("entry", F.struct(*ENTRY)).drop(*ENTRY), allowMissingColumns=True
    )
    gathered = in_files(rows).groupBy("_split", "_file", "_rank", "query_id").agg(
        *[F.max(name).alias(name) for name in ("ts", "query_norm", "query_seen", "known", "last_event_ts")],
        F.collect_list("entry").alias("entries"),
    )
    schema = f"{PLACE}, {columns_sql(TUPLES)}"
    packed = gathered.drop("_file").mapInArrow(pack_tuples(grains, shapes), schema)
    return packed.sortWithinPartitions(*SORTED).select(*TUPLES.column_names)


def pack_tuples(grains: Grains, shapes: Shapes) -> Callable[[Batches], Iterator[pa.RecordBatch]]:
    """A function for mapInArrow over gathered tuples."""

    def run(batches: Batches) -> Iterator[pa.RecordBatch]:
        for batch in batches:
            columns = dict(zip(batch.schema.names, batch.columns))
            arrays = {
                "query": grains.query_ids(columns["query_norm"].to_pylist()),
                "known_positives": fill_known(columns["known"], shapes.P),
                **fill_slots(columns["entries"], shapes),
            }
            packed = {name: pack(array) for name, array in arrays.items()}
            yield named_batch(TUPLES.column_names, {**columns, "split": columns["_split"], **packed})

    return run


def fill_slots(entries: pa.ListArray, shapes: Shapes) -> dict[str, NDArray[Any]]:
    """`dense_ids` (N, S), `items` (N, S, I), `shares` (N, S, 2) of N lists of entries; empty slots are EMPTY and 0."""
    row, values = parents(entries), entries.flatten()
    slot = values.field("slot").to_numpy()
    arrays = {
        "dense_ids": np.full((len(entries), shapes.S), EMPTY, np.int64),
        "items": np.zeros((len(entries), shapes.S, shapes.I), np.int32),
        "shares": np.zeros((len(entries), shapes.S, 2), np.float32),
    }
    arrays["dense_ids"][row, slot] = values.field("dense_id").to_numpy()
    arrays["items"][row, slot] = unpack(values.field("item"), "<i4", shapes.I)
    arrays["shares"][row, slot, 0] = values.field("share").to_numpy()
    arrays["shares"][row, slot, 1] = values.field("probability").to_numpy()
    return arrays


def fill_known(known: pa.ListArray, most: int) -> NDArray[np.int64]:
    """(N, P) known positives, EMPTY where there are fewer; a null list is an empty one."""
    ids = np.full((len(known), most), EMPTY, np.int64)
    row = parents(known)
    position = np.arange(len(row)) - np.searchsorted(row, row)
    ids[row, position] = known.flatten().to_numpy()
    return ids


def parents(lists: pa.ListArray) -> NDArray[np.int64]:
    """The row that each flattened value belongs to, ascending."""
    return pc.list_parent_indices(lists).to_numpy()


def assemble_stream(entries: DataFrame, items: DataFrame, grains: Grains, seed: int) -> DataFrame:
    """The dataset `item_stream`, placed and sorted, from placed entries and the catalogue's text."""
    draw = F.xxhash64(F.lit(seed), F.lit("title"), "dense_id", "copy").alias("_draw")
    texts = in_files(entries.join(items.select("dense_id", *ITEM_TEXT), "dense_id"))
    spelled = texts.select("_split", "_rank", "dense_id", "copy", "share", "probability", draw, *ITEM_TEXT)
    packed = spelled.mapInArrow(pack_stream(grains), f"{PLACE}, {columns_sql(ITEM_STREAM)}")
    return packed.sortWithinPartitions(*SORTED).select(*ITEM_STREAM.column_names)


def pack_stream(grains: Grains) -> Callable[[Batches], Iterator[pa.RecordBatch]]:
    """A function for mapInArrow over stream entries with their items' text."""

    def run(batches: Batches) -> Iterator[pa.RecordBatch]:
        for batch in batches:
            columns = dict(zip(batch.schema.names, batch.columns))
            titles = columns["title"].to_pylist()
            queries = title_queries(titles, columns["_draw"].to_numpy())
            texts = (columns[name].to_pylist() for name in ITEM_TEXT[1:])
            packed = {"item": pack(grains.item_ids(titles, *texts)), "title_query": pack(grains.query_ids(queries))}
            yield named_batch(ITEM_STREAM.column_names, {**columns, **packed})

    return run


def named_batch(names: list[str], columns: Mapping[str, pa.Array]) -> pa.RecordBatch:
    """The place and the declared columns, in order."""
    order = ["_split", "_rank", *names]
    return pa.RecordBatch.from_arrays([columns[name] for name in order], order)


def columns_sql(dataset: Any) -> str:
    """The declared columns as a Spark DDL string."""
    return ", ".join(f"{c.name} {c.type}" for c in dataset.columns)

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

from jobs.tuples.catalogue import ITEM_TEXT
from jobs.tuples.placement import SORTED, in_files
from jobs.tuples.titles import title_queries
from mmse_model.batch import EMPTY
from mmse_model.grains import Grains
from schemas import ITEM_STREAM, TUPLES

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

PLACE = "_split string, _rank bigint"
ENTRY = ("slot", "dense_id", "item", "share", "probability", "seen")
HEAD = ("ts", "query_norm", "query_seen", "held_out", "known", "last_event_ts")

Batches = Iterable[pa.RecordBatch]


@dataclass(frozen=True)
class Shapes:
    """Q and I ids, S slots, P known positives, N own negatives, the last H hard ones: the shapes of the packed columns."""

    Q: int
    S: int
    I: int  # noqa: E741 - the name that the manifest and the batches use
    P: int
    N: int = 0
    H: int = 0

    def facts(self) -> dict[str, int]:
        """As the manifest has them."""
        return {"Q": self.Q, "S": self.S, "I": self.I, "P": self.P, "N": self.N, "H": self.H}


def pack(rows: NDArray[Any]) -> pa.Array:
    """A binary column with the little-endian bytes of each row of an array (N, ...)."""
    count = len(rows)
    width = rows[0].nbytes if count else 0
    offsets = np.arange(count + 1, dtype=np.int32) * np.int32(width)
    little = rows.astype(rows.dtype.newbyteorder("<"), copy=False)
    data = np.ascontiguousarray(little).tobytes() if width else b""
    return pa.Array.from_buffers(pa.binary(), count, [None, pa.py_buffer(offsets), pa.py_buffer(data)])


def unpack(column: pa.Array, dtype: str, width: int) -> NDArray[Any]:
    """(N, width) array of a binary column; the inverse of `pack`."""
    return np.frombuffer(b"".join(column.to_pylist()), dtype).reshape(-1, width)


def spell_items(items: DataFrame, grains: Grains) -> DataFrame:
    """`dense_id, valid_from, title, item`: the packed ids of each item, computed once however often it is drawn."""

    def run(batches: Batches) -> Iterator[pa.RecordBatch]:
        for batch in batches:
            titles, *attributes = (batch.column(name) for name in ITEM_TEXT)
            ids = grains.item_ids(titles.to_pylist(), *attributes)
            kept = [batch.column(name) for name in ("dense_id", "valid_from", "title")]
            yield pa.RecordBatch.from_arrays([*kept, pack(ids)], ["dense_id", "valid_from", "title", "item"])

    schema = "dense_id bigint, valid_from timestamp, title string, item binary"
    return items.select("dense_id", "valid_from", *ITEM_TEXT).mapInArrow(run, schema)


def assemble_tuples(heads: DataFrame, slots: DataFrame, grains: Grains, shapes: Shapes) -> DataFrame:
    """The dataset `tuples`, placed and sorted.

    Args:
        heads: One row per tuple: `_split, _rank, _file, query_id` and the columns of HEAD but the last.
        slots: One row per filled slot: the same place, `query_id, last_event_ts` and the columns of ENTRY; slots from S on
            are own negatives, without `last_event_ts`.
        grains: The vocabulary.
        shapes: Shapes of the packed columns.
    """
    # Heads and slots meet in the one wide shuffle, by file; a join would need another.
    rows = heads.unionByName(
        slots.withColumn("entry", F.struct(*ENTRY)).drop(*ENTRY), allowMissingColumns=True
    )
    gathered = in_files(rows).groupBy("_split", "_file", "_rank", "query_id").agg(
        *[F.max(name).alias(name) for name in HEAD],
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
    """What B lists of entries hold, empty slots EMPTY and 0.

    `dense_ids` (B, S), `items` (B, S, I), `shares` (B, S, 2), `item_seen` (B, S), `negative_ids` (B, N),
    `negatives` (B, N, I).
    """
    row, values, width = parents(entries), entries.flatten(), shapes.S + shapes.N
    slot = values.field("slot").to_numpy()
    ids = np.full((len(entries), width), EMPTY, np.int64)
    items = np.zeros((len(entries), width, shapes.I), np.int32)
    rates = np.zeros((len(entries), width, 2), np.float32)
    seen = np.zeros((len(entries), width), np.uint8)
    ids[row, slot] = values.field("dense_id").to_numpy()
    items[row, slot] = unpack(values.field("item"), "<i4", shapes.I)
    rates[row, slot, 0] = values.field("share").to_numpy()
    rates[row, slot, 1] = values.field("probability").to_numpy()
    seen[row, slot] = values.field("seen").to_numpy(zero_copy_only=False)
    own = slice(shapes.S, None)
    return {
        "dense_ids": ids[:, : shapes.S], "items": items[:, : shapes.S], "shares": rates[:, : shapes.S],
        "item_seen": seen[:, : shapes.S], "negative_ids": ids[:, own], "negatives": items[:, own],
    }


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


def assemble_stream(entries: DataFrame, spelled: DataFrame, grains: Grains, seed: int) -> DataFrame:
    """The dataset `item_stream`, placed and sorted, from placed entries and `spelled` (dense_id, title, item)."""
    draw = F.xxhash64(F.lit(seed), F.lit("title"), "dense_id", "copy").alias("_draw")
    texts = in_files(entries.join(spelled.select("dense_id", "title", "item"), "dense_id"))
    known = texts.select("_split", "_rank", "dense_id", "copy", "share", "probability", draw, "title", "item")
    packed = known.mapInArrow(pack_stream(grains), f"{PLACE}, {columns_sql(ITEM_STREAM)}")
    return packed.sortWithinPartitions(*SORTED).select(*ITEM_STREAM.column_names)


def pack_stream(grains: Grains) -> Callable[[Batches], Iterator[pa.RecordBatch]]:
    """A function for mapInArrow over stream entries with their items' titles."""

    def run(batches: Batches) -> Iterator[pa.RecordBatch]:
        for batch in batches:
            columns = dict(zip(batch.schema.names, batch.columns))
            queries = title_queries(columns["title"].to_pylist(), columns["_draw"].to_numpy())
            yield named_batch(ITEM_STREAM.column_names, {**columns, "title_query": pack(grains.query_ids(queries))})

    return run


def named_batch(names: list[str], columns: Mapping[str, pa.Array]) -> pa.RecordBatch:
    """The place and the declared columns, in order."""
    order = ["_split", "_rank", *names]
    return pa.RecordBatch.from_arrays([columns[name] for name in order], order)


def columns_sql(dataset: Any) -> str:
    """The declared columns as a Spark DDL string."""
    return ", ".join(f"{c.name} {c.type}" for c in dataset.columns)

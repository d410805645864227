"""Tuples and item stream for loader tests: tiny Parquet files whose rows carry their number in every column that is read."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from mmse_model.packed import stream_columns, tuple_columns
from schemas import ITEM_STREAM, TUPLES, Dataset

SHAPES = {"Q": 3, "S": 2, "I": 4, "P": 1, "N": 1}
MOMENT = pa.scalar(0, pa.timestamp("us", tz="UTC"))


def packed(array: np.ndarray) -> pa.Array:
    return pa.array([row.tobytes() for row in array], pa.binary())


def rows_of(dataset: Dataset, shapes: Mapping[str, tuple[int, ...]], ids: np.ndarray, **own: np.ndarray) -> pa.Table:
    """Rows that carry their number in every column that is read, unless a column has values of its own."""
    columns = []
    for field in dataset.arrow_schema():
        shape, dtype = shapes.get(field.name, (0,)), dataset.packed.get(field.name)
        numbers = np.broadcast_to(ids.reshape(-1, *(1 for _ in shape)), (len(ids), *shape))
        if dtype:
            columns.append(packed(own.get(field.name, numbers).astype(dtype)))
        elif pa.types.is_timestamp(field.type):
            columns.append(pa.array([MOMENT.as_py()] * len(ids), field.type))
        elif pa.types.is_string(field.type):
            columns.append(pa.array(ids.astype(str)))
        else:
            columns.append(pa.array(ids.astype(field.type.to_pandas_dtype()).tolist(), field.type))
    return pa.Table.from_arrays(columns, schema=dataset.arrow_schema())


def tuple_rows(ids: np.ndarray) -> pa.Table:
    return rows_of(TUPLES, tuple_columns(SHAPES), ids, dense_ids=np.stack([ids, -ids], axis=1))


def stream_rows(ids: np.ndarray) -> pa.Table:
    return rows_of(ITEM_STREAM, stream_columns(SHAPES), ids)


def write(folder: Path, make: Callable[[np.ndarray], pa.Table], rows: int, per_file: int) -> list[Path]:
    folder.mkdir()
    paths = []
    for start in range(0, max(rows, 1), per_file):
        paths.append(folder / f"part-{start:05}.parquet")
        pq.write_table(make(np.arange(start, min(start + per_file, rows))), paths[-1], row_group_size=per_file)
    return paths

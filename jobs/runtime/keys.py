"""Rows whose key is there twice."""

from __future__ import annotations

from typing import Any

IN_DRIVER = 2**22
"""Rows whose hashes the driver sorts: 32 MiB, and as much again for the sorted ones; its memory is not to grow with the log.
More of them are shuffled."""


def duplicate_keys(frame: Any, key: tuple[str, ...], rows: int) -> int:
    """Rows beyond the first of their key, in a frame of so many rows."""
    return duplicates(frame, key, (), rows).get((), 0)


def duplicates(frame: Any, key: tuple[str, ...], groups: tuple[str, ...], rows: int) -> dict[tuple[Any, ...], int]:
    """Rows beyond the first of their key, by the values of `groups`; a group without any is absent.

    Where no two rows agree in a 64-bit hash of the key no two keys are equal, and eight bytes a row have to be sorted
    out instead of whole keys; else the keys themselves are counted.
    """
    from pyspark.sql import functions as F

    if all_differ(frame.select(F.xxhash64(*groups, *key).alias("_hash")), rows):
        return {}
    repeated = frame.groupBy(*groups, *key).count().where("count > 1")
    counted = repeated.groupBy(*groups).agg(F.sum(F.col("count") - 1).alias("_n")).where("_n is not null")
    return {tuple(row[g] for g in groups): int(row["_n"]) for row in counted.collect()}


def all_differ(hashes: Any, rows: int) -> bool:
    """Whether no two of the values of `_hash` are equal.

    Sorting plain integers takes a tenth of what Spark's shuffle takes for as many rows: while they fit, they are fetched.
    """
    import numpy as np

    if rows > IN_DRIVER:
        return hashes.groupBy("_hash").count().where("count > 1").isEmpty()
    values = np.sort(hashes.toArrow()["_hash"].to_numpy())
    return not (values[1:] == values[:-1]).any()

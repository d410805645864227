"""Rows whose key is there twice."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

IN_DRIVER = 2**22
"""Rows whose hashes the driver sorts at a time: 32 MiB, and as much again for the sorted ones; its memory is not to grow with
the log. More of them are shuffled, which costs four times as much."""


def duplicate_keys(frame: Any, key: tuple[str, ...], rows: int) -> int:
    """Rows beyond the first of their key, in a frame of so many rows."""
    return duplicates(frame, key, (), rows).get((), 0)


def duplicates_by(frame: Any, key: tuple[str, ...], group: str, rows: Mapping[Any, int], *, apart: bool) -> dict[Any, int]:
    """Rows beyond the first of their key, by the values of `group`, each of which has so many rows; one without any is absent.

    `apart` says that files hold one value each, as the days of a path are held: so many values at a time are then read as the
    driver can sort, every file once. Of other columns each part would read them all.
    """
    parts = fitting(rows) if apart else [list(rows)]
    found: dict[Any, int] = {}
    for values in parts:
        part = frame if len(parts) == 1 else frame.where(frame[group].isin(values))
        twice = duplicates(part, key, (group,), sum(rows[value] for value in values))
        found |= {value: n for (value,), n in twice.items()}
    return found


def fitting(rows: Mapping[Any, int]) -> list[list[Any]]:
    """The values in their order, together as long as they have IN_DRIVER rows at most; one with more of them stands alone."""
    parts: list[list[Any]] = []
    held = 0
    for value, n in rows.items():
        if parts and held + n <= IN_DRIVER:
            parts[-1].append(value)
            held += n
        else:
            parts.append([value])
            held = n
    return parts


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

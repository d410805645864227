"""The profile of a dataset's committed files: every declared figure and the content hash in one scan."""

from __future__ import annotations

from typing import Any

from schemas import Dataset


def row_hash_sql(dataset: Dataset) -> str:
    """Spark SQL of a 64-bit hash of one row.

    xxhash64 skips nulls, so that ('a', null) and (null, 'a') would agree: the null pattern
    is hashed along.
    """
    columns = ", ".join(f"`{c}`" for c in dataset.column_names)
    nulls = ", ".join(f"cast(`{c}` is null as int)" for c in dataset.column_names)
    return f"xxhash64({columns}, {nulls})"


def profile_expressions(dataset: Dataset) -> list[str]:
    """Spark SQL aggregates, each with its alias: rows, hash sum, nulls, declared metrics."""
    total = f"coalesce(sum(cast({row_hash_sql(dataset)} as decimal(38, 0))), 0)"
    expressions = ["count(*) as `rows`", f"{total} as `hash_total`"]
    for column in dataset.columns:
        if not column.nullable:
            expressions.append(f"count_if(`{column.name}` is null) as `nulls:{column.name}`")
    expressions += [f"cast({m.sql} as double) as `{m.name}`" for m in dataset.metrics]
    return expressions


def duplicate_keys(frame: Any, key: tuple[str, ...]) -> int:
    """Rows beyond the first of their key."""
    from pyspark.sql import functions as F

    counted = frame.groupBy(*key).count().where("count > 1")
    row = counted.agg(F.coalesce(F.sum(F.col("count") - 1), F.lit(0)).alias("n")).first()
    return int(row["n"])


def profile(frame: Any, dataset: Dataset) -> tuple[int, int, dict[str, float]]:
    """Rows, the order-free sum of row hashes, and the metrics of a dataset (duplicate keys included)."""
    row = frame.selectExpr(*profile_expressions(dataset)).first().asDict()
    rows, total = int(row.pop("rows")), int(row.pop("hash_total"))
    metrics = {name: float(value) for name, value in row.items() if value is not None}
    metrics["rows"] = float(rows)
    if dataset.key:
        metrics["duplicate_keys"] = float(duplicate_keys(frame, dataset.key))
    return rows, total, metrics

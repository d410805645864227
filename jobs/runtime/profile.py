"""The profile of a dataset's committed files: every declared figure and the content hash in one scan."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import Any

from jobs.runtime.keys import duplicate_keys, duplicates_by
from jobs.runtime.tally import Cell, Tally, added_up, additive_parts, counted
from schemas import Dataset

Profile = tuple[int, int, dict[str, float]]
"""Rows, the order-free sum of row hashes, and the metrics."""
ANY_NULL = "any null"
"""Rows with a null where none may be."""


def row_hash_sql(dataset: Dataset) -> str:
    """Spark SQL of a 64-bit hash of one row.

    xxhash64 skips nulls, so that ('a', null) and (null, 'a') would agree: the null pattern
    is hashed along, as one number for every 63 columns: to hash a flag costs as much as to hash a value.
    """
    names = dataset.column_names
    columns = ", ".join(f"`{c}`" for c in names)
    return f"xxhash64({columns}, {', '.join(_null_bits(names[low : low + 63]) for low in range(0, len(names), 63))})"


def _null_bits(names: Sequence[str]) -> str:
    """Spark SQL of a number whose n-th bit says that the n-th column is null."""
    return " | ".join(f"if(`{name}` is null, {1 << n}L, 0L)" for n, name in enumerate(names))


def profile_expressions(dataset: Dataset) -> list[str]:
    """Spark SQL aggregates, each with its alias: rows, hash sum, nulls, declared metrics."""
    figures = _counts(dataset) | {m.name: f"cast({m.sql} as double)" for m in dataset.figures}
    return [f"{sql} as `{name}`" for name, sql in figures.items()]


def _counts(dataset: Dataset) -> dict[str, str]:
    """Name -> Spark SQL of what every dataset has: rows, hash sum, nulls. All of them can be added up."""
    return {"rows": "count(*)", "hash_total": _sum_of_hashes(row_hash_sql(dataset)), **_nulls(dataset)}


def _nulls(dataset: Dataset) -> dict[str, str]:
    """Name -> Spark SQL of the nulls in each column that may have none."""
    return {f"nulls:{c.name}": f"count_if(`{c.name}` is null)" for c in dataset.columns if not c.nullable}


def _sum_of_hashes(row_hash: str) -> str:
    """Spark SQL of the exact sum of 64-bit hashes: the two halves as integers, for a sum of decimals costs ten times as much."""
    high, low = f"sum(shiftright({row_hash}, 32))", f"sum({row_hash} & {2**32 - 1}L)"
    return f"coalesce(cast({high} as decimal(20, 0)) * {2**32}L + cast({low} as decimal(20, 0)), 0)"


def profile(frame: Any, dataset: Dataset) -> Profile:
    """Rows, the order-free sum of row hashes, and the metrics of a dataset (duplicate keys included)."""
    row = frame.selectExpr(*profile_expressions(dataset)).first().asDict()
    return _profile(row, dataset, duplicate_keys(frame, dataset.key, row["rows"]) if dataset.key else 0)


def profile_groups(frame: Any, dataset: Dataset, group: str, *, apart: bool = False) -> dict[str, Profile]:
    """The profile of each value of a column outside the dataset, such as the day, all in one scan.

    A value without rows is absent; its profile is that of an empty frame. `apart`: see duplicates_by.
    """
    from pyspark.sql import functions as F

    rows = frame.groupBy(group).agg(*[F.expr(e) for e in profile_expressions(dataset)]).collect()
    counts = {row[group]: row["rows"] for row in rows}
    twice = duplicates_by(frame, dataset.key, group, counts, apart=apart) if dataset.key else {}
    found = {}
    for row in rows:
        figures = row.asDict()
        value = figures.pop(group)
        found[value] = _profile(figures, dataset, twice.get(value, 0))
    return found


def profile_cells(
    frame: Any, dataset: Dataset, group: str, tally: Tally
) -> tuple[dict[str, Profile], dict[str, Sequence[Cell]]]:
    """`profile_groups` of a dataset whose figures are additive, and the cells of a tally of each group, in the same scan.

    The files hold one value of `group` each.
    """
    # A prefix, for a tally may name its columns as it likes.
    parts = {f"figure {name}": sql for name, sql in (_few_counts(dataset) | additive_parts(dataset.figures)).items()}
    by_group: dict[str, list[Cell]] = defaultdict(list)
    for cell in counted(frame, {group: group, **tally.by}, parts | tally.counts):
        by_group[cell[group]].append(cell)
    found = {value: _without_prefix(added_up(cells, parts)) for value, cells in by_group.items()}
    nulls = nulls_by(frame, dataset, group, {value: figures.pop(ANY_NULL) for value, figures in found.items()})
    rows = {value: figures["rows"] for value, figures in found.items()}
    twice = duplicates_by(frame, dataset.key, group, rows, apart=True) if dataset.key else {}
    profiles = {value: _profile(figures | nulls[value], dataset, twice.get(value, 0)) for value, figures in found.items()}
    return profiles, dict(by_group)


def _few_counts(dataset: Dataset) -> dict[str, str]:
    """`_counts` with one counter in place of one for each column: what a scan counts for every row it pays for every row."""
    missing = " or ".join(f"`{c.name}` is null" for c in dataset.columns if not c.nullable) or "false"
    apart = _nulls(dataset)
    return {name: sql for name, sql in _counts(dataset).items() if name not in apart} | {ANY_NULL: f"count_if({missing})"}


def nulls_by(frame: Any, dataset: Dataset, group: str, any_null: dict[Any, int]) -> dict[Any, dict[str, int]]:
    """Nulls of each column by the values of `group`; those of which `any_null` says that a row has one are read again."""
    from pyspark.sql import functions as F

    counts = _nulls(dataset)
    found = {value: dict.fromkeys(counts, 0) for value in any_null}
    if some := [value for value, rows in any_null.items() if rows]:
        aggregates = [F.expr(sql).alias(name) for name, sql in counts.items()]
        for row in frame.where(F.col(group).isin(some)).groupBy(group).agg(*aggregates).collect():
            figures = row.asDict()
            found[figures.pop(group)] = figures
    return found


def _without_prefix(figures: dict[str, Any]) -> dict[str, Any]:
    return {name.removeprefix("figure "): total for name, total in figures.items()}


def _profile(figures: dict[str, Any], dataset: Dataset, duplicates: int) -> Profile:
    rows, total = int(figures.pop("rows")), int(figures.pop("hash_total"))
    metrics = {name: float(value) for name, value in figures.items() if value is not None}
    metrics["rows"] = float(rows)
    if dataset.key:
        metrics["duplicate_keys"] = float(duplicates)
    return rows, total, metrics

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
    figures = _counts(dataset) | {m.name: f"cast({m.sql} as double)" for m in dataset.figures}
    return [f"{sql} as `{name}`" for name, sql in figures.items()]


def _counts(dataset: Dataset) -> dict[str, str]:
    """Name -> Spark SQL of what every dataset has: rows, hash sum, nulls. All of them can be added up."""
    nulls = {f"nulls:{c.name}": f"count_if(`{c.name}` is null)" for c in dataset.columns if not c.nullable}
    return {"rows": "count(*)", "hash_total": _sum_of_hashes(row_hash_sql(dataset)), **nulls}


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
    parts = {f"figure {name}": sql for name, sql in (_counts(dataset) | additive_parts(dataset.figures)).items()}
    by_group: dict[str, list[Cell]] = defaultdict(list)
    for cell in counted(frame, {group: group, **tally.by}, parts | tally.counts):
        by_group[cell[group]].append(cell)
    found = {value: added_up(cells, parts) for value, cells in by_group.items()}
    rows = {value: figures["figure rows"] for value, figures in found.items()}
    twice = duplicates_by(frame, dataset.key, group, rows, apart=True) if dataset.key else {}
    profiles = {}
    for value, figures in found.items():
        named = {name.removeprefix("figure "): total for name, total in figures.items()}
        profiles[value] = _profile(named, dataset, twice.get(value, 0))
    return profiles, dict(by_group)


def _profile(figures: dict[str, Any], dataset: Dataset, duplicates: int) -> Profile:
    rows, total = int(figures.pop("rows")), int(figures.pop("hash_total"))
    metrics = {name: float(value) for name, value in figures.items() if value is not None}
    metrics["rows"] = float(rows)
    if dataset.key:
        metrics["duplicate_keys"] = float(duplicates)
    return rows, total, metrics

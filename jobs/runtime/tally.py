"""Counts of a day's rows by a few columns, taken in the scan of the profile: whose figures are then added up from these cells."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from schemas import Dataset, Metric

Cell = Mapping[str, Any]
"""The values of the columns and the counts of their rows."""
Described = dict[str, tuple[Mapping[str, Any], Mapping[str, float]]]
"""day -> (facts, metrics)"""
AGGREGATE = re.compile(r"(count|count_if|sum|avg)\((?!\s*distinct\b)(.*)\)", re.IGNORECASE | re.DOTALL)


@dataclass(frozen=True)
class Tally:
    """What to count, and what follows of it for each day. Called with rows it takes a scan of its own."""

    by: Mapping[str, str]
    """Name -> SQL of a column. A day may have some thousand combinations of them, not more: they are added up by the driver."""
    counts: Mapping[str, str]
    """Name -> SQL of an aggregate over the rows of a combination."""
    describe: Callable[[Mapping[str, Sequence[Cell]]], Described]
    """From the cells by day; a day without rows is absent."""
    day: str = "event_date"

    def __call__(self, rows: Any) -> Described:
        """Counts and describes."""
        by_day: dict[str, list[Cell]] = defaultdict(list)
        for cell in counted(rows, {"_day": f"cast({self.day} as string)", **self.by}, self.counts):
            by_day[cell["_day"]].append(cell)
        return self.describe(by_day)


def counted(rows: Any, by: Mapping[str, str], aggregates: Mapping[str, str]) -> list[dict[str, Any]]:
    """Aggregates by combination of some columns."""
    from pyspark.sql import functions as F

    groups = [F.expr(sql).alias(name) for name, sql in by.items()]
    return [row.asDict() for row in rows.groupBy(*groups).agg(*[F.expr(s).alias(n) for n, s in aggregates.items()]).collect()]


def is_additive(dataset: Dataset) -> bool:
    """Whether every figure of a dataset follows from those of its parts: counts, sums and means do, distinct counts do not."""
    return all(_taken_apart(metric) for metric in dataset.figures)


def additive_parts(metrics: Iterable[Metric]) -> dict[str, str]:
    """Aggregates whose sums over all cells give the figures (`added_up`): a mean is a sum, and `NAME of` its rows."""
    parts = {}
    for metric in metrics:
        function, argument = _taken_apart(metric) or ("", "")
        if function == "avg":
            parts |= {metric.name: f"cast(sum({argument}) as double)", f"{metric.name} of": f"count({argument})"}
        else:
            parts[metric.name] = metric.sql
    return parts


def added_up(cells: Sequence[Cell], parts: Iterable[str]) -> dict[str, Any]:
    """The figures of all the rows of some cells; None where no row gives one."""
    totals: dict[str, Any] = {}
    for name in parts:
        values = [cell[name] for cell in cells if cell[name] is not None]
        totals[name] = sum(values) if values else None
    means = {name.removesuffix(" of"): rows for name, rows in totals.items() if name.endswith(" of")}
    sums = {name: value for name, value in totals.items() if not name.endswith(" of")}
    return sums | {name: sums[name] / rows if rows else None for name, rows in means.items()}


def _taken_apart(metric: Metric) -> tuple[str, str] | None:
    """The function and its argument where the metric is one call of a function that can be added up, else None."""
    found = AGGREGATE.fullmatch(metric.sql.strip())
    if found is None or not _balanced(found[2]):
        return None
    return found[1].lower(), found[2]


def _balanced(sql: str) -> bool:
    """Whether no bracket closes that was not opened: `count(a) / count(b)` is two calls."""
    depth = 0
    for character in sql:
        depth += (character == "(") - (character == ")")
        if depth < 0:
            return False
    return depth == 0

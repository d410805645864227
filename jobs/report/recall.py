"""Recall of the released search beside its baselines, from the facts of `evaluation`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from jobs.report.plots import Point, recall_plot

TRUTHS = ("ordered", "clicked")


@dataclass(frozen=True)
class RecallTable:
    """Recall against one truth: a row per system and search, a cell (recall, low, high) or None per k."""

    truth: str
    queries: int | None
    ks: tuple[int, ...]
    rows: tuple[tuple[str, str, tuple[Mapping[str, float] | None, ...]], ...]
    plot: str


@dataclass(frozen=True)
class Recall:
    """The evaluation of a date."""

    catalogue: int
    k: int
    k_rule: str
    oracle: float | None
    tables: tuple[RecallTable, ...]
    paired: tuple[Mapping[str, Any], ...]
    left_out: Mapping[str, str]


def recall_section(facts: Mapping[str, Any]) -> Recall:
    """The evaluation's facts as tables and plots."""
    return Recall(
        catalogue=facts["catalogue"], k=facts["k"], k_rule=facts.get("k_rule", ""), oracle=facts.get("oracle"),
        tables=tuple(_tables(facts)), paired=tuple(facts.get("paired", ())), left_out=facts.get("left_out", {}),
    )


@dataclass(frozen=True)
class StrataTable:
    """Ordered recall at K of groups of queries: a row per group with its queries, a cell (recall, low, high) per system."""

    dimension: str
    systems: tuple[str, ...]
    rows: tuple[tuple[str, int, tuple[Mapping[str, float] | None, ...]], ...]


def strata_tables(facts: Mapping[str, Any]) -> list[StrataTable]:
    """The groups of the evaluation, dimension by dimension, exact search only."""
    rows = [r for r in facts.get("strata", ()) if r["truth"] == "ordered" and r["search"] == "exact"]
    tables = []
    for dimension in dict.fromkeys(r.get("dimension", "traffic") for r in rows):
        inside = [r for r in rows if r.get("dimension", "traffic") == dimension]
        systems = tuple(dict.fromkeys(r["system"] for r in inside))
        cells = {(r["stratum"], r["system"]): r for r in inside}
        groups = dict.fromkeys((r["stratum"], r["queries"]) for r in inside)
        tables.append(StrataTable(
            dimension, systems,
            tuple((name, queries, tuple(cells.get((name, system)) for system in systems)) for name, queries in groups),
        ))
    return tables


@dataclass(frozen=True)
class GradedTable:
    """What people's grades say: a row per system and search, a cell (mean, low, high) or None per measure."""

    facts: Mapping[str, Any]
    measures: tuple[str, ...]
    rows: tuple[tuple[str, str, tuple[Mapping[str, float] | None, ...]], ...]


def graded_table(facts: Mapping[str, Any]) -> GradedTable | None:
    """The judgments' part of the evaluation; None where there are none."""
    graded = facts.get("graded")
    if not graded:
        return None
    measures = tuple(dict.fromkeys(row["metric"] for row in graded["table"]))
    cells = {(row["system"], row["search"], row["metric"]): row for row in graded["table"]}
    runs = dict.fromkeys((row["system"], row["search"]) for row in graded["table"])
    rows = tuple((*run, tuple(cells.get((*run, measure)) for measure in measures)) for run in runs)
    return GradedTable(graded, measures, rows)


def _tables(facts: Mapping[str, Any]) -> Iterator[RecallTable]:
    truths = [t for t in TRUTHS if any(row["truth"] == t for row in facts["table"])]
    for truth in truths:
        rows = [row for row in facts["table"] if row["truth"] == truth]
        ks = tuple(sorted({row["k"] for row in rows}))
        cells = {(row["system"], row["search"], row["k"]): row for row in rows}
        runs = list(dict.fromkeys((row["system"], row["search"]) for row in rows))
        table = tuple((system, search, tuple(cells.get((system, search, k)) for k in ks)) for system, search in runs)
        plot = recall_plot(_lines(rows, runs), f"recall@k of {truth} items, 95 % intervals", facts["k"])
        yield RecallTable(truth, facts.get("queries", {}).get(truth), ks, table, plot)


def _lines(
    rows: Sequence[Mapping[str, Any]], runs: Sequence[tuple[str, str]]
) -> dict[tuple[str, str], list[Point]]:
    return {
        run: sorted((r["k"], r["recall"], r["low"], r["high"]) for r in rows if (r["system"], r["search"]) == run)
        for run in runs
    }

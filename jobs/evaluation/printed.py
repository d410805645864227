"""The figures of an evaluation as lines for a person."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any


def printed(facts: Mapping[str, Any]) -> Iterator[str]:
    """Recall of every system at every k with its 95 % interval, then the comparison at K."""
    counts, ks, days = facts["queries"], facts["ks"], facts["days"]["test"]
    span = days[0] if len(days) == 1 else f"{days[0]} to {days[-1]}"
    yield (
        f"recall on {span}: {facts['catalogue']:,} items, {counts['ordered']:,} queries with an order, "
        f"{counts['clicked']:,} with a click; 95 % intervals over queries"
    )
    yield f"  {'truth':<8} {'system':<11} {'search':<6}" + "".join(f" {f'@{k}':<17}" for k in ks)
    for truth, system, search in dict.fromkeys((r["truth"], r["system"], r["search"]) for r in facts["table"]):
        cells = [_cell(r) for k in ks for r in facts["table"]
                 if (r["truth"], r["system"], r["search"], r["k"]) == (truth, system, search, k)]
        yield f"  {truth:<8} {system:<11} {search:<6}" + "".join(f" {cell:<17}" for cell in cells)
    yield f"  compared at K = {facts['k']}: {facts['k_rule']}"
    for row in facts["paired"]:
        other = row["b"] if row["search"] == "exact" else f"{row['b']} ({row['search']})"
        yield (
            f"  {row['truth']} recall@{row['k']}: mmse - {other} = {row['difference']:+.3f} "
            f"[{row['low']:+.3f}, {row['high']:+.3f}], p = {row['p']:.4f}"
        )
    yield from _weights(facts["hybrid"])
    yield from _strata(facts)
    cells = (f"{r['system']} ({r['search']}) {r['share']:.3f}" for r in facts.get("coverage", ()))
    yield f"  share of the catalogue in the first {facts['k']} of any query: " + ", ".join(cells)
    yield from _graded(facts.get("graded"))
    yield "  ANN beside exact: " + ", ".join(f"{r['recall']:.4f} of the top {r['k']}" for r in facts["ann_agreement"])
    for left_out, why in facts["left_out"].items():
        yield f"  {left_out} left out: {why}"


def _weights(facts: Mapping[str, Any]) -> Iterator[str]:
    for group, weight in facts.items():
        if weight["recalls"]:
            cells = ", ".join(f"{value:g} {recall:.3f}" for value, recall in weight["recalls"])
            yield (
                f"  hybrid: BM25 counts {weight['value']:g} for {group} queries, chosen on {weight['queries']:,} validation "
                f"queries, mean ordered recall by weight: {cells}"
            )


def _graded(facts: Mapping[str, Any] | None) -> Iterator[str]:
    if not facts:
        return
    counts = f"{facts['queries']:,} judged queries, {facts['recall_queries']:,} with a grade of {facts['grade']:g} or more"
    yield f"  human grades of {facts['day']}: {counts}"
    for system, search in dict.fromkeys((r["system"], r["search"]) for r in facts["table"]):
        cells = [f"{r['metric']} {r['mean']:.3f} [{r['low']:.2f}, {r['high']:.2f}]" for r in facts["table"]
                 if (r["system"], r["search"]) == (system, search)]
        yield f"  graded   {system:<11} {search:<6} " + "  ".join(cells)


def _strata(facts: Mapping[str, Any]) -> Iterator[str]:
    rows = [row for row in facts["strata"] if row["truth"] == "ordered" and row["search"] == "exact"]
    shown = [row for row in rows if row["dimension"] in ("traffic", "query and item")]
    for dimension, stratum, queries in dict.fromkeys((r["dimension"], r["stratum"], r["queries"]) for r in shown):
        cells = ", ".join(f"{r['system']} {r['recall']:.3f}" for r in shown if r["stratum"] == stratum)
        what = f"{stratum} queries" if dimension == "traffic" else f"queries ({stratum})"
        yield f"  ordered recall@{facts['k']} of {queries:,} {what}: {cells}"


def _cell(row: Mapping[str, Any]) -> str:
    return f"{row['recall']:.3f} [{row['low']:.2f}, {row['high']:.2f}]"

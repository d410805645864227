"""The published parts that are served together, and whether they belong together."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from jobs.runtime.job import JobContext
from jobs.runtime.manifest import Manifest

MADE_FROM = {
    "embeddings": ("items", "model"),
    "index": ("embeddings", "model"),
    "evaluation": ("embeddings", "index", "model"),
}
"""Part -> the parts it must have been made from."""

REMEDY = {"embeddings": "embed_items", "index": "build_index", "evaluation": "evaluate_retrieval"}


def model_day(context: JobContext) -> str:
    """The newest published day of the model up to the date; the date itself where there is none.

    Training does not happen every day, so that a day may be served by an earlier day's model.
    """
    days = [day for day in context.entry.days("model") if day <= context.dt]
    return days[-1] if days else context.dt


def disagreements(parts: Mapping[str, Manifest]) -> Iterator[str]:
    """One sentence for every part that was made from another run than the one published beside it."""
    for name, sources in MADE_FROM.items():
        for source in sources:
            published = parts[source]
            read = parts[name].inputs.get(f"{source}/dt={published.dt}")
            if read != published.run_id:
                yield (
                    f"{name} dt={parts[name].dt}: made from {source} dt={published.dt} run {read or 'none'}, published "
                    f"is run {published.run_id}: run {REMEDY[name]} again"
                )


def recall_rows(facts: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Recall of the model's own vectors, exact and by the index, from the facts of an evaluation."""
    return [dict(row) for row in facts["table"] if row["system"] == "mmse"]


def ordered_recall(rows: Sequence[Mapping[str, Any]]) -> dict[int, float]:
    """k -> recall of ordered items by the index, as it is served."""
    return {row["k"]: row["recall"] for row in rows if row["search"] == "ann" and row["truth"] == "ordered"}


def relative_drop(before: Mapping[int, float], now: Mapping[int, float], k: int) -> tuple[int, float] | None:
    """The cutoff compared, and by which share of the earlier recall the new one is lower (negative: higher).

    At `k`, or where the earlier release was not measured there, at the largest cutoff both have.
    None where they share no cutoff or the earlier recall is 0.
    """
    shared = sorted(set(before) & set(now))
    if not shared:
        return None
    cutoff = k if k in shared else shared[-1]
    return (cutoff, 1 - now[cutoff] / before[cutoff]) if before[cutoff] else None

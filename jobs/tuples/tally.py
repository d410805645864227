"""What was kept and what was lost on the way to the tuples, for the manifest."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from pyspark.sql import functions as F

from schemas.tuples import SPLITS

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

    from jobs.tuples.proposal import Proposal


def tuple_facts(
    requests: DataFrame, candidates: DataFrame, rows: Mapping[str, int], slots: DataFrame
) -> dict[str, Any]:
    """Rows per split; requests and items lost, by reason; how many slots of each stage are filled, per split.

    `lost_requests`: `session` began in an earlier split, `held_out` of training. `lost_items`: `unknown_item` is not in
    the catalogue, `future_item` was listed after the search, `no_room` had no slot left. `capped` is training tuples
    above the limit of their query.
    """
    none = dict.fromkeys(SPLITS, 0)
    found = by(candidates.where("in_tuple").select("query_id", "split").distinct(), "split")
    return {
        "rows": none | dict(rows),
        "requests": none | by(requests.where("split is not null"), "split"),
        "lost_requests": {"session": 0} | by(requests.where("loss is not null"), "loss"),
        "lost_items": lost_items(candidates),
        "capped": {split: found[split] - rows.get(split, 0) for split in sorted(found)},
        "stage_mix": stage_mix(slots),
    }


def frequencies(popularity: DataFrame, top: int = 20) -> dict[str, Any]:
    """How the positives of the training tuples are spread over items, after caps: what in-batch negatives are drawn from.

    `collision` is the chance that two of them are one item: the expected share of an in-batch negative that is the
    positive itself. `top` holds [dense id, positives] of the most frequent.
    """
    known = popularity.where("positives > 0")
    row = known.agg(
        F.count("*").alias("items"), F.coalesce(F.sum("positives"), F.lit(0)).alias("positives"),
        F.coalesce(F.sum(F.col("positives").cast("decimal(38, 0)") * F.col("positives")), F.lit(0)).alias("squares"),
    ).first()
    most = known.orderBy(F.desc("positives"), "dense_id").limit(top).select("dense_id", "positives").collect()
    total = int(row["positives"])
    return {
        "items": row["items"], "positives": total, "collision": float(row["squares"]) / max(total, 1) ** 2,
        "top": [[r["dense_id"], r["positives"]] for r in most],
    }


def own_negative_facts(chosen: DataFrame) -> dict[str, Any]:
    """Own negatives that were found, slots that stayed empty, and draws that were made again, by reason."""
    row = chosen.agg(F.count("dense_id").alias("filled"), F.count_if(F.col("dense_id").isNull()).alias("empty")).first()
    return {**row.asDict(), "redrawn": by(chosen.select(F.explode("redrawn").alias("reason")), "reason")}


def lost_items(candidates: DataFrame) -> dict[str, int]:
    """Staged items without a slot, by reason; those of requests without a positive left aside."""
    no_room = F.when(F.col("slot").isNull(), "no_room")
    lost = candidates.where("in_tuple or loss is not null").withColumn("why", F.coalesce("loss", no_room))
    return by(lost.where("why is not null"), "why")


def stage_mix(slots: DataFrame) -> dict[str, dict[str, int]]:
    """Split -> stage -> filled slots."""
    mix: dict[str, dict[str, int]] = defaultdict(dict)
    for row in slots.groupBy("split", "stage").count().collect():
        mix[row["split"]][row["stage"]] = row["count"]
    return {split: dict(sorted(stages.items())) for split, stages in sorted(mix.items())}


def tuple_metrics(facts: Mapping[str, Any]) -> dict[str, float]:
    """Figures for the audit, from the facts: the share of items that the catalogue does not have, the mix of stages in training.

    `stage_mix:00` is the filled slots of the first of the `slots`, and so on.
    """
    mix, lost = facts["stage_mix"], facts["lost_items"]
    staged = sum(sum(stages.values()) for stages in mix.values()) + sum(lost.values())
    train = mix.get(SPLITS[0], {})
    names = list(dict.fromkeys(facts["slots"]))
    return {
        "unknown_item_share": lost.get("unknown_item", 0) / max(staged, 1),
        **{f"stage_mix:{n:02d}": float(train.get(name, 0)) for n, name in enumerate(names)},
    }


def draws_beside_proposal(entries: DataFrame, expected: int, available: int) -> float:
    """sum over draws of 1 / (expected p), by the available items: 1 on average where items are drawn as often as proposed.

    Each item's draws are `expected` p on average, so that it adds 1 to the sum (importance weights; Horvitz and Thompson 1952).
    """
    row = entries.agg(F.sum(1 / F.col("probability").cast("double")).alias("inverse")).first()
    return float(row["inverse"] or 0.0) / (expected * max(available, 1))


def stream_facts(proposal: Proposal, entries: int, needed: int) -> dict[str, Any]:
    """What the stream was drawn from, and how often training passes over it."""
    settings, weights = proposal.settings, proposal.weights()
    return {
        "available_items": proposal.available, "entries_expected": entries, "entries_trained_on": needed,
        "uniform_share": settings.uniform_share, "popularity_alpha": settings.popularity_alpha,
        "locales": {
            name: {"available": x.available, "mass": x.mass, "positives": x.positives, "weight": weights.get(name, 0.0)}
            for name, x in proposal.locales.items()
        },
    }


def by(frame: DataFrame, column: str) -> dict[str, int]:
    """Rows by the value of a column."""
    return {row[column]: row["count"] for row in sorted(frame.groupBy(column).count().collect())}

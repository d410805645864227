"""What was kept and what was lost on the way to the tuples, for the manifest."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, Any

from pyspark.sql import functions as F

from schemas.tuples import SPLITS

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

    from jobs.tuples.proposal import Proposal


def tuple_facts(requests: DataFrame, candidates: DataFrame, heads: DataFrame, slots: DataFrame) -> dict[str, Any]:
    """Rows per split; requests and items lost, by reason; how many slots of each stage are filled, per split.

    `lost_requests`: `session` began in an earlier split. `lost_items`: `unknown_item` is not in the catalogue,
    `future_item` was listed after the search, `no_room` had no slot left. `capped` is training tuples above the
    limit of their query.
    """
    rows = {split: 0 for split in SPLITS} | by(heads, "split")
    found = by(candidates.where("in_tuple").select("query_id", "split").distinct(), "split")
    return {
        "rows": rows,
        "requests": {split: 0 for split in SPLITS} | by(requests.where("split is not null"), "split"),
        "lost_requests": {"session": requests.where("split is null").count()},
        "lost_items": lost_items(candidates),
        "capped": {split: found[split] - rows[split] for split in sorted(found)},
        "stage_mix": stage_mix(slots),
    }


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


def stream_facts(proposal: Proposal) -> dict[str, Any]:
    """What the stream was drawn from."""
    return {
        "available_items": proposal.available, "popularity_mass": proposal.mass,
        "uniform_share": proposal.settings.uniform_share, "popularity_alpha": proposal.settings.popularity_alpha,
    }


def by(frame: DataFrame, column: str) -> dict[str, int]:
    """Rows by the value of a column."""
    return {row[column]: row["count"] for row in sorted(frame.groupBy(column).count().collect())}

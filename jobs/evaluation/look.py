"""A look at the hits: a few queries side by side, for people. Only text that enough people have searched for is shown."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from pyspark.sql import functions as F

from jobs.evaluation.comparison import Run, Values
from jobs.ingest.anonymity import people_by_query
from mmse_model.metrics import Recall

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

    from jobs.evaluation.questions import Questions

COLUMNS = (("bm25", "exact"), ("before", "ann"), ("mmse", "exact"), ("hybrid", "exact"))
"""Systems beside each other, as far as they took part."""
HITS = 10
OURS, THEIRS = ("mmse", "exact"), ("bm25", "exact")


@dataclass(frozen=True)
class Chosen:
    """A query to look at, a position among all, and why."""

    query: int
    why: str


def readable(requests: DataFrame, queries: DataFrame, k: int) -> set[str]:
    """The normalised queries (query_norm) that at least `k` people have made."""
    asked = requests.join(F.broadcast(queries.select("query_norm")), "query_norm", "left_semi")
    return {row["query_norm"] for row in people_by_query(asked).where(F.col("people") >= k).collect()}


def choose(values: Values, k: int, shown: NDArray[np.bool_], each: int) -> list[Chosen]:
    """Up to `each` wins over BM25, losses to it, and worst queries, none twice; ordered recall at `k` decides.

    `shown` (Q,) says which queries may be read. Of equal queries the one with more relevant items comes first.
    """
    ours = values.of(*OURS, str(Recall @ k))
    theirs = values.of(*THEIRS, str(Recall @ k)) if THEIRS in values.runs else np.zeros_like(ours)
    wanted = [("win", theirs - ours, ours > theirs), ("loss", ours - theirs, theirs > ours), ("worst", ours, ours < 1)]
    taken: dict[int, str] = {}
    for why, key, eligible in wanted:
        order = np.lexsort((values.queries, -values.relevant, key))
        best = [n for n in order if eligible[n] and shown[values.queries[n]] and int(values.queries[n]) not in taken]
        taken.update((int(values.queries[n]), why) for n in best[:each])
    return [Chosen(query, why) for query, why in taken.items()]


def side_by_side(
    chosen: Sequence[Chosen], questions: Questions, runs: Sequence[Run], titles: Mapping[int, str]
) -> Iterator[dict[str, Any]]:
    """One record a query: its text, why it is shown, what is relevant, and the first HITS of each system with their stage."""
    columns = [run for name in COLUMNS for run in runs if run.name == name]
    for one in chosen:
        stages = stages_of(questions, one.query)
        hits = {
            run.system: [[int(i), titles.get(int(i), ""), stages.get(int(i), "")] for i in run.ranked[one.query, :HITS] if i >= 0]
            for run in columns
        }
        shown = {hit[0] for found in hits.values() for hit in found}
        missed = sorted((i for i in stages if i not in shown), key=lambda i: (stages[i] != "ordered", i))
        yield {
            "query": questions.texts[one.query], "why": one.why, "hits": hits, "relevant": len(stages),
            "missed": [[i, titles.get(i, ""), stages[i]] for i in missed[:HITS]],
        }


def stages_of(questions: Questions, query: int) -> dict[int, str]:
    """Relevant item -> the furthest stage it reached for the query."""
    stages: dict[int, str] = {}
    for truth in ("clicked", "ordered"):
        judged = questions.judgements[truth]
        stages.update(dict.fromkeys(judged.item[judged.query == query].tolist(), truth))
    return stages


def ids_shown(chosen: Sequence[Chosen], questions: Questions, runs: Sequence[Run]) -> list[int]:
    """Dense ids whose titles the records need."""
    ids: set[int] = set()
    for one in chosen:
        ids.update(stages_of(questions, one.query))
        for run in runs:
            if run.name in COLUMNS:
                ids.update(run.ranked[one.query, :HITS].tolist())
    return sorted(i for i in ids if i >= 0)


def titles_of(items: DataFrame, ids: Sequence[int]) -> dict[int, str]:
    """Dense id -> title, for a few items of the catalogue."""
    found = items.where(F.col("dense_id").isin(list(ids))).select("dense_id", "title").collect() if ids else []
    return {row["dense_id"]: row["title"] for row in found}

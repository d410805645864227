"""A look at the hits: a few queries side by side, for people. Only text that enough people have searched for is shown."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from pyspark.sql import functions as F

from jobs.evaluation.comparison import Run, Values
from jobs.evaluation.graded import GAIN, Graded
from jobs.ingest.anonymity import people_by_query
from mmse_model.metrics import Judgements, Measure, Recall

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

    from jobs.evaluation.questions import Questions
    from jobs.runtime.job import JobContext

COLUMNS = (("bm25", "exact"), ("before", "ann"), ("mmse", "exact"), ("hybrid", "exact"))
"""Systems beside each other, as far as they took part."""
HITS = 10
Labels = Mapping[int, Mapping[int, str]]
"""Query -> relevant item -> what is known of it: the furthest stage, or the grade; best first."""
OURS, THEIRS = ("mmse", "exact"), ("bm25", "exact")


@dataclass(frozen=True)
class Chosen:
    """A query to look at, a position among all, and why."""

    query: int
    why: str


def at_questions(
    context: JobContext, queries: DataFrame, questions: Questions, runs: Sequence[Run], ordered: Values, k: int
) -> list[dict[str, Any]]:
    """Wins, losses and worst queries with the hits of each system, as far as enough people have searched for them."""
    config = context.config
    if not config.evaluate.look:
        return []
    asked = context.read_days("requests", context.days_back(config.train.window_days))
    known = readable(asked, queries, config.privacy.k)
    chosen = choose(ordered, Recall @ k, np.array([text in known for text in questions.texts]), config.evaluate.look)
    return _records(context, chosen, questions.texts, {one.query: stages_of(questions, one.query) for one in chosen}, runs)


def at_judgements(context: JobContext, graded: Graded, runs: Sequence[Run], gains: Values) -> list[dict[str, Any]]:
    """The same for judged queries, by nDCG and with the grades; their texts are the judges', nobody's search."""
    each, shown = context.config.evaluate.look, np.ones(len(graded.texts), bool)
    chosen = choose(gains, GAIN, shown, each) if each else []
    return _records(context, chosen, graded.texts, {one.query: grades_of(graded.judgements, one.query) for one in chosen}, runs)


def _records(
    context: JobContext, chosen: Sequence[Chosen], texts: Sequence[str], labels: Labels, runs: Sequence[Run]
) -> list[dict[str, Any]]:
    titles = titles_of(context.read("items"), ids_shown(chosen, labels, runs))
    return list(side_by_side(chosen, texts, labels, runs, titles))


def readable(requests: DataFrame, queries: DataFrame, k: int) -> set[str]:
    """The normalised queries (query_norm) that at least `k` people have made."""
    asked = requests.join(F.broadcast(queries.select("query_norm")), "query_norm", "left_semi")
    return {row["query_norm"] for row in people_by_query(asked).where(F.col("people") >= k).collect()}


def choose(values: Values, measure: Measure, shown: NDArray[np.bool_], each: int) -> list[Chosen]:
    """Up to `each` wins over BM25, losses to it, and worst queries, none twice; the measure decides.

    `shown` (Q,) says which queries may be read. Of equal queries the one with more relevant items comes first.
    """
    ours = values.of(*OURS, str(measure))
    theirs = values.of(*THEIRS, str(measure)) if THEIRS in values.runs else np.zeros_like(ours)
    wanted = [("win", theirs - ours, ours > theirs), ("loss", ours - theirs, theirs > ours), ("worst", ours, ours < 1)]
    taken: dict[int, str] = {}
    for why, key, eligible in wanted:
        order = np.lexsort((values.queries, -values.relevant, key))
        best = [n for n in order if eligible[n] and shown[values.queries[n]] and int(values.queries[n]) not in taken]
        taken.update((int(values.queries[n]), why) for n in best[:each])
    return [Chosen(query, why) for query, why in taken.items()]


def side_by_side(
    chosen: Sequence[Chosen], texts: Sequence[str], labels: Labels, runs: Sequence[Run], titles: Mapping[int, str]
) -> Iterator[dict[str, Any]]:
    """One record a query: its text, why it is shown, what is relevant, and the first HITS of each system with their label."""
    columns = [run for name in COLUMNS for run in runs if run.name == name]
    for one in chosen:
        known = labels[one.query]
        hits = {
            run.system: [[int(i), titles.get(int(i), ""), known.get(int(i), "")] for i in run.ranked[one.query, :HITS] if i >= 0]
            for run in columns
        }
        shown = {hit[0] for found in hits.values() for hit in found}
        missed = [i for i in known if i not in shown]
        yield {
            "query": texts[one.query], "why": one.why, "hits": hits, "relevant": len(known),
            "missed": [[i, titles.get(i, ""), known[i]] for i in missed[:HITS]],
        }


def stages_of(questions: Questions, query: int) -> dict[int, str]:
    """Relevant item -> the furthest stage it reached for the query; ordered items first, then by id."""
    stages: dict[int, str] = {}
    for truth in ("ordered", "clicked"):
        judged = questions.judgements[truth]
        found = sorted(set(judged.item[judged.query == query].tolist()) - set(stages))
        stages.update(dict.fromkeys(found, truth))
    return stages


def grades_of(judgements: Judgements, query: int) -> dict[int, str]:
    """Graded item -> its grade as it is written; the highest first, then by id."""
    mine = judgements.query == query
    pairs = zip(judgements.item[mine].tolist(), judgements.grade[mine].tolist())
    return {item: f"{grade:g}" for item, grade in sorted(pairs, key=lambda pair: (-pair[1], pair[0]))}


def ids_shown(chosen: Sequence[Chosen], labels: Labels, runs: Sequence[Run]) -> list[int]:
    """Dense ids whose titles the records need."""
    ids: set[int] = set()
    for one in chosen:
        ids.update(labels[one.query])
        for run in runs:
            if run.name in COLUMNS:
                ids.update(run.ranked[one.query, :HITS].tolist())
    return sorted(i for i in ids if i >= 0)


def titles_of(items: DataFrame, ids: Sequence[int]) -> dict[int, str]:
    """Dense id -> title, for a few items of the catalogue."""
    found = items.where(F.col("dense_id").isin(list(ids))).select("dense_id", "title").collect() if ids else []
    return {row["dense_id"]: row["title"] for row in found}

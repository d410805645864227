"""evaluate_retrieval: how much of what was ordered and clicked on the test days does each system retrieve?

The unit is a distinct normalised query of the test days, the last `tuples.test_days` that end at the date. Relevant
to it are the items that were ordered (respectively clicked) after requests with that query on those days, by
published impressions, that is by human traffic after bot filtering, as far as the items have a vector: the
catalogue of the evaluation is what can be retrieved, the same for every system. At most `evaluate.max_queries`
queries with a relevant item are judged, chosen by hash. All systems answer the same queries:

* mmse exact: inner products with every published vector; mmse ann: the published index as it will be served;
* bm25: the same words in a lexical index; hybrid: reciprocal-rank fusion of it and mmse exact;
* before: the newest release of an earlier day, as it is served;
* popularity: most ordered before the validation days, whatever the query;
* oracle: the simulator's hidden order probability of the intents behind the query; a real shop has none.

Where judgments are published the first five also answer the judged queries, for nDCG and recall by human grades.

What a system may know ends where training ends: popularity and the strata count nothing of the validation days. Those choose
what BM25 counts in the hybrid.
"""

from __future__ import annotations

import dataclasses
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
from pyspark.sql import functions as F

from jobs.evaluation import look, relevance, systems
from jobs.evaluation.before import before_run
from jobs.evaluation.comparison import (
    Run,
    Values,
    choose_k,
    mean_table,
    measure_runs,
    paired_differences,
    published_measures,
    recall_rows,
)
from jobs.evaluation.exact import agreement
from jobs.evaluation.graded import Graded, graded_facts, graded_values, read_grades
from jobs.evaluation.hybrid import Weight, Weights, choose_weights, hybrid_run
from jobs.evaluation.parts import open_retriever
from jobs.evaluation.printed import printed
from jobs.evaluation.questions import TRUTHS, Questions, collect_questions, number_queries, value_rows
from jobs.evaluation.relevance import Days
from jobs.evaluation.strata import category_masks, item_strata, length_masks, strata_table, traffic_masks, traffic_strata
from jobs.evaluation.tuning import Tuning, read_tuning
from jobs.runtime.errors import Blocked
from jobs.runtime.job import Job, JobContext
from jobs.runtime.logs import log, say
from jobs.runtime.main import main
from jobs.tuples.held_out import intents_of, with_held_out
from mmse_model.metrics import Recall, coverage

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from pyspark.sql import DataFrame

    from mmse_model.retriever import Retriever


@dataclass(frozen=True)
class Evidence:
    """The frames that an evaluation rests on.

    `candidates` (dense_id, object_id) can be retrieved; `requests` are those of the test days; `truth` is
    what they led to; `past` is (query_norm, requests) of training time.
    """

    days: Days
    candidates: DataFrame
    requests: DataFrame
    truth: DataFrame
    past: DataFrame


def run(context: JobContext) -> None:
    """Gathers questions, lets every system answer them, publishes the figures."""
    retriever = open_retriever(context)
    evidence = gather_evidence(context, context.read("embeddings").select("dense_id", "object_id"))
    settings = context.config.evaluate
    chosen = relevance.sample_queries(evidence.truth, context.config.seed, settings.max_queries)
    texts = [row.query_norm for row in chosen.collect()]
    if not texts and not context.allow_empty:
        days = ", ".join(evidence.days.test)
        raise Blocked(f"impressions of {days}: no query led to a click or an order of an item that has a vector")
    if not texts:
        return
    graded, tuning = read_grades(context, evidence.candidates), read_tuning(context, evidence.days, evidence.candidates)
    queries = number_queries(context.spark, texts)
    questions = ask(context, evidence, queries, texts)
    left_out: systems.LeftOut = {}
    answers, weights = answer(context, evidence, retriever, texts + graded.texts, tuning, left_out)
    runs = [
        *(run.part(0, len(texts)) for run in answers),
        *systems.popularity_run(context, evidence.candidates, evidence.days, len(texts)),
        *systems.oracle_run(context, evidence.requests, evidence.candidates, queries, len(texts), left_out),
    ]
    values = [measure_runs(truth, questions.judgements[truth], runs, published_measures(settings.ks)) for truth in TRUTHS]
    facts = {**figures(context, values), **circumstances(evidence, questions, runs), "left_out": left_out}
    k, catalogue = facts["k"], facts["catalogue"]
    facts["coverage"] = [
        {"system": r.system, "search": r.search, "k": k, "share": coverage(r.ranked[:, :k], catalogue)} for r in runs
    ]
    facts["hybrid"] = dataclasses.asdict(weights)
    facts["strata"] = strata(context, evidence, questions, runs, values, k)
    facts["look"] = look.at_questions(context, queries, questions, runs, values[TRUTHS.index("ordered")], k)
    rows = [value_rows(values, texts, questions.frequency > 0)]
    if graded.texts:
        judged = [run.part(len(texts), len(texts) + len(graded.texts)) for run in answers]
        more, facts["graded"] = by_grades(context, evidence, graded, judged, k)
        rows.append(more)
    publish(context, pa.concat_tables(rows), facts)


def answer(
    context: JobContext, evidence: Evidence, retriever: Retriever, texts: list[str], tuning: Tuning, left_out: systems.LeftOut
) -> tuple[list[Run], Weights]:
    """The systems that can answer any query: ours, BM25, the release before, and the first two fused at chosen weights."""
    settings, asked = context.config.evaluate, texts + tuning.texts
    runs = [
        *systems.mmse_runs(context, retriever, asked),
        *systems.bm25_run(context, evidence.candidates, asked, left_out),
        *before_run(context, asked, left_out),
    ]
    seen = frequencies(evidence, number_queries(context.spark, asked)) > 0
    tuned, answers = ([run.part(a, b) for run in runs] for a, b in ((len(texts), len(asked)), (0, len(texts))))
    if settings.lexical_weight is not None:
        weights = Weights(Weight(settings.lexical_weight), Weight(settings.lexical_weight))
    else:
        weights = choose_weights(tuned, tuning.judgements, seen[len(texts):], settings.ks, settings.fusion_constant)
    return answers + hybrid_run(answers, settings.fusion_constant, weights.of(seen[:len(texts)])), weights


def by_grades(
    context: JobContext, evidence: Evidence, graded: Graded, runs: list[Run], k: int
) -> tuple[pa.Table, dict[str, Any]]:
    """Rows and facts of what people's grades say of the answers to the judged queries."""
    settings = context.config.evaluate
    values = graded_values(graded, runs, settings.ks, settings.relevant_grade)
    seen = frequencies(evidence, number_queries(context.spark, graded.texts)) > 0
    facts = graded_facts(graded, values, settings.relevant_grade, k, settings.bootstrap, context.config.seed)
    facts["look"] = look.at_judgements(context, graded, runs, values[0])
    return value_rows(values, graded.texts, seen), facts


def gather_evidence(context: JobContext, candidates: DataFrame) -> Evidence:
    """Reads the test days, which must be published, and as many of the training days as are.

    `candidates` (dense_id, object_id) are the items that can be retrieved.
    """
    config = context.config
    days = Days.ending(
        context.date, config.train.window_days, config.tuples.validation_days, config.tuples.test_days
    )
    for day in days.test:
        context.manifest("requests", day)
        context.manifest("impressions", day)
    requests = context.read_days("requests", days.test)
    truth = relevance.conversions(requests, context.read_days("impressions", days.test), candidates)
    past = relevance.query_frequency(context.read_days("requests", days.train), days.cut)
    return Evidence(days, candidates, requests, truth, without_held_out(context, past))


def without_held_out(context: JobContext, past: DataFrame) -> DataFrame:
    """`past` without the queries that were kept out of training: training never saw them, often as they were asked."""
    settings, seed = context.config.tuples, context.config.seed
    if not settings.held_out_share:
        return past
    asked = context.read_days("requests", context.days_back(context.config.train.window_days))
    marked = with_held_out(asked.select("query_id", "query_norm"), settings.held_out_share, seed, intents_of(context))
    return past.join(marked.where("held_out").select("query_norm"), "query_norm", "left_anti")


def frequencies(evidence: Evidence, queries: DataFrame) -> NDArray[np.int64]:
    """(Q,) training requests of each numbered query."""
    known = evidence.past.join(F.broadcast(queries), "query_norm").select("query", "requests").toArrow()
    requests = np.zeros(queries.count(), np.int64)
    requests[known["query"].to_numpy()] = known["requests"].to_numpy()
    return requests


def ask(context: JobContext, evidence: Evidence, queries: DataFrame, texts: list[str]) -> Questions:
    """The chosen queries with what is relevant to them and how often training saw them."""
    relevant = relevance.relevant_items(
        evidence.truth, queries, context.config.seed, context.config.evaluate.max_relevant
    ).localCheckpoint()
    shown = context.read_days("impressions", evidence.days.train)
    trained = relevance.trained_items(shown, relevant, evidence.candidates, evidence.days.cut)
    categories = relevance.main_categories(relevant, context.read("items"))
    return collect_questions(texts, relevant, frequencies(evidence, queries), categories, trained)


def strata(
    context: JobContext, evidence: Evidence, questions: Questions, runs: list[Run], values: list[Values], k: int
) -> list[dict[str, Any]]:
    """Recall at K of groups of queries, and of items that training saw or did not."""
    resamples, seed = context.config.evaluate.bootstrap, context.config.seed
    histogram = relevance.frequency_of_frequencies(evidence.past).collect()
    traffic = traffic_strata(questions.frequency, [(row.requests, row.queries) for row in histogram])
    masks = {
        "traffic": traffic_masks(traffic), "words": length_masks(questions.texts),
        "category": category_masks(questions.categories),
    }
    by_query = [
        row for v in values for name, groups in masks.items() for row in strata_table(v, name, groups, k, resamples, seed)
    ]
    seen = questions.frequency > 0
    by_item = [
        row for truth, judgements in questions.judgements.items()
        for row in item_strata(truth, judgements, runs, seen, questions.item_seen, k, resamples, seed)
    ]
    return by_query + by_item


def figures(context: JobContext, values: list[Values]) -> dict[str, Any]:
    """Every aggregate of the per-query values, for the manifest and the report."""
    settings, seed = context.config.evaluate, context.config.seed
    means = [row for v in values for row in mean_table(v, settings.bootstrap, seed)]
    table = recall_rows(means)
    ordered = {(row["system"], row["k"]): row["recall"] for row in table if row["truth"] == "ordered"}
    bm25 = [ordered["bm25", k] for k in settings.ks if ("bm25", k) in ordered]
    k, rule = choose_k(settings.ks, bm25 or None)
    return {
        "k": k, "k_rule": rule, "oracle": ordered.get(("oracle", k)), "table": table,
        "catalogue": context.manifest("embeddings").rows,
        "paired": [row for v in values for row in paired_differences(v, k, settings.bootstrap, seed)],
        "means": [row for row in means if not row["metric"].startswith(Recall.name)],
        "ks": list(settings.ks), "resamples": settings.bootstrap,
    }


def circumstances(evidence: Evidence, questions: Questions, runs: list[Run]) -> dict[str, Any]:
    """What the figures rest on: days, numbers of queries, conversions outside the catalogue, ANN beside exact."""
    exact, ann = runs[0].ranked, runs[1].ranked
    depths = [k for k in (10, 100, exact.shape[1]) if k <= exact.shape[1]]
    answered = {truth: int((j.relevant > 0).sum()) for truth, j in questions.judgements.items()}
    return {
        "days": {"train": evidence.days.train, "test": evidence.days.test},
        "queries": {**answered, "judged": len(questions.texts), "seen": int((questions.frequency > 0).sum())},
        "conversions": relevance.conversion_counts(evidence.truth).first().asDict(),
        "ann_agreement": [{"k": k, "recall": agreement(ann, exact, k)} for k in dict.fromkeys(depths)],
    }


def publish(context: JobContext, rows: pa.Table, facts: dict[str, Any]) -> None:
    """Rows, facts, and the figures a person reads first."""
    context.write("evaluation", context.spark.createDataFrame(rows), facts=facts)
    for line in printed(facts):
        say(line)
    for row in facts["paired"]:
        log("compared", job=context.job.name, **row)
    context.notes["K"] = facts["k"]


JOB = Job(
    "evaluate_retrieval",
    reads=("requests", "impressions", "items", "model", "embeddings", "index", "release", "judgments", "truth_requests",
           "truth_utility"),
    writes=("evaluation",),
    run=run,
    doc="Recall on the test days: the model with exact and ANN search, BM25, both fused, popularity and an oracle.",
)

if __name__ == "__main__":
    sys.exit(main(JOB))

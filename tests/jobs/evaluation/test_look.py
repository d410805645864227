from __future__ import annotations

from typing import Any

import numpy as np

from jobs.evaluation.comparison import Run, measure_runs
from jobs.evaluation.look import choose, grades_of, ids_shown, readable, side_by_side, stages_of
from jobs.evaluation.questions import Questions
from mmse_model.metrics import Judgements, Recall

# Query 0 wants item 1 and we alone find it; query 1 wants 2 and BM25 alone finds it; query 2 wants 3 and 4, nobody finds them.
ORDERED = Judgements.of([0, 1, 2, 2], [1, 2, 3, 4], queries=3)
CLICKED = Judgements.of([0, 0, 1, 2, 2], [1, 9, 2, 3, 4], queries=3)
OURS = Run("mmse", "exact", np.array([[1, 9], [7, 8], [7, 8]]))
BM25 = Run("bm25", "exact", np.array([[7, 8], [2, 7], [8, -1]]))
QUESTIONS = Questions(
    ["red lamp", "blue mug", "cable"], np.array([3, 0, 1]), {"ordered": ORDERED, "clicked": CLICKED}, [None] * 3, np.array([1])
)
ALL = np.ones(3, bool)


def values() -> Any:
    return measure_runs("ordered", ORDERED, [OURS, BM25], [Recall @ 2])


def test_wins_losses_and_worst_are_shown_once_each() -> None:
    assert [(one.query, one.why) for one in choose(values(), Recall @ 2, ALL, 1)] == [(0, "win"), (1, "loss"), (2, "worst")]


def test_a_query_that_too_few_people_made_is_not_chosen() -> None:
    assert [one.query for one in choose(values(), Recall @ 2, np.array([False, True, False]), 5)] == [1]


def test_of_the_worst_the_one_with_more_to_find_comes_first() -> None:
    worst = [one.query for one in choose(values(), Recall @ 2, ALL, 3) if one.why == "worst"]
    assert worst == [2]
    ours = measure_runs("ordered", ORDERED, [OURS], [Recall @ 2])
    assert [one.query for one in choose(ours, Recall @ 2, ALL, 1)] == [0, 2]


def test_hits_carry_the_furthest_stage_and_what_nobody_found_is_listed() -> None:
    chosen = choose(values(), Recall @ 2, ALL, 1)
    labels = {query: stages_of(QUESTIONS, query) for query in range(3)}
    assert labels[0] == {1: "ordered", 9: "clicked"}
    assert ids_shown(chosen, labels, [OURS, BM25]) == [1, 2, 3, 4, 7, 8, 9]
    win, _, worst = side_by_side(chosen, QUESTIONS.texts, labels, [OURS, BM25], {1: "lamp", 9: "lamp 2"})
    assert win["hits"]["mmse"] == [[1, "lamp", "ordered"], [9, "lamp 2", "clicked"]]
    assert list(win["hits"]) == ["bm25", "mmse"]
    assert worst["missed"] == [[3, "", "ordered"], [4, "", "ordered"]]
    assert worst["hits"]["bm25"] == [[8, "", ""]]


def test_grades_are_told_best_first_as_they_were_given() -> None:
    judged = Judgements.of([0, 0, 1, 0], [4, 9, 9, 2], [1.0, 2.5, 3.0, 2.5], queries=2)
    assert list(grades_of(judged, 0).items()) == [(2, "2.5"), (9, "2.5"), (4, "1")]
    assert grades_of(judged, 1) == {9: "3"}


def test_readable_is_what_enough_people_asked(spark: Any) -> None:
    rows = [("red lamp", f"u{n}", None) for n in range(3)] + [("cable", "u1", None)] * 5 + [("mug", None, "c1"), ("mug", None, "c2")]
    requests = spark.createDataFrame(rows, "query_norm string, user_key string, client_id string")
    queries = spark.createDataFrame([("red lamp",), ("cable",)], "query_norm string")
    assert readable(requests, queries, 3) == {"red lamp"}
    assert readable(requests, queries, 1) == {"red lamp", "cable"}

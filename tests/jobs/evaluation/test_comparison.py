"""Systems side by side, on values that can be checked by hand."""

from __future__ import annotations

import numpy as np
import pytest

from jobs.evaluation.comparison import (
    Run,
    Values,
    choose_k,
    mean_table,
    measure_runs,
    paired_differences,
    recall_rows,
)
from mmse_model.metrics import Judgements, Recall

KS = (1, 2)
# Query 0 wants 5 and 6, query 1 nothing, query 2 wants 7.
TRUTH = Judgements.of([0, 0, 2], [5, 6, 7], queries=3)
OURS = Run("mmse", "exact", np.array([[5, 6], [1, 2], [1, 7]]))
THEIRS = Run("bm25", "exact", np.array([[6, 1], [7, 5], [-1, -1]]))


@pytest.fixture
def values() -> Values:
    return measure_runs("ordered", TRUTH, [OURS, THEIRS], [Recall @ k for k in KS])


def test_queries_without_a_relevant_item_are_left_out(values: Values) -> None:
    assert values.queries.tolist() == [0, 2]
    assert values.relevant.tolist() == [2, 1]
    assert values.of("mmse", "exact", "recall@1").tolist() == [0.5, 0.0]
    assert values.of("bm25", "exact", "recall@2").tolist() == [0.5, 0.0]


def test_every_run_has_a_recall_with_its_interval_at_every_k(values: Values) -> None:
    rows = recall_rows(mean_table(values, 200, seed=1))
    assert [(r["system"], r["k"], r["recall"]) for r in rows] == [
        ("mmse", 1, 0.25), ("mmse", 2, 1.0), ("bm25", 1, 0.25), ("bm25", 2, 0.25)
    ]
    assert (rows[0]["low"], rows[0]["high"]) == (0.0, 0.5)  # of two queries: both ends are drawn
    assert (rows[1]["low"], rows[1]["high"]) == (1.0, 1.0)


def test_the_paired_difference_is_taken_query_by_query(values: Values) -> None:
    (row,) = paired_differences(values, 2, 200, seed=1)
    assert (row["a"], row["b"], row["difference"]) == ("mmse", "bm25", 0.75)
    assert (row["low"], row["high"]) == (0.5, 1.0)
    assert row["p"] == 2 / 4


def test_k_is_the_smallest_at_which_bm25_is_neither_poor_nor_perfect() -> None:
    assert choose_k((10, 50, 100), [0.3, 0.5, 0.7])[0] == 50
    assert choose_k((10, 50, 100), [0.3, 0.49, 0.88]) == (
        50, "BM25's ordered recall is within 0.5-0.85 at no k; the nearest"
    )
    assert choose_k((10, 50), None) == (50, "the largest k: BM25 was left out")


def test_a_truth_without_any_query_gives_empty_tables() -> None:
    empty = measure_runs("ordered", Judgements.of([], [], queries=3), [OURS, THEIRS], [Recall @ 2])
    assert mean_table(empty, 100, 1) == []
    assert paired_differences(empty, 2, 100, 1) == []

"""Metrics by hand, and held to ir-measures on random runs with ties."""

import math

import ir_measures
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from ir_measures import Qrel, ScoredDoc

from mmse_model.metrics import AP, MEASURES, NO_ITEM, RR, Judgements, Recall, coverage, nDCG, parse_measure, rank

# Query 0 wants items 7 and 9, query 1 wants item 7.
TRUTH = Judgements.of([1, 0, 0], [7, 9, 7], queries=2)
RANKED = np.array([[9, 8, 7], [3, 4, NO_ITEM]])


def test_recall_divides_by_all_relevant_items_of_the_query() -> None:
    assert (Recall @ 1).per_query(RANKED, TRUTH).tolist() == [0.5, 0.0]
    assert (Recall @ 3).per_query(RANKED, TRUTH).tolist() == [1.0, 0.0]


def test_reciprocal_rank_is_that_of_the_first_relevant_item_within_the_cutoff() -> None:
    ranked = np.array([[8, 9, 7], [3, 4, 7]])
    assert RR.per_query(ranked, TRUTH).tolist() == [1 / 2, 1 / 3]
    assert (RR @ 2).per_query(ranked, TRUTH).tolist() == [1 / 2, 0.0]


def test_average_precision_counts_an_unranked_item_as_zero() -> None:
    # Query 0: precision 1/1 at its first, 2/3 at its second item. Query 1 never finds its one.
    assert AP.per_query(RANKED, TRUTH) == pytest.approx([(1 + 2 / 3) / 2, 0.0])
    assert (AP @ 2).per_query(RANKED, TRUTH) == pytest.approx([1 / 2, 0.0])


def test_ndcg_uses_the_grade_as_gain_and_the_best_order_as_ideal() -> None:
    truth = Judgements.of([0, 0], [7, 9], [1.0, 3.0], queries=1)
    worst = (1 + 3 / math.log2(3)) / (3 + 1 / math.log2(3))
    assert nDCG.per_query(np.array([[7, 9]]), truth) == pytest.approx([worst])
    assert nDCG.per_query(np.array([[9, 7]]), truth) == pytest.approx([1.0])
    assert (nDCG @ 1).per_query(np.array([[7, 9]]), truth) == pytest.approx([1 / 3])


def test_the_same_item_of_another_query_is_no_hit() -> None:
    truth = Judgements.of([0, 1], [5, 6], queries=2)
    assert (Recall @ 1).per_query(np.array([[6], [5]]), truth).tolist() == [0.0, 0.0]


def test_a_padding_item_is_no_hit_and_a_query_without_truth_is_zero() -> None:
    truth = Judgements.of([1], [0], queries=3)
    ranked = np.full((3, 4), NO_ITEM)
    for measure in MEASURES.values():
        assert measure.per_query(ranked, truth).tolist() == [0, 0, 0]


def test_judgements_of_chosen_queries_are_renumbered() -> None:
    chosen = TRUTH.select(np.array([False, True]))
    assert (chosen.query.tolist(), chosen.item.tolist(), chosen.queries) == ([0], [7], 1)


@pytest.mark.parametrize(
    ("query", "item", "grade"), [([2], [1], [1.0]), ([0], [-1], [1.0]), ([0], [1], [0.0]), ([0, 0], [1, 1], [1.0, 1.0])]
)
def test_judgements_that_make_no_sense_are_refused(query: list[int], item: list[int], grade: list[float]) -> None:
    with pytest.raises(ValueError, match="expected"):
        Judgements.of(query, item, grade, queries=2)


def test_a_measure_prints_as_it_is_parsed() -> None:
    for text in ("recall@100", "ndcg@10", "rr", "ap@500"):
        assert str(parse_measure(text)) == text


@pytest.mark.parametrize("text", ["recal@10", "recall@", "recall@x", "ndcg@-1"])
def test_an_unknown_measure_is_refused_with_the_names_there_are(text: str) -> None:
    with pytest.raises(ValueError, match="recall"):
        parse_measure(text)


def test_equal_scores_are_ranked_by_id_from_the_highest_down_and_padding_comes_last() -> None:
    ids, scores = rank([[0.5, 0.9, 0.5, 0.95]], [[3, 1, 4, NO_ITEM]], 4)
    assert ids.tolist() == [[1, 4, 3, NO_ITEM]]
    assert scores.tolist() == [[0.9, 0.5, 0.5, 0.95]]


IR_MEASURES = {
    "recall@3": ir_measures.R @ 3, "recall@10": ir_measures.R @ 10, "ndcg@5": ir_measures.nDCG @ 5,
    "ndcg": ir_measures.nDCG, "rr": ir_measures.RR, "ap": ir_measures.AP, "ap@4": ir_measures.AP @ 4,
}


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(1, 6), st.integers(1, 30), st.integers(1, 5))
def test_values_per_query_equal_those_of_ir_measures_whatever_the_ties(
    seed: int, queries: int, items: int, distinct_scores: int
) -> None:
    generator = np.random.default_rng(seed)
    scores = generator.integers(0, distinct_scores, (queries, items)).astype(float)
    grades = generator.integers(0, 4, (queries, items + 3))  # three relevant items may be in no ranking
    grades[:, 0] = np.maximum(grades[:, 0], 1)
    query, item = np.nonzero(grades)
    truth = Judgements.of(query, item, grades[query, item], queries=queries)
    ranked, _ = rank(scores, np.arange(items), items)

    qrels = [Qrel(f"q{q}", f"{i:03}", int(grades[q, i])) for q, i in zip(query, item)]
    run = [ScoredDoc(f"q{q}", f"{i:03}", scores[q, i]) for q in range(queries) for i in range(items)]
    theirs = {(m.query_id, m.measure): m.value for m in ir_measures.iter_calc(IR_MEASURES.values(), qrels, run)}
    for name, measure in IR_MEASURES.items():
        ours = parse_measure(name).per_query(ranked, truth)
        assert ours == pytest.approx([theirs[f"q{q}", measure] for q in range(queries)], abs=1e-9), name


def test_coverage_counts_every_item_once_and_no_empty_place() -> None:
    assert coverage([[1, 2], [2, -1]], 8) == 0.25
    assert coverage([[-1]], 8) == 0.0

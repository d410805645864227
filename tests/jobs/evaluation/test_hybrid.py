from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobs.evaluation.comparison import Run
from jobs.evaluation.hybrid import Weight, choose_weight, hybrid_run, reciprocal_rank_fusion
from mmse_model.metrics import Judgements


def fused(*rankings: list[int], constant: float = 60) -> list[int]:
    return reciprocal_rank_fusion([np.array([r]) for r in rankings], constant)[0].tolist()


def test_what_both_rank_second_beats_what_one_ranks_first() -> None:
    # 2/62 > 1/61
    assert fused([7, 5, 1], [8, 5, 2])[0] == 5


def test_a_small_constant_lets_the_first_place_of_one_ranking_decide() -> None:
    # 1/1 > 2/2 does not hold with constant 0, they tie and the higher id wins; with 0 and a third place 1/1 > 2/3
    assert fused([7, 6, 5], [8, 9, 5], constant=0) == [8, 7, 5]


def test_empty_places_bring_no_points_and_no_item() -> None:
    assert fused([3, -1, -1], [-1, -1, -1]) == [3, -1, -1]


def test_of_equal_points_the_higher_id_comes_first() -> None:
    assert fused([3, 1], [4, 2]) == [4, 3]


@given(st.lists(st.permutations(range(6)), min_size=1, max_size=4), st.integers(0, 100))
def test_fusion_is_the_formula_item_by_item(rankings: list[list[int]], constant: int) -> None:
    cut = [r[:4] for r in rankings]
    scores = {i: sum(1 / (constant + r.index(i) + 1) for r in cut if i in r) for i in {i for r in cut for i in r}}
    got = fused(*cut, constant=constant)
    assert len(set(got)) == 4
    assert [scores[i] for i in got] == pytest.approx(sorted(scores.values(), reverse=True)[:4])


def test_without_bm25_there_is_no_hybrid() -> None:
    ours, bm25 = Run("mmse", "exact", np.array([[1, 2]])), Run("bm25", "exact", np.array([[2, 3]]))
    assert hybrid_run([ours, Run("mmse", "ann", np.array([[1, 2]]))], 60, 1) == []
    both = hybrid_run([ours, bm25], 60, 1)
    assert [(run.system, run.ranked.tolist()) for run in both] == [("hybrid", [[2, 1]])]


def test_a_weight_of_nothing_leaves_the_model_alone() -> None:
    ours, bm25 = Run("mmse", "exact", np.array([[1, 2, -1]])), Run("bm25", "exact", np.array([[2, 3, 4]]))
    (alone,) = hybrid_run([ours, bm25], 60, 0)
    assert alone.ranked.tolist() == [[1, 2, -1]]


def test_the_weight_is_the_lowest_of_those_that_find_most_of_what_was_ordered() -> None:
    # Item 9 is ordered. BM25 ranks it first, the model not at all: it takes the second place from the model's item 2
    # (1/62) once w/61 is more, that is from w = 61/62 on.
    ours, bm25 = Run("mmse", "exact", np.array([[1, 2]])), Run("bm25", "exact", np.array([[9, 8]]))
    chosen = choose_weight([ours, bm25], Judgements.of([0], [9], queries=1), [2], 60)
    assert (chosen.value, chosen.k, chosen.queries) == (1.0, 2, 1)
    assert chosen.recalls == (*((n / 10, 0.0) for n in range(10)), (1.0, 1.0))
    useless = choose_weight([ours, bm25], Judgements.of([0], [1], queries=1), [2], 60)
    assert useless.value == 0.0


def test_with_nothing_to_compare_both_count_alike() -> None:
    ours, bm25 = Run("mmse", "exact", np.empty((0, 2), np.int64)), Run("bm25", "exact", np.empty((0, 2), np.int64))
    assert choose_weight([ours, bm25], Judgements.of([], [], queries=0), [2], 60) == Weight(1.0)
    assert choose_weight([ours], Judgements.of([], [], queries=0), [2], 60) == Weight(1.0)

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobs.evaluation.comparison import Run
from jobs.evaluation.hybrid import (
    FEWEST,
    WEIGHTS,
    Weight,
    Weights,
    choose_weights,
    hybrid_run,
    least_of_the_best,
    reciprocal_rank_fusion,
)
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


def test_each_query_can_have_a_weight_of_its_own() -> None:
    # 1/61 + 1/62 > 1/61 for the second query only: there BM25 counts, and both rank item 2.
    ours, bm25 = Run("mmse", "exact", np.array([[1, 2], [1, 2]])), Run("bm25", "exact", np.array([[2, 3], [2, 3]]))
    (both,) = hybrid_run([ours, bm25], 60, np.array([0.0, 1.0]))
    assert both.ranked.tolist() == [[1, 2], [2, 1]]


def runs_of(ours: list[list[int]], bm25: list[list[int]]) -> list[Run]:
    return [Run("mmse", "exact", np.array(ours)), Run("bm25", "exact", np.array(bm25))]


def test_the_weight_is_the_lowest_of_those_that_find_most_of_what_was_ordered() -> None:
    # Item 9 is ordered. BM25 ranks it first, the model not at all: it takes the second place from the model's item 2
    # (1/62) once w/61 is more, that is from w = 61/62 on; at 1 it ties with the model's item 1, and the higher id is first.
    runs = runs_of([[1, 2]], [[9, 8]])
    chosen = choose_weights(runs, Judgements.of([0], [9], queries=1), np.array([True]), [1, 2], 60)
    assert chosen.seen == Weight(1.0, 1, (*((n / 10, 0.0) for n in range(10)), (1.0, 1.0)))
    useless = choose_weights(runs, Judgements.of([0], [1], queries=1), np.array([True]), [1, 2], 60)
    assert useless.seen.value == useless.unseen.value == 0.0


def test_queries_that_training_saw_and_that_it_did_not_choose_apart_where_they_are_many() -> None:
    # Item 9 is BM25's first. It was ordered for the unseen queries, the model's item 2 for the seen ones.
    def chosen(each: int) -> Weights:
        runs = runs_of([[1, 2]] * 2 * each, [[9, 8]] * 2 * each)
        ordered = Judgements.of(range(2 * each), [2] * each + [9] * each, queries=2 * each)
        return choose_weights(runs, ordered, np.repeat([True, False], each), [2], 60)

    apart = chosen(FEWEST)
    assert (apart.seen.value, apart.unseen.value) == (0.0, 1.0)
    assert apart.of(np.array([False, True])).tolist() == [1.0, 0.0]
    together = chosen(FEWEST - 1)
    assert together.seen == together.unseen
    assert together.seen.queries == 2 * (FEWEST - 1)


def test_a_gain_within_one_standard_error_is_not_taken() -> None:
    # At weight .1 three queries of 100 gain 1 and two lose 1: +.01, with a standard error of sqrt(.05) / 10 = .022.
    gain = np.array([1.0] * 3 + [-1.0] * 2 + [0.0] * 95)
    recalls = np.tile(np.where(gain < 0, 1.0, 0.0), (len(WEIGHTS), 1))
    recalls[1] += gain
    assert least_of_the_best(recalls).value == 0.0
    # Five that gain and none that loses: +.05, with .022.
    recalls = np.zeros((len(WEIGHTS), 100))
    recalls[1, :5] = 1.0
    assert least_of_the_best(recalls).value == 0.1


def test_with_nothing_to_compare_both_count_alike() -> None:
    none = Judgements.of([], [], queries=0)
    alike = Weights(Weight(1.0), Weight(1.0))
    runs = [Run(system, "exact", np.empty((0, 2), np.int64)) for system in ("mmse", "bm25")]
    assert choose_weights(runs, none, np.empty(0, bool), [2], 60) == alike
    assert choose_weights(runs[:1], none, np.empty(0, bool), [2], 60) == alike

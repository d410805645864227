from __future__ import annotations

import numpy as np
import pytest

from jobs.evaluation.comparison import Run, Values, measure_runs
from jobs.evaluation.strata import (
    category_masks,
    item_strata,
    length_masks,
    strata_table,
    traffic_masks,
    traffic_strata,
)
from mmse_model.metrics import Judgements, Recall

# Query 0 wants 5 and 6, query 1 nothing, query 2 wants 7.
TRUTH = Judgements.of([0, 0, 2], [5, 6, 7], queries=3)
OURS = Run("mmse", "exact", np.array([[5, 1], [1, 2], [1, 7]]))


@pytest.fixture
def values() -> Values:
    return measure_runs("ordered", TRUTH, [OURS], [Recall @ 2])


def found(rows: list[dict]) -> dict[str, tuple[int, float]]:
    return {r["stratum"]: (r["queries"], r["recall"]) for r in rows}


def test_strata_split_the_training_traffic_into_thirds() -> None:
    # 100 + 2 x 50 + 100 x 1 requests: one head query, two of the torso, a tail of a hundred.
    histogram = [(100, 1), (50, 2), (1, 100)]
    assert traffic_strata(np.array([100, 0, 1, 50]), histogram) == ["head", "unseen", "tail", "torso"]
    assert traffic_strata(np.array([7, 0]), [(7, 3)]) == ["head", "unseen"]
    assert traffic_strata(np.array([0]), []) == ["unseen"]


def test_a_query_of_the_tail_is_not_of_the_torso_where_the_head_takes_two_thirds() -> None:
    assert traffic_strata(np.array([1]), [(100, 1), (1, 10)]) == ["tail"]


def test_groups_of_traffic_cover_the_queries_once_and_seen_ones_together(values: Values) -> None:
    rows = strata_table(values, "traffic", traffic_masks(["head", "tail", "unseen"]), 2, 100, seed=1)
    assert found(rows) == {"seen": (1, 0.5), "unseen": (1, 1.0), "head": (1, 0.5)}
    assert {row["dimension"] for row in rows} == {"traffic"}


def test_queries_of_four_words_and_of_five_are_one_group() -> None:
    masks = length_masks(["a", "a b", "a-b c", "a b c d", "a b c d e"])
    assert {name: np.flatnonzero(mask).tolist() for name, mask in masks.items()} == {
        "1 word": [0], "2 words": [1], "3 words": [2], "4 words and more": [3, 4]
    }


def test_small_categories_are_counted_together_and_none_apart() -> None:
    names = [f"c{n:02}" for n in range(12)]
    masks = category_masks([*names, "c03", None])
    # c03 has two queries and comes first, then by name: c10 and c11 are the eleventh and twelfth
    assert list(masks)[:2] == ["c03", "c00"]
    assert np.flatnonzero(masks["other categories"]).tolist() == [10, 11]
    assert np.flatnonzero(masks["without a category"]).tolist() == [13]
    assert sum(mask.astype(int) for mask in masks.values()).tolist() == [1] * 14


def test_items_that_training_saw_and_those_it_did_not_are_judged_apart() -> None:
    rows = list(item_strata("ordered", TRUTH, [OURS], np.array([True, False, False]), np.array([6, 7]), 2, 100, seed=1))
    # item 5 is unseen and found for query 0, item 6 is seen and missed; item 7 is seen and found for the unseen query 2
    assert found(rows) == {
        "seen queries, seen items": (1, 0.0), "unseen queries, seen items": (1, 1.0), "seen queries, unseen items": (1, 1.0),
    }


def test_no_query_gives_no_row() -> None:
    empty = measure_runs("ordered", Judgements.of([], [], queries=3), [OURS], [Recall @ 2])
    assert strata_table(empty, "traffic", traffic_masks(["head"] * 3), 2, 100, 1) == []

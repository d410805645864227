"""Which settings are tried, and which is taken."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from jobs.index.choosing import FINE, Row, Setting, around, as_table, between, choose, cost_of, frontier, next_probes


def row(probes: int, recall: float, qps: float = 1.0, refine: int = 1, cost: float | None = None) -> Row:
    return Row(probes, refine, recall, recall, recall, recall, 10.0 * probes, cost or 10.0 * probes, qps, 1.0, 2.0)


def searched(lists: int, needed: int) -> tuple[list[int], int]:
    """What is tried, one round after another, where `needed` lists are enough, and what is taken."""
    tried: list[int] = []
    while todo := next_probes(tried, [p for p in tried if p >= needed], lists):
        tried = sorted({*tried, *todo})
    return tried, min((p for p in tried if p >= needed), default=lists)


def test_lists_are_doubled_until_enough_and_then_narrowed_down() -> None:
    assert next_probes([], [], 256) == [1, 2, 4, 8, 16]
    assert next_probes([1, 2, 4, 8, 16], [], 256) == [32, 64, 128]
    assert next_probes([1, 2, 4, 8, 16, 32, 64, 128], [64, 128], 256) == [38, 45, 54]
    assert next_probes([16, 32, 38, 45, 54, 64], [45, 54, 64], 256) == []  # 45 / 38 = 1.18


def test_an_index_of_few_lists_is_tried_up_to_all_of_them() -> None:
    assert next_probes([], [], 6) == [1, 2, 4, 6]
    assert next_probes([], [], 1) == [1]
    assert next_probes([1, 2, 4, 8, 16], [], 20) == [20]
    assert next_probes([1, 2, 4, 8, 16, 20], [], 20) == []


def test_where_hits_are_compared_again_more_lists_are_tried_too() -> None:
    assert next_probes([1, 2, 4, 8, 16], [8, 16], 256, beyond=4) == [32]
    assert next_probes([1, 2, 4, 8, 16, 32], [8, 16, 32], 256, beyond=4) == [5, 6, 7]


@given(st.integers(1, 3_000), st.integers(1, 3_000))
def test_what_is_taken_is_enough_and_hardly_more_than_needed(lists: int, needed: int) -> None:
    tried, taken = searched(lists, needed)
    assert all(1 <= p <= lists for p in tried)
    if needed <= lists:
        below = max((p for p in tried if p < needed), default=0)
        assert taken >= needed and (taken <= below + 1 or taken <= FINE * below)
        assert len(tried) <= 30
    else:
        assert tried[-1] == lists


def test_nothing_lies_between_neighbours() -> None:
    assert between(1, 2) == between(5, 6) == between(7, 7) == []
    assert between(2, 4) == [3]


def test_around_what_is_taken_both_sides_are_looked_at() -> None:
    assert around([1, 2, 4, 8, 16, 32], 16) == [10, 11, 13, 19, 23, 27]
    assert around([4, 8], 8) == [5, 6, 7] and around([8], 8) == []


def test_the_cheapest_that_reaches_the_target_is_taken() -> None:
    rows = [row(8, 0.96, refine=8, cost=400), row(16, 0.95, refine=2, cost=240), row(32, 0.99, cost=320), row(4, 0.9, cost=40)]
    assert choose(rows, 0.95) == (rows[1], True)


def test_where_none_reaches_it_the_one_that_finds_most_is_taken_and_it_is_said() -> None:
    rows = [row(4, 0.8), row(8, 0.9), row(16, 0.9)]
    assert choose(rows, 0.95) == (rows[1], False)


def test_comparing_again_costs_by_hit_and_shard() -> None:
    assert cost_of(1_000, Setting(8), 10, 2) == 1_000
    assert cost_of(1_000, Setting(8, 4), 10, 2) == 1_000 + 240 * 4 * 10 * 2


def test_the_frontier_is_what_no_other_beats_in_both() -> None:
    rows = [row(1, 0.5, 100), row(2, 0.7, 80), row(3, 0.7, 90), row(4, 0.9, 85), row(5, 0.95, 20)]
    assert [r.probes for r in frontier(rows)] == [1, 3, 4, 5]


def test_the_table_marks_what_was_taken() -> None:
    rows = [row(8, 0.96), row(4, 0.9)]
    lines = as_table(rows, rows[0], 100)
    assert "recall@100" in lines[0]
    assert [line.split()[0] for line in lines[1:]] == ["4", "8"] and [line.endswith("<") for line in lines[1:]] == [False, True]

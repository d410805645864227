"""Block-wise exact search against one matrix product."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jobs.evaluation.exact import (
    RowGroup,
    agreement,
    dealt,
    embedding_blocks,
    merge_found,
    row_groups,
    search_blocks,
    search_embeddings,
    search_groups,
)
from jobs.runtime.errors import InputError


def write_vectors(path: Path, ids: list[int], vectors: np.ndarray, per_group: int | None = None) -> Path:
    packed = [row.astype("<f4").tobytes() for row in vectors]
    pq.write_table(pa.table({"dense_id": pa.array(ids, pa.int64()), "vector": packed}), path, row_group_size=per_group)
    return path


def test_files_are_read_in_blocks_of_bounded_size(tmp_path: Path) -> None:
    vectors = np.arange(20, dtype=np.float32).reshape(5, 4)
    files = [write_vectors(tmp_path / "a.parquet", [7, 8, 9], vectors[:3]),
             write_vectors(tmp_path / "b.parquet", [1, 2], vectors[3:])]
    blocks = list(embedding_blocks(row_groups(files), 4, 2))
    assert [ids.tolist() for ids, _ in blocks] == [[7, 8], [9], [1, 2]]
    assert np.array_equal(np.concatenate([v for _, v in blocks]), vectors)


def test_vectors_of_another_dimension_than_the_encoder_are_refused_by_file(tmp_path: Path) -> None:
    path = write_vectors(tmp_path / "a.parquet", [1], np.ones((1, 4)))
    with pytest.raises(InputError, match=r"a.parquet: vectors of \[16\] bytes; expected 32"):
        list(embedding_blocks(row_groups([path]), 8, 10))


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(1, 12), st.integers(1, 60), st.integers(1, 80))
def test_blocks_of_any_size_find_what_one_product_finds(seed: int, block: int, items: int, k: int) -> None:
    generator = np.random.default_rng(seed)
    queries = generator.normal(size=(3, 8)).astype(np.float32)
    vectors = generator.normal(size=(items, 8)).astype(np.float32)
    ids = generator.permutation(1_000)[:items]
    blocks = [(ids[i : i + block], vectors[i : i + block]) for i in range(0, items, block)]

    found, scores = search_blocks(queries, blocks, k)
    exact = queries @ vectors.T
    best = np.argsort(-exact, axis=1)[:, :k]
    assert np.array_equal(found[:, : best.shape[1]], ids[best])
    assert np.allclose(scores[:, : best.shape[1]], np.take_along_axis(exact, best, 1), atol=1e-5)
    assert (found[:, best.shape[1] :] == -1).all()


def test_equal_scores_are_ranked_by_the_higher_id_across_blocks() -> None:
    same = np.ones((1, 2), np.float32)
    found, _ = search_blocks(same, [(np.array([4]), same), (np.array([9]), same), (np.array([2]), same)], 3)
    assert found.tolist() == [[9, 4, 2]]


@settings(max_examples=60, deadline=None)
@given(st.lists(st.lists(st.integers(0, 3), min_size=1, max_size=6), min_size=1, max_size=5), st.integers(1, 8), st.randoms())
def test_findings_merge_to_the_same_in_any_order_ties_included(parts: list[list[int]], k: int, random: object) -> None:
    """Scores of 0..3 tie all the time; items are numbered through."""
    first, found = 0, []
    for scores in parts:
        ids = np.arange(first, first + len(scores))
        first += len(scores)
        order = np.lexsort((-ids, -np.array(scores)))[:k]
        found.append((ids[order][None], np.array(scores, np.float32)[order][None]))
    nothing = np.full((1, k), -1), np.full((1, k), -np.inf, np.float32)
    expected = sorted(((s, n) for n, s in enumerate(s for part in parts for s in part)), reverse=True)[:k]
    for _ in range(2):
        random.shuffle(found)  # type: ignore[attr-defined]
        merged = nothing
        for other in found:
            merged = merge_found(merged, other)
        assert [int(i) for i in merged[0][0] if i >= 0] == [n for _, n in expected]


@pytest.fixture
def shop(tmp_path: Path) -> tuple[np.ndarray, list[Path]]:
    """Queries (5, 8), and 600 vectors in two files of four row groups each; every third vector stands twice."""
    generator = np.random.default_rng(5)
    vectors = generator.normal(size=(600, 8)).astype(np.float32)
    vectors[::3] = vectors[1::3]
    files = [write_vectors(tmp_path / f"{n}.parquet", list(range(n, 600, 2)), vectors[n::2], 80) for n in (0, 1)]
    return generator.normal(size=(5, 8)).astype(np.float32), files


@pytest.mark.parametrize("tasks", [1, 3, 7])
def test_the_same_is_found_whoever_searches_which_row_groups(shop: tuple[np.ndarray, list[Path]], tasks: int) -> None:
    queries, files = shop
    ids, scores = search_groups(row_groups(files), queries, 20, 50)
    parts = [search_groups(groups, queries, 20, 50) for groups in dealt(row_groups(files), tasks)]
    merged = parts[0]
    for part in parts[1:]:
        merged = merge_found(merged, part)
    assert np.array_equal(merged[0], ids) and np.array_equal(merged[1], scores)


def test_executors_find_what_the_driver_finds(spark: object, shop: tuple[np.ndarray, list[Path]]) -> None:
    queries, files = shop
    ids, scores = search_groups(row_groups(files), queries, 20, 50)
    found = search_embeddings(spark, queries, files, 20, 50)
    assert np.array_equal(found[0], ids) and np.array_equal(found[1], scores)
    # all in one block: the driver alone
    assert np.array_equal(search_embeddings(spark, queries, files, 20, 600)[0][:, :5], ids[:, :5])


def test_row_groups_are_dealt_evenly_and_none_is_lost() -> None:
    groups = [RowGroup(Path("a"), n, rows) for n, rows in enumerate([50, 10, 10, 30, 40])]
    lists = dealt(groups, 2)
    assert sorted(g.number for groups in lists for g in groups) == [0, 1, 2, 3, 4]
    assert [sum(g.rows for g in groups) for groups in lists] == [70, 70]
    assert dealt(groups[:1], 4) == [groups[:1]]


def test_agreement_is_the_share_of_the_exact_neighbours_that_were_found() -> None:
    exact = np.array([[1, 2, 3], [4, 5, -1]])
    found = np.array([[3, 1, 9], [5, 4, 8]])
    assert agreement(found, exact, 3) == pytest.approx((2 / 3 + 1) / 2)
    assert agreement(found, exact, 1) == 0

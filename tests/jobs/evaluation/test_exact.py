"""Block-wise exact search against one matrix product."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jobs.evaluation.exact import agreement, embedding_blocks, search_blocks
from jobs.runtime.errors import InputError


def write_vectors(path: Path, ids: list[int], vectors: np.ndarray) -> Path:
    packed = [row.astype("<f4").tobytes() for row in vectors]
    pq.write_table(pa.table({"dense_id": pa.array(ids, pa.int64()), "vector": packed}), path)
    return path


def test_files_are_read_in_blocks_of_bounded_size(tmp_path: Path) -> None:
    vectors = np.arange(20, dtype=np.float32).reshape(5, 4)
    files = [write_vectors(tmp_path / "a.parquet", [7, 8, 9], vectors[:3]),
             write_vectors(tmp_path / "b.parquet", [1, 2], vectors[3:])]
    blocks = list(embedding_blocks(files, 4, 2))
    assert [ids.tolist() for ids, _ in blocks] == [[7, 8], [9], [1, 2]]
    assert np.array_equal(np.concatenate([v for _, v in blocks]), vectors)


def test_vectors_of_another_dimension_than_the_encoder_are_refused_by_file(tmp_path: Path) -> None:
    path = write_vectors(tmp_path / "a.parquet", [1], np.ones((1, 4)))
    with pytest.raises(InputError, match=r"a.parquet: vectors of \[16\] bytes; expected 32"):
        list(embedding_blocks([path], 8, 10))


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


def test_agreement_is_the_share_of_the_exact_neighbours_that_were_found() -> None:
    exact = np.array([[1, 2, 3], [4, 5, -1]])
    found = np.array([[3, 1, 9], [5, 4, 8]])
    assert agreement(found, exact, 3) == pytest.approx((2 / 3 + 1) / 2)
    assert agreement(found, exact, 1) == 0

"""Two-level k-means: lists are shared out, Lloyd's sums add up however they are split, an assigner stands in for a quantizer."""

from __future__ import annotations

import faiss
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmse_model.ann import add_vectors, assigned_by, list_entries, train_index
from mmse_model.kmeans import (
    add_sums,
    assign,
    assigner_over,
    cell_count,
    cheapest_assigner,
    flat_over,
    move_centroids,
    no_sums,
    share_out,
    sums_of,
)

VECTORS = np.random.default_rng(1).standard_normal((2_000, 8)).astype(np.float32)


def test_lists_follow_the_error_and_every_cell_gets_one() -> None:
    """Of 10 lists 60, 30, 10 and 0 of 100 parts of the error; the last has rows, and takes one from the first."""
    rows, errors = np.array([100, 100, 100, 5]), np.array([60.0, 30.0, 10.0, 0.0])
    assert share_out(10, rows, errors).tolist() == [5, 3, 1, 1]


def test_no_cell_gets_more_lists_than_it_has_rows() -> None:
    assert share_out(10, np.array([2, 100, 0]), np.array([90.0, 10.0, 0.0])).tolist() == [2, 8, 0]
    assert share_out(4, np.array([2, 2]), np.zeros(2)).tolist() == [2, 2]


@given(st.lists(st.tuples(st.integers(0, 50), st.floats(0, 100)), min_size=1, max_size=12), st.data())
def test_shares_add_up_whatever_the_cells(cells: list[tuple[int, float]], data: st.DataObject) -> None:
    rows = np.array([n for n, _ in cells])
    errors = np.array([error if n else 0.0 for n, error in cells])
    if not rows.sum():
        return
    lists = data.draw(st.integers(int((rows > 0).sum()), int(rows.sum())))
    shares = share_out(lists, rows, errors)
    assert shares.sum() == lists and (shares <= rows).all() and ((shares > 0) == (rows > 0)).all()


def test_more_lists_than_vectors_are_refused() -> None:
    with pytest.raises(ValueError, match="7 lists for 6 sampled vectors in 2 cells"):
        share_out(7, np.array([3, 3]), np.ones(2))


def test_the_sums_of_three_vectors_in_two_lists() -> None:
    sums = sums_of(np.array([[1, 2], [3, 4], [5, 6]], dtype=np.float32), np.array([7, 2, 7]))
    assert (sums.lists.tolist(), sums.counts.tolist(), sums.sums.tolist()) == ([2, 7], [1, 2], [[3, 4], [6, 8]])


@given(st.lists(st.integers(0, 9), max_size=30), st.integers(0, 30))
def test_sums_of_two_parts_are_those_of_the_whole(lists: list[int], cut: int) -> None:
    vectors, every = np.arange(2 * len(lists), dtype=np.float32).reshape(-1, 2), np.array(lists, dtype=np.int64)
    whole = add_sums(no_sums(2), sums_of(vectors, every))
    parts = add_sums(sums_of(vectors[cut:], every[cut:]), sums_of(vectors[:cut], every[:cut]))
    assert np.array_equal(whole.lists, np.unique(every))
    assert all(np.array_equal(getattr(whole, name), getattr(parts, name)) for name in ("lists", "counts", "sums"))


def test_a_step_moves_a_centroid_to_the_mean_and_leaves_one_without_vectors() -> None:
    before = np.array([[0, 0], [9, 9]], dtype=np.float32)
    found = sums_of(np.array([[2, 0], [4, 2]], dtype=np.float32), np.array([4, 4]))
    assert move_centroids(before, 4, found).tolist() == [[3, 1], [9, 9]]


def test_cells_are_as_many_as_each_has_lists() -> None:
    assert [cell_count(lists) for lists in (1, 16, 16_384, 262_144)] == [1, 4, 128, 512]


def test_an_assigner_that_probes_every_cell_finds_the_nearest_centroid() -> None:
    centroids, assigner = VECTORS[:100], assigner_over(VECTORS[:100], 1)
    assert (assigner.search(VECTORS, 1)[1] >= 0).all()
    assigner.nprobe = 100
    assert np.array_equal(assigner.search(VECTORS, 1)[1], flat_over(centroids).search(VECTORS, 1)[1])


@pytest.mark.parametrize("probes", [1, 3, 10])
def test_products_by_cell_find_what_scanning_the_cells_finds(probes: int) -> None:
    assigner = assigner_over(VECTORS[:100], 1)
    assigner.nprobe = probes
    distances, lists = assign(assigner, VECTORS)
    scanned = assigner.search(VECTORS, 1)
    assert np.array_equal(lists, scanned[1][:, 0]) and np.allclose(distances, scanned[0][:, 0], atol=1e-4)
    flat = flat_over(VECTORS[:100])
    assert np.array_equal(assign(flat, VECTORS)[1], flat.search(VECTORS, 1)[1][:, 0])


def test_the_cheapest_assigner_is_as_exact_as_was_asked_and_none_where_it_would_be_dear() -> None:
    """Of 1,600 centroids in 80 cells: one probe counts as 80 + 8 * 20 comparisons in place of 1,600, and the most is 9."""
    centroids = VECTORS[:1_600]
    least = flat_over(centroids).search(VECTORS[1_600:], 1)[0].mean()
    loose, strict = (cheapest_assigner(centroids, VECTORS[1_600:], excess, 1) for excess in (0.5, 0.05))
    assert loose.nprobe < strict.nprobe
    for assigner, excess in ((loose, 0.5), (strict, 0.05)):
        assert least < assigner.search(VECTORS[1_600:], 1)[0].mean() <= (1 + excess) * least
    assert cheapest_assigner(centroids, VECTORS[1_600:], 1e-9, 1) is None


def test_equal_centroids_leave_no_cell_empty() -> None:
    """All fall into one cell: a search of another would come back empty, and FAISS would drop the vector."""
    assigner = assigner_over(np.ones((64, 8), dtype=np.float32), 1)
    assert (assigner.search(VECTORS, 1)[1] >= 0).all()


@pytest.mark.parametrize("codec", ["flat", "sq8"])
def test_codes_are_those_of_the_quantizer_whoever_finds_the_lists(codec: str) -> None:
    """Every cell is probed, so that the lists are the same; residuals are against the same centroids."""
    centroids, ids = VECTORS[:50], np.arange(2_000)
    exact, by_cells, swapped = (train_index(VECTORS, 50, codec, 1, centroids) for _ in range(3))
    exact.add_with_ids(VECTORS, ids)
    assigner = assigner_over(centroids, 1)
    assigner.nprobe = 50
    add_vectors(by_cells, assigner, VECTORS, ids)
    with assigned_by(swapped, assigner):
        swapped.add_with_ids(VECTORS, ids)
    assert isinstance(faiss.downcast_index(swapped.quantizer), faiss.IndexFlat)
    for other in (by_cells, swapped):
        assert other.ntotal == exact.ntotal == 2_000
        for number in range(50):
            assert all(np.array_equal(*pair) for pair in zip(list_entries(exact, number), list_entries(other, number)))

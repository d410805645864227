"""Codecs: what they store, what of it is compared again, and that lists can be copied code by code."""

from __future__ import annotations

import faiss
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmse_model import ann
from mmse_model.codecs import CODECS, check_dimension, code_bytes, inverted, refinement, turned
from mmse_model.shards import OpenShard, Places

ROWS, DIMENSION, LISTS = 700, 64, 4
IDS = np.arange(ROWS, dtype=np.int64) * 3 + 2


def unit(rows: int, seed: int) -> np.ndarray:
    vectors = np.random.default_rng(seed).normal(size=(rows, DIMENSION)).astype(np.float32)
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


ITEMS = unit(ROWS, 0)


ROTATED = ann.train_index(ITEMS, LISTS, "rabitq4", 5)


def filled(codec: str, seed: int = 5) -> faiss.Index:
    index = ann.train_index(ITEMS, LISTS, codec, seed)
    for rows in np.array_split(np.arange(ROWS), 3):
        ann.add_vectors(index, None, ITEMS[rows], IDS[rows])
    return index


def searched(index: faiss.Index, queries: np.ndarray, k: int, refine: int = 1) -> tuple[np.ndarray, np.ndarray]:
    shard = OpenShard.of(index)
    coarse, lists = shard.probe(queries, shard.ivf.nlist)
    return shard.search(queries, k, lists, coarse, refine=refine)


@pytest.mark.parametrize("codec", sorted(CODECS))
@pytest.mark.parametrize("dimension", [64, 128, 192])
def test_the_bytes_of_a_code_are_those_that_faiss_takes(codec: str, dimension: int) -> None:
    index = ann.train_index(np.random.default_rng(1).normal(size=(80, dimension)).astype(np.float32), 1, codec, 1)
    exact = refinement(index)
    assert code_bytes(codec, dimension) == inverted(index).code_size + (exact.code_size if exact is not None else 0)


def test_dimensions_that_do_not_divide_are_refused() -> None:
    sentence = "index.codec = pq64x4fs+sq8: vectors have 96 dimensions; expected a multiple of 64"
    assert check_dimension("pq64x4fs+sq8", 96) == sentence
    assert check_dimension("sq8", 13) is check_dimension("rabitq4", 96) is check_dimension("pq64x4fs+sq8", 128) is None


def test_where_the_dimension_is_no_power_of_two_a_rotated_code_is_filled_up() -> None:
    vectors = np.random.default_rng(1).normal(size=(80, 96)).astype(np.float32)
    index = ann.train_index(vectors, 1, "rabitq4", 1)
    ann.add_vectors(index, None, vectors, np.arange(80))
    assert code_bytes("rabitq4", 96) == inverted(index).code_size == 128 // 2 + 20
    assert (searched(index, vectors[:20], 1)[1][:, 0] == np.arange(20)).all()


@pytest.mark.parametrize("codec", sorted(CODECS))
def test_the_same_seed_gives_the_same_digest_and_another_codec_another(codec: str) -> None:
    digests = {name: ann.training_digest(ann.train_index(ITEMS, LISTS, name, 5)) for name in CODECS}
    assert ann.training_digest(ann.train_index(ITEMS, LISTS, codec, 5)) == digests[codec]
    assert len(set(digests.values())) == len(CODECS)


def test_another_rotation_is_another_training() -> None:
    given_lists = ITEMS[:LISTS]
    one, other = (ann.train_index(ITEMS, LISTS, "rabitq4", seed, given_lists) for seed in (1, 2))
    assert ann.training_digest(one) != ann.training_digest(other)


@given(st.integers(1, 100), st.integers(0, 99))
def test_the_bits_of_a_rotated_vector_do_not_depend_on_those_beside_it(rows: int, at: int) -> None:
    assert np.array_equal(turned(ROTATED, ITEMS[at : at + rows])[0], turned(ROTATED, ITEMS[at : at + 1])[0])
    assert np.array_equal(turned(ROTATED, ITEMS[:rows])[rows - 1], turned(ROTATED, ITEMS[rows - 1 : rows])[0])


def test_a_rotation_keeps_distances() -> None:
    there = turned(ROTATED, ITEMS)
    assert not np.allclose(there, ITEMS, atol=0.01)
    assert np.allclose(there @ there.T, ITEMS @ ITEMS.T, atol=1e-5)


@pytest.mark.parametrize("codec", sorted(CODECS))
def test_a_list_copied_entry_by_entry_is_searched_alike(codec: str) -> None:
    index, copy = filled(codec), ann.train_index(ITEMS, LISTS, codec, 5)
    for number in range(LISTS):
        ids, codes = ann.list_entries(inverted(index), number)
        ann.add_entries(inverted(copy), number, ids, codes)
        assert all(np.array_equal(*pair) for pair in zip((ids, codes), ann.list_entries(inverted(copy), number)))
    queries = turned(index, unit(20, 2))
    inverted(index).nprobe = inverted(copy).nprobe = LISTS
    for one, other in zip(inverted(index).search(queries, 9), inverted(copy).search(queries, 9)):
        assert np.array_equal(one, other)


def test_hits_are_compared_again_by_their_8_bit_codes() -> None:
    """64 times 10 hits of 700 vectors leave few out: the distances are those to the decoded codes, nearest first."""
    index, queries = filled("pq64x4fs+sq8"), unit(20, 2)
    exact = refinement(index)
    decoded = exact.sa_decode(exact.sa_encode(ITEMS))
    true = ((queries[:, None] - decoded[None]) ** 2).sum(axis=2)
    best = np.argsort(true, axis=1, kind="stable")[:, :10]
    distances, ids = searched(index, queries, 10, refine=70)
    assert np.array_equal(ids, IDS[best])
    assert np.allclose(distances, np.take_along_axis(true, best, 1), atol=1e-5)


def test_comparing_more_hits_again_finds_more_of_the_nearest() -> None:
    queries, index = unit(100, 2), filled("pq64x4fs+sq8")
    best = IDS[np.argsort(-(queries @ ITEMS.T), axis=1)[:, :10]]
    recall = [np.mean([np.isin(a, b).mean() for a, b in zip(searched(index, queries, 10, refine)[1], best)]) for refine in (1, 2, 8)]
    assert recall == sorted(recall) and recall[2] > recall[0] + 0.1


def test_codes_of_4_bits_estimate_distances_well_enough_for_most_of_the_nearest() -> None:
    queries = unit(100, 2)
    best = IDS[np.argsort(-(queries @ ITEMS.T), axis=1)[:, :10]]
    distances, ids = searched(filled("rabitq4"), queries, 10)
    assert np.mean([np.isin(a, b).mean() for a, b in zip(ids, best)]) > 0.85
    true = ((queries[:, None] - ITEMS[(ids - 2) // 3]) ** 2).sum(axis=2)
    assert np.abs(distances - true).mean() < 2 * ann.codec_error(filled("rabitq4"), ITEMS[:300])


@pytest.mark.parametrize("codec", sorted(CODECS))
def test_what_a_selector_keeps_out_is_not_found(codec: str) -> None:
    shard, queries = OpenShard.of(filled(codec)), unit(30, 3)
    coarse, lists = shard.probe(queries, LISTS)
    first = shard.search(queries, 5, lists, coarse, refine=4)[1]
    dead = np.unique(first[:, 0])
    bits = ann.live_bitmap(dead, int(IDS.max()) + 1)
    ids = shard.search(queries, 5, lists, coarse, selector=ann.live_selector(bits), refine=4)[1]
    assert not np.isin(ids, dead).any() and (ids >= 0).all()


@pytest.mark.parametrize("codec", sorted(CODECS))
def test_places_beyond_the_shard_are_empty(codec: str) -> None:
    distances, ids = searched(filled(codec), unit(2, 4), ROWS + 5)
    assert (ids[:, ROWS:] == -1).all() and np.isinf(distances[:, ROWS:]).all()
    assert (np.sort(ids[:, :ROWS]) == IDS).all()


@given(st.sets(st.integers(0, 400), min_size=1), st.integers(0, 2**40), st.randoms())
def test_an_id_is_found_where_it_stands_among_the_ascending(ids: set[int], first: int, order: object) -> None:
    ascending = np.array(sorted(ids), dtype=np.int64) + first
    shuffled = ascending.copy()
    order.shuffle(shuffled)  # type: ignore[attr-defined]
    assert Places.of(shuffled).find(ascending).tolist() == list(range(len(ids)))

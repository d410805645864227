"""Searching an index with deltas: what is found is what is live, whatever came and went."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import faiss
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmse_model import ann
from mmse_model.index_files import (
    TRAINED,
    BrokenIndex,
    Delta,
    IndexCard,
    Shard,
    dead_ids,
    file_digest,
    read_tombstones,
    write_tombstones,
)
from mmse_model.retriever import ShardSearcher

DIMENSION, LISTS, LAST = 6, 3, 24


def unit(rows: int, seed: int) -> np.ndarray:
    vectors = np.random.default_rng(seed).normal(size=(rows, DIMENSION)).astype(np.float32)
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


VERSIONS = unit(4 * LAST, 3).reshape(4, LAST, DIMENSION)
"""A vector for each of four versions of each id."""
QUANTIZER = ann.train_index(unit(200, 1), LISTS, "flat", seed=5)


def shard(folder: Path, name: str, items: dict[int, int]) -> Shard:
    """A file of ids in those versions."""
    index = faiss.clone_index(QUANTIZER)
    ids = np.array(sorted(items), dtype=np.int64)
    if len(ids):
        index.add_with_ids(np.stack([VERSIONS[items[n], n] for n in ids.tolist()]), ids)
    path = folder / name
    ann.write_index(index, path)
    return Shard(name, 0, LAST, len(ids), path.stat().st_size, file_digest(path), ann.ids_digest(ids))


def grown(folder: Path, days: list[dict[int, int]]) -> IndexCard:
    """An index of the first day's items (id -> version), and a delta for each later day."""
    ann.write_index(QUANTIZER, folder / TRAINED)
    card = IndexCard(
        codec="flat", dimension=DIMENSION, lists=LISTS, probes=LISTS, vectors=len(days[-1]),
        shards=(shard(folder, "shard-00000.faiss", days[0]),), trained_sha256=file_digest(folder / TRAINED),
        training_digest=ann.training_digest(QUANTIZER), model="m", embeddings="e", items="i", numbering=None,
        faiss=faiss.__version__,
    )
    for number, (then, now) in enumerate(zip(days, days[1:]), 1):
        new = {n: version for n, version in now.items() if then.get(n) != version}
        dead = np.array(sorted(n for n, version in then.items() if now.get(n) != version), dtype=np.int64)
        delta = Delta(
            "e", 0, 0, 0, (shard(folder, f"delta-{number:03d}-00000.faiss", new),),
            (write_tombstones(folder, f"tombstones-{number:03d}-00000.ids", 0, LAST, dead),),
        )
        card = replace(card, deltas=(*card.deltas, delta))
    card.write(folder)
    return card


DAY = st.dictionaries(st.integers(0, LAST - 1), st.integers(0, 3), max_size=LAST)


@given(days=st.lists(DAY, min_size=1, max_size=5), k=st.integers(1, LAST + 2))
def test_a_search_finds_the_newest_version_of_what_is_there_and_nothing_else(
    tmp_path_factory: pytest.TempPathFactory, days: list[dict[int, int]], k: int
) -> None:
    """Items that are removed, changed and come back, in any order: distances are those of the last day's vectors."""
    folder = tmp_path_factory.mktemp("grown")
    grown(folder, days)
    queries, live = unit(3, 8), sorted(days[-1])
    distances, ids = ShardSearcher.open(folder).search(queries, k)
    for query, found, at in zip(queries, ids.tolist(), distances.tolist()):
        true = {n: float(((query - VERSIONS[days[-1][n], n]) ** 2).sum()) for n in live}
        best = sorted(true.values())[:k]
        assert at[: len(best)] == pytest.approx(best, abs=1e-5)
        assert [true[n] for n in found if n >= 0] == pytest.approx(best, abs=1e-5)
        assert len(set(found) - {-1}) == min(k, len(live)) and found[len(best) :] == [-1] * (k - len(best))


def test_a_tombstone_holds_for_older_generations_alone(tmp_path: Path) -> None:
    """0 is changed, 1 removed and brought back, 2 removed for good."""
    card = grown(tmp_path, [{0: 0, 1: 0, 2: 0, 3: 0}, {0: 1, 3: 0}, {0: 1, 1: 0, 3: 1}])
    assert dead_ids(card, tmp_path, 0).tolist() == [0, 1, 2, 3]
    assert dead_ids(card, tmp_path, 1).tolist() == [3]
    assert dead_ids(card, tmp_path, 2).tolist() == []
    assert dead_ids(card, tmp_path, 0, 1, 3).tolist() == [1, 2]


def test_a_card_with_deltas_is_read_as_it_was_written(tmp_path: Path) -> None:
    card = grown(tmp_path, [{0: 0}, {0: 1}, {}])
    assert IndexCard.read(tmp_path) == card
    assert [number for number, _ in card.every_shard()] == [0, 1, 2]
    assert len(list(card.files())) == 1 + 2 + 2


@pytest.mark.parametrize("ids", [[2, 1], [1, 1], [0, 99]])
def test_tombstones_that_are_no_ascending_ids_of_their_range_are_named(tmp_path: Path, ids: list[int]) -> None:
    stones = write_tombstones(tmp_path, "tombstones-001-00000.ids", 0, LAST, np.array(ids))
    with pytest.raises(BrokenIndex, match="tombstones-001-00000.ids: not 2 ascending ids of 0..23"):
        read_tombstones(tmp_path, stones)


@given(st.sets(st.integers(0, 70)), st.integers(71, 80))
def test_the_bitmap_is_clear_for_the_dead_and_set_for_all_others(dead: set[int], end: int) -> None:
    bits = np.unpackbits(ann.live_bitmap(np.array(sorted(dead), dtype=np.int64), end), bitorder="little")[:end]
    assert set(np.flatnonzero(bits == 0)) == dead


@given(st.lists(st.integers(0, 30)), st.sets(st.integers(0, 30)))
def test_ids_among_others(ids: list[int], wanted: set[int]) -> None:
    found = ann.among(np.array(ids, dtype=np.int64), np.array(sorted(wanted), dtype=np.int64))
    assert found.tolist() == [n in wanted for n in ids]

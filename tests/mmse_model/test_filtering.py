"""Searching among some items: nothing else is found, nothing is missed, and only who came back short looks further."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmse_model.codecs import CODECS
from mmse_model.filtering import Allowed, RecentlyAllowed, search_allowed
from mmse_model.retriever import Retriever, ShardSearcher
from tests.mmse_model.test_deltas import DAY, LAST, LISTS, VERSIONS, grown, unit
from tests.mmse_model.test_retriever import IDS, ITEMS, ROWS, Words, write_shards
from tests.mmse_model.test_retriever import LISTS as MANY_LISTS
from tests.mmse_model.test_retriever import unit as queries_of


def allowed(*ids: int, end: int = LAST) -> Allowed:
    return Allowed.of([np.array(ids, dtype=np.int64)], end)


@given(
    days=st.lists(DAY, min_size=1, max_size=5), may=st.sets(st.integers(0, LAST + 3)), k=st.integers(1, LAST + 2),
    probes=st.integers(1, LISTS),
)
def test_what_is_found_is_allowed_and_live_and_as_many_as_there_are(
    tmp_path_factory: pytest.TempPathFactory, days: list[dict[int, int]], may: set[int], k: int, probes: int
) -> None:
    """Items that come, change and go, and any set of them: beside brute force over the vectors of the last day."""
    folder = tmp_path_factory.mktemp("filtered")
    grown(folder, days)
    queries, there = unit(3, 8), sorted(may & set(days[-1]))
    distances, ids = search_allowed(ShardSearcher.open(folder, probes), queries, k, allowed(*may))
    for query, found, at in zip(queries, ids.tolist(), distances.tolist()):
        true = {n: float(((query - VERSIONS[days[-1][n], n]) ** 2).sum()) for n in there}
        hits, wanted = [n for n in found if n >= 0], min(k, len(there))
        assert len(hits) == len(set(hits)) == wanted and found[wanted:] == [-1] * (k - wanted)
        assert set(hits) <= set(there)
        assert at[:wanted] == pytest.approx([true[n] for n in hits], abs=1e-5) and np.isinf(at[wanted:]).all()
        assert at[:wanted] == sorted(at[:wanted])
        if probes == LISTS:
            assert at[:wanted] == pytest.approx(sorted(true.values())[:k], abs=1e-5)


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """An index of ROWS items in three shards for every codec."""
    made = {codec: tmp_path_factory.mktemp(codec) for codec in CODECS}
    for codec, folder in made.items():
        write_shards(folder, codec, 3)
    return made


@given(codec=st.sampled_from(["flat", "rabitq4", "sq8"]), rows=st.sets(st.integers(0, ROWS - 1)), k=st.integers(1, 30))
def test_with_every_list_probed_it_is_the_whole_ranking_less_what_is_not_allowed(
    folders: dict[str, Path], codec: str, rows: set[int], k: int
) -> None:
    searcher, queries = ShardSearcher.open(folders[codec], MANY_LISTS, hashes=False), queries_of(2, 4)
    whole = searcher.search(queries, ROWS)
    may = IDS[sorted(rows)]
    distances, ids = search_allowed(searcher, queries, k, allowed(*may.tolist(), end=2 * ROWS))
    for row, found in enumerate(ids.tolist()):
        kept = np.isin(whole[1][row], may)
        assert [n for n in found if n >= 0] == whole[1][row][kept][:k].tolist()
        assert np.array_equal(distances[row][: kept.sum()], whole[0][row][kept][:k])


def test_all_items_allowed_is_a_search_without_a_filter(folders: dict[str, Path]) -> None:
    searcher, queries = ShardSearcher.open(folders["sq8"]), queries_of(9, 5)
    for plain, filtered in zip(searcher.search(queries, 7), search_allowed(searcher, queries, 7, allowed(*IDS, end=2 * ROWS))):
        assert np.array_equal(plain, filtered)


def test_a_retriever_gives_scores_of_allowed_items_and_empty_places(folders: dict[str, Path]) -> None:
    retriever = Retriever(Words(), ShardSearcher.open(folders["flat"], probes=1))
    ids, scores = retriever.search(["7"], 3, allowed(int(IDS[7]), int(IDS[311]), end=2 * ROWS))
    assert ids[0].tolist() == [IDS[7], IDS[311], -1]
    assert scores[0].tolist() == pytest.approx([3, 3 * float(ITEMS[7] @ ITEMS[311]), -np.inf], abs=1e-5)
    ids, scores = retriever.search(["7"], 2, allowed(end=2 * ROWS))
    assert ids.tolist() == [[-1, -1]] and np.isneginf(scores).all()


class Recorded:
    """Row q of the queries finds its number of items per probed list; what was asked for is written down."""

    probes, card = 2, SimpleNamespace(lists=40)

    def __init__(self) -> None:
        self.asked: list[tuple[list[int], int]] = []

    def search(self, vectors: np.ndarray, k: int, allowed: Allowed | None = None) -> tuple[np.ndarray, np.ndarray]:
        probes = allowed.probes or self.probes
        self.asked.append((vectors[:, 0].astype(int).tolist(), probes))
        found = np.minimum(vectors[:, :1] * probes, allowed.count)
        return np.zeros((len(vectors), k), np.float32), np.where(np.arange(k) < found, 1, -1)


@pytest.mark.parametrize(("matching", "asked"), [
    (9, [([4, 1, 0], 2), ([4, 1, 0], 8), ([1, 0], 32), ([0], 40)]),  # 4 * 2 and 1 * 8 are short of 9
    (8, [([4, 1, 0], 2), ([1, 0], 8), ([0], 32), ([0], 40)]),
    (2, [([4, 1, 0], 2), ([0], 8), ([0], 32), ([0], 40)]),
    (0, [([4, 1, 0], 2)]),
])
def test_only_queries_that_came_back_short_probe_four_times_as_many_lists(
    matching: int, asked: list[tuple[list[int], int]]
) -> None:
    searcher = Recorded()
    search_allowed(searcher, np.array([[4.0], [1.0], [0.0]]), 10, allowed(*range(matching)))
    assert searcher.asked == asked


@given(st.lists(st.lists(st.integers(-3, 90), max_size=20), max_size=4), st.integers(0, 80))
def test_a_bit_is_set_for_each_id_of_the_range(batches: list[list[int]], end: int) -> None:
    made = Allowed.of([np.array(batch, dtype=np.int64) for batch in batches], end)
    expected = {n for batch in batches for n in batch if 0 <= n < end}
    assert set(np.flatnonzero(np.unpackbits(made.bits, bitorder="little"))) == expected
    assert (made.count, len(made.bits)) == (len(expected), -(-end // 8))


# -- what is kept ------------------------------------------------------------------------


def asked_for(recent: RecentlyAllowed, *keys: str, end: int = 80) -> list[str]:
    """Those keys in that order; which of them had to be made."""
    made = []

    def make(key: str) -> Allowed:
        made.append(key)
        return allowed(1, end=end)

    for key in keys:
        recent.get(key, lambda key=key: make(key))
    return made


def test_a_filter_that_was_used_lately_is_not_made_again() -> None:
    recent = RecentlyAllowed(most=2)
    assert asked_for(recent, "a", "b", "a", "c", "a", "b") == ["a", "b", "c", "b"]


def test_what_is_kept_is_bounded_in_bytes_too() -> None:
    recent = RecentlyAllowed(most_bytes=25)  # 80 ids are 10 bytes
    assert asked_for(recent, "a", "b", "c", "c", "b", "a") == ["a", "b", "c", "a"]
    assert asked_for(recent, "large", "large", end=800) == ["large", "large"]


def test_what_could_not_be_made_is_not_kept() -> None:
    recent = RecentlyAllowed()
    with pytest.raises(ZeroDivisionError):
        recent.get("a", lambda: 1 // 0)
    assert asked_for(recent, "a") == ["a"]


def test_threads_share_what_is_kept() -> None:
    recent = RecentlyAllowed(most=3)
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda n: recent.get(n % 7, lambda: allowed(n % 7)).bits[0], range(700)))
    assert found == [1 << (n % 7) for n in range(700)]

"""Shards of lists instead of shards of items: every list in one shard, the same answers, and the same after deltas and merging."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobs.index.gathering import list_slices
from jobs.runtime.job import JobContext
from mmse_model.ann import list_sizes, read_index
from mmse_model.index_files import IndexCard
from tests.jobs import published
from tests.jobs.grown_index import Items, build, churned, folder_of, found, metrics_of, nearest, started
from tests.jobs.published import unit_vectors

DIMENSION = 64


@given(st.lists(st.integers(0, 50), min_size=1, max_size=60).filter(any), st.integers(1, 10))
def test_ranges_of_lists_cover_all_once_and_are_about_equal(sizes: list[int], shards: int) -> None:
    slices = list_slices(np.array(sizes), 3, 99, shards)
    assert [one.number for one in slices] == list(range(len(slices))) and len(slices) <= shards
    assert (slices[0].low, slices[-1].high) == (0, len(sizes))
    assert all(one.high == other.low for one, other in zip(slices, slices[1:]))
    assert all((one.first, one.end) == (3, 99) and one.low < one.high for one in slices)
    held = [sum(sizes[one.low : one.high]) for one in slices]
    assert sum(held) == sum(sizes) and max(held) < sum(sizes) / shards + max(sizes)


def test_a_range_ends_where_its_share_is_reached() -> None:
    """12 vectors in three ranges: 4 are reached with the second list, 8 with the third."""
    assert [(one.low, one.high) for one in list_slices(np.array([3, 2, 4, 1, 2]), 0, 12, 3)] == [(0, 2), (2, 3), (3, 5)]


@pytest.fixture(scope="module", params=["flat", pytest.param("pq64x4fs+sq8", marks=pytest.mark.slow)])
def days(request: pytest.FixtureRequest, spark: Any, tmp_path_factory: pytest.TempPathFactory) -> list[tuple[Items, JobContext]]:
    """600 items, then twice a day of 5 % taken, changed and new: a delta, and then all merged."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(published, "DIMENSION", DIMENSION)
        patch.setattr("tests.jobs.grown_index.POOL", unit_vectors(1_000))
        settings: dict[str, Any] = {"codec": request.param, "layout": "lists", "shards": 3, "refine": 16}
        config = started(spark, tmp_path_factory.mktemp("layout"), **settings, delta={"max_deltas": 1, "max_churn": 0.5})
        items, made = dict(zip((np.arange(600) * 3 + 5).tolist(), unit_vectors(1_000))), []
        made.append((items, build(spark, config, items, 0)))
        for number in (1, 2):
            items = churned(items, number, unit_vectors(1_000)[600 + 60 * number :][:60])
            made.append((items, build(spark, config, items, number)))
    return made


def queries() -> np.ndarray:
    vectors = np.random.default_rng(7).normal(size=(40, DIMENSION))
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)


def sizes_of(folder: Path, card: IndexCard) -> np.ndarray:
    """Vectors of each list (column) in each shard (row)."""
    return np.stack([list_sizes(read_index(folder / shard.path)) for shard in card.shards])


def test_every_list_lies_in_one_shard_and_nothing_is_left_of_the_shards_of_items(days: list[tuple[Items, JobContext]]) -> None:
    for _, context in (days[0], days[2]):
        card = IndexCard.read(folder_of(context))
        sizes = sizes_of(folder_of(context), card)
        assert len(card.shards) == 3 and not card.deltas and ((sizes > 0).sum(axis=0) <= 1).all()
        assert sizes.sum() == len(days[0][0]) and sizes.sum(axis=1).min() > 0
        assert not (folder_of(context) / "_items").exists()


def test_what_is_found_is_what_comparing_with_every_item_of_the_day_finds(days: list[tuple[Items, JobContext]]) -> None:
    assert [context.outputs["index", context.dt].facts["deltas"] for _, context in days] == [0, 1, 0]
    for items, context in days:
        exact = IndexCard.read(folder_of(context)).codec == "flat"
        hits, best = found(folder_of(context), queries(), 10), nearest(items, queries(), 10)
        assert np.mean([np.isin(row, true).mean() for row, true in zip(hits, best)]) >= (1 if exact else 0.93)
        metrics = metrics_of(context)
        assert (metrics["ids_missing"], metrics["ids_duplicated"], metrics["ids_unknown"]) == (0, 0, 0)
        assert metrics["self_recall_at_1"] == 1

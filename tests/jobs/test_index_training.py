"""The quantizer trained in two levels by real Spark tasks, on a few hundred vectors."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import faiss
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobs.build_index import JOB
from jobs.index.building import build_shard
from jobs.index.plan import RowGroup, driver_sample, estimate_memory, plan_shards, read_row_groups
from jobs.index.sampling import bound_for, row_hashes
from jobs.index.training import cut, group_cells
from jobs.runtime.config import Config
from jobs.runtime.errors import Blocked
from jobs.runtime.index_section import IndexSettings
from jobs.runtime.job import JobContext, run_job
from jobs.runtime.manifest import Manifest
from mmse_model.ann import read_index
from mmse_model.index_files import ASSIGNER, TRAINED, IndexCard
from tests.jobs.published import DAY, DIMENSION, config_in, publish_embeddings, publish_model, unit_vectors
from tests.jobs.test_index_delta import build as build_day
from tests.jobs.test_index_delta import churned, folder_of

IDS = np.arange(5_200, dtype=np.int64) * 3 + 5
VECTORS = unit_vectors(5_200, centres=40)
INDEX: dict[str, Any] = {
    "lists": 128, "two_level_lists": 16, "train_per_list": 39, "assign_excess": 0.5, "probes": 40, "verify_queries": 50
}
"""11 cells: one probe costs less than comparing with 128 centroids, and is within 50 % of the least distance."""


def built(spark: Any, folder: Path, files: int = 2, **settings: Any) -> JobContext:
    """The index over the vectors, in a warehouse of its own."""
    config = config_in(folder, index={**INDEX, **settings})
    publish_embeddings(spark, config, IDS, VECTORS, publish_model(spark, config), files)
    return run_job(JOB, config, DAY, lambda: spark)


@pytest.fixture(scope="module")
def two_levels(spark: Any, tmp_path_factory: pytest.TempPathFactory) -> JobContext:
    return built(spark, tmp_path_factory.mktemp("two"))


def test_every_vector_is_there_once_and_nothing_is_left_of_the_training(two_levels: JobContext) -> None:
    metrics, folder = two_levels.outputs["index", two_levels.dt].metrics, folder_of(two_levels)
    assert (metrics["vectors"], metrics["ids_missing"], metrics["ids_duplicated"], metrics["ids_unknown"]) == (5_200, 0, 0, 0)
    assert metrics["self_recall_at_1"] == 1
    assert {path.name for path in folder.iterdir()} - {"_MANIFEST.json", "_VERDICT.json"} == {
        "index.json", TRAINED, ASSIGNER, "search.json", "search.svg", *(shard.path for shard in IndexCard.read(folder).shards)
    }


def test_the_assigner_holds_the_centroids_of_the_quantizer(two_levels: JobContext) -> None:
    folder = folder_of(two_levels)
    trained, assigner = read_index(folder / TRAINED), read_index(folder / ASSIGNER)
    assert np.array_equal(assigner.reconstruct_n(0, 128), faiss.downcast_index(trained.quantizer).reconstruct_n(0, 128))


def test_lists_are_as_close_to_the_vectors_as_those_of_one_level(spark: Any, two_levels: JobContext, tmp_path: Path) -> None:
    one = built(spark, tmp_path, two_level_lists=129).outputs["index", two_levels.dt].metrics
    two = two_levels.outputs["index", two_levels.dt].metrics
    assert two["list_distance"] < 1.03 * one["list_distance"]
    assert two["recall_at_10_vs_exact"] > one["recall_at_10_vs_exact"] - 0.03


@pytest.fixture(scope="module")
def compared_with_all(spark: Any, tmp_path_factory: pytest.TempPathFactory) -> JobContext:
    """Of which no cheaper assigner was good enough."""
    return built(spark, tmp_path_factory.mktemp("all"), assign_excess=1e-6)


def test_without_a_cheap_assigner_vectors_are_compared_with_every_centroid(compared_with_all: JobContext) -> None:
    folder = folder_of(compared_with_all)
    assert IndexCard.read(folder).assigner_sha256 is None and not (folder / ASSIGNER).exists()
    assert compared_with_all.outputs["index", compared_with_all.dt].metrics["ids_missing"] == 0


def test_lloyd_steps_bring_lists_closer(spark: Any, compared_with_all: JobContext, tmp_path: Path) -> None:
    without = built(spark, tmp_path, assign_excess=1e-6, refine_passes=0)
    far, near = (context.outputs["index", context.dt].metrics["list_distance"] for context in (without, compared_with_all))
    assert near < 0.99 * far


@pytest.mark.parametrize("files", [pytest.param(1, marks=pytest.mark.slow), 7])
def test_the_files_of_the_embeddings_do_not_change_a_bit(spark: Any, two_levels: JobContext, tmp_path: Path, files: int) -> None:
    again = built(spark, tmp_path, files)
    assert again.outputs["index", again.dt].content_hash == two_levels.outputs["index", two_levels.dt].content_hash


def test_a_bad_vector_of_the_sample_is_named(spark: Any, tmp_path: Path) -> None:
    config = config_in(tmp_path, index={**INDEX, "train_per_list": 100})
    vectors = VECTORS.copy()
    vectors[417] = np.nan
    publish_embeddings(spark, config, IDS, vectors, publish_model(spark, config))
    with pytest.raises(Blocked, match=f"1 vectors are not finite, the first of dense id {IDS[417]}"):
        run_job(JOB, config, DAY, lambda: spark)


def test_a_delta_is_assigned_by_the_same_cells_and_merging_gives_what_a_build_writes(spark: Any, tmp_path: Path) -> None:
    lenient = {"max_imbalance_growth": 9, "max_error_growth": 9, "max_codec_growth": 99, "max_empty_growth": 1, "max_recall_drop": 1}
    config = config_in(tmp_path, index={**INDEX, "delta": {"max_deltas": 1, "max_churn": 1, **lenient}})
    publish_model(spark, config)
    items = dict(zip(IDS.tolist(), VECTORS))
    contexts = [build_day(spark, config, items, 0)]
    for number in (1, 2):
        items = churned(items, number, unit_vectors(200, seed=number, centres=40))
        contexts.append(build_day(spark, config, items, number))
    cards = [IndexCard.read(folder_of(context)) for context in contexts]
    assert [len(card.deltas) for card in cards] == [0, 1, 0] and len({card.assigner_sha256 for card in cards}) == 1
    context, card = contexts[2], cards[2]
    assert built_again(context, card, tmp_path) == card.shards


def built_again(context: JobContext, card: IndexCard, folder: Path) -> tuple[Any, ...]:
    """Shards that a build with the quantizer of a published index writes."""
    for name in (TRAINED, ASSIGNER):
        (folder / name).write_bytes((folder_of(context) / name).read_bytes())
    embeddings = context.warehouse / "embeddings" / f"dt={context.dt}" / f"run={context.inputs['embeddings', context.dt]}"
    tasks = plan_shards(read_row_groups(embeddings, Manifest.read(embeddings).files), 2, 10**6)
    return tuple(build_shard(t, str(folder), DIMENSION, card.trained_sha256, card.assigner_sha256).shard for t in tasks)


def test_an_altered_assigner_is_refused_by_name(two_levels: JobContext, tmp_path: Path) -> None:
    card = IndexCard.read(folder_of(two_levels))
    (tmp_path / TRAINED).write_bytes((folder_of(two_levels) / TRAINED).read_bytes())
    (tmp_path / ASSIGNER).write_bytes(b"other")
    (task,) = plan_shards([RowGroup("a", "", 0, 0, 9)], 1, 10)
    fault = build_shard(task, str(tmp_path), DIMENSION, card.trained_sha256, card.assigner_sha256).fault
    assert fault == f"{tmp_path / ASSIGNER}: not the file that the driver put there; executors must see the same disk"


# -- plans -------------------------------------------------------------------------------


def test_a_sample_is_about_as_large_as_asked_for_and_depends_on_seed_and_purpose() -> None:
    ids = np.arange(100_000)
    chosen = row_hashes(ids, 1, "train index") < np.uint64(bound_for(10_000, 100_000))
    assert abs(int(chosen.sum()) - 10_000) < 6 * 100
    for seed, purpose in ((2, "train index"), (1, "verify index")):
        other = row_hashes(ids, seed, purpose) < np.uint64(bound_for(10_000, 100_000))
        assert abs(int((chosen & other).sum()) - 1_000) < 200  # a tenth of a tenth: independent
    assert (row_hashes(ids, 1, "train index") <= np.uint64(bound_for(7, 7) - 1)).all()


def test_the_driver_needs_no_more_for_more_vectors_where_there_are_two_levels() -> None:
    """16,384 lists of 128 dimensions: 3 copies of 256 * 128 sampled vectors, 3 of the centroids, 300 queries: 72.1 MiB."""
    settings = IndexSettings(lists=16_384)
    needed = [
        estimate_memory(plan_shards([RowGroup("a", "", 0, 0, rows - 1)], 2, 10**6), settings, 16_384, 128, rows)
        for rows in (10**6, 4 * 10**6, 10**9)
    ]
    assert {round(memory.driver, 1) for memory in needed} == {72.1}
    assert driver_sample(16_384 * 50, 16_384) == 256 * 128


def test_the_sample_is_cut_into_pieces_and_cells_into_groups() -> None:
    assert [(p.number, p.source, p.first, p.rows) for p in cut([5, 0, 3], 4)] == [
        (0, "sample-00000.f32", 0, 4), (1, "sample-00000.f32", 4, 1), (2, "sample-00002.f32", 0, 3)
    ]
    groups = group_cells(np.array([[2, 1, 9, 0], [0, 1, 0, 1]]), np.array([1, 1, 5, 1]), 4)
    assert [(g.first_list, g.shares.tolist(), g.starts.tolist()) for g in groups] == [
        (0, [1, 1], [[0, 2, 3], [0, 0, 1]]), (2, [5], [[3, 12], [1, 1]]), (7, [1], [[12, 12], [1, 2]])
    ]


@given(st.lists(st.integers(0, 9), min_size=1, max_size=20), st.integers(1, 12))
def test_every_cell_is_in_one_group(rows: list[int], most: int) -> None:
    counts = np.array([rows])
    groups = group_cells(counts, np.minimum(counts[0], 1), most)
    assert np.concatenate([g.shares for g in groups]).tolist() == np.minimum(rows, 1).tolist()
    assert all(len(g.shares) == 1 or g.starts[0, -1] - g.starts[0, 0] <= most for g in groups)
    assert [g.first_list for g in groups] == [sum(n > 0 for n in rows[: sum(len(x.shares) for x in groups[:k])]) for k in range(len(groups))]


def test_settings_that_cannot_be_meant_are_refused() -> None:
    for wrong in ({"two_level_lists": 1}, {"assign_excess": 0}, {"refine_passes": -1}):
        with pytest.raises(ValueError, match="greater than"):
            Config.model_validate({"index": wrong})

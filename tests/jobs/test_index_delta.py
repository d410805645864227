"""An index that takes in what changed: the same answers as one that was built anew, refusals by file name, on real Spark and FAISS."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobs.index.comparing import Pair, difference, plan_tasks
from jobs.index.drift import drifts, furthest
from jobs.index.growing import BuildAnew, read_whole
from jobs.index.verifying import count_ids, inspect_index
from jobs.runtime.config import Config
from jobs.runtime.index_section import DeltaSettings
from jobs.runtime.job import JobContext
from mmse_model.ann import list_ids, read_index, train_index, write_index
from mmse_model.index_files import TRAINED, BrokenIndex, IndexCard, file_digest
from mmse_model.retriever import ShardSearcher
from tests.jobs.grown_index import (
    INDEX,
    POOL,
    Items,
    build,
    built_again,
    churned,
    first_items,
    folder_of,
    found,
    metrics_of,
    nearest,
    started,
)
from tests.jobs.published import DAY, DIMENSION, config_in, embedding_rows, publish_model, unit_vectors


@pytest.fixture(scope="module")
def warehouse(spark: Any, tmp_path_factory: pytest.TempPathFactory) -> Config:
    return started(spark, tmp_path_factory.mktemp("delta"))


@pytest.fixture(scope="module")
def days(spark: Any, warehouse: Config) -> list[tuple[Items, JobContext]]:
    """Three days of 5 % taken, changed and new: two deltas, then all merged."""
    items, made = first_items(), []
    for number in (1, 2, 3):
        items = churned(items, number, POOL[600 + 60 * number :][:60])
        made.append((items, build(spark, warehouse, items, number)))
    return made


@pytest.fixture
def folder(days: list[tuple[Items, JobContext]], tmp_path: Path) -> Path:
    """A copy of the index with two deltas that a test may injure."""
    return shutil.copytree(folder_of(days[1][1]), tmp_path / "index")


# -- growing -----------------------------------------------------------------------------


def test_after_every_day_a_search_finds_what_comparing_with_every_item_of_the_day_finds(
    days: list[tuple[Items, JobContext]]
) -> None:
    """Every list is probed and codes are exact: an id that was taken away, or an old vector, would stand out."""
    queries = unit_vectors(40, seed=7)
    for items, context in days:
        assert np.array_equal(found(folder_of(context), queries, 30), nearest(items, queries, 30))


def test_a_day_adds_files_for_what_changed_and_keeps_the_others(
    warehouse: Config, days: list[tuple[Items, JobContext]]
) -> None:
    """5 % of 600 each: 30 taken, 30 changed, 30 new."""
    _, context = days[0]
    card = IndexCard.read(folder_of(context))
    (delta,) = card.deltas
    assert (delta.added, delta.changed, delta.removed, card.vectors, card.churned) == (30, 30, 30, 600, 90)
    assert sum(shard.rows for shard in delta.shards) == sum(stones.rows for stones in delta.tombstones) == 60
    (first,) = Path(warehouse.paths.warehouse).glob(f"index/dt={DAY}/run=*")
    before = IndexCard.read(first)
    assert (card.shards, card.training_digest, card.trained_vectors) == (before.shards, before.training_digest, 600)
    assert all((folder_of(context) / s.path).samefile(first / s.path) for s in card.shards)
    assert context.notes["delta"] == "1 (added 30 changed 30 removed 30)"


def test_every_live_id_is_counted_once_and_the_drift_is_told(days: list[tuple[Items, JobContext]]) -> None:
    for items, context in days:
        metrics, facts = metrics_of(context), context.outputs["index", context.dt].facts
        assert (metrics["ids_missing"], metrics["ids_duplicated"], metrics["ids_unknown"]) == (0, 0, 0)
        assert (metrics["vectors"], metrics["self_recall_at_1"], metrics["recall_at_10_vs_exact"]) == (len(items), 1, 1)
        assert 0 <= metrics["drift"] <= 1 and facts["drift"] == metrics["drift"]
        assert context.notes["drift"].startswith(f"{metrics['drift']:.2f} (")
    assert max(metrics_of(context)["drift"] for _, context in days) > 0


def test_one_delta_too_many_is_merged_to_what_a_build_with_the_same_quantizer_writes(
    days: list[tuple[Items, JobContext]], tmp_path: Path
) -> None:
    assert [context.outputs["index", context.dt].facts["deltas"] for _, context in days] == [1, 2, 0]
    context = days[2][1]
    card = IndexCard.read(folder_of(context))
    assert card.shards == built_again(context, tmp_path) and card.churned == 90 + 90 + 90
    assert {path.name for path in folder_of(context).iterdir()} - {"_MANIFEST.json", "_VERDICT.json"} == {
        "index.json", TRAINED, "search.json", "search.svg", *(shard.path for shard in card.shards)
    }


@pytest.mark.slow
@pytest.mark.parametrize("files", [1, 3, 7])
def test_the_files_of_the_embeddings_do_not_change_a_bit_of_a_delta(
    spark: Any, warehouse: Config, days: list[tuple[Items, JobContext]], files: int
) -> None:
    items, context = days[0]
    again = build(spark, warehouse, items, 1, files)
    assert again.outputs["index", again.dt].content_hash == context.outputs["index", context.dt].content_hash


@pytest.mark.slow
def test_a_day_on_which_nothing_changed_adds_no_file(spark: Any, warehouse: Config, days: list[tuple[Items, JobContext]]) -> None:
    items, before = days[2]
    context = build(spark, warehouse, items, 4)
    card = IndexCard.read(folder_of(context))
    (delta,) = card.deltas
    assert (delta.added, delta.changed, delta.removed, delta.shards, delta.tombstones) == (0, 0, 0, (), ())
    assert card.shards == IndexCard.read(folder_of(before)).shards
    queries = unit_vectors(5, seed=7)
    assert np.array_equal(found(folder_of(context), queries, 10), nearest(items, queries, 10))


@pytest.mark.slow
def test_after_a_fifth_of_the_items_changed_recall_is_within_half_a_point_of_a_rebuild(spark: Any, tmp_path: Path) -> None:
    """4,000 items over 64 lists of which 8 are searched; twice a twentieth is taken, one changed and one new."""
    settings = {"codec": "sq8", "lists": 64, "probes": 8, "verify_queries": 2_000}
    config = config_in(tmp_path, index={**INDEX, **settings})
    publish_model(spark, config)
    pool = unit_vectors(4_800, centres=40)
    items = dict(zip(range(4_000), pool))
    build(spark, config, items, 0)
    for number in (1, 2):
        items = churned(items, number, pool[3_600 + 400 * number :][:400])
        grown = build(spark, config, items, number)
    anew = {**INDEX, **settings, "delta": {"max_churn": 0}}
    rebuilt = build(spark, config_in(tmp_path, index=anew), items, 2)
    assert (grown.outputs["index", grown.dt].facts["deltas"], rebuilt.outputs["index", grown.dt].facts["deltas"]) == (2, 0)
    assert metrics_of(grown)["recall_at_10_vs_exact"] > metrics_of(rebuilt)["recall_at_10_vs_exact"] - 0.005


# -- building anew -----------------------------------------------------------------------


def changed_config(config: Config, **settings: Any) -> Config:
    return config_in(Path(config.paths.warehouse).parent, index={**INDEX, **settings})


@pytest.mark.slow
@pytest.mark.parametrize("settings, reason", [
    ({"delta": {"max_churn": 0.1}}, "90 items were added, changed or removed since 600 vectors .*index.delta.max_churn = 0.1"),
    ({"codec": "sq8"}, "index.codec = sq8, and flat when the index of 2026-01-08 was built"),
])
def test_what_a_delta_cannot_hold_is_built_anew_and_the_reason_is_told(
    spark: Any, warehouse: Config, days: list[tuple[Items, JobContext]], settings: dict[str, Any], reason: str
) -> None:
    context = build(spark, changed_config(warehouse, **settings), days[0][0], 1)
    assert re.search(reason, context.notes["built anew"])
    card = IndexCard.read(folder_of(context))
    assert (card.deltas, card.churned, card.trained_vectors, metrics_of(context)["drift"]) == ((), 0, 600, 0)
    queries = unit_vectors(5, seed=7)
    if card.codec == "flat":
        assert np.array_equal(found(folder_of(context), queries, 10), nearest(days[0][0], queries, 10))


@pytest.mark.slow
def test_vectors_of_another_kind_than_the_quantizer_was_trained_on_are_built_anew(spark: Any, warehouse: Config) -> None:
    """180 of 600 vectors point away from every centre of the first day; 270 changes are within max_churn."""
    opposite = -POOL[:180]
    context = build(spark, warehouse, churned(first_items(), 1, opposite), 1)
    assert re.search("list_distance was .* when the quantizer was trained .*max_error_growth", context.notes["built anew"])


FIGURES = {
    "list_imbalance": 1.2, "empty_lists_share": 0.0, "list_distance": 0.3, "codec_mean_squared_error": 0.0,
    "recall_at_10_vs_exact": 0.95,
}


@pytest.mark.parametrize("now, figure, share", [
    ({}, "list_imbalance", 0), ({"list_imbalance": 1.38}, "list_imbalance", 0.5), ({"empty_lists_share": 0.1}, "empty_lists_share", 2),
    ({"list_distance": 0.33}, "list_distance", 0.5), ({"codec_mean_squared_error": 1e-4}, "codec_mean_squared_error", 1),
    ({"recall_at_10_vs_exact": 0.93}, "recall_at_10_vs_exact", 1), ({"recall_at_10_vs_exact": 0.99}, "list_imbalance", 0),
])
def test_drift_is_the_share_of_what_is_allowed_that_the_worst_figure_has_gone(
    now: dict[str, float], figure: str, share: float
) -> None:
    """Allowed by default: imbalance x 1.3, distance to the centroid x 1.2, codec error x 2, 0.05 more lists empty, 0.02 less recall."""
    worst = furthest(drifts(FIGURES, {**FIGURES, **now}, DeltaSettings()))
    assert (worst.figure, worst.share) == (figure, pytest.approx(share))


# -- injected faults ---------------------------------------------------------------------


def lose_a_delta_shard(folder: Path, card: IndexCard) -> str:
    path = folder / card.deltas[0].shards[0].path
    path.unlink()
    return f"{path.name}: missing"


def truncate_tombstones(folder: Path, card: IndexCard) -> str:
    path = folder / card.deltas[1].tombstones[0].path
    path.write_bytes(path.read_bytes()[:-8])
    return f"{path.name}: .* bytes; index.json says"


def alter_tombstones(folder: Path, card: IndexCard) -> str:
    path = folder / card.deltas[1].tombstones[0].path
    path.write_bytes(bytes(path.stat().st_size))
    return f"{path.name}: SHA-256"


def build_a_delta_with_another_quantizer(folder: Path, card: IndexCard) -> str:
    shard = card.deltas[0].shards[0]
    other = train_index(unit_vectors(400, seed=9), 8, "flat", 1)
    other.add_with_ids(unit_vectors(shard.rows), np.concatenate(list(list_ids(read_index(folder / shard.path)))))
    write_index(other, folder / shard.path)
    path = folder / shard.path
    forged = replace(shard, bytes=path.stat().st_size, sha256=file_digest(path))
    delta = replace(card.deltas[0], shards=(forged, *card.deltas[0].shards[1:]))
    replace(card, deltas=(delta, *card.deltas[1:])).write(folder)
    return f"{path.name}: built with another quantizer"


INJURIES = [lose_a_delta_shard, truncate_tombstones, alter_tombstones, build_a_delta_with_another_quantizer]


@pytest.mark.parametrize("injure", INJURIES)
def test_an_injured_delta_is_refused_by_name_when_it_is_read_back_and_when_it_is_opened(
    spark: Any, folder: Path, injure: Callable[[Path, IndexCard], str]
) -> None:
    sentence = injure(folder, IndexCard.read(folder))
    findings = inspect_index(spark, [], folder, IndexCard.read(folder), unit_vectors(3, seed=1))
    assert re.search(sentence, findings.faults[0])
    with pytest.raises(BrokenIndex, match=sentence):
        ShardSearcher.open(folder)


def test_a_lost_file_of_the_index_before_means_that_all_is_built_anew(folder: Path) -> None:
    assert read_whole(folder).deltas
    sentence = lose_a_delta_shard(folder, IndexCard.read(folder))
    with pytest.raises(BuildAnew, match=sentence):
        read_whole(folder)


def test_tombstones_that_were_left_out_are_counted_id_by_id(
    spark: Any, folder: Path, days: list[tuple[Items, JobContext]]
) -> None:
    """Without the second day's tombstones its 30 removed items are still there, and its 30 changed ones are there twice."""
    card = IndexCard.read(folder)
    without = replace(card, deltas=(card.deltas[0], replace(card.deltas[1], tombstones=())))
    ids = np.array(sorted(days[1][0]))
    frame = spark.createDataFrame(embedding_rows(ids, np.zeros((len(ids), DIMENSION), np.float32)))
    assert count_ids(spark, folder, without, frame) == {"ids_missing": 0, "ids_duplicated": 30, "ids_unknown": 30}
    assert count_ids(spark, folder, card, frame) == {"ids_missing": 0, "ids_duplicated": 0, "ids_unknown": 0}


# -- plans and pure functions ------------------------------------------------------------

HASHED = st.dictionaries(st.integers(0, 50), st.integers(0, 2))


@given(now=HASHED, then=HASHED)
def test_the_difference_of_two_days_is_that_of_their_items(now: dict[int, int], then: dict[int, int]) -> None:
    def columns(items: dict[int, int]) -> tuple[np.ndarray, np.ndarray]:
        return np.array(sorted(items), dtype=np.int64), np.array([items[n] for n in sorted(items)], dtype=np.int64)

    told = difference(columns(now), columns(then))
    assert set(told.added) == now.keys() - then.keys() and set(told.removed) == then.keys() - now.keys()
    assert set(told.changed) == {n for n in now.keys() & then.keys() if now[n] != then[n]}
    assert all((np.diff(ids) > 0).all() for ids in (told.added, told.changed, told.removed))


@given(rows=st.lists(st.integers(0, 100), min_size=1, max_size=30), at_least=st.integers(1, 5), most=st.integers(100, 300))
def test_every_range_belongs_to_one_task_and_none_gets_too_many_rows(rows: list[int], at_least: int, most: int) -> None:
    pairs = [Pair(10 * n, 10 * n + 10, (), ()) for n in range(len(rows))]
    tasks = plan_tasks(pairs, rows, at_least, most)
    assert [pair for task in tasks for pair in task.pairs] == pairs
    held = [sum(rows[pair.first // 10] for pair in task.pairs) for task in tasks]
    assert max(held) <= most
    assert len(tasks) <= at_least + sum(rows) // (most // 2 + 1) + 1
    assert [task.number for task in tasks] == list(range(len(tasks)))


def test_no_change_is_no_task() -> None:
    assert plan_tasks([], [], 2, 100) == []

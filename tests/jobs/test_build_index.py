"""An index over a few hundred vectors, by the real job on real Spark and FAISS."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import faiss
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobs.build_index import JOB
from jobs.index import recall
from jobs.index.building import build_shard
from jobs.index.plan import RowGroup, estimate_memory, fit_lists, plan_shards, read_row_groups, refuse_too_large
from jobs.index.verifying import count_ids, inspect_index
from jobs.runtime.config import Config
from jobs.runtime.errors import Blocked, ConfigError, InputError
from jobs.runtime.index_section import IndexSettings
from jobs.runtime.job import JobContext, run_job
from jobs.runtime.manifest import Manifest
from jobs.runtime.store import file_facts
from mmse_model.ann import ids_digest, list_ids, read_index, write_index
from mmse_model.index_files import TRAINED, IndexCard, file_digest
from tests.jobs.published import (
    DAY,
    DIMENSION,
    config_in,
    embedding_rows,
    publish_embeddings,
    publish_model,
    unit_vectors,
)

IDS = np.arange(600, dtype=np.int64) * 3 + 5
INDEX = {"lists": 8, "probes": 4, "verify_queries": 50}


def build(spark: Any, config: Config) -> JobContext:
    return run_job(JOB, config, DAY, lambda: spark)


@pytest.fixture(scope="module")
def config(spark: Any, tmp_path_factory: pytest.TempPathFactory) -> Config:
    """A warehouse with a model and 600 embeddings whose dense ids have gaps."""
    config = config_in(tmp_path_factory.mktemp("index"), index=INDEX)
    publish_embeddings(spark, config, IDS, unit_vectors(600), publish_model(spark, config))
    return config


@pytest.fixture(scope="module")
def built(spark: Any, config: Config) -> JobContext:
    return build(spark, config)


@pytest.fixture
def folder(built: JobContext, tmp_path: Path) -> Path:
    """A copy of the built index that a test may injure."""
    return shutil.copytree(folder_of(built), tmp_path / "index")


def folder_of(context: JobContext) -> Path:
    manifest = context.outputs["index", context.dt]
    return context.warehouse / "index" / f"dt={context.dt}" / f"run={manifest.run_id}"


def test_every_vector_is_in_exactly_one_shard_and_finds_itself(built: JobContext) -> None:
    metrics = built.outputs["index", "2026-01-08"].metrics
    assert metrics["vectors"] == 600
    assert (metrics["ids_missing"], metrics["ids_duplicated"], metrics["ids_unknown"]) == (0, 0, 0)
    assert metrics["self_recall_at_1"] == 1
    assert metrics["recall_at_10_vs_exact"] > 0.9


def test_the_card_says_what_the_shards_hold(built: JobContext) -> None:
    folder = folder_of(built)
    card = IndexCard.read(folder)
    assert (card.codec, card.lists, card.probes, card.vectors, len(card.shards)) == ("sq8", 8, 4, 600, 2)
    for shard in card.shards:
        ids = np.concatenate(list(list_ids(read_index(folder / shard.path))))
        assert set(ids) == set(IDS[(shard.first <= IDS) & (shard.end > IDS)])
        assert (len(ids), ids_digest(ids), file_digest(folder / shard.path)) == (
            shard.rows, shard.ids_sha256, shard.sha256
        )


def test_the_files_of_the_embeddings_do_not_change_a_bit_of_the_index(
    spark: Any, built: JobContext, tmp_path: Path
) -> None:
    config = config_in(tmp_path, index=INDEX)
    publish_embeddings(spark, config, IDS, unit_vectors(600), publish_model(spark, config), files=7)
    again = build(spark, config)
    assert again.outputs["index", again.dt].content_hash == built.outputs["index", built.dt].content_hash


def test_flat_codes_and_all_lists_probed_give_the_exact_answer(spark: Any, config: Config) -> None:
    settings = IndexSettings(codec="flat", lists=8, probes=8, shards=3, verify_queries=50)
    metrics = build(spark, config.model_copy(update={"index": settings})).outputs["index", "2026-01-08"].metrics
    assert metrics["recall_at_10_vs_exact"] == metrics["recall_at_100_vs_exact"] == metrics["self_recall_at_1"] == 1
    assert metrics["codec_mean_squared_error"] == 0


def test_a_small_catalogue_gets_fewer_lists_and_fewer_probes(spark: Any, config: Config) -> None:
    context = build(spark, config.model_copy(update={"index": IndexSettings(lists=1000, probes=100)}))
    card = IndexCard.read(folder_of(context))
    assert (card.lists, card.probes) == (15, 15)  # 600 // 39
    assert context.notes["lists"] == "15 of 1000 asked for"


# -- injected faults ---------------------------------------------------------------------


def inspected(spark: Any, config: Config, folder: Path, card: IndexCard) -> tuple[tuple[str, ...], dict[str, float]]:
    """Faults and id counts of an index folder, as the job would find them."""
    (run,) = Path(config.paths.warehouse).glob("embeddings/dt=*/run=*")
    tasks = plan_shards(read_row_groups(run, Manifest.read(run).files), len(card.shards), 10**6)
    findings = inspect_index(spark, tasks, folder, card, unit_vectors(20, seed=1))
    counts = {} if findings.faults else count_ids(spark, folder, card, spark.read.parquet(str(run)))
    return findings.faults, counts


def injure(folder: Path, shard: int, new_bytes: bytes, **changes: Any) -> IndexCard:
    """Puts other bytes into a shard's file and makes the card agree with them."""
    card = IndexCard.read(folder)
    path = folder / card.shards[shard].path
    path.write_bytes(new_bytes)
    shards = list(card.shards)
    shards[shard] = replace(shards[shard], bytes=len(new_bytes), sha256=file_digest(path), **changes)
    return replace(card, shards=tuple(shards))


def test_a_lost_shard_is_named(spark: Any, config: Config, folder: Path) -> None:
    (folder / "shard-00001.faiss").unlink()
    (fault,), _ = inspected(spark, config, folder, IndexCard.read(folder))
    assert "shard-00001.faiss: missing" in fault


def test_a_truncated_shard_is_named(spark: Any, config: Config, folder: Path) -> None:
    path = folder / "shard-00000.faiss"
    path.write_bytes(path.read_bytes()[:-100])
    (fault,), _ = inspected(spark, config, folder, IndexCard.read(folder))
    assert "shard-00000.faiss" in fault and "bytes; index.json says" in fault


def test_a_flipped_bit_is_named(spark: Any, config: Config, folder: Path) -> None:
    path = folder / "shard-00000.faiss"
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    (fault,), _ = inspected(spark, config, folder, IndexCard.read(folder))
    assert "shard-00000.faiss: SHA-256" in fault


def test_a_shard_written_in_the_place_of_another_is_counted_id_by_id(spark: Any, config: Config, folder: Path) -> None:
    first = IndexCard.read(folder).shards[0]
    card = injure(folder, 1, (folder / first.path).read_bytes(), rows=first.rows, ids_sha256=first.ids_sha256)
    faults, counts = inspected(spark, config, folder, card)
    assert faults == ()
    assert counts == {"ids_missing": 600 - first.rows, "ids_duplicated": first.rows, "ids_unknown": 0}


def test_a_shard_of_another_quantizer_is_named(spark: Any, config: Config, folder: Path) -> None:
    other = faiss.index_factory(DIMENSION, "IVF8,SQ8", faiss.METRIC_L2)
    other.train(unit_vectors(400, seed=9))
    ids = np.concatenate(list(list_ids(read_index(folder / "shard-00000.faiss"))))
    other.add_with_ids(unit_vectors(600)[np.searchsorted(IDS, ids)], ids)
    write_index(other, folder / "other.faiss")
    card = injure(folder, 0, (folder / "other.faiss").read_bytes())
    (fault,), _ = inspected(spark, config, folder, card)
    assert "shard-00000.faiss: built with another quantizer" in fault


def test_an_id_that_no_embedding_has_is_counted(spark: Any, config: Config, folder: Path) -> None:
    index = read_index(folder / "shard-00000.faiss")
    ids = np.concatenate(list(list_ids(index)))
    index.remove_ids(ids[:1])
    index.add_with_ids(unit_vectors(1), np.array([1_000_000]))
    write_index(index, folder / "changed.faiss")
    now = np.append(ids[1:], 1_000_000)
    card = injure(folder, 0, (folder / "changed.faiss").read_bytes(), ids_sha256=ids_digest(now))
    faults, counts = inspected(spark, config, folder, card)
    assert (faults, counts) == ((), {"ids_missing": 1, "ids_duplicated": 0, "ids_unknown": 1})


def test_permuted_ids_are_seen_by_vectors_that_no_longer_find_themselves(tmp_path: Path) -> None:
    vectors, own = unit_vectors(300), np.arange(300)
    index = faiss.index_factory(DIMENSION, "IVF4,SQ8", faiss.METRIC_L2)
    index.train(vectors)
    index.add_with_ids(vectors, np.roll(own, 1))
    index.nprobe = 4
    assert recall.self_recall(index.search(vectors[:50], 20), own[:50], error=1e-4) < 0.05


@pytest.mark.parametrize("bad, named", [(np.nan, "are not finite"), (2.0, "have a norm outside")])
def test_a_bad_vector_is_named_by_its_dense_id(spark: Any, tmp_path: Path, bad: float, named: str) -> None:
    config = config_in(tmp_path, index=INDEX)
    vectors = unit_vectors(600)
    vectors[417] = bad
    publish_embeddings(spark, config, IDS, vectors, publish_model(spark, config))
    with pytest.raises(Blocked, match=f"1 vectors {named}.*, the first of dense id {IDS[417]}"):
        build(spark, config)


# -- refusals ----------------------------------------------------------------------------


def test_embeddings_of_another_model_are_refused(spark: Any, tmp_path: Path) -> None:
    config = config_in(tmp_path, index=INDEX)
    publish_embeddings(spark, config, IDS, unit_vectors(600), publish_model(spark, config))
    publish_model(spark, config, seed=1)
    with pytest.raises(InputError, match="run embed_items again"):
        build(spark, config)


def test_a_build_beyond_the_memory_limit_is_refused() -> None:
    settings = IndexSettings(lists=8, memory_mib=64, rows_per_shard=10**7, shards=1)
    tasks = plan_shards([RowGroup("a", "", 0, 0, 10**7 - 1)], 1, 10**7)
    assert estimate_memory(tasks, settings, 8, 128, 10**7).task > 2 * 10**7 * 136 / 2**20
    with pytest.raises(ConfigError, match="index.memory_mib = 64: a task would need"):
        refuse_too_large(estimate_memory(tasks, settings, 8, 128, 10**7), 64)


def test_files_that_overlap_are_refused(spark: Any, tmp_path: Path) -> None:
    frame = spark.createDataFrame(embedding_rows(IDS, unit_vectors(600)))
    frame.repartition(2, "object_id").write.parquet(str(tmp_path / "mixed"))
    with pytest.raises(InputError, match="overlap.*run embed_items again"):
        read_row_groups(tmp_path / "mixed", file_facts(tmp_path / "mixed"))


def test_an_embeddings_file_that_changed_after_it_was_published_is_named(spark: Any, tmp_path: Path) -> None:
    config = config_in(tmp_path, index=INDEX)
    publish_embeddings(spark, config, IDS, unit_vectors(600), publish_model(spark, config))
    (path, *_) = sorted(Path(config.paths.warehouse).glob("embeddings/dt=*/run=*/*.parquet"))
    content = bytearray(path.read_bytes())
    content[len(content) // 3] ^= 1
    path.write_bytes(content)
    (task,) = plan_shards(read_row_groups(path.parent, Manifest.read(path.parent).files), 1, 10**6)
    (tmp_path / TRAINED).write_bytes(b"")
    fault = build_shard(task, str(tmp_path), DIMENSION, file_digest(tmp_path / TRAINED)).fault
    assert fault is not None and f"{path.name}: altered since it was published" in fault


# -- plans and figures -------------------------------------------------------------------


@given(
    cuts=st.lists(st.integers(1, 999), max_size=6, unique=True),
    shards=st.integers(1, 9), rows_per_shard=st.integers(50, 2000),
)
def test_shards_cover_every_id_once_whatever_the_row_groups(cuts: list[int], shards: int, rows_per_shard: int) -> None:
    bounds = [0, *sorted(cuts), 1000]
    groups = [RowGroup("f", "", n, low, high - 1) for n, (low, high) in enumerate(zip(bounds, bounds[1:]))]
    tasks = plan_shards(groups, shards, rows_per_shard)
    assert [t.first for t in tasks] == [0, *(t.end for t in tasks[:-1])] and tasks[-1].end == 1000
    assert [(t.first, t.end) for t in tasks] == [
        (t.first, t.end) for t in plan_shards([RowGroup("g", "", 0, 0, 999)], shards, rows_per_shard)
    ]
    for task in tasks:
        assert task.end - task.first <= rows_per_shard
        assert task.row_groups[0].first <= task.first and task.row_groups[-1].last >= task.end - 1


def test_lists_are_as_many_as_asked_for_until_they_would_be_too_short() -> None:
    assert [fit_lists(256, rows) for rows in (1, 39, 78, 9_983, 9_984, 10**9)] == [1, 1, 2, 255, 256, 256]


def test_recall_counts_ties_at_the_last_place_as_right_answers() -> None:
    exact = np.array([[-0.9, -0.8, -0.8, -0.1]], dtype=np.float32), np.array([[1, 2, 3, 4]])
    found = np.array([[0.1, 0.2, 0.9]], dtype=np.float32), np.array([[1, 3, 4]])
    assert recall.recalls(found, exact, 2).tolist() == [1.0]
    assert recall.recalls(found, exact, 1).tolist() == [1.0]
    assert recall.recalls((found[0], np.array([[4, 3, 1]])), exact, 2).tolist() == [0.5]


def test_recall_of_a_catalogue_smaller_than_k_is_out_of_what_there_is() -> None:
    exact = np.array([[-0.9, -0.8, np.inf]], dtype=np.float32), np.array([[1, 2, -1]])
    found = np.array([[0.1, np.inf, np.inf]], dtype=np.float32), np.array([[2, -1, -1]])
    assert recall.recalls(found, exact, 3).tolist() == [0.5]


def test_a_query_leaves_its_own_id_out_and_keeps_the_order_of_the_rest() -> None:
    hits = np.array([[0.0, 0.1, 0.2], [0.3, 0.4, 0.5]]), np.array([[7, 8, 9], [1, 2, 3]])
    distances, ids = recall.without_own(hits, np.array([8, 6]))
    assert (ids.tolist(), distances.tolist()) == ([[7, 9], [1, 2]], [[0.0, 0.2], [0.3, 0.4]])


def test_near_duplicates_do_not_count_against_self_recall() -> None:
    own = np.array([1, 2, 3])
    hits = (
        np.array([[0.001, 0.002], [0.001, 0.9], [0.001, 0.0011]]),
        np.array([[9, 1], [9, 2], [8, 9]]),  # nearly first; far off; crowded out by duplicates
    )
    assert recall.self_recall(hits, own, error=0.0005) == 0.5


def test_the_figures_of_unequal_lists() -> None:
    figures = recall.list_figures(np.array([6, 2, 0, 0]))
    assert figures == {"largest_list": 6.0, "empty_lists_share": 0.5, "list_imbalance": 4 * 40 / 64}

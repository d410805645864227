"""Items through an encoder on real Spark: fixed blocks, any layout, figures of the committed rows."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobs.embed_items import JOB, embed, task_count
from jobs.index.encoding import whole_blocks
from jobs.index.measures import coverage, spread, tally
from jobs.index.plan import read_row_groups
from jobs.index.vectors import hash_sample, pack_vectors, unpack_vectors
from jobs.runtime.config import Config
from jobs.runtime.errors import Blocked
from jobs.runtime.job import JobContext, run_job
from jobs.runtime.manifest import Manifest
from mmse_model.encoder import Encoder
from schemas import ITEMS
from tests.jobs.published import (
    DAY,
    DIMENSION,
    config_in,
    embedding_rows,
    item_rows,
    publish,
    publish_encoder,
    publish_items,
    unit_vectors,
)

MODEL = {"dimension": DIMENSION, "hidden": 8}


def rows_per_call() -> Callable[[], Any]:
    """An opener of an encoder whose vectors tell how many items one call encoded, and the length of the title."""
    def opener() -> Any:
        class Counting:
            def encode_items(self, titles: Any, brands: Any, category_paths: Any, shops: Any, prices: Any) -> Any:
                return np.array([[len(titles), len(title)] for title in titles], dtype=np.float32)

        return Counting()

    return opener


# -- the pure function -------------------------------------------------------------------


@pytest.mark.parametrize("partitions, tasks, adaptive", [(1, 2, "true"), (3, 1, "false"), (7, 5, "true")])
def test_a_block_is_one_call_whatever_the_layout(spark: Any, partitions: int, tasks: int, adaptive: str) -> None:
    """Of 30 items 6, 13, 20 and 27 are not available: blocks of 10 dense ids hold 9, 9 and 8 rows."""
    items = spark.createDataFrame(item_rows(30), ITEMS.spark_schema()).where("available").repartition(partitions)
    spark.conf.set("spark.sql.adaptive.enabled", adaptive)
    try:
        found = embed(items, rows_per_call(), block=10, tasks=tasks).collect()
    finally:
        spark.conf.set("spark.sql.adaptive.enabled", "true")
    calls = {row.dense_id: int(np.frombuffer(row.vector, "<f4")[0]) for row in found}
    assert calls == {n: {0: 9, 1: 9, 2: 8}[n // 10] for n in range(30) if n % 7 != 6}


@given(
    ids=st.lists(st.integers(0, 60), unique=True, min_size=1, max_size=40).map(sorted),
    cuts=st.lists(st.integers(0, 40), max_size=5), block=st.integers(1, 20),
)
def test_blocks_are_whole_wherever_arrow_cuts(ids: list[int], cuts: list[int], block: int) -> None:
    bounds = [0, *sorted(min(c, len(ids)) for c in cuts), len(ids)]
    columns = [pa.array(ids[low:high], pa.int64()) for low, high in zip(bounds, bounds[1:])]
    batches = [pa.RecordBatch.from_pydict({"dense_id": column}) for column in columns]
    tables = [t["dense_id"].to_pylist() for t in whole_blocks(iter(batches), block)]
    assert [n for table in tables for n in table] == ids
    assert [{n // block for n in table} for table in tables] == [{b} for b in sorted({n // block for n in ids})]


def test_tasks_suit_the_cores_then_the_files_and_never_cut_a_block() -> None:
    assert task_count(rows=20_000, block=1_024, rows_per_file=250_000, cores=2) == 2
    assert task_count(rows=10_000_000, block=1_024, rows_per_file=250_000, cores=2) == 40
    assert task_count(rows=1_500, block=1_024, rows_per_file=250_000, cores=8) == 2
    assert task_count(rows=0, block=1_024, rows_per_file=250_000, cores=8) == 1


@given(st.integers(0, 5), st.integers(1, 4), st.integers(0, 3))
def test_packed_vectors_come_back_from_any_slice(rows: int, dimension: int, start: int) -> None:
    vectors = np.arange(rows * dimension, dtype=np.float32).reshape(rows, dimension)
    assert np.array_equal(unpack_vectors(pack_vectors(vectors).slice(start), dimension), vectors[start:])


def test_a_vector_of_another_length_is_refused() -> None:
    with pytest.raises(ValueError, match=r"vectors of \[8\] bytes; expected 12"):
        unpack_vectors(pa.array([b"12345678"]), 3)


# -- figures -----------------------------------------------------------------------------


def test_bad_vectors_are_counted(spark: Any) -> None:
    vectors = unit_vectors(40)
    vectors[3, 0], vectors[9] = np.nan, vectors[9] * 1.01
    vectors[17, 2] = np.inf
    frame = spark.createDataFrame(embedding_rows(np.arange(40), vectors))
    assert tally(frame, DIMENSION) == {"vectors": 40, "not_finite": 2, "norm_off_one": 1}


def test_missing_and_unknown_items_are_counted(spark: Any) -> None:
    eligible = spark.createDataFrame([(n, f"o{n}") for n in range(10)], "dense_id bigint, object_id string")
    frame = spark.createDataFrame(embedding_rows(np.arange(2, 11), unit_vectors(9)))
    assert coverage(frame, eligible) == {"missing_items": 2, "unknown_items": 1}


def test_spread_of_vectors_that_all_differ_and_of_vectors_that_are_one() -> None:
    assert spread(np.eye(4, dtype=np.float32)) == {"mean_pairwise_cosine": 0, "effective_rank": pytest.approx(4)}
    alike = spread(np.tile(np.eye(4, dtype=np.float32)[0], (9, 1)))
    assert alike == {"mean_pairwise_cosine": pytest.approx(1), "effective_rank": pytest.approx(1)}


def test_a_sample_depends_on_seed_and_purpose_but_not_on_the_layout(spark: Any) -> None:
    frame = spark.createDataFrame(embedding_rows(np.arange(500), unit_vectors(500)))
    ids, vectors = hash_sample(frame.repartition(7), 500, 60, DIMENSION, 1, "a")
    again, _ = hash_sample(frame.coalesce(1), 500, 60, DIMENSION, 1, "a")
    other, _ = hash_sample(frame, 500, 60, DIMENSION, 1, "b")
    assert len(ids) == 60 and ids.tolist() == again.tolist()
    assert set(ids) != set(other)
    assert np.array_equal(vectors, unit_vectors(500)[ids])


# -- the job, with a real model ----------------------------------------------------------


@pytest.fixture(scope="module")
def config(spark: Any, tmp_path_factory: pytest.TempPathFactory) -> Config:
    config = config_in(tmp_path_factory.mktemp("embed"), model=MODEL, embed={"block": 16})
    publish_encoder(spark, config)
    publish_items(spark, config, 100)
    return config


@pytest.fixture(scope="module")
def embedded(spark: Any, config: Config) -> JobContext:
    return run_job(JOB, config, DAY, lambda: spark)


def folder(context: JobContext, dataset: str, run_id: str) -> Path:
    return context.warehouse / dataset / f"dt={context.dt}" / f"run={run_id}"


def test_every_available_item_gets_the_vector_that_the_model_gives_it(spark: Any, embedded: JobContext) -> None:
    manifest = embedded.outputs["embeddings", embedded.dt]
    assert manifest.rows == sum(1 for n in range(100) if n % 7 != 6)
    rows = spark.read.parquet(str(folder(embedded, "embeddings", manifest.run_id))).orderBy("dense_id").collect()
    encoder = Encoder.open(folder(embedded, "model", embedded.inputs["model", embedded.dt]))
    items = [row for row in item_rows(100) if row[8]]
    assert [(row.dense_id, row.object_id) for row in rows] == [(item[1], item[0]) for item in items]
    expected = encoder.encode_items(*([item[n] for item in items] for n in (3, 4, 5, 6, 7)))
    assert np.allclose([np.frombuffer(row.vector, "<f4") for row in rows], expected, atol=1e-5)


def test_the_manifest_says_what_the_vectors_rest_on(embedded: JobContext) -> None:
    manifest = embedded.outputs["embeddings", embedded.dt]
    model = Manifest.read(folder(embedded, "model", embedded.inputs["model", embedded.dt]))
    assert manifest.facts["model"] == model.content_hash
    assert (manifest.facts["dimension"], manifest.facts["block"], manifest.facts["numbering"]) == (DIMENSION, 16, "1")


def test_files_are_in_dense_id_order(embedded: JobContext) -> None:
    manifest = embedded.outputs["embeddings", embedded.dt]
    assert len(manifest.files) == 2
    groups = read_row_groups(folder(embedded, "embeddings", manifest.run_id), manifest.files)
    assert (groups[0].first, groups[-1].last) == (0, 99)


def test_more_tasks_give_the_same_content(spark: Any, config: Config, embedded: JobContext) -> None:
    smaller = config.model_copy(update={"embed": config.embed.model_copy(update={"rows_per_file": 17})})
    again = run_job(JOB, smaller, DAY, lambda: spark).outputs["embeddings", embedded.dt]
    assert len(again.files) > 2
    assert again.content_hash == embedded.outputs["embeddings", embedded.dt].content_hash


def test_a_catalogue_of_which_nothing_is_available_is_refused(spark: Any, tmp_path: Path) -> None:
    config = config_in(tmp_path, model=MODEL)
    publish_encoder(spark, config)
    gone = [(*row[:8], False, *row[9:]) for row in item_rows(3)]
    frame = spark.createDataFrame(gone, ITEMS.spark_schema())
    publish(spark, config, ("items",), lambda c: c.write("items", frame) and None)
    with pytest.raises(Blocked, match="none of 3 items is available"):
        run_job(JOB, config, DAY, lambda: spark)

"""Items through an encoder on real Spark: any layout, only what changed, figures of the committed rows."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jobs.embed_items import JOB, embed, task_count
from jobs.index.earlier import EarlierVectors
from jobs.index.encoding import gathered, inputs_hash
from jobs.index.measures import coverage, equal_share, spread, tally
from jobs.index.neighbours import NEW_MODEL, SAME_MODEL
from jobs.index.plan import read_row_groups
from jobs.index.vectors import hash_sample, pack_vectors, unpack_vectors
from jobs.runtime.config import Config
from jobs.runtime.errors import Blocked, InputError
from jobs.runtime.job import JobContext, run_job
from jobs.runtime.manifest import Manifest
from jobs.runtime.store import file_facts
from mmse_model.attributes import price_bucket
from mmse_model.encoder import Encoder
from schemas import ITEMS
from tests.jobs.published import (
    DAY,
    DIMENSION,
    config_in,
    embedding_rows,
    item_rows,
    publish,
    publish_embeddings,
    publish_encoder,
    publish_items,
    unit_vectors,
)
from tests.jobs.released import MODEL, copied


def item_length() -> Callable[[], Any]:
    """An opener of an encoder whose vectors tell the length of the title, and how many items it was asked for at a time."""
    def opener() -> Any:
        class Length:
            def encode_items(self, titles: Any, brands: Any, category_paths: Any, shops: Any, prices: Any) -> Any:
                return np.array([[len(title), len(titles)] for title in titles], dtype=np.float32)

        return Length()

    return opener


def hashed(spark: Any, rows: Sequence[tuple[Any, ...]], buckets: int = 8) -> Any:
    """The available ones of rows of `items`, with their inputs."""
    return spark.createDataFrame(rows, ITEMS.spark_schema()).where("available").withColumn("inputs", inputs_hash(buckets))


# -- the pure functions ------------------------------------------------------------------


@pytest.mark.parametrize("partitions, tasks, adaptive", [(1, 2, "true"), (3, 1, "false"), (7, 5, "true")])
def test_every_item_gets_its_own_vector_whatever_the_layout(spark: Any, partitions: int, tasks: int, adaptive: str) -> None:
    """Titles are `usb cable <n>`: 11 letters for one digit, 12 for two."""
    spark.conf.set("spark.sql.adaptive.enabled", adaptive)
    try:
        found = embed(hashed(spark, item_rows(30)).repartition(partitions), item_length(), 2, tasks).collect()
    finally:
        spark.conf.set("spark.sql.adaptive.enabled", "true")
    lengths = {row.dense_id: int(np.frombuffer(row.vector, "<f4")[0]) for row in found}
    assert lengths == {n: 11 if n < 10 else 12 for n in range(30) if n % 7 != 6}


@given(sizes=st.lists(st.integers(0, 30), max_size=8), rows=st.integers(1, 20))
def test_items_are_gathered_in_equal_numbers_wherever_arrow_cuts(sizes: list[int], rows: int) -> None:
    bounds = np.cumsum([0, *sizes]).tolist()
    batches = [pa.RecordBatch.from_pydict({"n": pa.array(range(low, high), pa.int64())}) for low, high in zip(bounds, bounds[1:])]
    tables = [table["n"].to_pylist() for table in gathered(iter(batches), rows)]
    assert [n for table in tables for n in table] == list(range(bounds[-1]))
    assert all(len(table) == rows for table in tables[:-1]) and all(0 < len(table) <= rows for table in tables)


def changed_rows(row: tuple[Any, ...]) -> tuple[Any, ...]:
    """Another title for item 1, brand for 2, path for 3, shop for 4; 5 loses its price, 7 moves from 0.7 to 2.5, 8 within
    the bucket below 1; 9 goes, and 6, which was not available, comes."""
    number, values = row[1], list(row)
    column = {1: 3, 2: 4, 3: 5, 4: 6}.get(number)
    if column:
        values[column] = "other"
    values[7] = {5: None, 7: 2.5, 8: 0.9}.get(number, row[7])
    values[8] = {9: False, 6: True}.get(number, row[8])
    return tuple(values)


def test_the_hash_changes_with_what_the_tower_reads_and_a_price_within_its_bucket_changes_nothing(spark: Any) -> None:
    rows = [(*row[:7], 4.0 if row[1] == 5 else row[7], *row[8:]) for row in item_rows(12)]
    before = {row.dense_id: row.inputs for row in hashed(spark, rows).collect()}
    after = {row.dense_id: row.inputs for row in hashed(spark, [changed_rows(row) for row in rows]).collect()}
    assert {n for n in before.keys() & after.keys() if before[n] != after[n]} == {1, 2, 3, 4, 5, 7}
    assert after.keys() - before.keys() == {6} and before.keys() - after.keys() == {9}


@settings(max_examples=4)  # each is a Spark job, over many prices at once
@given(st.lists(st.one_of(st.none(), st.floats(allow_nan=True)), min_size=100, max_size=250), st.integers(2, 20))
def test_prices_that_the_tower_tells_apart_have_different_hashes_and_no_others(
    spark: Any, prices: list[float | None], buckets: int
) -> None:
    item = item_rows(1)[0]
    frame = spark.createDataFrame([(*item[:1], n, *item[2:7], p, *item[8:]) for n, p in enumerate(prices)], ITEMS.spark_schema())
    hashes = [row.inputs for row in frame.withColumn("inputs", inputs_hash(buckets)).orderBy("dense_id").collect()]
    classes = price_bucket(prices, buckets).tolist()
    pairs = [(one, two) for one in range(len(prices)) for two in range(len(prices))]
    assert all((hashes[one] == hashes[two]) == (classes[one] == classes[two]) for one, two in pairs)


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


def test_vectors_that_are_equal_though_their_items_are_not_are_a_share_of_the_different_texts(spark: Any) -> None:
    """Ten items: two of one text share a vector, two of other texts have that of another: 7 vectors of 9 texts."""
    vectors = unit_vectors(10)
    vectors[1], vectors[3], vectors[5] = vectors[0], vectors[2], vectors[4]
    frame = spark.createDataFrame(embedding_rows(np.arange(10), vectors))
    eligible = spark.createDataFrame([(max(n, 1),) for n in range(10)], "texts bigint")
    assert equal_share(frame, eligible) == pytest.approx(1 - 7 / 9)


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


# -- the day after -----------------------------------------------------------------------

NEXT = DAY + timedelta(days=1)


@pytest.fixture(scope="module")
def day_after(spark: Any, config: Config, embedded: JobContext) -> JobContext:
    """The catalogue of the next day, with `changed_rows` and ten items more, by the same model."""
    publish_items(spark, config, 110, NEXT, changed_rows)
    return run_job(JOB, config, NEXT, lambda: spark)


def test_only_what_changed_goes_through_the_tower(day_after: JobContext, embedded: JobContext) -> None:
    """Of 100 items 86 were available. 1, 2, 3, 4, 7 differ (5 had no price before), 6 and nine of the ten new ones are new."""
    metrics = day_after.outputs["embeddings", day_after.dt].metrics
    assert (metrics["embedded"], metrics["carried_over"], metrics["removed"]) == (5 + 1 + 9, 86 - 5 - 1, 1)
    assert metrics["carried_over_off"] == 0
    assert not {SAME_MODEL, NEW_MODEL} & metrics.keys(), "85 items of both days are too few to tell"
    assert ("embeddings", embedded.dt) in day_after.inputs
    assert day_after.notes["embedded"] == "15" and day_after.notes["carried over"] == "80" and day_after.notes["removed"] == "1"
    first = embedded.outputs["embeddings", embedded.dt].metrics
    assert (first["embedded"], first["carried_over"], first["removed"]) == (86, 0, 0)


@pytest.mark.parametrize("files", [10**6, 17])
def test_carrying_over_gives_the_bits_of_a_full_run(spark: Any, config: Config, day_after: JobContext, files: int) -> None:
    full = config.model_copy(update={"embed": config.embed.model_copy(update={"carry_over": False, "rows_per_file": files})})
    manifest = run_job(JOB, full, NEXT, lambda: spark).outputs["embeddings", day_after.dt]
    assert (manifest.metrics["embedded"], manifest.metrics["carried_over"]) == (95, 0)
    assert manifest.content_hash == day_after.outputs["embeddings", day_after.dt].content_hash


def test_the_tower_is_not_asked_for_what_is_carried_over(spark: Any, config: Config, embedded: JobContext) -> None:
    manifest = embedded.outputs["embeddings", embedded.dt]
    groups = read_row_groups(folder(embedded, "embeddings", manifest.run_id), manifest.files)
    rows = [changed_rows(row) for row in item_rows(100)]
    found = embed(hashed(spark, rows, config.grains.attribute.price_buckets), wide_lengths(), DIMENSION, 1, groups).collect()
    asked = {row.dense_id for row in found if np.frombuffer(row.vector, "<f4")[0] == 6}
    assert asked == {1, 2, 3, 4, 6, 7}


def wide_lengths() -> Callable[[], Any]:
    """An opener of an encoder whose vectors of DIMENSION hold the number of items it was asked for."""
    def opener() -> Any:
        class Wide:
            def encode_items(self, titles: Any, *others: Any) -> Any:
                return np.full((len(titles), DIMENSION), len(titles), dtype=np.float32)

        return Wide()

    return opener


@pytest.mark.parametrize("change", ["model", "block"])
def test_another_model_or_other_calls_carry_nothing_over(
    spark: Any, config: Config, embedded: JobContext, tmp_path: Path, change: str
) -> None:
    config = copied(config, tmp_path)
    if change == "model":
        publish_encoder(spark, config, seed=4)
    else:
        config = config.model_copy(update={"embed": config.embed.model_copy(update={"block": 32})})
    context = run_job(JOB, config, DAY, lambda: spark)
    assert context.outputs["embeddings", context.dt].metrics["carried_over"] == 0
    assert ("embeddings", context.dt) not in context.inputs


def test_a_vector_that_the_tower_no_longer_gives_blocks(spark: Any, tmp_path: Path) -> None:
    """Embeddings that claim the model and the items of the day, with vectors of neither."""
    config = config_in(tmp_path, model=MODEL, embed={"block": 16})
    model = publish_encoder(spark, config)
    publish_items(spark, config, 40)
    buckets = config.grains.attribute.price_buckets
    inputs = {row.dense_id: row.inputs for row in hashed(spark, item_rows(40), buckets).collect()}
    publish_embeddings(spark, config, np.array(sorted(inputs)), unit_vectors(len(inputs)), model, inputs=inputs, block=16)
    with pytest.raises(Blocked, match="carried_over_off is 35"):
        run_job(JOB, config, DAY, lambda: spark)


def test_an_earlier_file_that_was_altered_is_named(spark: Any, tmp_path: Path) -> None:
    publish_dir = tmp_path / "earlier"
    spark.createDataFrame(embedding_rows(np.arange(5), unit_vectors(5))).coalesce(1).write.parquet(str(publish_dir))
    (group,) = read_row_groups(publish_dir, file_facts(publish_dir))
    with pytest.raises(InputError, match="altered since it was published"):
        EarlierVectors([replace(group, sha256="0" * 64)], DIMENSION).vectors_of(np.arange(5), np.zeros(5, np.int64))


@given(
    then=st.dictionaries(st.integers(0, 40), st.integers(0, 2), min_size=1), now=st.dictionaries(st.integers(0, 40), st.integers(0, 2), min_size=1),
    asked=st.integers(1, 10),
)
def test_vectors_come_back_for_equal_inputs_alone(
    tmp_path_factory: pytest.TempPathFactory, then: dict[int, int], now: dict[int, int], asked: int
) -> None:
    path = tmp_path_factory.mktemp("earlier") / "part.parquet"
    ids = np.array(sorted(then))
    vectors = np.stack([[number, then[number]] for number in ids.tolist()]).astype(np.float32)
    table = pa.table({"dense_id": pa.array(ids), "inputs": pa.array([then[n] for n in ids.tolist()]), "vector": pack_vectors(vectors)})
    pq.write_table(table, path, row_group_size=7)
    earlier = EarlierVectors(read_row_groups(path.parent, file_facts(path.parent)), 2)
    found: dict[int, list[float]] = {}
    wanted = np.array(sorted(now))
    for part in np.split(wanted, range(asked, len(wanted), asked)):
        given, carried = earlier.vectors_of(part, np.array([now[n] for n in part.tolist()]))
        found |= {int(n): vector.tolist() for n, vector in zip(part[carried], given[carried])}
    assert found == {n: [n, then[n]] for n in now if then.get(n) == now[n]}

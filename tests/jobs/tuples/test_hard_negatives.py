"""Two days: what the second day's tuples have for hard negatives is what the first day's release finds."""

from __future__ import annotations

import json
from datetime import date
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pyarrow as pa
import pytest
import torch
from pydantic import ValidationError

from jobs import build_index, build_tuples, embed_items, publish_release, train_model
from jobs.release_reader import open_release
from jobs.runtime.config import Config
from jobs.runtime.index_section import IndexSettings
from jobs.runtime.job import Job, JobContext, run_job
from jobs.runtime.negative_sections import HardNegativeSettings
from jobs.tuples.hard_negatives import choose_hard, judge_found, limits_of, mine
from jobs.tuples.mining import searching
from jobs.tuples.scratch import Scratch
from mmse_model.config import HardNegativeWeight, ModelSettings, ObjectiveSettings, TrainSettings
from mmse_model.encoder import save_model
from mmse_model.grains import Grains
from mmse_model.towers import TwoTower
from schemas import EVALUATION
from tests.jobs.published import DAY, publish
from tests.jobs.tuples.shop import at, frame, item
from tests.jobs.tuples.small_shop import DT, ITEMS, publish_shop, rows_of, shop_config

BEFORE = date(2026, 1, 7)
GONE = item(20, "usb hub gone", brand="Acme", price=1.0, category_path="Cables > 0")
HARD = {"per_tuple": 3, "rank_from": 2, "rank_to": 20}
WORDS = ["usb", "hub", "head", "query", "night", *(f"item{n}" for n in range(20)), "model0", "model1", "model2"]
TRAIN = {"epochs": 2, "batch_size": 4, "stream_items": 8, "threads": 1, "warmup_steps": 2, "validation_k": 3}
CONVERTED = {"usb hub": {6, 7, 8, 9, 10}, "head query": set(range(20)), "usb": {11, 12}, "usb night": {2}}
"""Of training, 11 included: it was clicked before it was listed."""


def hard_config(folder: Path, **hard: Any) -> Config:
    """The small shop with a random own negative and hard ones, a model of 16 dimensions and an index of exact vectors."""
    config = shop_config(folder, own_negatives={"uniform": 1}, hard_negatives={**HARD, **hard})
    return config.model_copy(update={
        "model": ModelSettings(dimension=16, token_dimension=8, hidden=4), "train": TrainSettings(**TRAIN),
        "index": IndexSettings(lists=1, probes=1, codec="flat", verify_queries=10, shards=2),
    })


def release_of_the_day_before(spark: Any, config: Config) -> JobContext:
    """An untrained model, its index over the shop's twenty items and one that is gone the next day, released."""
    grains = Grains.build({"word": WORDS}, config.grains)
    torch.manual_seed(3)
    model = TwoTower(grains.layout, config.model)

    def write(context: JobContext) -> None:
        items = [*(dict(i, available=True) for i in ITEMS), GONE]  # 13 cannot be bought the next day
        context.write("items", frame(spark, "items", items), facts={"numbering": "1"})
        metrics = {"parameters_not_finite": 0.0, "validation_recall": 0.5, "last_loss": 1.0}
        facts = {"trained": BEFORE.isoformat()}
        context.write_files("model", lambda f: save_model(f, model, grains, config.stages), metrics=metrics, facts=facts)

    def evaluate(context: JobContext) -> None:
        for name in ("model", "embeddings", "index"):
            context.manifest(name)
        rows = [("mmse", "ann", "ordered", "recall@5", "q", 0.5, 1, True)]
        found = {"system": "mmse", "search": "ann", "truth": "ordered", "k": 5, "recall": 0.5, "low": 0.4, "high": 0.6}
        context.write("evaluation", spark.createDataFrame(rows, EVALUATION.spark_schema()), facts={"k": 5, "table": [found]})

    publish(spark, config, ("items", "model"), write, day=BEFORE)
    for job in (embed_items.JOB, build_index.JOB):
        run_job(job, config, BEFORE, lambda: spark)
    publish(spark, config, ("evaluation",), evaluate, reads=("model", "embeddings", "index"), day=BEFORE)
    return run_job(publish_release.JOB, config, BEFORE, lambda: spark)


@pytest.fixture(scope="module")
def released(spark: Any, tmp_path_factory: pytest.TempPathFactory) -> JobContext:
    config = hard_config(tmp_path_factory.mktemp("shop"))
    publish_shop(spark, config)
    return release_of_the_day_before(spark, config)


@pytest.fixture(scope="module")
def built(spark: Any, released: JobContext) -> JobContext:
    return run_job(build_tuples.JOB, released.config, DAY, lambda: spark)


def hard_of(row: dict[str, Any]) -> list[int]:
    return [i for i in row["negative_ids"][-HARD["per_tuple"]:].tolist() if i >= 0]


def allowed(config: Config, row: dict[str, Any]) -> set[int]:
    """What a tuple may take, by one search of the release and the scores of its encoder, without Spark."""
    release = open_release(config, dt=BEFORE.isoformat())
    ids, scores = release.retriever.search([row["query_norm"]], HARD["rank_to"] - 1)
    query = release.retriever.encoder.encode_queries([row["query_norm"]])[0]
    slots = [i for i in row["dense_ids"].tolist() if i >= 0]
    positive = [i for i in row["dense_ids"][4:].tolist() if i >= 0]
    texts = ([ITEMS[i].get(name) for i in positive] for name in ("title", "brand", "category_path", "shop", "price"))
    limit = float((release.retriever.encoder.encode_items(*texts) @ query).min())
    limit -= 0.05 * abs(limit)
    never = {*slots, *CONVERTED[row["query_norm"]], 13, 20} | ({11} if row["ts"] < at(5) else set())
    window = zip(ids[0, HARD["rank_from"] - 1 :].tolist(), scores[0, HARD["rank_from"] - 1 :].tolist())
    return {i for i, score in window if i >= 0 and score < limit and i not in never}


@pytest.mark.slow
def test_every_training_tuple_takes_what_the_release_of_the_day_before_finds_for_it(built: JobContext) -> None:
    found = 0
    for row in rows_of(built).values():
        if row["split"] != "train":
            assert hard_of(row) == []
            continue
        may = allowed(built.config, row)
        assert set(hard_of(row)) <= may
        assert len(set(hard_of(row))) == len(hard_of(row)) == min(3, len(may))
        found += len(hard_of(row))
    facts = built.outputs["tuples", DT].facts
    assert found > 5
    assert (facts["shapes"]["N"], facts["shapes"]["H"]) == (4, 3)
    counted = facts["hard_negatives"]
    assert (counted["release"], counted["filled"], counted["empty"]) == ("2026-01-07", found, 3 * 14 - found)
    assert set(counted["refused"]) == {"positive", "unavailable", "absent"}
    assert built.notes["hard negatives"] == f"{found} of 42, by the release of 2026-01-07"


@pytest.mark.slow
def test_the_release_is_an_input_of_the_tuples(built: JobContext, released: JobContext) -> None:
    assert built.outputs["tuples", DT].inputs["release/dt=2026-01-07"] == released.run_id


@pytest.mark.slow
@pytest.mark.parametrize("partitions", ["1", "3", "7"])
def test_the_same_hard_negatives_come_out_of_any_layout(spark: Any, built: JobContext, partitions: str) -> None:
    before = spark.conf.get("spark.sql.shuffle.partitions")
    try:
        spark.conf.set("spark.sql.shuffle.partitions", partitions)
        spark.conf.set("spark.sql.adaptive.enabled", "false")
        again = run_job(build_tuples.JOB, built.config, DAY, lambda: spark)
    finally:
        spark.conf.set("spark.sql.shuffle.partitions", before)
        spark.conf.set("spark.sql.adaptive.enabled", "true")
    assert again.outputs["tuples", DT].content_hash == built.outputs["tuples", DT].content_hash
    assert again.outputs["tuples", DT].facts == built.outputs["tuples", DT].facts


@pytest.mark.slow
def test_mining_and_serving_find_the_same_however_the_queries_come(built: JobContext) -> None:
    release = open_release(built.config, dt=BEFORE.isoformat())
    texts = ["usb hub", "usb", "head query", "usb night", "no such words at all"]
    run = searching(str(release.folders["model"]), str(release.folders["index"]), 3, 18)
    together = [row for b in run([pa.RecordBatch.from_pydict({"query_norm": texts})]) for row in b.to_pylist()]
    single = [pa.RecordBatch.from_pydict({"query_norm": [text]}) for text in texts]
    alone = [row for b in run(single) for row in b.to_pylist()]
    assert together == alone
    served, scores = release.retriever.search(["USB  Hub"], 17)
    assert [hit["dense_id"] for hit in together[0]["found"]] == served[0, 2:].tolist()
    assert [hit["score"] for hit in together[0]["found"]] == pytest.approx(scores[0, 2:].tolist(), abs=1e-6)


@pytest.mark.slow
def test_a_training_over_the_tuples_mixes_them_in(
    spark: Any, built: JobContext, capsys: pytest.CaptureFixture[str]
) -> None:
    def history(weight: float) -> list[dict[str, Any]]:
        objective = ObjectiveSettings(hard_negatives=HardNegativeWeight(weight=weight, warmup_share=0.5))
        train = built.config.train.model_copy(update={"objective": objective})
        context = run_job(train_model.JOB, built.config.model_copy(update={"train": train}), DAY, lambda: spark)
        run = context.outputs["model", DT].run_id
        return json.loads((context.warehouse / "model" / f"dt={DT}" / f"run={run}" / "history.json").read_text())

    without, mixed = history(0.0), history(1.0)
    assert "hard after 50% of the steps" in capsys.readouterr().out
    assert mixed[0]["retrieval"] == without[0]["retrieval"]  # the first of two epochs is the warm-up
    assert mixed[1]["retrieval"] != without[1]["retrieval"]


@pytest.mark.slow
def test_without_an_earlier_release_none_are_mined_and_the_summary_says_so(
    spark: Any, released: JobContext, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """`released.entry` is the state of the warehouse before the release; of the tuples only their number is asked for."""
    found = []
    tuples, nothing = SimpleNamespace(rows={"train": 14}), spark.range(0)
    job = Job("given", reads=("release",), writes=(), run=lambda c: found.append(mine(c, Scratch(tmp_path), tuples, nothing, 8)))
    run_job(job, released.config, DAY, lambda: spark, entry=released.entry)
    assert found[0].rows.count() == 0
    assert found[0].facts == {"release": None, "filled": 0, "empty": 42, "refused": {}}
    assert "hard negatives none, no earlier day has a release" in capsys.readouterr().out


# -- by hand ------------------------------------------------------------------------------------------------------


def test_an_item_is_refused_for_all_tuples_of_a_query_by_the_first_reason(spark: Any, tmp_path: Path) -> None:
    found = spark.createDataFrame(
        [("usb", [(1, 0.5), (2, 0.4), (3, 0.3), (99, 0.2)])], "query_norm string, found array<struct<dense_id: bigint, score: float>>"
    )
    items = frame(spark, "items", [item(1, "a"), item(2, "b"), dict(item(3, "c"), available=False)])
    converted = spark.createDataFrame([("usb", 2), ("hub", 1)], "query_norm string, dense_id bigint")
    judged = judge_found(found, converted, items, Scratch(tmp_path)).collect()
    assert {r["dense_id"]: r["refused"] for r in judged} == {1: None, 2: "positive", 3: "unavailable", 99: "absent"}


def test_the_limit_is_the_lowest_positive_s_score_less_the_margin(spark: Any) -> None:
    """0.4 - 10 % of 0.4 = 0.36; below zero it lies lower still: -0.2 - 10 % of 0.2 = -0.22. Item 5 is no positive of b."""
    slots = [("a", "train", 4, True), ("a", "train", 5, True), ("b", "train", 5, False), ("b", "train", 6, True)]
    tuples = SimpleNamespace(
        slots=spark.createDataFrame(slots, "query_id string, split string, dense_id bigint, positive boolean"),
        heads=spark.createDataFrame([("a", "usb"), ("b", "usb")], "query_id string, query_norm string"),
    )
    scores = spark.createDataFrame([("usb", 4, 0.8), ("usb", 5, 0.4), ("usb", 6, -0.2)], "query_norm string, dense_id bigint, score double")
    found = {r["query_id"]: (r["limit"], sorted(r["inside"])) for r in limits_of(tuples, scores, 0.1).collect()}
    assert found == {"a": (pytest.approx(0.36), [4, 5]), "b": (pytest.approx(-0.22), [5, 6])}


def chosen_of(spark: Any, per_tuple: int, seed: int = 1) -> dict[str, list[int]]:
    """Tuple a (limit 0.5, holds 1, knows 2) and b (limit 0.9), and ten items of falling score, 7 listed on the 5th."""
    heads = [("a", "usb", "train", at(4), [2]), ("b", "usb", "train", at(6), []), ("v", "usb", "validation", at(7), [])]
    columns = "query_id string, query_norm string, split string, ts timestamp, known array<bigint>"
    limits = spark.createDataFrame([("a", 0.5, [1]), ("b", 0.9, [0])], "query_id string, limit double, inside array<bigint>")
    items = [("usb", n, 0.9 - 0.1 * n, at(5) if n == 7 else at(1), "positive" if n == 8 else None) for n in range(10)]
    judged = spark.createDataFrame(items, "query_norm string, dense_id bigint, score double, valid_from timestamp, refused string")
    rows = choose_hard(spark.createDataFrame(heads, columns), limits, judged, per_tuple, seed, first=8).collect()
    found: dict[str, list[int]] = {}
    for row in sorted(rows, key=lambda r: (r["query_id"], r["slot"])):
        found.setdefault(row["query_id"], []).append(row["dense_id"])
        assert row["slot"] == 7 + len(found[row["query_id"]])
    return found


def test_a_tuple_takes_items_below_its_limit_that_were_there_and_are_not_its_own(spark: Any) -> None:
    """Of a: scores 0.5 and more are 0 to 4, 7 was not listed, 8 is a positive. Of b: 0 stands in it and scores 0.9."""
    found = chosen_of(spark, per_tuple=10)
    assert {name: sorted(ids) for name, ids in found.items()} == {"a": [5, 6, 9], "b": [1, 2, 3, 4, 5, 6, 7, 9]}


def test_where_more_may_be_taken_the_hash_decides(spark: Any) -> None:
    whole, two, other = chosen_of(spark, per_tuple=10), chosen_of(spark, per_tuple=2), chosen_of(spark, per_tuple=10, seed=2)
    assert two == {name: ids[:2] for name, ids in whole.items()}
    assert other["b"] != whole["b"] and sorted(other["b"]) == sorted(whole["b"])


def test_a_window_without_room_is_refused() -> None:
    with pytest.raises(ValidationError, match="rank_from = 11, rank_to = 12: expected a window of at least 4 ranks"):
        HardNegativeSettings(per_tuple=4, rank_from=11, rank_to=12)

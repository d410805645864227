from __future__ import annotations

import logging
from collections import Counter
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest

import jobs.build_tuples
from jobs import build_vocabulary
from jobs.build_tuples import JOB
from jobs.runtime.config import Config
from jobs.runtime.errors import Blocked
from jobs.runtime.job import JobContext, run_job
from jobs.tuples.splits import Window
from mmse_model.grains import GrainLayout, Grains
from schemas import ITEM_STREAM, TUPLES
from tests.jobs.published import DAY, config_in, publish
from tests.jobs.tuples.shop import at, frame, item, request, shown

DT = "2026-01-08"
ITEMS = [item(n, f"usb item{n} model{n % 3}", brand="Acme", price=float(n + 1)) for n in range(20)]


def small_shop() -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Requests and impressions whose tuples can be told by heart."""
    requests, impressions = [], []

    def search(name: str, ts: Any, text: str, *items: dict[str, Any], session: str | None = None) -> None:
        requests.append(request(name, ts, text, session))
        impressions.extend(items)

    t = at(2)
    search("rich", t, "USB hub",
           *[shown("rich", n, t) for n in range(6)],
           *[shown("rich", n, t, clicked=0.1) for n in (6, 7, 8)],
           shown("rich", 9, t, clicked=0.1, ordered=0.2))
    t = at(6, 23)
    search("late-order", t, "usb hub", shown("late-order", 10, t, clicked=0.5, ordered=2))
    search("late-click", t, "usb hub", shown("late-click", 10, t, clicked=2))
    t = at(3)
    search("orphan", t, "usb", shown("orphan", 99, t, clicked=0.1))
    search("future", t, "usb", shown("future", 11, t, clicked=0.1), shown("future", 12, t, clicked=0.2))
    search("nothing", t, "only seen", shown("nothing", 0, t))
    t = at(7, 1)
    search("night-b", t, "usb night", shown("night-b", 3, t, clicked=0.1), session="night")
    search("night-a", at(6, 22), "usb night", shown("night-a", 2, at(6, 22), clicked=0.1), session="night")
    search("valid", t, "USB  Hub", shown("valid", 4, t, clicked=0.1, ordered=30.0))
    t = at(8, 9)
    search("test", t, "never before", shown("test", 5, t, clicked=0.1, ordered=1.0))
    for n in range(30):
        t = at(1 + n % 5, n % 24)
        search(f"head{n}", t, "head query", shown(f"head{n}", n % 20, t, clicked=0.1))
    return requests, impressions


def publish_shop(spark: Any, config: Config) -> None:
    requests, impressions = small_shop()
    items = [dict(i, valid_from=at(5)) if i["dense_id"] == 11 else i for i in ITEMS]
    items[13]["available"] = False

    def write(context: JobContext) -> None:
        context.write("items", frame(spark, "items", items))
        context.write("requests", frame(spark, "requests", requests[::2]), "2026-01-07")
        context.write("requests", frame(spark, "requests", requests[1::2]))
        metrics = {"unclicked_not_examined": 0.0, "unclicked_of_refined": 0.0}
        context.write("impressions", frame(spark, "impressions", impressions), metrics=metrics)

    publish(spark, config, ("items", "requests", "impressions"), write)
    run_job(build_vocabulary.JOB, config, DAY, lambda: spark)


def shop_config(folder: Path) -> Config:
    return config_in(
        folder,
        tuples={"max_per_query": 10, "known_positives": 3, "row_group_rows": 6},
        item_stream={"entries": 200},
        grains={"word": {"min_count": 1}},
        audit={"bounds": {"requests.hours_covered.warning": {}, "impressions.ordered.warning": {}}},
    )


@pytest.fixture(scope="module")
def built(spark: Any, tmp_path_factory: pytest.TempPathFactory) -> JobContext:
    config = shop_config(tmp_path_factory.mktemp("shop"))
    publish_shop(spark, config)
    return run_job(JOB, config, DAY, lambda: spark)


def folder_of(context: JobContext, dataset: str) -> Path:
    return context.warehouse / dataset / f"dt={DT}" / f"run={context.run_id}"


def rows_of(context: JobContext) -> dict[str, dict[str, Any]]:
    """Tuples by query id, packed columns unpacked."""
    manifest = context.outputs["tuples", DT]
    found = {}
    for file in manifest.files:
        for row in pq.read_table(folder_of(context, "tuples") / file.path, partitioning=None).to_pylist():
            for name, dtype in TUPLES.packed.items():
                row[name] = np.frombuffer(row[name], dtype)
            found[row["query_id"]] = row
    return found


def filled(row: dict[str, Any]) -> dict[str, list[int]]:
    """Stage -> dense ids in its slots."""
    ids = row["dense_ids"].tolist()
    slots = {"unclicked": ids[:4], "clicked": ids[4:6], "ordered": ids[6:]}
    return {stage: sorted(i for i in found if i >= 0) for stage, found in slots.items()}


def test_each_item_stands_in_the_slot_of_its_furthest_stage_and_hash_decides_who_fits(built: JobContext) -> None:
    slots = filled(rows_of(built)["rich"])
    assert len(slots["unclicked"]) == 4
    assert set(slots["unclicked"]) < {0, 1, 2, 3, 4, 5}
    assert len(slots["clicked"]) == 2
    assert set(slots["clicked"]) < {6, 7, 8}
    assert slots["ordered"] == [9]


def test_training_labels_are_as_of_the_cut(built: JobContext) -> None:
    rows = rows_of(built)
    # searched at 23:00 on the 6th; clicked at 23:30, ordered at 01:00 on the 7th, after the cut
    assert filled(rows["late-order"]) == {"unclicked": [], "clicked": [10], "ordered": []}
    assert "late-click" not in rows  # clicked only after the cut: no positive yet
    # validation knows what happened until the test begins (30 hours later is too late), the test knows everything
    assert filled(rows["valid"]) == {"unclicked": [], "clicked": [4], "ordered": []}
    assert filled(rows["test"]) == {"unclicked": [], "clicked": [], "ordered": [5]}


def test_no_training_row_rests_on_an_event_after_the_cut(built: JobContext) -> None:
    rows = rows_of(built).values()
    cut = min(r["ts"] for r in rows if r["split"] == "validation")
    assert max(r["last_event_ts"] for r in rows if r["split"] == "train") < cut
    assert built.outputs["tuples", DT].metrics["train_events_after_cut"] == 0


def test_items_unknown_or_listed_later_are_left_out_and_counted(built: JobContext) -> None:
    rows = rows_of(built)
    assert "orphan" not in rows
    assert filled(rows["future"])["clicked"] == [12]
    assert "nothing" not in rows
    losses = built.outputs["tuples", DT].facts["lost_items"]
    assert losses["unknown_item"] == 1
    assert losses["future_item"] == 2  # of "future" and of "head11"
    assert losses["no_room"] == 3  # of "rich": 2 of 6 unclicked, 1 of 3 clicked


def test_a_session_over_the_cut_stays_on_the_side_where_it_began(built: JobContext) -> None:
    rows = rows_of(built)
    assert rows["night-a"]["split"] == "train"
    assert "night-b" not in rows
    assert built.outputs["tuples", DT].facts["lost_requests"] == {"session": 1}
    assert built.outputs["tuples", DT].metrics["sessions_on_both_sides"] == 0


def test_a_frequent_query_is_capped_in_training(built: JobContext) -> None:
    heads = [r for r in rows_of(built).values() if r["query_norm"] == "head query"]
    facts = built.outputs["tuples", DT].facts
    assert len(heads) == 10
    assert facts["capped"]["train"] == 19
    assert facts["rows"] == {"train": 14, "validation": 1, "test": 1}


def test_seen_queries_and_known_positives_come_from_training(built: JobContext) -> None:
    rows = rows_of(built)
    assert rows["valid"]["query_seen"]
    assert not rows["test"]["query_seen"]
    # "usb hub" was positive for 6, 7, 8, 9 and 10, each once: the smallest three dense ids
    assert rows["valid"]["known_positives"].tolist() == [6, 7, 8]
    assert rows["test"]["known_positives"].tolist() == [-1, -1, -1]


def test_shares_add_up_over_the_positives_of_training(built: JobContext) -> None:
    train = [r for r in rows_of(built).values() if r["split"] == "train"]
    counts = Counter(i for r in train for i in r["dense_ids"][4:].tolist() if i >= 0)
    total = sum(counts.values())
    assert built.outputs["tuples", DT].facts["positives"] == total
    for row in train:
        for dense_id, (share, _) in zip(row["dense_ids"].tolist(), row["shares"].reshape(8, 2)):
            assert share == pytest.approx(counts.get(dense_id, 0) / total)


def test_ids_are_those_of_the_published_vocabulary(built: JobContext) -> None:
    facts = built.outputs["tuples", DT].facts
    grains = grains_of(built)
    assert GrainLayout.from_json(facts["grains"]) == grains.layout
    row = rows_of(built)["valid"]
    assert row["query"].tolist() == grains.query_ids(["usb hub"])[0].tolist()
    items = row["items"].reshape(facts["shapes"]["S"], facts["shapes"]["I"])
    slot = row["dense_ids"].tolist().index(4)
    of_item = grains.item_ids(["usb item4 model1"], ["Acme"], [None], [None], [5.0])[0]
    assert items[slot].tolist() == of_item.tolist()
    assert not items[row["dense_ids"] < 0].any()


def grains_of(built: JobContext) -> Grains:
    folder = built.folder("vocabulary")
    table = pq.read_table(next(folder.glob("*.parquet")), partitioning=None).to_pylist()
    tokens: dict[str, list[str]] = {}
    for row in sorted(table, key=lambda r: r["rank"]):
        tokens.setdefault(row["grain"], []).append(row["token"])
    return Grains.build(tokens, built.config.grains)


def test_files_are_full_row_groups_in_hash_order(built: JobContext) -> None:
    files = built.outputs["tuples", DT].files
    assert Counter(Path(f.path).parent.name for f in files) == {"part=train": 3, "part=validation": 1, "part=test": 1}
    assert sorted(f.rows for f in files if "train" in f.path) == [2, 6, 6]
    for dataset, declared in (("tuples", TUPLES), ("item_stream", ITEM_STREAM)):
        for file in built.outputs[dataset, DT].files:
            parquet = pq.ParquetFile(folder_of(built, dataset) / file.path)
            assert parquet.metadata.num_row_groups == 1
            assert parquet.schema_arrow.names == declared.column_names
            encodings = {c.path_in_schema: c.encodings for c in columns_of(parquet.metadata.row_group(0))}
            assert not any("DICTIONARY" in e for name in declared.packed for e in encodings[name])


def columns_of(group: Any) -> list[Any]:
    return [group.column(n) for n in range(group.num_columns)]


def test_the_stream_holds_available_items_as_often_as_proposed(built: JobContext) -> None:
    files = [folder_of(built, "item_stream") / f.path for f in built.outputs["item_stream", DT].files]
    rows = [r for f in files for r in pq.read_table(f).to_pylist()]
    drawn = Counter(r["dense_id"] for r in rows)
    assert 13 not in drawn
    assert {r["dense_id"]: r["probability"] for r in rows if r["dense_id"] in drawn}
    for row in rows:
        assert abs(drawn[row["dense_id"]] - 200 * row["probability"]) < 1 + 1e-4
    assert sum(r["probability"] for r in rows if r["copy"] == 0) == pytest.approx(1.0, abs=1e-5)
    grains = grains_of(built)
    words = {dense_id: set(f"usb item{dense_id} model{dense_id % 3}".split()) for dense_id in drawn}
    word_ids = {w: int(grains.query_ids([w])[0, 0]) for ws in words.values() for w in ws}
    for row in rows:
        used = set(np.frombuffer(row["title_query"], "<i4")[grains.layout.query["word"]].tolist()) - {0}
        assert used
        assert used <= {word_ids[w] for w in words[row["dense_id"]]}


def test_the_same_rows_come_out_of_any_layout_and_session(spark: Any, built: JobContext) -> None:
    settings = {"spark.sql.shuffle.partitions": "7", "spark.sql.adaptive.enabled": "false",
                "spark.sql.session.timeZone": "Asia/Kathmandu", "spark.sql.autoBroadcastJoinThreshold": "-1"}
    before = {key: spark.conf.get(key) for key in settings}
    try:
        for key, value in settings.items():
            spark.conf.set(key, value)
        again = run_job(JOB, built.config, DAY, lambda: spark)
    finally:
        for key, value in before.items():
            spark.conf.set(key, value)
    for dataset in ("tuples", "item_stream"):
        assert again.outputs[dataset, DT].content_hash == built.outputs[dataset, DT].content_hash
        assert again.outputs[dataset, DT].facts == built.outputs[dataset, DT].facts
    assert not list((built.warehouse / "tuples").glob("_staging*"))


def leak_a_session(requests: Any, window: Window) -> Any:
    from pyspark.sql import functions as F

    return requests.withColumn("split", window.split(F.col("ts")))


def test_leaks_over_the_cut_block_the_job_by_name(
    spark: Any, built: JobContext, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """A session on both sides, and training labels from after the cut: both are found on the written rows."""
    monkeypatch.setattr(jobs.build_tuples, "assign_splits", leak_a_session)
    monkeypatch.setattr(Window, "labels_as_of", lambda self: dict.fromkeys(("train", "validation", "test")))
    first = r"train_events_after_cut is 2, expected at most 0; 1 more critical check failed"
    with pytest.raises(Blocked, match=first), caplog.at_level(logging.INFO, "mmse"):
        run_job(JOB, built.config, DAY, lambda: spark)
    named = {r.fields["rule"]: r.fields for r in caplog.records if r.message == "a split is broken"}
    assert named["sessions_on_both_sides"]["sessions"] == ["night"]
    assert named["train_events_after_cut"]["query_ids"] == ["late-click", "late-order"]


def test_a_window_without_training_days_is_refused(tmp_path: Path) -> None:
    from jobs.runtime.errors import ConfigError

    config = config_in(tmp_path, train={"window_days": 3}, tuples={"validation_days": 2})
    with pytest.raises(ConfigError, match="tuples.validation_days \\+ tuples.test_days = 3; expected fewer than"):
        Window.of(config, DAY)


def test_a_gap_moves_the_end_of_training_and_not_the_start_of_validation(tmp_path: Path) -> None:
    window = Window.of(config_in(tmp_path, tuples={"gap_minutes": 90}), DAY)
    assert window.cut == at(6, 22.5)
    assert window.validation == at(7, 0)
    assert window.test == at(8, 0)
    assert window.end - window.start == timedelta(days=28)

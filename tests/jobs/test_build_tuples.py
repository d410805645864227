from __future__ import annotations

from collections import Counter
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest

from jobs.build_tuples import JOB
from jobs.runtime.job import JobContext, run_job
from jobs.tuples.splits import Window
from mmse_model.grains import GrainLayout, Grains
from schemas import ITEM_STREAM, TUPLES
from tests.jobs.published import DAY, config_in
from tests.jobs.tuples.shop import at
from tests.jobs.tuples.small_shop import DT, OWN, filled, folder_of, publish_shop, rows_of, shop_config


@pytest.fixture(scope="module")
def built(spark: Any, tmp_path_factory: pytest.TempPathFactory) -> JobContext:
    config = shop_config(tmp_path_factory.mktemp("shop"), own_negatives=OWN)
    publish_shop(spark, config)
    return run_job(JOB, config, DAY, lambda: spark)


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


def test_the_manifest_says_how_positives_are_spread_over_items(built: JobContext) -> None:
    counts = Counter(i for r in rows_of(built).values() if r["split"] == "train" for i in r["dense_ids"][4:].tolist() if i >= 0)
    spread = built.outputs["tuples", DT].facts["in_batch"]
    total = counts.total()
    assert (spread["items"], spread["positives"]) == (len(counts), total)
    assert spread["collision"] == pytest.approx(sum((n / total) ** 2 for n in counts.values()))
    assert spread["top"] == [[i, n] for i, n in sorted(counts.items(), key=lambda x: (-x[1], x[0]))][:20]


def test_an_item_is_seen_where_it_stands_in_any_training_tuple(built: JobContext) -> None:
    rows = rows_of(built).values()
    seen = {i for r in rows if r["split"] == "train" for i in r["dense_ids"].tolist() if i >= 0}
    flags = {(i, bool(f)) for r in rows for i, f in zip(r["dense_ids"].tolist(), r["item_seen"].tolist())}
    assert flags == {(i, i in seen) for i, _ in flags}


def test_own_negatives_are_usable_items_that_the_query_never_led_to_a_click_on(built: JobContext) -> None:
    rows = rows_of(built)
    wanted = {"usb hub": {6, 7, 8, 9, 10}, "head query": set(range(20)) - {11}, "usb": {12}, "usb night": {2}}
    for row in rows.values():
        own, slots = set(row["negative_ids"].tolist()) - {-1}, set(row["dense_ids"].tolist())
        if row["split"] != "train":
            assert not own
        assert not own & (wanted.get(row["query_norm"], set()) | slots | {13})
        assert 11 not in own or row["ts"] >= at(5)
    assert len(rows["rich"]["negative_ids"]) == 4
    # "head query" led to a click on 19 of 20 items: with eight draws most of its slots stay empty
    facts = built.outputs["tuples", DT].facts["own_negatives"]
    found = [i for r in rows.values() for i in r["negative_ids"].tolist() if r["split"] == "train"]
    assert (facts["filled"], facts["empty"]) == (sum(i >= 0 for i in found), sum(i < 0 for i in found))
    assert facts["redrawn"]["positive"] > 100
    assert set(facts["redrawn"]) <= {"positive", "unavailable", "future_item", "in_tuple", "absent"}


def test_own_negatives_of_the_category_are_of_the_furthest_items_category(built: JobContext) -> None:
    own = [i for i in rows_of(built)["rich"]["negative_ids"][2:].tolist() if i >= 0]
    assert own
    assert all(i % 2 == 9 % 2 for i in own)  # "rich" led to an order of item 9, of category "Cables > 1"


def test_own_negatives_are_spelled_like_every_item(built: JobContext) -> None:
    row, shapes = rows_of(built)["rich"], built.outputs["tuples", DT].facts["shapes"]
    for dense_id, ids in zip(row["negative_ids"].tolist(), row["negatives"].reshape(shapes["N"], shapes["I"])):
        text = [f"usb item{dense_id} model{dense_id % 3}"], ["Acme"], [f"Cables > {dense_id % 2}"], [None], [dense_id + 1.0]
        expected = grains_of(built).item_ids(*text)[0] if dense_id >= 0 else np.zeros(shapes["I"])
        assert ids.tolist() == expected.tolist()


def test_ids_are_those_of_the_published_vocabulary(built: JobContext) -> None:
    facts = built.outputs["tuples", DT].facts
    grains = grains_of(built)
    assert GrainLayout.from_json(facts["grains"]) == grains.layout
    row = rows_of(built)["valid"]
    assert row["query"].tolist() == grains.query_ids(["usb hub"])[0].tolist()
    items = row["items"].reshape(facts["shapes"]["S"], facts["shapes"]["I"])
    slot = row["dense_ids"].tolist().index(4)
    of_item = grains.item_ids(["usb item4 model1"], ["Acme"], ["Cables > 0"], [None], [5.0])[0]
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

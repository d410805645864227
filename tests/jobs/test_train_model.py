from __future__ import annotations

import json
import shutil
from datetime import date, datetime, timezone
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from jobs.runtime.errors import Blocked, InputError
from jobs.runtime.job import JobContext, run_job
from jobs.train_model import JOB, split_files
from mmse_model.encoder import Encoder
from mmse_model.grains import Grains
from mmse_model.trainer import Trainer
from schemas import ITEM_STREAM, TUPLES, VOCABULARY
from tests.jobs.published import DAY, config_in, publish

KINDS = ("cable", "charger", "mouse", "phone", "screen")
COLOURS = ("red", "blue", "green", "black")
TITLES = [f"{colour} {kind}" for kind in KINDS for colour in COLOURS]
TEXT = {"vocabulary": 100, "min_count": 1, "bins": 8, "query_length": 4, "item_length": 6}
SECTIONS: dict[str, Any] = {
    "grains": {"word": TEXT, "bigram": TEXT, "trigram": TEXT, "attribute": {"bins": 4, "item_length": 4}},
    "model": {"dimension": 16, "token_dimension": 8, "hidden": 4},
    "train": {
        "epochs": 3, "batch_size": 16, "stream_items": 16, "threads": 1, "warmup_steps": 2, "learning_rate": 0.02,
        "validation_k": 3,
    },
}


def pack(array: Any, dtype: str) -> bytes:
    return np.asarray(array, dtype).tobytes()


def tuple_rows(grains: Grains, config: Any) -> pd.DataFrame:
    """A query of a kind and a colour: that item is ordered, one of the kind is clicked, the next kind's is not."""
    slots = [s.name for s in config.stages if s.source == "impression" for _ in range(s.per_tuple)]
    items = grains.item_ids(TITLES, *([None] * len(TITLES) for _ in range(4)))
    rows = []
    for n in range(96):
        wanted = n * 7 % 20
        chosen = {"ordered": wanted, "clicked": wanted - wanted % 4 + (n + 1) % 4, "unclicked": (wanted + 4) % 20}
        dense = np.full(len(slots), -1)
        for stage, item in chosen.items():
            if item not in dense:
                dense[slots.index(stage)] = item
        rows.append({
            "query_id": f"q{n:03}", "ts": datetime(2026, 1, 1, tzinfo=timezone.utc), "query_norm": TITLES[wanted],
            "split": "train" if n < 64 else "validation", "query": pack(grains.query_ids([TITLES[wanted]]), "<i4"),
            "dense_ids": pack(dense, "<i8"), "items": pack(np.where(dense[:, None] < 0, 0, items[dense]), "<i4"),
            "shares": pack(np.full((len(slots), 2), 1 / 20), "<f4"), "known_positives": pack(np.full(16, -1), "<i8"),
            "last_event_ts": datetime(2026, 1, 2, tzinfo=timezone.utc), "query_seen": n >= 20, "held_out": False,
            "item_seen": pack(dense >= 0, "<u1"), "negative_ids": b"", "negatives": b"",
        })
    return pd.DataFrame(rows)


def stream_rows(grains: Grains) -> pd.DataFrame:
    items = grains.item_ids(TITLES, *([None] * len(TITLES) for _ in range(4)))
    titles = grains.query_ids(TITLES)
    return pd.DataFrame([
        {"dense_id": n % 20, "copy": n // 20, "item": pack(items[n % 20], "<i4"),
         "title_query": pack(titles[n % 20], "<i4"), "share": 0.05, "probability": 0.05}
        for n in range(100)
    ])


def guards() -> list[str]:
    """Figures of the audit that are not taken from the rows alone."""
    return [c.metric for c in TUPLES.checks if not c.metric.endswith("_rows")]


def publish_inputs(spark: Any, config: Any, shapes: dict[str, int] | None = None) -> None:
    """Vocabulary, tuples and item stream of a shop with twenty items."""
    words = [*KINDS, *COLOURS]
    grains = Grains.build({"word": words}, config.grains)
    slots = sum(s.per_tuple for s in config.stages if s.source == "impression")
    found = shapes or {"Q": grains.layout.query_length, "S": slots, "I": grains.layout.item_length, "P": 16}

    def write(context: JobContext) -> None:
        vocabulary = pd.DataFrame({"grain": "word", "token": words, "rank": range(len(words)), "count": 9})
        context.write("vocabulary", spark.createDataFrame(vocabulary, VOCABULARY.spark_schema()))
        tuples = spark.createDataFrame(tuple_rows(grains, config)[TUPLES.column_names], TUPLES.spark_schema())
        good = {name: 0.0 for name in guards()}
        facts = {"shapes": found, "positives": 128}
        context.write("tuples", tuples.coalesce(1), facts=facts, metrics=good, split_by="split")
        stream = spark.createDataFrame(stream_rows(grains), ITEM_STREAM.spark_schema())
        context.write("item_stream", stream.coalesce(1), metrics={"draws_beside_proposal": 1.0})

    publish(spark, config, ("vocabulary", "tuples", "item_stream"), write)


def train(spark: Any, config: Any, day: date = DAY) -> JobContext:
    return run_job(JOB, config, day, lambda: spark)


@pytest.fixture(scope="module")
def shop(spark: Any, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """A configuration whose warehouse holds the inputs and one trained model."""
    config = config_in(tmp_path_factory.mktemp("shop"), **SECTIONS)
    publish_inputs(spark, config)
    train(spark, config)
    return config


def model_folder(config: Any, context: JobContext) -> Path:
    return Path(config.paths.warehouse).absolute() / "model" / f"dt={context.dt}" / f"run={context.run_id}"


def test_a_trained_model_finds_what_was_ordered(spark: Any, shop: Any) -> None:
    context = train(spark, shop)
    encoder = Encoder.open(model_folder(shop, context))
    items = encoder.encode_items(TITLES, *([None] * len(TITLES) for _ in range(4)))
    best = (encoder.encode_queries(TITLES) @ items.T).argmax(1)
    assert (best == np.arange(20)).mean() > 0.9
    metrics = context.outputs["model", context.dt].metrics
    assert metrics["parameters_not_finite"] == 0 and metrics["validation_recall"] > 0.9 and metrics["last_loss"] > 0


def test_a_second_run_gives_the_same_content_hash(spark: Any, shop: Any) -> None:
    first, second = train(spark, shop), train(spark, shop)
    hashes = {c.outputs["model", c.dt].content_hash for c in (first, second)}
    assert len(hashes) == 1
    histories = [json.loads((model_folder(shop, c) / "history.json").read_text()) for c in (first, second)]
    assert [r["loss"] for r in histories[0]] == [r["loss"] for r in histories[1]]


def test_an_interrupted_run_goes_on_and_publishes_what_an_undisturbed_one_does(
    spark: Any, shop: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    undisturbed = train(spark, shop).outputs["model", "2026-01-08"].content_hash
    epoch, trained = Trainer._epoch, []

    def broken(self: Trainer, number: int) -> Any:
        if number == 2:
            raise KeyboardInterrupt
        trained.append(number)
        return epoch(self, number)

    monkeypatch.setattr(Trainer, "_epoch", broken)
    with pytest.raises(KeyboardInterrupt):
        train(spark, shop)
    work = Path(shop.paths.warehouse) / "_work" / "train_model"
    assert len(list(work.glob("*/step-*.safetensors"))) == 2
    monkeypatch.setattr(Trainer, "_epoch", lambda self, number: (trained.append(number), epoch(self, number))[1])
    context = train(spark, shop)
    assert trained == [0, 1, 2]
    assert context.outputs["model", context.dt].content_hash == undisturbed
    assert not list(work.iterdir())


def test_a_recent_model_is_published_again_and_an_old_one_is_not(spark: Any, shop: Any) -> None:
    first = train(spark, shop)
    next_day = train(spark, shop, date(2026, 1, 9))
    assert next_day.outputs["model", "2026-01-09"].content_hash == first.outputs["model", "2026-01-08"].content_hash
    assert next_day.outputs["model", "2026-01-09"].facts["trained"] == "2026-01-08"
    assert next_day.notes == {"trained": "2026-01-08"}
    with pytest.raises(InputError, match="vocabulary dt=2026-01-15: not published"):  # would train: a week has passed
        train(spark, shop, date(2026, 1, 15))


def test_another_number_of_reading_threads_changes_no_model_and_trains_none_anew(spark: Any, shop: Any) -> None:
    first = train(spark, shop)
    faster = shop.model_copy(update={"train": shop.train.model_copy(update={"loader_workers": 3})})
    assert faster.hash() == shop.hash()
    next_day = train(spark, faster, date(2026, 1, 9))
    assert next_day.outputs["model", "2026-01-09"].content_hash == first.outputs["model", "2026-01-08"].content_hash
    anew = train(spark, faster)  # the model of the day itself is always trained
    assert anew.outputs["model", "2026-01-08"].content_hash == first.outputs["model", "2026-01-08"].content_hash


def test_a_model_of_other_settings_is_not_published_again(spark: Any, shop: Any) -> None:
    changed = shop.model_copy(update={"train": shop.train.model_copy(update={"learning_rate": 0.01})})
    with pytest.raises(InputError, match="vocabulary dt=2026-01-09: not published"):
        train(spark, changed, date(2026, 1, 9))
    other_tuples = shop.model_copy(update={"tuples": shop.tuples.model_copy(update={"held_out_share": 0.1})})
    with pytest.raises(InputError, match="vocabulary dt=2026-01-09: not published"):
        train(spark, other_tuples, date(2026, 1, 9))
    daily = shop.model_copy(update={"train": shop.train.model_copy(update={"every_days": 1})})
    with pytest.raises(InputError, match="vocabulary dt=2026-01-09: not published"):
        train(spark, daily, date(2026, 1, 9))


def test_event_files_stay_with_the_reports_unless_they_are_not_wanted(spark: Any, shop: Any) -> None:
    events = Path(shop.paths.reports) / "dt=2026-01-08" / "train_model" / "events"
    shutil.rmtree(events, ignore_errors=True)
    settings = shop.train.model_copy(update={"event_files": False})
    first = train(spark, shop.model_copy(update={"train": settings}))
    assert not events.exists()
    again = train(spark, shop)
    assert [path.name[:19] for path in events.glob("*/*")] == ["events.out.tfevents"]
    assert again.outputs["model", again.dt].content_hash == first.outputs["model", first.dt].content_hash


def test_tuples_of_another_shape_are_refused(spark: Any, tmp_path: Path) -> None:
    config = config_in(tmp_path, **SECTIONS)
    publish_inputs(spark, config, {"Q": 3, "S": 8, "I": 5, "P": 16})
    with pytest.raises(InputError, match="shapes = .*; the configuration's grains have Q = 12, I = 22"):
        train(spark, config)


def test_tuples_with_other_stages_in_their_slots_are_refused(spark: Any, shop: Any) -> None:
    """Eight slots before and after: the third click would be read as an order."""
    clicked, ordered = (shop.stages[n].model_copy(update={"per_tuple": size}) for n, size in ((2, 3), (3, 1)))
    changed = shop.model_copy(update={"stages": (*shop.stages[:2], clicked, ordered)})
    sentence = r"slots = .*\('clicked', 2\), \('ordered', 2\)\]; the configuration's stages have .*\('clicked', 3\), \('ordered', 1\)\]"
    with pytest.raises(InputError, match=sentence):
        train(spark, changed)


def test_a_file_that_is_not_what_its_manifest_says_is_named(spark: Any, tmp_path: Path) -> None:
    config = config_in(tmp_path, **SECTIONS)
    publish_inputs(spark, config)
    (path,) = (tmp_path / "warehouse" / "tuples").rglob("part=train/*.parquet")
    body = bytearray(path.read_bytes())
    body[200] ^= 1
    path.write_bytes(bytes(body))
    with pytest.raises(InputError, match=f"{path.name}: .* expected"):
        train(spark, config)


def test_a_loss_that_diverges_blocks_the_run(spark: Any, shop: Any) -> None:
    wild = shop.model_copy(update={"train": shop.train.model_copy(update={"learning_rate": 1e30, "every_days": 1})})
    with pytest.raises(Blocked, match="expected a finite number, lower train.learning_rate"):
        train(spark, wild)


def test_the_hidden_truth_is_out_of_reach() -> None:
    assert set(JOB.reads) == {"tuples", "item_stream", "vocabulary", "model"}


def test_files_are_told_apart_by_their_split() -> None:
    paths = [Path("part=train/a.parquet"), Path("part=validation/b.parquet"), Path("part=train/c.parquet")]
    assert split_files(paths) == {"train": [paths[0], paths[2]], "validation": [paths[1]]}


@pytest.mark.slow
def test_two_processes_publish_a_model_too(spark: Any, shop: Any) -> None:
    settings = shop.train.model_copy(update={"processes": 2, "every_days": 1, "batch_size": 8, "stream_items": 8})
    context = train(spark, shop.model_copy(update={"train": settings}))
    assert context.outputs["model", context.dt].metrics["validation_recall"] > 0.9

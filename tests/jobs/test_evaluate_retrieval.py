"""The whole evaluation over a shop of sixty items, with an untrained model and a real index."""

from __future__ import annotations

import hashlib
import shutil
from datetime import datetime, timedelta, timezone
from itertools import product
from pathlib import Path
from typing import Any

import pytest
import torch

from jobs import build_index, embed_items, evaluate_retrieval
from jobs.evaluation.printed import printed
from jobs.runtime.config import Config
from jobs.runtime.errors import Blocked, InputError
from jobs.runtime.job import Job, JobContext, run_job
from jobs.tuples.held_out import with_held_out
from mmse_model.config import GrainsSettings, ModelSettings
from mmse_model.encoder import save_model
from mmse_model.grains import Grains
from mmse_model.towers import TwoTower
from schemas import DATASETS, IMPRESSIONS, ITEMS, JUDGMENTS, REQUESTS, TRUTH_REQUESTS, TRUTH_UTILITY
from tests.jobs.published import DAY, config_in, publish

SECTIONS = {
    "index": {"lists": 4, "probes": 4, "codec": "flat", "verify_queries": 20},
    "evaluate": {"ks": [1, 5, 20], "bootstrap": 100},
    "train": {"window_days": 4},
}
COLOURS, THINGS = ("red", "blue", "green", "white"), ("lamp", "cable", "mug")
TITLES = [f"{colour} {thing} {copy}" for colour, thing, copy in product(COLOURS, THINGS, "abcde")]
"""Items o0..o59: o0..o4 are red lamps, o5..o9 red cables, and so on."""

# (day of January, query, items clicked, items ordered); the 6th is training, the 7th validation, the 8th is judged.
LOG = [
    (6, "red lamp", [0, 1], [1]), (6, "red lamp", [1], []), (6, "blue mug", [25], [25]), (6, "anything", [40], [40]),
    (6, "anything", [40], [40]),
    (7, "white mug", [57], [57]),
    (8, "red lamp", [0, 2], [2]), (8, "red lamp", [3], [3]), (8, "white mug", [56, 58], [56]), (8, "lamp", [1], []),
    (8, "nothing bought", [], []),
]


def moment(day: int, minute: int) -> datetime:
    return datetime(2026, 1, day, 12, tzinfo=timezone.utc) + timedelta(minutes=minute)


def fill(declared: Any, **values: Any) -> tuple[Any, ...]:
    """A row of a dataset; a column that is not named is null or, where it may not be, nothing of its type."""
    unknown = set(values) - set(declared.column_names)
    assert not unknown, unknown
    nothing = {"string": "", "boolean": False, "int": 0, "bigint": 0, "double": 0.0, "array<timestamp>": []}
    return tuple(values.get(c.name, None if c.nullable else nothing.get(c.type)) for c in declared.columns)


def item_rows() -> list[tuple[Any, ...]]:
    return [
        fill(ITEMS, object_id=f"o{n}", dense_id=n, title=title, category_path="Home > Things", price=9.5,
             available=True, valid_from=moment(1, 0))
        for n, title in enumerate(TITLES)
    ]


def request_rows(day: int) -> list[tuple[Any, ...]]:
    return [
        fill(REQUESTS, query_id=f"q{n}", ts=moment(day, n), query_text=query, query_norm=query, sources=1,
             event_date=moment(day, n).date())
        for n, (when, query, _, _) in enumerate(LOG) if when == day
    ]


def impression_rows(day: int) -> list[tuple[Any, ...]]:
    return [
        fill(IMPRESSIONS, query_id=f"q{n}", object_id=f"o{item}", request_ts=moment(day, n), stage="clicked",
             position=1, examined=True, implied=False, clicked_ts=moment(day, n + 1) if item in clicked else None,
             ordered_ts=moment(day, n + 2) if item in ordered else None, event_date=moment(day, n).date())
        for n, (when, _, clicked, ordered) in enumerate(LOG) if when == day for item in sorted({*clicked, *ordered})
    ]


def truth_rows() -> dict[str, list[tuple[Any, ...]]]:
    """Intent 1 of "red lamp" wants o2, then o3; intent 2 of "white mug" wants o56; "lamp" has no known intent."""
    intents = {"red lamp": 1, "white mug": 2}
    return {
        "truth_requests": [
            fill(TRUTH_REQUESTS, query_id=f"q{n}", intent_id=intents[query], query_text=query, actor="human",
                 event_date=moment(day, n).date())
            for n, (day, query, _, _) in enumerate(LOG) if day == 8 and query in intents
        ],
        "truth_utility": [
            fill(TRUTH_UTILITY, intent_id=intent, object_id=f"o{item}", relevance=1.0, click_probability=0.5,
                 order_probability=probability)
            for intent, item, probability in ((1, 2, 0.4), (1, 3, 0.3), (2, 56, 0.2), (2, 57, 0.1))
        ],
    }


def unmeasured(dataset: str) -> dict[str, float]:
    """Figures in bounds for the checks whose figures only the real job can measure."""
    declared = DATASETS[dataset]
    counted = {metric.name for metric in declared.metrics} | {"rows"}
    bounds = {c.metric: c.high if c.low is None else c.low for c in declared.checks if c.metric not in counted}
    return {metric: float(value or 0) for metric, value in bounds.items()}


def publish_rows(spark: Any, config: Config, tables: dict[tuple[str, str], list[Any]], partitions: int = 2) -> None:
    """Publishes {(dataset, dt): rows} by one job."""
    def write(context: JobContext) -> None:
        for (dataset, dt), rows in tables.items():
            frame = spark.createDataFrame(rows, DATASETS[dataset].spark_schema())
            context.write(dataset, frame.repartition(partitions), dt, metrics=unmeasured(dataset))

    publish(spark, config, tuple({dataset for dataset, _ in tables}), write)


def log_tables(*days: int) -> dict[tuple[str, str], list[Any]]:
    made = {"requests": request_rows, "impressions": impression_rows}
    return {(dataset, f"2026-01-0{day}"): rows(day) for dataset, rows in made.items() for day in days}


def publish_untrained_model(spark: Any, config: Config, seed: int = 0) -> None:
    """Towers as they are before training, when shared words already mean a high score."""
    grains = Grains.build({"word": sorted({word for title in TITLES for word in title.split()})}, GrainsSettings())
    torch.manual_seed(seed)
    towers = TwoTower(grains.layout, ModelSettings(dimension=64, grains=("word",), token_dimension=64, hidden=0))

    def write(context: JobContext) -> None:
        context.write_files(
            "model", lambda folder: save_model(folder, towers, grains, config.stages), metrics=unmeasured("model")
        )

    publish(spark, config, ("model",), write)


def copy_of(config: Config, folder: Path) -> Config:
    """The same shop in another warehouse, where a test may publish more."""
    copied = config_in(folder, **SECTIONS)
    shutil.copytree(config.paths.warehouse, copied.paths.warehouse)
    return copied


@pytest.fixture(scope="module")
def real_shop(spark: Any, tmp_path_factory: pytest.TempPathFactory) -> Config:
    """Everything evaluate_retrieval reads of a shop without hidden truth, published by jobs."""
    config = config_in(tmp_path_factory.mktemp("shop"), **SECTIONS)
    publish_rows(spark, config, {("items", "2026-01-08"): item_rows(), **log_tables(6, 7, 8)})
    publish_untrained_model(spark, config)
    for job in (embed_items.JOB, build_index.JOB):
        run_job(job, config, DAY, lambda: spark)
    return config


@pytest.fixture(scope="module")
def shop(spark: Any, real_shop: Config, tmp_path_factory: pytest.TempPathFactory) -> Config:
    """The same with the truth that a simulator would publish."""
    config = copy_of(real_shop, tmp_path_factory.mktemp("simulated"))
    publish_rows(spark, config, {(name, "2026-01-08"): rows for name, rows in truth_rows().items()})
    return config


def evaluate(spark: Any, config: Config) -> JobContext:
    return run_job(evaluate_retrieval.JOB, config, DAY, lambda: spark)


@pytest.fixture(scope="module")
def evaluated(spark: Any, shop: Config) -> JobContext:
    return evaluate(spark, shop)


@pytest.fixture(scope="module")
def facts(evaluated: JobContext) -> dict[str, Any]:
    return evaluated.outputs["evaluation", "2026-01-08"].facts


@pytest.fixture(scope="module")
def rows(spark: Any, shop: Config, evaluated: JobContext) -> list[Any]:
    found: list[Any] = []
    reader = Job("reader", ("evaluation",), (), lambda c: found.extend(c.read("evaluation").collect()))
    run_job(reader, shop, DAY, lambda: spark)
    return found


def row_key(row: dict[str, Any]) -> tuple[Any, ...]:
    return row["system"], row["search"], row["truth"], row["k"]


def recall(facts: dict[str, Any], system: str, truth: str, k: int, search: str = "exact") -> float:
    return next(r["recall"] for r in facts["table"] if row_key(r) == (system, search, truth, k))


def test_a_query_is_judged_once_by_what_all_its_requests_of_the_day_led_to(rows: list[Any]) -> None:
    relevant = {(r.truth, r.query_key): r.relevant for r in rows}
    key = {text: hashlib.sha256(text.encode()).hexdigest() for text in ("red lamp", "white mug", "lamp")}
    assert relevant == {
        ("ordered", key["red lamp"]): 2, ("clicked", key["red lamp"]): 3,
        ("ordered", key["white mug"]): 1, ("clicked", key["white mug"]): 2, ("clicked", key["lamp"]): 1,
    }
    assert {r.query_key: r.query_seen for r in rows} == {
        key["red lamp"]: True, key["white mug"]: False, key["lamp"]: False
    }


def test_a_query_that_was_kept_out_of_training_is_unseen_often_as_it_was_asked(spark: Any, shop: Config, facts: dict[str, Any]) -> None:
    asked = spark.createDataFrame([("q", "red lamp")], "query_id string, query_norm string")
    seed = next(n for n in range(50) if with_held_out(asked, 0.5, n).first()["held_out"])
    tuples = shop.tuples.model_copy(update={"held_out_share": 0.5})
    held_out = evaluate(spark, shop.model_copy(update={"tuples": tuples, "seed": seed}))
    assert facts["queries"]["seen"] == 1
    assert held_out.outputs["evaluation", "2026-01-08"].facts["queries"]["seen"] == 0


def test_every_system_answers_the_same_queries(rows: list[Any]) -> None:
    runs = {("mmse", "exact"), ("mmse", "ann"), ("bm25", "exact"), ("popularity", "exact"), ("oracle", "exact"),
            ("hybrid", "exact")}
    asked = {run: {(r.truth, r.metric, r.query_key) for r in rows if (r.system, r.search) == run} for run in runs}
    assert {(r.system, r.search) for r in rows} == runs
    assert len(set(map(frozenset, asked.values()))) == 1


def test_popularity_knows_the_training_days_only(facts: dict[str, Any]) -> None:
    # Ordered before the 7th: o40 twice, then o25 and o1 once each; none was ordered again. Clicked on the 8th: o1.
    assert recall(facts, "popularity", "ordered", 20) == 0
    # o1 has the second click, so it comes second; o0 has one click and no order, so it comes fourth.
    assert recall(facts, "popularity", "clicked", 1) == 0
    assert recall(facts, "popularity", "clicked", 5) == pytest.approx((1 / 3 + 0 + 1) / 3)


def test_the_oracle_finds_what_its_truth_ranks_first(facts: dict[str, Any]) -> None:
    assert recall(facts, "oracle", "ordered", 1) == pytest.approx((1 / 2 + 1) / 2)
    assert recall(facts, "oracle", "ordered", 5) == 1
    assert facts["oracle"] == recall(facts, "oracle", "ordered", facts["k"])


def test_lexical_systems_find_the_five_items_with_both_words(facts: dict[str, Any]) -> None:
    assert recall(facts, "bm25", "ordered", 5) == 1
    assert recall(facts, "mmse", "ordered", 5) == 1


def test_the_index_that_probes_every_list_finds_what_exact_search_finds(facts: dict[str, Any]) -> None:
    for truth, k in product(("ordered", "clicked"), (1, 5, 20)):
        assert recall(facts, "mmse", truth, k, "ann") == recall(facts, "mmse", truth, k)
    assert [row["recall"] for row in facts["ann_agreement"]] == pytest.approx([1, 1], abs=0.02)


def test_facts_say_what_the_figures_rest_on(facts: dict[str, Any]) -> None:
    assert facts["catalogue"] == 60
    assert facts["queries"] == {"ordered": 2, "clicked": 3, "judged": 3, "seen": 1}
    assert facts["days"] == {"train": ["2026-01-05", "2026-01-06"], "test": ["2026-01-08"]}
    assert facts["conversions"]["ordered"] == 3
    assert facts["left_out"] == {"before": "no earlier day has a release"}


def test_recall_is_told_apart_by_traffic_length_category_and_what_training_saw(facts: dict[str, Any]) -> None:
    ours = {(r["dimension"], r["stratum"]): r["queries"] for r in facts["strata"]
            if (r["system"], r["search"], r["truth"]) == ("mmse", "exact", "clicked")}
    # "red lamp" is seen, "white mug" and "lamp" are not; o0 and o1 were clicked in training, o2, o3, o56, o58 were not.
    assert ours["traffic", "seen"] == 1 and ours["traffic", "unseen"] == 2
    assert ours["words", "1 word"] == 1 and ours["words", "2 words"] == 2
    assert ours["query and item", "seen queries, seen items"] == 1
    assert ours["query and item", "unseen queries, seen items"] == 1
    assert ours["query and item", "unseen queries, unseen items"] == 1
    assert sum(n for (dimension, _), n in ours.items() if dimension == "category") == 3


def test_human_grades_are_a_truth_of_their_own(spark: Any, shop: Config, tmp_path: Path, facts: dict[str, Any]) -> None:
    assert "graded" not in facts
    config = copy_of(shop, tmp_path)
    # "green cable" was never searched for; o30..o34 are green lamps, o35..o39 green cables. o99 is not in the catalogue.
    grades = [("green cable", "o35", 3.0), ("green cable", "o36", 2.0), ("green cable", "o30", 1.0), ("green cable", "o99", 3.0),
              ("red lamp", "o0", 1.0), ("nothing", "o1", 0.0)]
    rows = [fill(JUDGMENTS, query_text=q, query_norm=q, object_id=o, grade=g, locale="") for q, o, g in grades]
    publish_rows(spark, config, {("judgments", "2026-01-07"): rows})
    written = evaluate(spark, config).outputs["evaluation", "2026-01-08"]
    graded = written.facts["graded"]
    assert (graded["day"], graded["queries"], graded["recall_queries"]) == ("2026-01-07", 2, 1)
    found = {(r["system"], r["search"], r["metric"]): r["mean"] for r in graded["table"]}
    assert found["mmse", "exact", "recall@20"] == found["bm25", "exact", "recall@5"] == 1
    assert 0 < found["mmse", "exact", "ndcg@10"] <= 1
    assert "human grades of 2026-01-07: 2 judged queries, 1 with a grade of 2 or more" in "\n".join(printed(written.facts))
    # the log's own figures are as without judgments
    assert written.facts["table"] == facts["table"]


def test_no_query_that_few_people_made_is_looked_at(spark: Any, shop: Config, facts: dict[str, Any]) -> None:
    assert facts["look"] == []
    told = shop.model_copy(update={"privacy": shop.privacy.model_copy(update={"k": 1})})
    seen = evaluate(spark, told).outputs["evaluation", "2026-01-08"].facts["look"]
    assert {one["query"] for one in seen} <= {"red lamp", "white mug", "lamp"}


def test_intervals_enclose_every_mean_and_differences_are_those_of_the_table(facts: dict[str, Any]) -> None:
    for row in facts["table"]:
        assert 0 <= row["low"] <= row["recall"] <= row["high"] <= 1
    for row in facts["paired"]:
        theirs = recall(facts, row["b"], row["truth"], row["k"], row["search"])
        assert row["difference"] == pytest.approx(recall(facts, "mmse", row["truth"], row["k"]) - theirs)


def test_a_person_reads_size_counts_k_and_the_rule(facts: dict[str, Any]) -> None:
    text = "\n".join(printed(facts))
    assert "60 items, 2 queries with an order, 3 with a click; 95 % intervals" in text
    assert "compared at K = 5: BM25's ordered recall is within 0.5-0.85 at no k; the nearest" in text
    assert "red lamp" not in text


def test_the_same_log_in_other_partitions_gives_the_same_rows_and_facts(
    spark: Any, shop: Config, tmp_path: Path, evaluated: JobContext
) -> None:
    config = copy_of(shop, tmp_path)
    publish_rows(spark, config, log_tables(6, 8), partitions=5)
    first, second = (c.outputs["evaluation", "2026-01-08"] for c in (evaluated, evaluate(spark, config)))
    assert first.content_hash == second.content_hash
    assert first.facts == second.facts


def test_what_cannot_take_part_is_left_out_with_a_word(
    spark: Any, real_shop: Config, facts: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    bm25 = real_shop.evaluate.bm25.model_copy(update={"max_items": 59})
    small = real_shop.model_copy(update={"evaluate": real_shop.evaluate.model_copy(update={"bm25": bm25})})
    real = evaluate(spark, small).outputs["evaluation", "2026-01-08"].facts
    assert list(real["left_out"]) == ["bm25", "before", "oracle"]
    assert (real["oracle"], real["k"], real["k_rule"]) == (None, 20, "the largest k: BM25 was left out")
    rest = [row for row in facts["table"] if row["system"] not in (*real["left_out"], "hybrid")]
    assert {row_key(r): r["recall"] for r in real["table"]} == {row_key(r): r["recall"] for r in rest}
    text = capsys.readouterr().out
    assert "oracle left out: truth_requests and truth_utility not published" in text
    assert "bm25 left out: 60 items are more than evaluate.bm25.max_items = 59" in text


def test_without_embeddings_nothing_is_evaluated(spark: Any, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="embeddings dt=2026-01-08: not published"):
        evaluate(spark, config_in(tmp_path, **SECTIONS))


def test_an_index_of_other_embeddings_is_refused(spark: Any, real_shop: Config, tmp_path: Path) -> None:
    config = copy_of(real_shop, tmp_path)
    publish_untrained_model(spark, config, seed=1)
    run_job(embed_items.JOB, config, DAY, lambda: spark)
    with pytest.raises(InputError, match="run build_index again"):
        evaluate(spark, config)


def test_a_test_day_on_which_only_vanished_items_were_wanted_is_blocked(
    spark: Any, real_shop: Config, tmp_path: Path
) -> None:
    config = copy_of(real_shop, tmp_path)
    vanished = [tuple("gone" if value == row[1] else value for value in row) for row in impression_rows(8)[:1]]
    publish_rows(spark, config, {("impressions", "2026-01-08"): vanished})
    with pytest.raises(Blocked, match="no query led to a click or an order"):
        evaluate(spark, config)

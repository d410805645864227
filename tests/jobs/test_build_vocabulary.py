from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from jobs.build_vocabulary import JOB, training_queries
from jobs.runtime.job import Job, run_job
from jobs.tuples.splits import Window
from jobs.tuples.vocabulary import count_tokens, published_grains, rank_tokens
from mmse_model.config import GrainsSettings
from tests.jobs.published import DAY, config_in, publish
from tests.jobs.tuples.shop import at, frame, item, request

EVERYTHING = {g: {"min_count": 1} for g in ("word", "bigram", "trigram", "attribute")}


def as_dict(counts: Any, grain: str) -> dict[str, int]:
    return {r["token"]: r["count"] for r in counts.where(f"grain = '{grain}'").collect()}


def test_titles_count_once_and_queries_as_often_as_they_are_weighted(spark: Any) -> None:
    hub = item(0, "USB Hub", brand="Acme", category_path="A > B", price=3.0)
    items = frame(spark, "items", [hub, item(1, "usb usb")])
    queries = spark.createDataFrame([("usb c", 5)], "text string, weight bigint")
    counts = count_tokens(items, queries, GrainsSettings())
    assert as_dict(counts, "word") == {"usb": 8, "hub": 1, "c": 5}
    assert as_dict(counts, "bigram") == {"usb hub": 1, "usb usb": 1, "usb c": 5}
    assert as_dict(counts, "trigram") == {"<us": 8, "usb": 8, "sb>": 8, "<hu": 1, "hub": 1, "ub>": 1, "<c>": 5}
    assert as_dict(counts, "attribute") == {"brand=acme": 1, "cat=a": 1, "cat=a > b": 1, "price=2": 1}


def test_only_queries_before_the_cut_are_counted(spark: Any, tmp_path: Path) -> None:
    window = Window.of(config_in(tmp_path), DAY)  # test on the 8th, validation on the 7th
    asked = [request("q1", at(6, 23.9), "Usb"), request("q2", at(7, 0), "usb"), request("q3", at(1), "hub"),
             request("q4", at(2), "HUB")]
    rows = training_queries(frame(spark, "requests", asked), window, query_weight=3).collect()
    assert {r["text"]: r["weight"] for r in rows} == {"usb": 3, "hub": 6}


def test_ties_are_broken_by_the_token_and_rare_tokens_are_left_out(spark: Any) -> None:
    counts = spark.createDataFrame(
        [("word", t, n) for t, n in {"b": 2, "a": 2, "é": 2, "c": 9, "d": 1}.items()] + [("bigram", "b a", 3)],
        "grain string, token string, count bigint",
    )
    settings = GrainsSettings.model_validate({"word": {"vocabulary": 3, "min_count": 2}, "bigram": {"min_count": 4}})
    rows = rank_tokens(counts, settings).orderBy("rank").collect()
    assert [(r["token"], r["rank"], r["count"]) for r in rows] == [("c", 0, 9), ("a", 1, 2), ("b", 2, 2)]


def test_the_order_survives_many_tokens(spark: Any) -> None:
    counts = spark.range(5_000).selectExpr("'word' as grain", "cast(id as string) as token", "id % 100 as count")
    settings = GrainsSettings.model_validate({"word": {"vocabulary": 120, "min_count": 1}})
    expected = sorted(((n % 100, str(n)) for n in range(5_000)), key=lambda x: (-x[0], x[1]))[:120]
    rows = rank_tokens(counts.repartition(7), settings).orderBy("rank").collect()
    assert [(r["count"], r["token"]) for r in rows] == expected


@pytest.fixture(scope="module")
def vocabulary(spark: Any, tmp_path_factory: pytest.TempPathFactory) -> Any:
    folder = tmp_path_factory.mktemp("shop")
    config = config_in(folder, grains=EVERYTHING)
    asked = [request(f"q{h}", at(8, h), "cable") for h in range(24)]
    arrived = [request(f"p{h}", at(d, h), "usb cable") for d in (1, 8) for h in range(24)]

    def write(context: Any) -> None:
        context.write("items", frame(spark, "items", [item(0, "usb hub", price=1.0)]))
        context.write("requests", frame(spark, "requests", arrived[:24]), "2026-01-02")
        context.write("requests", frame(spark, "requests", asked))

    publish(spark, config, ("items", "requests"), write)
    return run_job(JOB, config, DAY, lambda: spark)


def test_the_published_vocabulary_gives_the_grains_back(spark: Any, vocabulary: Any) -> None:
    facts = vocabulary.outputs["vocabulary", "2026-01-08"].facts
    assert facts["queries_before"] == "2026-01-07T00:00:00+00:00"
    assert facts["days"] == ["2026-01-02", "2026-01-08"]
    found = []
    job = Job("reader", ("vocabulary",), (), lambda c: found.append(published_grains(c)))
    run_job(job, vocabulary.config, DAY, lambda: spark)
    # 24 training requests arrived a day late; the queries of the test day are not in
    assert found[0].tokens["word"] == ("usb", "cable", "hub")
    assert found[0].tokens["bigram"] == ("usb cable", "usb hub")
    assert found[0].tokens["attribute"] == ("price=1",)


def test_a_second_run_publishes_the_same_content(spark: Any, vocabulary: Any) -> None:
    again = run_job(JOB, vocabulary.config, DAY, lambda: spark)
    hashes = [c.outputs["vocabulary", "2026-01-08"].content_hash for c in (vocabulary, again)]
    assert hashes[0] == hashes[1]

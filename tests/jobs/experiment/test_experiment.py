"""`mmse experiment` from the command line: a shop of a hundred items, two models, a truth that likes one of them."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest
import torch

from jobs import build_index, embed_items, publish_release
from jobs.cli import main
from jobs.experiment.releases import NAME, open_side
from jobs.runtime.config import Config
from jobs.runtime.errors import ConfigError, InputError
from jobs.runtime.job import run_job
from jobs.runtime.snapshots import SnapshotLog
from mmse_model.encoder import save_model
from mmse_model.grains import Grains
from mmse_model.towers import TwoTower
from schemas import EVALUATION, REQUESTS, TRUTH_REQUESTS, TRUTH_UTILITY
from tests.jobs.experiment.test_visits import fill
from tests.jobs.published import DAY, config_in, item_rows, publish, publish_items

ITEMS, USERS = 100, 150
DT = DAY.isoformat()
SECTIONS: dict[str, Any] = {
    "model": {"dimension": 16, "hidden": 0, "grains": ["word"]},
    "index": {"lists": 4, "probes": 4, "verify_queries": 20, "codec": "flat"},
    "market": {"page_size": 3, "ranker": {"pool": 24}},
    "experiment": {"candidates": 30, "looks": 5},
}
MODEL_METRICS = {"parameters_not_finite": 0.0, "validation_recall": 0.5, "last_loss": 1.0}


def publish_model(spark: Any, config: Config, seed: int) -> None:
    grains = Grains.build({"word": ["usb", "cable", *map(str, range(10))]}, config.grains)
    torch.manual_seed(seed)
    towers = TwoTower(grains.layout, config.model)
    publish(spark, config, ("model",), lambda c: c.write_files(
        "model", lambda folder: save_model(folder, towers, grains, config.stages), metrics=MODEL_METRICS) and None)


def publish_search(spark: Any, config: Config, seed: int) -> str:
    """A model of that seed, what is built from it, and a release of both; returns the release's run."""
    publish_model(spark, config, seed)
    for job in (embed_items.JOB, build_index.JOB):
        run_job(job, config, DAY, lambda: spark)
    frame = spark.createDataFrame([("mmse", "ann", "ordered", "recall@50", "q", 0.5, 1, True)], EVALUATION.spark_schema())

    def write(context: Any) -> None:
        for name in ("model", "embeddings", "index"):
            context.manifest(name)
        row = {"truth": "ordered", "system": "mmse", "search": "ann", "k": 50, "recall": 0.5, "low": 0.4, "high": 0.6}
        context.write("evaluation", frame, facts={"k": 50, "table": [row]})

    publish(spark, config, ("evaluation",), write, reads=("model", "embeddings", "index"))
    return run_job(publish_release.JOB, config, DAY, lambda: spark).run_id


def request_rows(day: int) -> tuple[list[Any], list[Any]]:
    """Requests and truth of one day: user n asks for "usb cable", intent n % 2, and every third user comes twice."""
    requests, truth = [], []
    for n in range(USERS):
        for visit in range(1 + (n % 3 == 0)):
            ts = datetime(2026, 1, day, 8, tzinfo=timezone.utc) + timedelta(minutes=n, hours=visit)
            name = f"q{day}-{n}-{visit}"
            requests.append(fill(REQUESTS.column_names, query_id=name, ts=ts, query_text="usb cable", query_norm="usb cable",
                                 client_id=f"c{n}", session_id=f"s{n}-{visit}", page=1, sources=1, event_date=ts.date()))
            truth.append(fill(TRUTH_REQUESTS.column_names, query_id=name, intent_id=n % 2, query_text="usb cable",
                              actor="human", event_date=ts.date()))
    return requests, truth


def publish_market(spark: Any, config: Config, liked: Callable[[int], bool]) -> None:
    """Requests of two days, and a truth in which people always click, and half the time buy, what is `liked`."""
    days = {f"2026-01-0{day}": request_rows(day) for day in (7, 8)}
    utility = [
        fill(TRUTH_UTILITY.column_names, intent_id=intent, object_id=f"o{item}", relevance=1.0, ranker_score=0.0,
             click_probability=1.0 if liked(item) else 0.0, order_probability=0.5 if liked(item) else 0.0)
        for intent in (0, 1) for item in range(ITEMS)
    ]

    def write(context: Any) -> None:
        for dt, (requests, _) in days.items():
            context.write("requests", spark.createDataFrame(requests, REQUESTS.spark_schema()), dt)
        truth = [row for _, rows in days.values() for row in rows]
        context.write("truth_requests", spark.createDataFrame(truth, TRUTH_REQUESTS.spark_schema()))
        context.write("truth_utility", spark.createDataFrame(utility, TRUTH_UTILITY.spark_schema()))

    publish(spark, config, ("requests", "truth_requests", "truth_utility"), write)


@pytest.fixture(scope="module")
def shop(spark: Any, tmp_path_factory: pytest.TempPathFactory) -> tuple[Config, list[str]]:
    """Two releases of one day; people like what the second retrieves."""
    config = config_in(tmp_path_factory.mktemp("experiment"), **SECTIONS)
    publish_items(spark, config, ITEMS)
    runs = [publish_search(spark, config, seed) for seed in (1, 2)]
    found = set(open_side(config, "").retrieve(["usb cable"], 30)[0].tolist())
    publish_market(spark, config, found.__contains__)
    return config, runs


@pytest.fixture(scope="module")
def command(shop: tuple[Config, list[str]]) -> list[str]:
    """`experiment --config FILE`, JSON being YAML."""
    path = Path(shop[0].paths.warehouse).parent / "shop.yaml"
    path.write_text(json.dumps(shop[0].model_dump(mode="json", include={"paths", *SECTIONS})), encoding="utf-8")
    return ["experiment", "--config", str(path)]


def test_the_release_whose_items_people_like_wins(
    shop: tuple[Config, list[str]], command: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    config, (first, second) = shop
    assert main([*command, "--a", first, "--b", DT, "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["simulation"] is True and "no real ones" in report["label"]
    assert (report["a"]["run"], report["b"]["run"]) == (first, second)
    assert report["population"]["users"] == report["population"]["all_users"] == USERS
    assert report["population"]["sessions"] == report["population"]["requests"] == USERS + USERS // 3
    assert report["metrics"]["cvr"]["fixed"]["low"] > 0 and report["metrics"]["cvr"]["expected"]["low"] > 0
    assert report["b"]["pages"]["click"] == 1.0 > report["a"]["pages"]["click"]
    saved = Path(config.paths.reports) / "experiment" / f"{DT}-{first}-{second}.json"
    assert json.loads(saved.read_text()) == report
    plot = saved.with_suffix(".svg").read_text()
    assert "SIMULATION, not real people" in plot


def test_lines_for_a_person_say_simulation_first_and_name_an_a_a_run_as_one(
    command: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*command, "--aa", "20"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("SIMULATION")
    assert any("A and B are the same release" in line for line in lines)
    assert any("B - A +0.0000 [+0.0000, +0.0000]: A" in line for line in lines)  # expected: nothing to find
    assert any("A/A, both sides A, 20 repeats" in line for line in lines)


def test_copies_add_users_and_the_same_seed_repeats_the_report(
    command: list[str], shop: tuple[Config, list[str]], capsys: pytest.CaptureFixture[str]
) -> None:
    reports = []
    for more in ([], ["--set", "experiment.copies=3"], ["--set", "experiment.copies=3"], ["--set", "seed=8"]):
        assert main([*command, "--a", shop[1][0], "--json", *more]) == 0
        reports.append(json.loads(capsys.readouterr().out))
    assert [sum(r["population"][side] for side in ("users_a", "users_b")) for r in reports] == [150, 450, 450, 150]
    assert reports[1] == reports[2]
    assert reports[0]["metrics"]["cvr"]["fixed"] != reports[3]["metrics"]["cvr"]["fixed"]
    assert reports[0]["metrics"]["cvr"]["expected"] == reports[3]["metrics"]["cvr"]["expected"]


def test_a_day_that_the_model_knows_is_called_no_test(command: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*command, "--date", "2026-01-07"]) == 0
    assert "the model of B has seen days up to 2026-01-07: 2026-01-07 is no test for it" in capsys.readouterr().out


def test_a_day_without_people_is_refused_in_one_sentence(command: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*command, "--date", "2026-01-05"]) == 2
    assert "requests of 2026-01-05: none by a person of truth_requests dt=2026-01-08" in capsys.readouterr().err


def test_a_shop_without_a_truth_is_refused_in_one_sentence(
    spark: Any, tmp_path: Path, command: list[str], capsys: pytest.CaptureFixture[str], shop: tuple[Config, list[str]]
) -> None:
    real = config_in(tmp_path, **SECTIONS)
    publish_items(spark, real, 10)
    name = f"{shop[0].paths.warehouse}:"
    assert main([*command, "--set", f"paths.warehouse={real.paths.warehouse}", "--a", name, "--b", name]) == 2
    assert "truth_requests: not published" in capsys.readouterr().err


@pytest.mark.parametrize(("name", "parts"), [
    ("", (None, "", None)),
    ("2026-01-08", (None, "2026-01-08", None)),
    ("2026-01-08@11", (None, "2026-01-08", "11")),
    ("@11", (None, "", "11")),
    ("a/b c:2026-01-08", ("a/b c", "2026-01-08", None)),
    ("a/b:", ("a/b", "", None)),
    ("C:/shop:20260108T030703-963c12@4", ("C:/shop", "20260108T030703-963c12", "4")),
])
def test_the_parts_of_a_releases_name(name: str, parts: tuple[str | None, ...]) -> None:
    parsed = NAME.fullmatch(name)
    assert parsed and (parsed["warehouse"], parsed["what"], parsed["entry"]) == parts


def test_a_release_is_found_by_day_entry_run_and_warehouse(shop: tuple[Config, list[str]]) -> None:
    config, (first, second) = shop
    log = SnapshotLog(config.paths.warehouse)
    entry = next(n for n in log.numbers() if log.entry(n).run("release", DT) == first)
    names = {"": second, DT: second, first: first, f"@{entry}": first, f"{DT}@{entry}": first}
    assert {name: open_side(config, name).run for name in names} == names
    elsewhere = config.model_copy(update={"paths": config.paths.model_copy(update={"warehouse": "nowhere"})})
    assert open_side(elsewhere, f"{config.paths.warehouse}:{first}").run == first


@pytest.mark.parametrize(("name", "error", "sentence"), [
    ("yesterday", ConfigError, r"expected \[WAREHOUSE:\]"),
    ("2026-01-05", InputError, "release dt=2026-01-05: not published"),
    ("20260108T030703-963c12", InputError, "no entry of .* names it"),
    ("@999", InputError, "no such entry"),
])
def test_a_release_that_is_none_is_refused_by_name(
    shop: tuple[Config, list[str]], name: str, error: type[Exception], sentence: str
) -> None:
    with pytest.raises(error, match=sentence):
        open_side(shop[0], name)


def test_the_retrieval_speaks_in_the_markets_numbers(shop: tuple[Config, list[str]]) -> None:
    found = open_side(shop[0], "").retrieve(["usb cable", "usb cable 3"], 200)
    available = {n for n, row in enumerate(item_rows(ITEMS)) if row[8]}
    assert {*found[0].tolist()} == available | {-1}

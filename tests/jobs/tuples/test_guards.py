"""Leaks that a test puts in: each fails the job by name, with the rows that leak in the log."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

import pytest
from pyspark.sql import functions as F

import jobs.tuples.choosing
import jobs.tuples.row_negatives
from jobs.build_tuples import JOB
from jobs.runtime.config import Config
from jobs.runtime.errors import Blocked
from jobs.runtime.job import run_job
from jobs.tuples.candidates import with_catalogue
from jobs.tuples.own_negatives import judge_draws
from jobs.tuples.packing import fill_known
from jobs.tuples.splits import Window
from mmse_model.batch import EMPTY
from tests.jobs.published import DAY
from tests.jobs.tuples.small_shop import OWN, publish_shop, shop_config

pytestmark = pytest.mark.slow
Leak = Callable[[], dict[str, Any]]


@pytest.fixture(scope="module")
def shop(spark: Any, tmp_path_factory: pytest.TempPathFactory) -> Config:
    config = shop_config(tmp_path_factory.mktemp("shop"), own_negatives=OWN)
    publish_shop(spark, config)
    return config


@pytest.fixture()
def leaks(spark: Any, shop: Config, caplog: pytest.LogCaptureFixture) -> Callable[..., dict[str, list[Any]]]:
    """Runs the job, which must be blocked with this sentence; returns the rows that were named, by rule."""
    def run(sentence: str, config: Config | None = None) -> dict[str, list[Any]]:
        with pytest.raises(Blocked, match=sentence), caplog.at_level(logging.INFO, "mmse"):
            run_job(JOB, config or shop, DAY, lambda: spark)
        return {r.fields["rule"]: r.fields["rows"] for r in caplog.records if r.message == "a tuple may not be used"}

    return run


def by_time_alone(requests: Any, window: Window) -> Any:
    """Splits that know neither sessions nor what is held out."""
    return requests.withColumns({"split": window.split(F.col("ts")), "loss": F.lit(None).cast("string")})


def test_a_session_on_both_sides_and_an_event_from_the_future(leaks: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(jobs.tuples.choosing, "assign_splits", by_time_alone)
    monkeypatch.setattr(Window, "labels_as_of", lambda self: dict.fromkeys(("train", "validation", "test")))
    named = leaks("train_events_after_cut is 2, expected at most 0; 1 more critical check failed")
    assert named["sessions_on_both_sides"] == [{"session": "night"}]
    assert named["train_events_after_cut"] == [{"query_id": "late-click"}, {"query_id": "late-order"}]


def test_an_item_from_the_future(leaks: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def whenever(staged: Any, listed: Any) -> Any:
        lost = F.when(F.col("loss") != "future_item", F.col("loss"))
        return with_catalogue(staged, listed).withColumn("loss", lost)

    monkeypatch.setattr(jobs.tuples.choosing, "with_catalogue", whenever)
    named = leaks("items_from_the_future is [12], expected at most 0$")
    assert {"query_id": "future", "dense_id": 11} in named["items_from_the_future"]


def test_a_positive_among_a_rows_own_negatives(leaks: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def whatever(drawn: Any, converted: Any, slots: Any) -> Any:
        return judge_draws(drawn, converted.where("false"), slots)

    monkeypatch.setattr(jobs.tuples.row_negatives, "judge_draws", whatever)
    named = leaks(r"positives_among_own_negatives is \d+, expected at most 0$")
    assert len(named["positives_among_own_negatives"]) == 3


def test_a_positive_that_its_query_does_not_know(leaks: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """The item stream holds every item of the small shop: a positive that is not known would be a random negative."""
    import jobs.tuples.packing

    def forgetful(known: Any, most: int) -> Any:
        ids = fill_known(known, most)
        ids[:, 0] = EMPTY
        return ids

    monkeypatch.setattr(jobs.tuples.packing, "fill_known", forgetful)
    named = leaks(r"positives_unmasked is \d+, expected at most 0$")
    assert len(named["positives_unmasked"]) == 3


def test_a_held_out_query_in_training(leaks: Any, shop: Config, monkeypatch: pytest.MonkeyPatch) -> None:
    from jobs.tuples.splits import assign_splits

    def forgetful(requests: Any, window: Window) -> Any:
        return assign_splits(requests.withColumn("held_out", F.lit(False)), window).drop("held_out").join(
            requests.select("query_id", "held_out"), "query_id"
        )

    monkeypatch.setattr(jobs.tuples.choosing, "assign_splits", forgetful)
    half = shop.model_copy(update={"tuples": shop.tuples.model_copy(update={"held_out_share": 0.5})})
    named = leaks(r"held_out_in_training is \d+, expected at most 0$", half)
    assert named["held_out_in_training"]

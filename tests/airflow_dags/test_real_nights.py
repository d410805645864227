"""Five nights of a small shop and a backfill, as a real Airflow runs them: a train day, a delta day, and three bad days.

A train day and a delta day become releases. Then one of the day's raw files is damaged, the tuples are fewer than the audit
asks for, and the index is searched too little to find its neighbours: each night stops at that gate, and the release of
the 9th is served on.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tests.airflow_dags.nights import AIRFLOW, Shop, new_shop

pytestmark = pytest.mark.slow

TRAIN, DELTA, RAW, TUPLES, INDEX = (f"2026-01-{day:02d}" for day in (8, 9, 10, 11, 12))
BEFORE_THE_BRANCH = (
    "wait_for_log", "ingest_logs", "ingest_items", "gate_ingest", "label_impressions", "gate_labels",
    "build_vocabulary", "build_tuples", "gate_tuples", "choose_day",
)
AFTER_THE_BRANCH = ("gate_index", "evaluate_retrieval", "gate_evaluation", "publish_release", "released")
ON_A_TRAIN_DAY = ("train_day.train_model", "train_day.embed_items", "train_day.build_index")
ON_A_DELTA_DAY = ("delta_day.carry_model", "delta_day.embed_items", "delta_day.build_index")


@dataclass
class Week:
    """What the nights of the shop left behind, by date."""

    shop: Shop
    states: dict[str, dict[str, str]] = field(default_factory=dict)
    in_force: dict[str, tuple[str, str]] = field(default_factory=dict)
    hits: dict[str, int] = field(default_factory=dict)
    hashes: dict[str, dict[tuple[str, str], str]] = field(default_factory=dict)

    def night(self, day: str, shop: Shop) -> None:
        """Runs a night and looks at what is served the morning after."""
        self.states[day] = shop.night(day)
        self.in_force[day], self.hits[day] = self.shop.release_in_force(), self.shop.hits("usb c charger")
        self.hashes[day] = self.shop.published(day)


@pytest.fixture(scope="module")
def week(tmp_path_factory: pytest.TempPathFactory) -> Week:
    if not AIRFLOW.exists():
        pytest.skip("Airflow's environment is not here: make airflow-env")
    shop = new_shop(tmp_path_factory.mktemp("nights"), INDEX)
    week = Week(shop)
    for day in (TRAIN, DELTA):
        week.night(day, shop)
    log = min(Path(shop.config.paths.raw, f"dt={RAW}").glob("events-*"))
    whole = log.read_bytes()
    log.write_bytes(whole[: len(whole) // 2])
    week.night(RAW, shop)
    log.write_bytes(whole)
    week.night(TUPLES, shop.with_settings(audit={"bounds": {"tuples.train_rows.critical": {"low": 1e6}}}))
    week.night(INDEX, shop.with_settings(
        index={"probes": 1}, audit={"bounds": {"index.recall_at_10_vs_exact.critical": {"low": 0.999}}}
    ))
    return week


def ended(states: Mapping[str, str], state: str) -> set[str]:
    return {task for task, found in states.items() if found == state}


def test_a_train_day_trains_builds_the_whole_index_and_becomes_the_release(week: Week) -> None:
    done = {*BEFORE_THE_BRANCH, *ON_A_TRAIN_DAY, *AFTER_THE_BRANCH, "report"}
    assert ended(week.states[TRAIN], "success") == done
    assert ended(week.states[TRAIN], "skipped") == set(ON_A_DELTA_DAY)
    assert week.in_force[TRAIN][0] == TRAIN and week.hits[TRAIN] == 5


def test_a_delta_day_carries_the_model_over_and_becomes_the_release(week: Week) -> None:
    done = {*BEFORE_THE_BRANCH, *ON_A_DELTA_DAY, *AFTER_THE_BRANCH, "report"}
    assert ended(week.states[DELTA], "success") == done
    assert ended(week.states[DELTA], "skipped") == set(ON_A_TRAIN_DAY)
    assert week.hashes[DELTA]["model", DELTA] == week.hashes[DELTA]["model", TRAIN]
    assert week.in_force[DELTA][0] == DELTA and week.hits[DELTA] == 5


@pytest.mark.parametrize(("day", "stopped", "before"), [
    (RAW, "ingest_logs", {"wait_for_log"}),
    (TUPLES, "build_tuples", {*BEFORE_THE_BRANCH[:7]}),
    (INDEX, "delta_day.build_index", {*BEFORE_THE_BRANCH, *ON_A_DELTA_DAY[:2]}),
])
def test_a_bad_day_stops_where_it_went_wrong_and_is_reported(week: Week, day: str, stopped: str, before: set[str]) -> None:
    states = week.states[day]
    assert ended(states, "failed") == {stopped}
    assert ended(states, "success") == before | {"report"}
    assert not {"publish_release", "released"} & ended(states, "skipped")
    assert (Path(week.shop.config.paths.reports) / f"dt={day}" / "index.html").is_file()


@pytest.mark.parametrize("day", [RAW, TUPLES, INDEX])
def test_after_a_bad_day_the_release_before_is_served_on(week: Week, day: str) -> None:
    assert week.in_force[day] == week.in_force[DELTA]
    assert week.hits[day] == 5
    assert not {("release", day), ("index", day)} & set(week.hashes[day])


def test_a_day_whose_log_was_damaged_is_caught_up_by_the_night_after(week: Week) -> None:
    caught_up = {(dataset, RAW) for dataset in ("requests", "events", "impressions")}
    assert not caught_up & set(week.hashes[RAW])
    assert caught_up <= set(week.hashes[TUPLES])


def test_a_backfill_of_the_first_two_dates_ends_in_the_same_contents(week: Week) -> None:
    for day in (TRAIN, DELTA):
        week.shop.run_again(day)
        assert week.shop.published(day) == week.hashes[day]
    assert week.shop.release_in_force()[0] == DELTA

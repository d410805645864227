"""Who searched for what: people and not bots, one user over several devices, in the order of arrival."""

from __future__ import annotations

from datetime import datetime, timezone
from typing import Any

import pytest
from pyspark.sql import SparkSession

from jobs.experiment.visits import Visits, collect_visits, sample_users, searches
from schemas import REQUESTS, TRUTH_REQUESTS

DAY = "2026-01-08"

# (query id, day, minute, query, user key, client, session, page, actor, intent)
LOG: list[tuple[Any, ...]] = [
    ("late", 8, 50, "red lamp", "u1", "c1", "s1", 1, "human", 4),
    ("early", 8, 10, "blue mug", None, "c9", "s2", None, "human", 5),
    ("phone", 8, 5, "red lamp", "u1", "c2", "s3", 1, "human", 4),
    ("second page", 8, 51, "red lamp", "u1", "c1", "s1", 2, "human", 4),
    ("no client", 8, 30, "mug", None, None, None, 1, "human", 5),
    ("robot", 8, 20, "red lamp", None, "c7", "s4", 1, "scraper", 4),
    ("no words", 8, 20, "", "u1", "c1", "s1", 1, "human", 4),
    ("yesterday", 7, 20, "red lamp", "u1", "c1", "s0", 1, "human", 4),
    ("not simulated", 8, 20, "red lamp", "u1", "c1", "s1", 1, None, None),
]


def fill(columns: tuple[str, ...], **values: Any) -> tuple[Any, ...]:
    return tuple(values.get(name) for name in columns)


def frames(spark: SparkSession) -> tuple[Any, Any]:
    requests, truth = [], []
    for name, day, minute, query, user, client, session, page, actor, intent in LOG:
        ts = datetime(2026, 1, day, 12, minute, tzinfo=timezone.utc)
        requests.append(fill(REQUESTS.column_names, query_id=name, ts=ts, query_text=query, query_norm=query, user_key=user,
                             client_id=client, session_id=session, page=page, sources=1, event_date=ts.date()))
        if actor:
            truth.append(fill(TRUTH_REQUESTS.column_names, query_id=name, intent_id=intent, query_text=query, actor=actor,
                              event_date=ts.date()))
    return (spark.createDataFrame(requests, REQUESTS.spark_schema()),
            spark.createDataFrame(truth, TRUTH_REQUESTS.spark_schema()))


@pytest.fixture(scope="module")
def rows(spark: SparkSession) -> Any:
    return searches(*frames(spark), [DAY]).persist()


@pytest.fixture(scope="module")
def visits(rows: Any) -> Visits:
    return collect_visits(rows.toArrow())


def test_people_with_words_on_the_replayed_day_are_kept_and_nobody_else(visits: Visits) -> None:
    assert len(visits.user) == 5
    assert visits.texts == ["blue mug", "mug", "red lamp"]


def test_users_are_numbered_as_they_arrive_and_a_signed_in_one_is_one_over_two_devices(visits: Visits) -> None:
    # u1 comes first (12:05, by phone), then client c9 (12:10), then the request that names nobody (12:30).
    assert visits.user.tolist() == [0, 0, 0, 1, 2]
    assert visits.sessions.tolist() == [2, 1, 1]
    assert [visits.texts[t] for t in visits.text] == ["red lamp"] * 3 + ["blue mug", "mug"]
    assert visits.intent.tolist() == [4, 4, 4, 5, 5]


def test_pages_of_one_search_share_their_result_and_another_search_has_its_own(visits: Visits) -> None:
    assert sorted(visits.page.tolist()) == [1, 1, 1, 1, 2]
    mine = visits.result[:3]
    assert len(set(mine.tolist())) == 2  # the search of session s3, and both pages of that of s1
    second = visits.result[visits.page == 2][0]
    assert (mine == second).sum() == 2


def test_the_arrays_do_not_depend_on_the_order_of_the_rows(rows: Any, visits: Visits) -> None:
    for again in (rows.orderBy("request"), rows.orderBy(rows.request.desc()).repartition(3)):
        found = collect_visits(again.toArrow())
        for name in ("user", "request", "result", "text", "intent", "page", "user_key", "sessions"):
            assert (getattr(found, name) == getattr(visits, name)).all(), name


def test_the_name_of_a_user_does_not_hang_on_the_secret_key(spark: SparkSession, visits: Visits) -> None:
    requests, truth = frames(spark)
    other = requests.replace({"u1": "another hash of the same person"}, subset=["user_key"])
    assert (collect_visits(searches(other, truth, [DAY]).toArrow()).user_key == visits.user_key).all()


def test_a_sample_of_users_keeps_all_their_requests(rows: Any, visits: Visits) -> None:
    kept = collect_visits(sample_users(rows, seed=7, limit=2).toArrow())
    assert len(kept.user_key) == 2 and set(kept.user_key) < set(visits.user_key)
    everything = {key: int((visits.user == n).sum()) for n, key in enumerate(visits.user_key)}
    assert [int((kept.user == n).sum()) for n in (0, 1)] == [everything[key] for key in kept.user_key]

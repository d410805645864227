"""The stage of an impression as of a cut, read from its columns."""

from __future__ import annotations

from datetime import datetime

import pytest
from pyspark.sql import SparkSession

from jobs.labels.stages import last_event_ts_column, stage_column
from mmse_model.config import StageSettings
from tests.jobs.labels.streams import Row, at, collected, frame

STAGES = (
    StageSettings(name="random", source="stream"),
    StageSettings(name="unclicked", evidence="examined"),
    StageSettings(name="clicked", evidence="clicked", positive=True),
    StageSettings(name="ordered", evidence="ordered", positive=True),
)
ORDERED = {"examined_ts": at(1), "clicked_ts": at(2), "ordered_ts": at(5)}
REFUNDED = {"examined_ts": at(1), "undone_orders": [at(3), at(8)]}
REFINED = {"user_refined": True, "examined_ts": at(1)}
CASES: list[tuple[Row, datetime | None, str | None, datetime | None]] = [
    (ORDERED, None, "ordered", at(5)),
    (ORDERED, at(6), "ordered", at(5)),
    (ORDERED, at(5), "clicked", at(2)),
    (ORDERED, at(2), "unclicked", at(1)),
    (ORDERED, at(1), None, None),
    (REFUNDED, None, "clicked", at(3)),
    (REFUNDED, at(9), "clicked", at(3)),
    (REFUNDED, at(8), "ordered", at(3)),
    (REFUNDED, at(3), "unclicked", at(1)),
    (REFINED, None, None, None),
    ({**REFINED, "clicked_ts": at(2)}, None, "clicked", at(2)),
    ({**REFINED, "clicked_ts": at(2)}, at(2), None, None),
    ({"examined_ts": at(1), "carted_ts": at(4)}, at(5), "clicked", at(4)),
]
CUTS = list(dict.fromkeys(cut for _, cut, _, _ in CASES))
IMPRESSION = {
    "object_id": "a", "request_ts": at(0), "event_date": at(0).date(), "examined": True, "implied": True,
    "user_refined": False, "undone_carts": [], "undone_orders": [],
}


@pytest.fixture(scope="module")
def staged(spark: SparkSession) -> dict[str, Row]:
    """Every case under every cut, in one job: case number -> columns "stage <n>" and "since <n>" of the n-th cut."""
    rows = [{**IMPRESSION, **columns, "query_id": str(n)} for n, (columns, *_) in enumerate(CASES)]
    columns = [
        column.alias(f"{name} {n}") for n, cut in enumerate(CUTS)
        for name, column in (("stage", stage_column(STAGES, cut)), ("since", last_event_ts_column(STAGES, cut)))
    ]
    return {row["query_id"]: row for row in collected(frame(spark, "impressions", rows).select("query_id", *columns))}


@pytest.mark.parametrize("number", range(len(CASES)))
def test_stage_and_the_event_it_rests_on(staged: dict[str, Row], number: int) -> None:
    _, cut, stage, since = CASES[number]
    row = staged[str(number)]
    assert (row[f"stage {CUTS.index(cut)}"], row[f"since {CUTS.index(cut)}"]) == (stage, since)


def test_a_cut_without_a_zone_is_utc_in_every_session(spark: SparkSession) -> None:
    rows = frame(spark, "impressions", [{**IMPRESSION, "query_id": "q", "clicked_ts": at(2)}])
    try:
        spark.conf.set("spark.sql.session.timeZone", "Asia/Kolkata")
        naive = at(3).replace(tzinfo=None)
        assert [r["stage"] for r in collected(rows.select(stage_column(STAGES, naive)))] == ["clicked"]
    finally:
        spark.conf.set("spark.sql.session.timeZone", "UTC")

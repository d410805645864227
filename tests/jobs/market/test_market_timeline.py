"""Days and times of the simulation, without a time zone anywhere."""

from __future__ import annotations

from datetime import date, datetime, timezone

from pyspark.sql import SparkSession
from pyspark.sql import functions as F

from jobs.market.timeline import Timeline, day_of, iso


def test_the_days_end_at_the_last_one() -> None:
    timeline = Timeline(date(2026, 1, 8), 8)
    assert timeline.names[0] == "2026-01-01" and timeline.names[-1] == "2026-01-08" and len(timeline.names) == 8
    assert timeline.start == datetime(2026, 1, 1, tzinfo=timezone.utc).timestamp() * 1_000


def test_times_are_written_in_utc_whatever_the_session_says(spark: SparkSession) -> None:
    at = datetime(2026, 3, 29, 2, 30, 5, 42_000, tzinfo=timezone.utc)  # an hour that Berlin skips
    before = spark.conf.get("spark.sql.session.timeZone")
    try:
        for zone in ("UTC", "Europe/Berlin", "Asia/Kolkata"):
            spark.conf.set("spark.sql.session.timeZone", zone)
            ms = F.lit(int(at.timestamp() * 1_000)).cast("bigint")
            row = spark.range(1).select(iso(ms), day_of(ms).cast("string"), iso(F.lit(None).cast("bigint"))).first()
            assert tuple(row) == ("2026-03-29T02:30:05.042Z", "2026-03-29", None)
    finally:
        spark.conf.set("spark.sql.session.timeZone", before)

"""Times are parsed by rule: zone, no zone, epoch in any unit; the session's zone plays no part."""

from __future__ import annotations

from datetime import datetime, timezone
from zoneinfo import ZoneInfo

import pytest
from pyspark.sql import SparkSession
from pyspark.sql import functions as F

from jobs.ingest.times import is_epoch, is_zoneless, parse_time, utc_date

NOON = 1_767_268_800  # 2026-01-01T12:00:00Z


def micros(spark: SparkSession, texts: list[str | None], zone: str = "UTC") -> list[int | None]:
    frame = spark.createDataFrame([(n, t) for n, t in enumerate(texts)], "n int, t string")
    found = frame.select("n", F.unix_micros(parse_time(F.col("t"), zone)).alias("us")).orderBy("n").collect()
    return [row["us"] for row in found]


def test_every_way_to_write_noon_is_the_same_moment(spark: SparkSession) -> None:
    texts = [
        "2026-01-01T12:00:00Z", "2026-01-01T12:00:00.000Z", "2026-01-01 12:00:00+00:00", "2026-01-01T17:30:00+0530",
        "2026-01-01T07:00:00-05:00", "2026-01-01T14:00:00+02", "2026-01-01T12:00Z", "2026-01-01T12:00:00,000000Z",
        "2026-01-01T12:00:00", str(NOON), f"{NOON}000", f"{NOON}000000", f"{NOON}.0", "1.7672688E12",
    ]
    assert micros(spark, texts) == [NOON * 1_000_000] * len(texts)


def test_fractions_of_a_second_are_kept_to_the_microsecond(spark: SparkSession) -> None:
    texts = ["2026-01-01T12:00:00.1234567Z", f"{NOON}.5", f"{NOON}123", f"{NOON}123456"]
    assert micros(spark, texts) == [NOON * 1_000_000 + us for us in (123_456, 500_000, 123_000, 123_456)]


def test_what_is_no_time_is_null_and_never_another_time(spark: SparkSession) -> None:
    texts = ["", "yesterday", "2026/01/01", "2026-01-01", "2026-02-30T00:00:00Z", "2026-01-01T24:00:00Z", "5", "0",
             "-1767268800", "1999-12-31T23:59:59Z", "999999999999999999", None]
    assert micros(spark, texts) == [None] * len(texts)


@pytest.mark.parametrize("month", [1, 7])
def test_a_time_without_a_zone_is_of_the_configured_one_in_summer_and_winter(spark: SparkSession, month: int) -> None:
    there = datetime(2026, month, 1, 12, tzinfo=ZoneInfo("America/New_York")).timestamp()
    assert micros(spark, [f"2026-{month:02d}-01T12:00:00"], "America/New_York") == [int(there) * 1_000_000]


def test_the_session_zone_changes_neither_moment_nor_day(spark: SparkSession) -> None:
    before = spark.conf.get("spark.sql.session.timeZone")
    texts = ["2026-01-01T23:30:00Z", "2026-01-01T23:30:00", "2026-01-02T00:10:00+01:00"]
    found = set()
    try:
        for zone in ("UTC", "Asia/Kolkata", "America/New_York"):
            spark.conf.set("spark.sql.session.timeZone", zone)
            frame = spark.createDataFrame([(t,) for t in texts], "t string")
            days = frame.select(utc_date(parse_time(F.col("t"), "UTC")).cast("string").alias("d")).collect()
            found.add((*micros(spark, texts), *(row["d"] for row in days)))
    finally:
        spark.conf.set("spark.sql.session.timeZone", before)
    late = int(datetime(2026, 1, 1, 23, 30, tzinfo=timezone.utc).timestamp()) * 1_000_000
    assert found == {(late, late, late - 20 * 60_000_000, "2026-01-01", "2026-01-01", "2026-01-01")}


def test_tolerances_tell_epochs_and_missing_zones_apart(spark: SparkSession) -> None:
    frame = spark.createDataFrame([("2026-01-01T12:00:00Z",), ("2026-01-01T12:00:00",), (str(NOON),)], "t string")
    rows = frame.select(is_epoch(F.col("t")).alias("epoch"), is_zoneless(F.col("t")).alias("zoneless")).collect()
    assert [tuple(r) for r in rows] == [(False, False), (False, True), (True, False)]

"""Ids of a hit list are ids: blanks around them go, nothing of them does."""

from __future__ import annotations

from pyspark.sql import SparkSession

from jobs.adapters.ubi import _ids


def test_ids_that_begin_or_end_with_the_digit_of_their_place_are_kept_whole(spark: SparkSession) -> None:
    hits = ["p00", "1p1", " 22 ", "", None, "p5"]
    frame = spark.createDataFrame([(hits,)], "hits array<string>")
    assert frame.select(_ids(frame["hits"]).alias("ids")).first()["ids"] == ["p00", "1p1", "22", "p5"]

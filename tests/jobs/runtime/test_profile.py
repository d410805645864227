"""The profile: counts by hand, a content hash that depends on rows and on nothing else."""

from __future__ import annotations

import pytest
from pyspark.sql import DataFrame, SparkSession

from jobs.runtime import keys
from jobs.runtime.keys import duplicate_keys
from jobs.runtime.profile import profile, profile_expressions, profile_groups, row_hash_sql
from schemas import DATASETS, Column, Dataset, Metric

PAIRS = Dataset(
    name="pairs", doc="",
    columns=(Column("a", "string", False), Column("b", "string"), Column("n", "int")),
    key=("a", "b"),
    metrics=(Metric("mean_n", "avg(n)"), Metric("big", "count_if(n > 1)")),
)


def pairs(spark: SparkSession, *rows: tuple[str | None, str | None, int | None]) -> DataFrame:
    return spark.createDataFrame(list(rows), "a string, b string, n int")


def test_rows_nulls_metrics_and_duplicates_are_counted(spark: SparkSession) -> None:
    frame = pairs(spark, ("x", "y", 1), ("x", "y", 4), ("x", None, None), (None, "y", 1))
    rows, _, metrics = profile(frame, PAIRS)
    assert rows == 4
    assert metrics == {"nulls:a": 1, "mean_n": 2.0, "big": 1, "rows": 4, "duplicate_keys": 1}


def test_a_figure_that_no_row_can_give_is_left_out(spark: SparkSession) -> None:
    rows, total, metrics = profile(pairs(spark), PAIRS)
    assert (rows, total) == (0, 0)
    assert metrics == {"nulls:a": 0, "big": 0, "rows": 0, "duplicate_keys": 0}


@pytest.mark.parametrize("in_driver", [0, 100])
def test_only_rows_beyond_the_first_of_a_key_are_duplicates_and_a_null_part_is_a_value(
    spark: SparkSession, monkeypatch: pytest.MonkeyPatch, in_driver: int
) -> None:
    monkeypatch.setattr(keys, "IN_DRIVER", in_driver)
    frame = pairs(spark, ("x", None, 1), ("x", None, 2), ("x", None, 3), ("y", None, 1))
    assert duplicate_keys(frame, ("a", "b"), 4) == 2
    assert duplicate_keys(frame, ("n",), 4) == 1
    assert duplicate_keys(frame, ("a", "b", "n"), 4) == 0
    assert duplicate_keys(frame.limit(0), ("a",), 0) == 0


def total(frame: DataFrame) -> int:
    return int(frame.selectExpr(*profile_expressions(PAIRS)[1:2]).first()["hash_total"])


def test_the_hash_total_is_the_same_under_every_layout_and_counts_a_row_as_often_as_it_stands(
    spark: SparkSession,
) -> None:
    rows = [(f"a{i % 7}", None if i % 3 else f"b{i}", i) for i in range(50)]
    first = total(pairs(spark, *rows))
    assert {total(pairs(spark, *reversed(rows)).repartition(n)) for n in (1, 3, 7)} == {first}
    assert total(pairs(spark, *rows, rows[0])) != first


def test_the_row_hash_changes_with_every_value_and_tells_nulls_by_their_place(spark: SparkSession) -> None:
    variants = [
        ("x", "y", 1), ("x", "z", 1), ("y", "x", 1), ("x", "y", 2), ("x", "y", None),
        ("x", None, 1), (None, "x", 1),  # xxhash64 skips nulls: without the null pattern these two would agree
        ("", None, 1), (None, "", 1), (None, None, None),
    ]
    hashed = pairs(spark, *variants).selectExpr(row_hash_sql(PAIRS)).collect()
    assert len({row[0] for row in hashed}) == len(variants)


def test_the_row_hash_tells_nulls_by_their_place_in_more_columns_than_a_number_has_bits(spark: SparkSession) -> None:
    wide = Dataset(name="wide", doc="", columns=tuple(Column(f"c{n}", "int") for n in range(70)))
    rows = [tuple(None if n == hole else 7 for n in range(70)) for hole in range(71)]
    hashed = spark.createDataFrame(rows, ", ".join(f"c{n} int" for n in range(70))).selectExpr(row_hash_sql(wide)).collect()
    assert len({row[0] for row in hashed}) == 71


@pytest.mark.parametrize("name", [name for name, dataset in DATASETS.items() if dataset.columns])
def test_every_declared_metric_is_an_aggregate_that_spark_accepts(spark: SparkSession, name: str) -> None:
    dataset = DATASETS[name]
    empty = spark.createDataFrame([], dataset.spark_schema())
    assert len(empty.selectExpr(*profile_expressions(dataset)).columns) == len(profile_expressions(dataset))


def test_days_are_taken_together_while_their_rows_fit_the_driver(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keys, "IN_DRIVER", 4)
    assert keys.fitting({"a": 2, "b": 2, "c": 1, "d": 5, "e": 4, "f": 0}) == [["a", "b"], ["c"], ["d"], ["e", "f"]]
    assert keys.fitting({}) == []


@pytest.mark.parametrize("in_driver", [0, 2, 4, 100])  # all shuffled; day by day; two days and one; together
def test_keys_that_stand_twice_are_counted_by_day_however_many_days_are_read_at_once(
    spark: SparkSession, monkeypatch: pytest.MonkeyPatch, in_driver: int
) -> None:
    monkeypatch.setattr(keys, "IN_DRIVER", in_driver)
    rows = [("x", None, 1, "a"), ("x", None, 2, "a"), ("x", None, 1, "b"), ("y", None, 1, "b"), ("z", "z", 1, "c"), ("z", "z", 2, "c")]
    frame = spark.createDataFrame(rows, "a string, b string, n int, day string")
    for apart in (True, False):
        assert keys.duplicates_by(frame, ("a", "b"), "day", {"a": 2, "b": 2, "c": 2}, apart=apart) == {"a": 1, "c": 1}


def test_profiles_by_day_in_one_scan_equal_those_of_each_day_alone(spark: SparkSession) -> None:
    rows = [("x", "y", 1, "a"), ("x", "y", 4, "a"), ("x", "y", 1, "b"), ("z", None, None, "b")]
    frame = spark.createDataFrame(rows, "a string, b string, n int, day string")
    together = profile_groups(frame, PAIRS, "day")
    assert set(together) == {"a", "b"}
    for day, found in together.items():
        assert found == profile(frame.where(frame["day"] == day), PAIRS)
    assert together["a"][2]["duplicate_keys"] == 1
    assert together["b"][2]["duplicate_keys"] == 0

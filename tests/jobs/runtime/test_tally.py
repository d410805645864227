"""Cells that are counted with the profile: figures are added up from them, and say the same as one aggregate over the rows."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
from pyspark.sql import DataFrame, SparkSession

from jobs.runtime import store
from jobs.runtime.profile import profile_cells, profile_groups
from jobs.runtime.readback import describe_folders
from jobs.runtime.tally import Tally, is_additive
from schemas import ATTRIBUTIONS, IMPRESSIONS, Column, Dataset, Metric

SHOES = Dataset(
    name="shoes", doc="", columns=(Column("id", "string", False), Column("size", "int"), Column("red", "boolean")), key=("id",),
    metrics=(
        Metric("red", "count_if(red)"), Metric("mean_size", "avg(size)"), Metric("sizes", "sum(size)"),
        Metric("big", "count_if((size > 40) and (red or size > 42))"),
    ),
)
BY_COLOUR = Tally(
    {"red": "red"}, {"pairs": "count(*)"}, lambda cells: {day: ({"colours": len(found)}, {}) for day, found in cells.items()}
)


def shoes(spark: SparkSession) -> DataFrame:
    rows = [("a", 41, True, "x"), ("a", 44, False, "x"), (None, None, None, "x"), ("b", 39, True, "x"), ("c", None, None, "y")]
    return spark.createDataFrame(rows, "id string, size int, red boolean, day string")


def test_figures_added_up_from_cells_are_those_of_all_rows_and_a_figure_without_rows_is_left_out(spark: SparkSession) -> None:
    profiles, cells = profile_cells(shoes(spark), SHOES, "day", BY_COLOUR)
    assert profiles == profile_groups(shoes(spark), SHOES, "day")
    assert "mean_size" not in profiles["y"][2] and profiles["x"][2]["mean_size"] == pytest.approx(124 / 3)
    assert {(day, cell["red"]): cell["pairs"] for day, found in cells.items() for cell in found} == {
        ("x", True): 2, ("x", False): 1, ("x", None): 1, ("y", None): 1,
    }


@pytest.mark.parametrize("sql", ["max(size)", "count(distinct id)", "count(id) / count(size)", "(count(id))", "approx_count_distinct(id)"])
def test_what_cannot_be_added_up_is_known(sql: str) -> None:
    assert not is_additive(dataclasses.replace(SHOES, metrics=(Metric("figure", sql),)))


def test_what_is_tallied_can_be_added_up() -> None:
    assert is_additive(SHOES) and is_additive(IMPRESSIONS) and is_additive(ATTRIBUTIONS)


@pytest.mark.parametrize("more", [(), (Metric("biggest", "max(size)"),)])
def test_days_are_described_beside_their_profile_or_for_themselves_where_a_figure_is_not_additive(
    spark: SparkSession, tmp_path: Path, more: tuple[Metric, ...]
) -> None:
    dataset = dataclasses.replace(SHOES, columns=(*SHOES.columns, Column("event_date", "date")), metrics=SHOES.metrics + more)
    rows = shoes(spark).selectExpr("id", "size", "red", "if(day = 'x', date'2026-01-01', date'2026-01-02') as event_date")
    folders = {f"2026-01-0{n}": tmp_path / f"dt=2026-01-0{n}" / "run=r" for n in (1, 2, 3)}
    store.write_rows_by_day(tmp_path / "staging", rows.withColumn("_day", rows["event_date"]), "_day", folders, {})
    profiles, described = describe_folders(spark, dataset, folders, BY_COLOUR)
    assert {day: rows for day, (rows, _, _) in profiles.items()} == {"2026-01-01": 4, "2026-01-02": 1, "2026-01-03": 0}
    assert {day: facts["colours"] for day, (facts, _) in described.items()} == {"2026-01-01": 3, "2026-01-02": 1}
    assert profiles["2026-01-01"][2]["duplicate_keys"] == 1

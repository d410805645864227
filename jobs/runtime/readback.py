"""The written files of several days, read back: their profiles, and what a job says of each day."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jobs.runtime.profile import Profile, profile, profile_cells, profile_groups
from jobs.runtime.store import read_folders, read_rows
from jobs.runtime.tally import Described, Tally, is_additive
from schemas import Dataset

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

DAY = "dt"
"""Name of the day in paths: no dataset that is written by days has a column of that name."""


def describe_folders(
    spark: Any, dataset: Dataset, folders: Mapping[str, Path], describe: Callable[[DataFrame], Described] | None = None
) -> tuple[dict[str, Profile], Described]:
    """The profile of every day's written files and what `describe` says of the days; `folders` maps a day to its run folder.

    The files are read once, by the profile: a tally is counted on the way, unless some figure cannot be added up from its
    cells. Any other `describe` reads them for itself.
    """
    if isinstance(describe, Tally) and is_additive(dataset):
        profiles, cells = _profile_days(spark, dataset, folders, lambda rows, day: profile_cells(rows, dataset, day, describe))
        return profiles, describe.describe(cells)
    described = describe(read_folders(spark, dataset, folders.values())) if describe else {}
    profiles, _ = _profile_days(spark, dataset, folders, lambda rows, day: (profile_groups(rows, dataset, day, apart=True), {}))
    return profiles, described


def _profile_days(
    spark: Any, dataset: Dataset, folders: Mapping[str, Path],
    profile_by: Callable[[DataFrame, str], tuple[dict[str, Profile], dict[str, Any]]],
) -> tuple[dict[str, Profile], dict[str, Any]]:
    """What `profile_by` finds in the rows by their column of the day; a day without rows has the profile of an empty frame."""
    by_day: dict[str, Profile] = {}
    more: dict[str, Any] = {}
    if any(any(folder.rglob("*.parquet")) for folder in folders.values()):
        by_day, more = profile_by(read_by_day(spark, dataset, folders.values()), DAY)
    nothing = None if by_day.keys() >= folders.keys() else profile(read_rows(spark, dataset, []), dataset)
    return {day: by_day.get(day) or nothing for day in folders}, more  # type: ignore[misc]


def read_by_day(spark: Any, dataset: Dataset, folders: Iterable[Path]) -> DataFrame:
    """The rows of `folders` with the day of their path: Spark has it once a file, cut out of a path it is made for every row."""
    paths = [path for folder in folders for path in sorted(folder.rglob("*.parquet"))]
    root = next(folder for folder in paths[0].parents if folder.name.startswith("dt=")).parent
    reader = spark.read.schema(dataset.spark_schema().add(DAY, "string")).option("basePath", str(root))
    return reader.parquet(*map(str, paths)).drop("run")

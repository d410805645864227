"""A file of each split goes through the trainer's reader before it is published."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
from pyspark.sql import SparkSession

from jobs.tuples.opening import files_not_opened, first_files
from tests.mmse_model.packed_data import SHAPES, tuple_rows


def test_one_file_of_every_folder_is_opened() -> None:
    paths = ["file:///w/split=train/b.parquet", "file:///w/split=train/a%20b.parquet", "/w/split=test/c.parquet"]
    assert first_files(paths) == [Path("/w/split=test/c.parquet"), Path("/w/split=train/a b.parquet")]


def test_values_of_another_width_than_the_shapes_are_refused(spark: SparkSession, tmp_path: Path) -> None:
    for split, rows in (("train", 20), ("validation", 5)):
        (tmp_path / f"split={split}").mkdir()
        pq.write_table(tuple_rows(np.arange(rows)), tmp_path / f"split={split}" / "a.parquet")
    written = spark.read.parquet(*(str(p) for p in tmp_path.glob("*/*.parquet")))
    assert files_not_opened(written, SHAPES) == 0
    assert files_not_opened(written, {**SHAPES, "Q": SHAPES["Q"] + 1}) == 2

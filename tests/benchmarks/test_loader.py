"""The benchmark reads the same rows in all ways, and its last line says what was measured."""

from __future__ import annotations

import numpy as np
import pyarrow.parquet as pq
import pytest

from benchmarks.loader import medians, report, table
from benchmarks.reading import BARE, BATCHED, LOADERS, ONE_CORE, WAYS, Measured, measure
from benchmarks.training_files import SHAPES, Files, row_bytes, write
from mmse_model.packed import tuple_columns
from schemas import TUPLES

ROWS = 1_100


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Files:
    return write(tmp_path_factory.mktemp("files"), ROWS)


def test_all_ways_read_the_same_rows(files: Files) -> None:
    found = [measure(way, files, ROWS) for way in (BARE, LOADERS[0], LOADERS[2], BATCHED)]
    assert len({m.checksum for m in found}) == 1
    assert all(m.rows_per_second > 0 and m.peak_mib > 0 for m in found)


def test_the_lists_hold_what_the_packed_columns_hold(files: Files) -> None:
    packed, lists = pq.read_table(files.tuples[0]), pq.read_table(files.tuple_lists[0])
    assert packed.schema.equals(TUPLES.arrow_schema())
    for name in tuple_columns(SHAPES):
        flat = np.frombuffer(b"".join(packed[name].to_pylist()), TUPLES.packed[name])
        assert flat.tolist() == [value for row in lists[name].to_pylist() for value in row]


def test_most_of_a_packed_row_is_padding(files: Files) -> None:
    items = np.frombuffer(b"".join(pq.read_table(files.tuples[0])["items"].to_pylist()), "<i4")
    assert 0.2 < (items != 0).mean() < 0.5


def test_the_last_line_holds_ratios_of_the_default_number_of_workers() -> None:
    found = {way: Measured(90, 50, 7.5, 400, 1) for way in WAYS}
    found |= {BARE: Measured(100, 90, 5, 200, 1), BATCHED: Measured(10, 10, 90, 700, 1), ONE_CORE[0]: Measured(120, 1, 1, 1, 1)}
    line = report(found, 1_000, 500_000)
    assert (line["rows_per_second"], line["ratio_to_bare_scan"], line["ratio_to_batched_loader"]) == (90, 0.9, 9)
    assert (line["cpu_s_per_million"], line["peak_mib"], line["file_bytes_per_row"]) == (7.5, 400, 500)
    assert line["ratio_to_bare_scan_on_one_core"] == 0.75
    assert line["row_bytes"] == row_bytes() == 2_976 + 2 * (8 + 320 + 160 + 4 + 4)
    assert "| loader, 2 workers | 90 | 0.90 | 50 | 7.5 | 400 |" in table(found)


def test_medians_count_and_the_largest_memory() -> None:
    runs = [Measured(1, 2, 3, 4, 9), Measured(3, 1, 2, 9, 9), Measured(2, 3, 1, 5, 9)]
    assert medians(runs) == Measured(2, 2, 2, 9, 9)

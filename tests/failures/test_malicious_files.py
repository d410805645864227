"""Hostile files: names that are patterns, links, bombs, footers that lie. Each is named in the refusal."""

from __future__ import annotations

import gzip
import json
import subprocess
import sys
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pyspark.sql import SparkSession

from jobs.ingest.deliveries import PRODUCER, find_deliveries, unreadable_file
from jobs.ingest.layouts import JSON_LINES, PARQUET
from jobs.ingest.lines import count_lines, read_lines
from jobs.runtime.errors import Blocked, InputError
from jobs.runtime.snapshots import SnapshotLog
from tests.failures import footers
from tests.jobs.ingest_cases import D1, config_of, deliver, ingest, query

ANY = {"*": (JSON_LINES, PARQUET)}


@pytest.mark.parametrize("name", ["q-[a].json", "q-{a,b}.json", "q-*.json", "q-?.json", "q-\\x.json", "s3:a.json"])
def test_a_file_whose_name_is_a_pattern_for_spark_is_refused(tmp_path: Path, name: str) -> None:
    deliver(tmp_path, D1, name, [query()])
    with pytest.raises(InputError, match=r"its path holds .*; expected none of"):
        find_deliveries(tmp_path / "raw", D1, [], ANY)


def test_a_link_out_of_its_folder_is_refused_and_one_within_is_read(tmp_path: Path) -> None:
    (tmp_path / "secret.json").write_text("{}\n")
    day = deliver(tmp_path, D1, "a.json", [query()]).parent
    (day / "b.json").symlink_to("a.json")
    assert [f.name for f in find_deliveries(tmp_path / "raw", D1, [], ANY)[0].files] == [f"dt={D1}/a.json", f"dt={D1}/b.json"]
    (day / "c.json").symlink_to(tmp_path / "secret.json")
    with pytest.raises(InputError, match=r"c\.json: is a link to .*secret\.json; expected the file itself"):
        find_deliveries(tmp_path / "raw", D1, [], ANY)


def test_a_producers_list_opens_no_file_outside_its_folder(tmp_path: Path) -> None:
    day = deliver(tmp_path, D1, "a.json", [query()]).parent
    (day / PRODUCER).write_text(json.dumps({"files": [{"path": "../../../etc/a.json", "bytes": 1, "rows": 1}]}))
    with pytest.raises(Blocked, match="missing; _PRODUCER.json promises it with 1 bytes"):
        find_deliveries(tmp_path / "raw", D1, [], ANY)
    (day / PRODUCER).write_text("[" * 100_000)
    with pytest.raises(InputError, match="not a producer's list"):
        find_deliveries(tmp_path / "raw", D1, [], ANY)


@pytest.mark.parametrize("lie", footers.LIES)
def test_a_parquet_file_with_a_lying_footer_is_refused_by_name(tmp_path: Path, lie: str) -> None:
    path = tmp_path / "raw" / f"dt={D1}" / "ubi.parquet"
    path.parent.mkdir(parents=True)
    footers.write(path, lie)
    with pytest.raises(InputError, match=r"ubi\.parquet: .*(footer|readable|read to its end)"):
        found = find_deliveries(tmp_path / "raw", D1, [], ANY)[0]
        raise unreadable_file(found.files) or AssertionError("was read")


def test_a_changed_byte_anywhere_in_a_footer_gives_an_error_or_rows_and_never_ends_the_process(tmp_path: Path) -> None:
    pq.write_table(pa.table({"query_id": [f"q{n}" for n in range(50)], "n": range(50)}), tmp_path / "whole.parquet")
    done = subprocess.run([sys.executable, footers.__file__, str(tmp_path / "whole.parquet"), "400"], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]
    read, refused = json.loads(done.stdout)
    assert read + refused == 400
    assert refused > 100


@pytest.mark.slow
def test_a_gz_bomb_of_one_line_is_refused_by_name_and_the_session_lives(spark: SparkSession, tmp_path: Path) -> None:
    bomb = deliver(tmp_path, D1, "ubi.json.gz", [])
    bomb.write_bytes(gzip.compress(b"x" * (300 << 20)))
    assert bomb.stat().st_size < 1 << 20
    with pytest.raises(InputError, match=r"ubi\.json\.gz: cannot be read to its end \(.*no line end within 67108864 bytes"):
        ingest(spark, config_of(tmp_path), D1)
    assert SnapshotLog(tmp_path / "warehouse").numbers() == []
    assert spark.range(3).count() == 3


@pytest.mark.slow
def test_a_gz_bomb_of_empty_lines_is_counted_through(spark: SparkSession, tmp_path: Path) -> None:
    bomb = deliver(tmp_path, D1, "ubi.json.gz", [])
    bomb.write_bytes(gzip.compress(b"\n" * (30 << 20)))
    assert bomb.stat().st_size < 1 << 16
    files = find_deliveries(tmp_path / "raw", D1, [], ANY)[0].files
    assert count_lines(spark, files) == {}
    assert read_lines(spark, files).count() == 0

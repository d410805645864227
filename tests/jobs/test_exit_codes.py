"""What a person sees when something is wrong: one sentence, the exit code of the design, nothing published."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest
from pyspark.sql import SparkSession

from jobs.cli import main
from jobs.ingest.privacy import ensure_user_key
from jobs.runtime.snapshots import SnapshotLog

DAY = "2026-01-08"


@pytest.fixture
def shop(tmp_path: Path, spark: SparkSession) -> Path:
    """An empty shop: a key, a raw folder, a configuration. The running session is the one the job gets."""
    ensure_user_key(tmp_path / "key")
    (tmp_path / "raw").mkdir()
    (tmp_path / "shop.yaml").write_text(
        f"paths: {{raw: {tmp_path}/raw, warehouse: {tmp_path}/wh, reports: {tmp_path}/reports}}\n"
        f"ingest: {{user_key_file: {tmp_path}/key}}\n"
    )
    return tmp_path


def ingest(shop: Path, *more: str, day: str = DAY) -> int:
    return main(["ingest_logs", "--config", str(shop / "shop.yaml"), "--date", day, "--log-file", "/dev/null", *more])


def one_sentence(capsys: pytest.CaptureFixture[str]) -> str:
    lines = [line for line in capsys.readouterr().err.splitlines() if line.startswith(("ingest_logs:", "mmse run:"))]
    assert len(lines) == 1
    return lines[0]


def test_a_typo_in_a_config_key_exits_2(shop: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert ingest(shop, "--set", "ingest.late_dayz=2") == 2
    assert "unknown key 'ingest.late_dayz' (value 2); expected one of" in one_sentence(capsys)


def test_a_malformed_date_exits_2(shop: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert ingest(shop, day="8 January") == 2
    assert "--date '8 January': expected YYYY-MM-DD" in one_sentence(capsys)


def test_a_missing_raw_folder_exits_2(shop: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert ingest(shop, "--set", f"paths.raw={shop}/nowhere") == 2
    assert f"{shop}/nowhere" in one_sentence(capsys)


def test_a_date_with_no_data_exits_3(shop: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert ingest(shop) == 3
    assert f"dt={DAY}" in one_sentence(capsys)
    assert SnapshotLog(shop / "wh").numbers() == []


def test_an_unreadable_gz_file_exits_2_and_is_named(shop: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = shop / "raw" / f"dt={DAY}"
    folder.mkdir()
    whole = gzip.compress(b'{"query_id": "q1"}\n' * 5000)
    (folder / "queries-00000.json.gz").write_bytes(whole[: len(whole) // 2])
    assert ingest(shop) == 2
    assert "queries-00000.json.gz" in one_sentence(capsys)
    assert SnapshotLog(shop / "wh").numbers() == []


def test_an_input_that_was_never_published_exits_2(shop: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code = main(["run", "--config", str(shop / "shop.yaml"), "--date", DAY, "--from", "build_index", "--to", "build_index",
                 "--log-file", "/dev/null"])
    assert code == 2
    assert "dt=2026-01-08: not published" in one_sentence(capsys)


def test_a_span_that_runs_backwards_exits_2(shop: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code = main(["run", "--config", str(shop / "shop.yaml"), "--date", DAY, "--from", "build_index", "--to", "ingest_logs"])
    assert code == 2
    assert "build_index comes after ingest_logs" in one_sentence(capsys)

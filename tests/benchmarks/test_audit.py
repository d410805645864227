"""The audit's benchmarks: DuckDB's profile against the job's, and how clean days are counted."""

from __future__ import annotations

from pathlib import Path

import pytest
from pyspark.sql import SparkSession

from benchmarks import clean_days
from benchmarks.audit import figures_of, publish_impressions, report
from benchmarks.audit_duckdb import differing, profile_with_duckdb
from benchmarks.audit_meter import Meter, Watched
from benchmarks.reference import connect
from benchmarks.warehouse import config_for, files_of
from jobs.runtime import keys
from jobs.runtime.verdict import CheckResult, JobVerdict, RunVerdict
from schemas import IMPRESSIONS


@pytest.mark.slow
@pytest.mark.parametrize("in_driver", [6_000, 1_000_000])  # eight days of 2,500: by twos, and together
def test_duckdb_finds_every_figure_of_the_profile_and_the_files_are_read_twice(
    spark: SparkSession, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, in_driver: int
) -> None:
    monkeypatch.setattr(keys, "IN_DRIVER", in_driver)
    config = config_for(tmp_path, "2g", 2)
    with Watched(Meter(spark)) as watched:
        ours = publish_impressions(spark, config, 20_000)
    with connect(tmp_path / "spill") as database:
        files = files_of(config, ("impressions",))["impressions"]
        theirs = profile_with_duckdb(database, files, IMPRESSIONS, config.stages)
        assert differing(figures_of(ours), theirs) == []
        fewer = profile_with_duckdb(database, files[1:], IMPRESSIONS, config.stages)
    assert differing(figures_of(ours), fewer) != []
    spent = watched.spent("impressions")
    assert ours.rows_out <= spent.records <= 2 * ours.rows_out and spent.cpu_seconds > 0


def test_figures_that_only_one_side_has_or_that_differ_by_more_than_rounding_are_named() -> None:
    ours, theirs = {"d": {"rows": 3.0, "share": 0.1, "a": 1.0}}, {"d": {"rows": 4.0, "share": 0.1 + 1e-12, "b": 1.0}}
    assert differing(ours, theirs) == ["dt=d a: 1.0 and None", "dt=d b: None and 1.0", "dt=d rows: 3.0 and 4.0"]


def test_scans_are_counted_by_rows_or_by_bytes_whichever_is_more() -> None:
    measured = {
        "rows": 10, "bytes": 100, "records": 20, "read_bytes": 250, "cpu_seconds": 3.0, "first_cpu_seconds": 5.0,
        "duckdb_cpu_seconds": 2.0, "compared": 5,
    }
    assert (report(measured, 0.2, 8)["scans"], report(measured | {"read_bytes": 90}, 0.2, 8)["scans"]) == (2.5, 2.0)
    assert (report(measured, 0.2, 8)["ratio_to_duckdb"], report(measured, 0.2, 8)["first_ratio"]) == (1.5, 2.5)


def verdict(word: str, *checks: CheckResult) -> JobVerdict:
    outputs = (RunVerdict("events", "2026-01-08", "r", 5, "h", checks),) if checks else ()
    return JobVerdict("ingest_logs", "2026-01-08", "r", word, 1.0, 5, 5, "", 0, "", "", outputs=outputs)


def check(severity: str, success: bool) -> CheckResult:
    return CheckResult(f"events.late.{severity}", "late", severity, None, 0.1, 0.3, success)


def test_clean_days_count_checks_that_failed_by_their_severity() -> None:
    said = [verdict("warn", *[check("warning", True)] * 198, check("warning", False), check("critical", True))]
    found = clean_days.report(1, said)
    assert (found["checks"], found["critical"], found["warnings"], found["warning_share"]) == (200, 0, 1, 0.005)
    assert clean_days.passed(found)
    assert not clean_days.passed(clean_days.report(1, [verdict("block", check("critical", False))]))
    assert not clean_days.passed(clean_days.report(1, [*said, *said, verdict("warn", *[check("warning", False)] * 3)]))


def test_a_night_that_was_stopped_without_a_failed_check_is_not_quiet() -> None:
    found = clean_days.report(1, [verdict("warn", check("warning", True)), verdict("error")])
    assert found["critical"] == 1 and not clean_days.passed(found)

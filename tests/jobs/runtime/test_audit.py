"""Real Great Expectations on profile frames, and what a blocked job leaves behind."""

from __future__ import annotations

import json
import math
import os
import subprocess
import sys
import textwrap
from collections.abc import Callable, Mapping
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pyspark.sql import SparkSession
from pyspark.sql import functions as F

from jobs.runtime import audit, expectations
from jobs.runtime.audit import judge
from jobs.runtime.checks import checks_of
from jobs.runtime.config import Config
from jobs.runtime.errors import Blocked, Fenced
from jobs.runtime.job import Job, JobContext, run_job
from jobs.runtime.sections import AuditSettings, PathSettings
from jobs.runtime.snapshots import SnapshotLog
from jobs.runtime.verdict import CheckResult, JobVerdict
from schemas import Check, Column, Dataset

DAY = date(2026, 1, 8)
DT = "2026-01-08"
GOOD_MODEL = {"parameters_not_finite": 0.0, "validation_recall": 0.4, "last_loss": 2.0}


@pytest.fixture
def config(tmp_path: Path) -> Config:
    return Config(paths=PathSettings(warehouse=str(tmp_path / "wh"), reports=str(tmp_path / "reports")))


def dataset(*checks: Check, name: str = "figures") -> Dataset:
    return Dataset(name=name, doc="", checks=checks)


def outcomes(
    data: Dataset, days: Mapping[str, Mapping[str, float]], allow_empty: bool = False
) -> dict[str, list[bool]]:
    """dt -> success of each check, as Great Expectations judges them."""
    results, _ = judge(data, checks_of(data), days, allow_empty, "test")
    return {dt: [c.success for c in checks] for dt, checks in results.items()}


def one(data: Dataset, figures: Mapping[str, float]) -> CheckResult:
    """The first check on one day."""
    results, _ = judge(data, checks_of(data), {DT: {"rows": 1.0, **figures}}, False, "test")
    return results[DT][0]


# -- the judgement ------------------------------------------------------------------------


@given(
    values=st.lists(st.floats(-10, 10), min_size=1, max_size=4),
    low=st.none() | st.floats(-10, 10), high=st.none() | st.floats(-10, 10),
)
@settings(max_examples=25, deadline=None)
def test_a_check_succeeds_exactly_on_the_days_whose_value_is_in_bounds(
    values: list[float], low: float | None, high: float | None
) -> None:
    if low is not None and high is not None and low > high:
        low, high = high, low
    days = {f"2026-01-{n + 1:02d}": {"rows": 1.0, "x": value} for n, value in enumerate(values)}
    expected = [(low is None or v >= low) and (high is None or v <= high) for v in values]
    assert [s for s, in outcomes(dataset(Check("x", "warning", low, high)), days).values()] == expected


@pytest.mark.parametrize("figures", [{}, {"x": math.nan}, {"x": math.inf}])
def test_a_missing_figure_fails_and_is_named_as_missing(figures: dict[str, float]) -> None:
    result = one(dataset(Check("x", "critical", low=0)), figures)
    assert (result.success, result.value, result.note) == (False, None, "the figure is missing")


def test_two_severities_of_one_figure_are_judged_apart() -> None:
    data = dataset(Check("x", "critical", high=5), Check("x", "warning", high=1))
    assert outcomes(data, {DT: {"rows": 1.0, "x": 3.0}}) == {DT: [True, False]}


def test_a_check_without_bounds_cannot_fail_even_on_a_missing_figure() -> None:
    result = one(dataset(Check("x", "critical")), {})
    assert (result.success, result.expected) == (True, "any value")


ROWS = Dataset(
    name="pairs", doc="", columns=(Column("a", "string", True),),
    checks=(Check("rows", "critical", low=1), Check("x_share", "critical", low=0.1)),
)
EMPTY = {"rows": 0.0, "files_of_other_schema": 0.0}


def test_an_empty_day_blocks_unless_it_was_allowed() -> None:
    full = {**EMPTY, "rows": 3.0, "x_share": 0.05}
    days = {"2026-01-07": full, DT: EMPTY}
    assert outcomes(ROWS, days) == {"2026-01-07": [True, False, True], DT: [False, False, True]}
    assert outcomes(ROWS, days, allow_empty=True) == {"2026-01-07": [True, False, True], DT: [True, True, True]}


def test_a_missing_average_of_a_day_with_rows_fails_even_where_emptiness_was_allowed() -> None:
    assert outcomes(ROWS, {DT: {**EMPTY, "rows": 3.0}}, allow_empty=True) == {DT: [True, False, True]}


def test_a_dataset_of_files_cannot_be_waived_as_empty() -> None:
    assert outcomes(dataset(Check("x", "critical", low=1)), {DT: {"rows": 0.0}}, allow_empty=True) == {DT: [False]}


def test_a_dataset_without_a_row_check_may_be_empty_but_its_counts_still_count() -> None:
    data = Dataset(name="pairs", doc="", columns=ROWS.columns,
                   checks=(Check("x_share", "critical", high=0.1), Check("records", "critical", low=1)))
    assert outcomes(data, {DT: {**EMPTY, "records": 0.0}}) == {DT: [True, False, True]}


# -- the job -----------------------------------------------------------------------------


def model_job(metrics: Mapping[str, float]) -> Job:
    def run(context: JobContext) -> None:
        context.write_files("model", lambda folder: (folder / "model.json").write_text("{}") and None, metrics=metrics)

    return Job("train_model", (), ("model",), run)


def no_spark() -> Any:
    raise AssertionError("this job needs no Spark")


def verdict_of(config: Config, job: str = "train_model") -> JobVerdict:
    return JobVerdict.read(Path(config.paths.reports) / f"dt={DT}" / job / "verdict.json")


def test_a_good_run_is_committed_with_a_verdict_beside_its_files_and_below_the_reports(config: Config) -> None:
    context = run_job(model_job(GOOD_MODEL), config, DAY, no_spark)
    run = json.loads((context.warehouse / "model" / f"dt={DT}" / f"run={context.run_id}" / "_VERDICT.json").read_text())
    assert run["verdict"] == "pass"
    assert run["checks"][1] == {
        "name": "model.validation_recall.warning", "metric": "validation_recall", "severity": "warning", "low": 0.05,
        "high": None, "value": 0.4, "success": True, "note": "",
    }
    verdict = verdict_of(config)
    assert (verdict.verdict, verdict.run_id, verdict.reason) == ("pass", context.run_id, "")
    assert verdict.seconds > 0
    assert [o.dataset for o in verdict.outputs] == ["model"]


def test_a_warning_is_recorded_and_does_not_block(config: Config) -> None:
    context = run_job(model_job({**GOOD_MODEL, "validation_recall": 0.01}), config, DAY, no_spark)
    assert context.committed is not None
    assert verdict_of(config).verdict == "warn"


def test_a_critical_failure_blocks_with_one_sentence_and_leaves_its_verdict(config: Config) -> None:
    with pytest.raises(Blocked) as caught:
        run_job(model_job({**GOOD_MODEL, "parameters_not_finite": 2.0, "last_loss": 60.0}), config, DAY, no_spark)
    assert str(caught.value) == (
        f"model dt={DT}: parameters_not_finite is 2, expected at most 0; 1 more critical check failed"
    )
    assert SnapshotLog(config.paths.warehouse).head().number == 0
    verdict = verdict_of(config)
    assert (verdict.verdict, verdict.reason) == ("block", str(caught.value))
    folder = next(Path(config.paths.warehouse).glob("model/*/*"))
    assert json.loads((folder / "_VERDICT.json").read_text())["verdict"] == "block"


def test_a_figure_that_the_job_did_not_hand_over_blocks(config: Config) -> None:
    with pytest.raises(Blocked, match="last_loss is missing, expected 0 to 50"):
        run_job(model_job({"parameters_not_finite": 0.0, "validation_recall": 0.4}), config, DAY, no_spark)


def test_configured_bounds_decide_in_place_of_the_declared_ones(config: Config) -> None:
    bounds = {"model.last_loss.critical": {"low": 0, "high": 1}}
    strict = config.model_copy(update={"audit": AuditSettings.model_validate({"bounds": bounds})})
    with pytest.raises(Blocked, match="last_loss is 2, expected 0 to 1"):
        run_job(model_job(GOOD_MODEL), strict, DAY, no_spark)


def test_an_audit_that_throws_blocks(config: Config, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> None:
        raise TypeError("bool_ is not JSON\nserializable")

    monkeypatch.setattr(expectations, "validate", broken)
    with pytest.raises(Blocked, match=rf"model dt={DT}: the audit could not be run \(TypeError: bool_ is not JSON ser"):
        run_job(model_job(GOOD_MODEL), config, DAY, no_spark)
    assert SnapshotLog(config.paths.warehouse).head().number == 0
    assert verdict_of(config).verdict == "block"


def test_an_expectation_that_throws_inside_great_expectations_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    real = expectations.metrics_frame
    monkeypatch.setattr(expectations, "metrics_frame", lambda days, names: real(days, names).assign(x="text"))
    with pytest.raises(RuntimeError, match=r"x"):
        one(dataset(Check("x", "critical", low=0)), {"x": 1.0})


def test_a_job_that_stops_itself_replaces_the_verdict_of_an_earlier_attempt(config: Config) -> None:
    run_job(model_job(GOOD_MODEL), config, DAY, no_spark)

    def stop(context: JobContext) -> None:
        raise Blocked("the delivery is incomplete")

    with pytest.raises(Blocked):
        run_job(Job("train_model", (), ("model",), stop), config, DAY, no_spark)
    verdict = verdict_of(config)
    assert (verdict.verdict, verdict.reason, verdict.outputs) == ("block", "the delivery is incomplete", ())


def test_an_error_that_is_not_ours_is_recorded_without_its_text(config: Config) -> None:
    def crash(context: JobContext) -> None:
        raise KeyError("ann@example.org")

    with pytest.raises(KeyError):
        run_job(Job("train_model", (), ("model",), crash), config, DAY, no_spark)
    verdict = verdict_of(config)
    assert (verdict.verdict, verdict.reason) == ("error", "KeyError, see the log")


def test_a_fenced_run_does_not_keep_the_verdict_of_its_audit(config: Config) -> None:
    def run(context: JobContext) -> None:
        model_job(GOOD_MODEL).run(context)
        log = SnapshotLog(config.paths.warehouse)
        log.commit(log.head(), "rival", "r", {("model", DT): "r"}, {})

    with pytest.raises(Fenced):
        run_job(Job("train_model", (), ("model",), run), config, DAY, no_spark)
    assert verdict_of(config).verdict == "error"


# -- with Spark --------------------------------------------------------------------------


def ledger_job(spark: SparkSession, rows: list[tuple[str, str | None, str]]) -> Job:
    """One ledger row per (file, disposition, day)."""
    def run(context: JobContext) -> None:
        frame = spark.createDataFrame(rows, "file string, disposition string, day string").select(
            "file", F.lit("query").alias("kind"), "disposition", F.lit("").alias("reason"),
            F.lit(5).cast("bigint").alias("records"), F.lit(0).cast("bigint").alias("derived"),
            F.to_date("day").alias("arrived"),
        )
        days = ["2026-01-07", DT]
        conserved = {day: ({}, {"unaccounted_records": 0.0, "new_actions": 0.0, "orphan_event_share": 0.0}) for day in days}
        context.write_days("ledger", frame, days, "arrived", describe=lambda ledger: conserved)

    return Job("ingest_logs", (), ("ledger",), run)


def test_each_day_of_a_job_is_judged_apart_in_one_validation(
    spark: SparkSession, config: Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[int] = []
    real: Callable[..., Any] = expectations.validate
    monkeypatch.setattr(expectations, "validate", lambda frame, suite: calls.append(len(frame)) or real(frame, suite))
    rows = [("a", "accepted", "2026-01-07"), ("a", "accepted", DT), ("a", "accepted", DT), ("b", None, DT)]
    with pytest.raises(Blocked, match=rf"ledger dt={DT}: nulls:disposition is 1, expected at most 0; 1 more critical"):
        run_job(ledger_job(spark, rows), config, DAY, lambda: spark)
    assert calls == [2]
    verdict = verdict_of(config, "ingest_logs")
    assert {o.dt: o.verdict for o in verdict.outputs} == {"2026-01-07": "pass", DT: "block"}
    failed = {c.metric: c.value for c in verdict.outputs[1].checks if not c.success}
    assert failed == {"nulls:disposition": 1, "duplicate_keys": 1}


def test_files_hold_the_declared_columns_and_a_file_that_does_not_is_counted(
    spark: SparkSession, config: Config, tmp_path: Path
) -> None:
    context = run_job(ledger_job(spark, [("a", "accepted", "2026-01-07"), ("a", "accepted", DT)]), config, DAY,
                      lambda: spark)
    paths = list(Path(config.paths.warehouse).glob("ledger/*/*/*.parquet"))
    ledger = audit.DATASETS["ledger"]
    assert audit.files_of_other_schema(ledger, paths) == 0
    narrower = spark.read.parquet(str(paths[0])).withColumn("records", F.col("records").cast("int"))
    narrower.write.parquet(str(tmp_path / "x"))
    assert audit.files_of_other_schema(ledger, [*paths, *(tmp_path / "x").glob("*.parquet")]) == 1
    assert context.committed is not None


# -- telemetry ---------------------------------------------------------------------------


def test_the_audit_opens_no_connection_and_leaves_nothing_in_the_home_folder(tmp_path: Path) -> None:
    program = textwrap.dedent("""
        import socket
        seen = []
        def refuse(*a, **k):
            seen.append(a)
            raise OSError("refused by the test")
        socket.getaddrinfo = socket.socket.connect = socket.socket.connect_ex = refuse
        from jobs.runtime.audit import judge
        from jobs.runtime.checks import checks_of
        from schemas import DATASETS
        model = DATASETS["model"]
        results, body = judge(model, checks_of(model), {"2026-01-08": {"rows": 0.0, "last_loss": 1.0}}, False, "t")
        assert len(results["2026-01-08"]) == len(model.checks)
        from jobs.report.data_docs import render_validation
        assert "last_loss" in render_validation(body)
        import os
        print(os.environ["GX_ANALYTICS_ENABLED"], seen)
    """)
    environment = {k: v for k, v in os.environ.items() if k != "GX_ANALYTICS_ENABLED"} | {"HOME": str(tmp_path)}
    done = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, text=True, timeout=120)
    assert done.stdout.strip() == "false []", done.stderr
    left = [p for p in tmp_path.rglob("*") if "expectations" in p.name]
    assert left == []

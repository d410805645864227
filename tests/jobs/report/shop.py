"""A small published shop without an engine: manifests, a ledger and verdicts, as the jobs leave them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from jobs.runtime.config import Config
from jobs.runtime.manifest import FileFacts, Manifest, file_sha256
from jobs.runtime.sections import PathSettings
from jobs.runtime.snapshots import SnapshotLog
from jobs.runtime.store import run_folder
from jobs.runtime.verdict import CheckResult, JobVerdict, RunVerdict, job_folder

DT = "2026-01-08"


def config_in(folder: Path) -> Config:
    """A configuration whose warehouse and reports lie in `folder`."""
    return Config(paths=PathSettings(warehouse=str(folder / "warehouse"), reports=str(folder / "reports")))


def publish(
    config: Config, dataset: str, *, dt: str = DT, run_id: str = "run-1", job: str = "job", rows: int = 0,
    facts: Mapping[str, Any] | None = None, metrics: Mapping[str, float] | None = None,
    table: pa.Table | None = None,
) -> Manifest:
    """Writes the run of a dataset and day and commits it."""
    folder = run_folder(Path(config.paths.warehouse).absolute(), dataset, dt, run_id)
    folder.mkdir(parents=True)
    files = ()
    if table is not None:
        path = folder / "part-0.parquet"
        pq.write_table(table, path)
        files = (FileFacts(path.name, path.stat().st_size, table.num_rows, file_sha256(path)),)
    manifest = Manifest(
        dataset=dataset, dt=dt, run_id=run_id, job=job, rows=rows, files=files, schema_hash="s", content_hash="c" * 64,
        config_hash="f" * 64, code_version="0.1.0+abc", created_at="2026-01-09T03:04:05+00:00", base_entry=0,
        facts=dict(facts or {}), metrics=dict(metrics or {}),
    )
    manifest.write(folder)
    log = SnapshotLog(config.paths.warehouse)
    log.commit(log.head(), job, run_id, {(dataset, dt): run_id}, {})
    return manifest


def ledger_table(*rows: tuple[str, str, str, int]) -> pa.Table:
    """(kind, disposition, reason, records) rows of one file."""
    names = ("kind", "disposition", "reason", "records")
    columns = {name: [row[i] for row in rows] for i, name in enumerate(names)}
    return pa.table({"file": ["f"] * len(rows), **columns})


def check(metric: str, value: float | None, *, severity: str = "critical", success: bool = True, note: str = "",
          low: float | None = 1.0, high: float | None = None) -> CheckResult:
    """A check result of the dataset `requests`."""
    return CheckResult(f"requests.{metric}.{severity}", metric, severity, low, high, value, success, note)


def run_verdict(*checks: CheckResult, dataset: str = "requests", dt: str = DT, run_id: str = "run-1") -> RunVerdict:
    """The verdict of one run."""
    return RunVerdict(dataset, dt, run_id, 5, "c" * 64, checks)


def leave_verdict(config: Config, job: str, verdict: str, *outputs: RunVerdict, dt: str = DT, reason: str = "",
                  **fields: Any) -> JobVerdict:
    """Writes `verdict.json` of a job."""
    left = JobVerdict(
        job=job, dt=dt, run_id="run-1", verdict=verdict, seconds=1.5, rows_in=10, rows_out=5,
        finished_at="2026-01-09T03:04:05+00:00", base_entry=0, code_version="0.1.0+abc", config_hash="f" * 64,
        reason=reason, outputs=outputs, **fields,
    )
    left.write(job_folder(config.paths.reports, dt, job))
    return left

"""The audit between write and commit: a critical check that fails, or an audit that throws, blocks."""

from __future__ import annotations

import math
import time
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timezone
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.parquet as pq

from jobs.runtime import expectations, history, store
from jobs.runtime.checks import OTHER_SCHEMA, NamedCheck, checks_of
from jobs.runtime.errors import Blocked, MmseError
from jobs.runtime.logs import log
from jobs.runtime.manifest import Manifest
from jobs.runtime.verdict import RUN_NAME, CheckResult, JobVerdict, RunVerdict, Word, job_folder, worst, write_json
from schemas import DATASETS, Dataset

if TYPE_CHECKING:
    from jobs.runtime.job import JobContext


def audit_outputs(context: JobContext) -> None:
    """Judges every output of a job and writes the verdicts.

    Raises Blocked where a critical check fails, and where the audit itself does; the job's
    own verdict is then left to `record_failure`.
    """
    started = time.monotonic()
    by_dataset: dict[str, list[Manifest]] = defaultdict(list)
    for manifest in context.outputs.values():
        by_dataset[manifest.dataset].append(manifest)
    for name, manifests in by_dataset.items():
        context.audited += _audit_dataset(context, DATASETS[name], manifests)
    verdict = worst(v.verdict for v in context.audited)
    log("audited", job=context.job.name, dt=context.dt, run_id=context.run_id, verdict=verdict,
        checks=sum(len(v.checks) for v in context.audited), seconds=round(time.monotonic() - started, 2))
    if verdict == "block":
        raise Blocked(blocking_sentence(context.audited))
    write_verdict(context, verdict)


def _audit_dataset(context: JobContext, dataset: Dataset, manifests: Sequence[Manifest]) -> list[RunVerdict]:
    """One validation for all days of a dataset; whatever it throws becomes Blocked."""
    try:
        checks = checks_of(dataset, context.config.audit.bounds)
        days = {m.dt: figures(context.warehouse, dataset, m) for m in sorted(manifests, key=lambda m: m.dt)}
        for dt in days:
            days[dt] |= compared(context, dataset, checks, dt, days[dt])
        run_name = f"{context.job.name} {context.run_id}"
        results, validation = judge(dataset, checks, days, context.allow_empty, run_name)
        verdicts = [
            RunVerdict(m.dataset, m.dt, m.run_id, m.rows, m.content_hash, tuple(results[m.dt])) for m in manifests
        ]
        for verdict in verdicts:
            folder = store.run_folder(context.warehouse, verdict.dataset, verdict.dt, verdict.run_id)
            write_json(folder / RUN_NAME, verdict.to_json())
        reports = job_folder(context.config.paths.reports, context.dt, context.job.name)
        write_json(reports / f"validation-{dataset.name}.json", validation)
    except Exception as error:
        problem = " ".join(str(error).split())[:300]
        raise Blocked(
            f"{dataset.name} dt={manifests[0].dt}: the audit could not be run ({type(error).__name__}: {problem})"
        ) from error
    return verdicts


def figures(warehouse: Path, dataset: Dataset, manifest: Manifest) -> dict[str, float]:
    """The profile of one run: its metrics, its rows and the files whose footer differs from the declaration."""
    found = {"rows": float(manifest.rows), **manifest.metrics}
    if dataset.columns:
        folder = store.run_folder(warehouse, manifest.dataset, manifest.dt, manifest.run_id)
        found[OTHER_SCHEMA] = files_of_other_schema(dataset, [folder / f.path for f in manifest.files])
    return found


def compared(
    context: JobContext, dataset: Dataset, checks: Iterable[NamedCheck], dt: str, found: Mapping[str, float]
) -> dict[str, float]:
    """Those figures of the checks that are made of the days before; without such days there are none."""
    wanted = {c.check.metric for c in checks if history.is_compared(c.check.metric)}
    past = history.past_days(context.warehouse, context.entry, dataset.name, dt, context.outputs) if wanted else ()
    values = {metric: history.compare(metric, dt, found, past) for metric in wanted}
    return {metric: value for metric, value in values.items() if value is not None}


def files_of_other_schema(dataset: Dataset, paths: Iterable[Path]) -> float:
    """How many Parquet files hold other columns, or other types, than declared; nullability aside.

    A footer says `not null` wherever Spark could prove it: nulls are counted instead.
    """
    declared = _names_and_types(dataset.arrow_schema())
    parquet = [p for p in paths if p.suffix == ".parquet"]
    with ThreadPoolExecutor(4) as pool:
        return float(sum(_names_and_types(s) != declared for s in pool.map(pq.read_schema, parquet)))


def _names_and_types(schema: pa.Schema) -> list[tuple[str, str]]:
    def plain(kind: pa.DataType) -> str:
        return f"list<{plain(kind.value_type)}>" if pa.types.is_list(kind) else str(kind)

    return [(f.name, plain(f.type)) for f in schema]


def judge(
    dataset: Dataset, checks: Sequence[NamedCheck], days: Mapping[str, Mapping[str, float]], allow_empty: bool,
    run_name: str,
) -> tuple[dict[str, list[CheckResult]], dict[str, Any]]:
    """Results by day, and Great Expectations' own result as JSON, for Data Docs."""
    frame = expectations.metrics_frame(days, ["rows", *(c.check.metric for c in checks)])
    result = expectations.validate(frame, expectations.build_suite(dataset, checks, allow_empty))
    missing, outside = expectations.failing_days(result)
    waived = {dt for dt in days if allow_empty and dataset.columns and not days[dt]["rows"]}
    values = frame.set_index("dt")
    results = {
        dt: [_result(c, float(values.at[dt, c.check.metric]), dt, missing, outside, dt in waived) for c in checks]
        for dt in days
    }
    return results, expectations.describe_result(result, frame, run_name)


def _result(
    named: NamedCheck, value: float, dt: str, missing: Mapping[str, set[str]], outside: Mapping[str, set[str]],
    waived: bool,
) -> CheckResult:
    check = named.check
    is_missing = dt in missing.get(check.metric, ())
    note = ""
    if is_missing:
        note = expectations.NO_VALUE
    elif waived:
        note = expectations.EMPTY_DAY
    elif math.isnan(value) and expectations.absence(check):
        note = expectations.absence(check)
    elif named.is_open:
        note = "no bounds: audit.bounds opens both"
    return CheckResult(
        named.name, check.metric, check.severity, check.low, check.high, None if math.isnan(value) else value,
        success=named.is_open or not (is_missing or dt in outside[named.name]), note=note,
    )


def blocking_sentence(verdicts: Iterable[RunVerdict]) -> str:
    """Dataset, day, check, value and range of the first critical failure, and how many more there are."""
    failed = [(v, c) for v in verdicts for c in v.checks if c.severity == "critical" and not c.success]
    verdict, check = failed[0]
    value = "missing" if check.value is None else f"{check.value:g}"
    others = len(failed) - 1
    more = f"; {others} more critical check{'s' if others > 1 else ''} failed" if others else ""
    return f"{verdict.dataset} dt={verdict.dt}: {check.metric} is {value}, expected {check.expected}{more}"


def write_verdict(context: JobContext, verdict: Word, reason: str = "") -> None:
    """Writes `verdict.json` of this attempt below the reports."""
    JobVerdict(
        job=context.job.name, dt=context.dt, run_id=context.run_id, verdict=verdict,
        seconds=round(time.monotonic() - context.started, 2), rows_in=context.rows_in, rows_out=context.rows_out,
        finished_at=datetime.now(timezone.utc).isoformat(timespec="seconds"), base_entry=context.entry.number,
        code_version=context.code_version, config_hash=context.config.hash(), reason=reason, notes=context.notes,
        inputs={f"{d}/dt={t}": run for (d, t), run in sorted(context.inputs.items())}, outputs=tuple(context.audited),
    ).write(job_folder(context.config.paths.reports, context.dt, context.job.name))


def record_failure(context: JobContext, error: Exception) -> None:
    """Leaves a verdict of an attempt that ended without one, so that no older one passes for it.

    The text of an error that is not ours may hold data and stays out of the reports.
    """
    reason = str(error) if isinstance(error, MmseError) else f"{type(error).__name__}, see the log"
    try:
        write_verdict(context, "block" if isinstance(error, Blocked) else "error", reason)
    except OSError as problem:
        log("verdict not written", job=context.job.name, dt=context.dt, error=str(problem))

"""Jobs and checks of a date: which ran, what the audit found, which run is published."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from jobs.pipeline import FIRST_OF_A_SHOP, JOB_NAMES
from jobs.report.pages import figure
from jobs.runtime.snapshots import Entry
from jobs.runtime.verdict import JOB_NAME, CheckResult, JobVerdict, RunVerdict, Word, job_folder, worst

IN_WORDS = {"pass": "may be trusted", "warn": "may be used, with warnings", "block": "was stopped", "error": "failed"}


@dataclass(frozen=True)
class JobLine:
    """One job of the chain; `verdict` is None where it did not run for the date."""

    name: str
    verdict: JobVerdict | None
    published: str


@dataclass(frozen=True)
class CheckLine:
    """One check of one dataset over all its days in one run of a job."""

    metric: str
    severity: str
    expected: str
    values: str
    failed_days: tuple[str, ...]
    note: str

    @property
    def failed(self) -> bool:
        """Whether it failed on any day."""
        return bool(self.failed_days)


@dataclass(frozen=True)
class DatasetChecks:
    """The checks of one output of a job, failed ones first."""

    job: str
    dataset: str
    days: int
    lines: tuple[CheckLine, ...]
    docs: str | None

    @property
    def word(self) -> Word:
        """The verdict over all days."""
        failed = {line.severity for line in self.lines if line.failed}
        return "block" if "critical" in failed else "warn" if failed else "pass"


def read_verdicts(reports: Path, dt: str) -> dict[str, JobVerdict]:
    """The last attempt of every job for a date, in the order of the chain; jobs outside it follow by name."""
    found = {path.parent.name for path in (reports / f"dt={dt}").glob(f"*/{JOB_NAME}")}
    names = [n for n in JOB_NAMES if n in found] + sorted(found - set(JOB_NAMES))
    return {name: JobVerdict.read(job_folder(reports, dt, name) / JOB_NAME) for name in names}


def job_lines(verdicts: dict[str, JobVerdict], entry: Entry) -> list[JobLine]:
    """Every job of the chain, run or not."""
    names = [*JOB_NAMES, *(name for name in verdicts if name not in JOB_NAMES)]
    return [JobLine(name, verdicts.get(name), _published(verdicts.get(name), entry)) for name in names]


def _published(verdict: JobVerdict | None, entry: Entry) -> str:
    """Whether what the job wrote stands in the entry."""
    if verdict is None or verdict.verdict == "error":
        return "no"
    if not verdict.outputs:
        return "no" if verdict.verdict == "block" else "nothing new"
    stands = (_stands(entry, o) for o in verdict.outputs)
    return "yes" if all(stands) else "no"


def _stands(entry: Entry, output: RunVerdict) -> bool:
    """Whether the entry names the run, or what an erasure has left of it."""
    left = entry.replaced.get((output.dataset, output.dt), {}).get(output.run_id, output.run_id)
    return entry.run(output.dataset, output.dt) == left


def headline(verdicts: dict[str, JobVerdict]) -> tuple[Word | None, str]:
    """The verdict of a date and a sentence that says why."""
    if not verdicts:
        return None, "No job has run for this date."
    word = worst(v.verdict for v in verdicts.values())
    stopped = next((v for v in verdicts.values() if v.verdict in ("block", "error")), None)
    if stopped is not None:
        return word, f"{stopped.job} {IN_WORDS[stopped.verdict]}: {stopped.reason}"
    checks = [c for v in verdicts.values() for o in v.outputs for c in o.checks]
    failed = sum(not c.success for c in checks)
    total = f"{len(checks):,} checks"
    said = f"{failed:,} of {total} failed, none of them critical" if failed else f"all {total} passed"
    missing = [name for name in JOB_NAMES[JOB_NAMES.index(FIRST_OF_A_SHOP) :] if name not in verdicts]
    rest = f" Not run: {', '.join(missing)}." if missing else ""
    return word, f"The day's output {IN_WORDS[word]}: {said}.{rest}"


def dataset_checks(verdicts: dict[str, JobVerdict], docs: dict[tuple[str, str], str]) -> list[DatasetChecks]:
    """One block per job and dataset, those with failures first."""
    blocks = []
    for verdict in verdicts.values():
        for dataset in dict.fromkeys(o.dataset for o in verdict.outputs):
            outputs = [o for o in verdict.outputs if o.dataset == dataset]
            lines = sorted(check_lines(outputs), key=lambda line: (not line.failed, line.severity != "critical"))
            href = docs.get((verdict.job, dataset))
            blocks.append(DatasetChecks(verdict.job, dataset, len(outputs), tuple(lines), href))
    order = {"block": 0, "warn": 1}
    return sorted(blocks, key=lambda block: order.get(block.word, 2))


def check_lines(outputs: Iterable[RunVerdict]) -> list[CheckLine]:
    """The same check of several days as one line."""
    by_name: dict[str, list[tuple[str, CheckResult]]] = {}
    for output in outputs:
        for check in output.checks:
            by_name.setdefault(check.name, []).append((output.dt, check))
    return [_one_line(days) for days in by_name.values()]


def _one_line(days: list[tuple[str, CheckResult]]) -> CheckLine:
    first = days[0][1]
    failed = tuple(dt for dt, check in days if not check.success)
    notes = dict.fromkeys(check.note for _, check in days if check.note)
    shown = [check.value for _, check in days if check.success != bool(failed)] or [None]
    return CheckLine(first.metric, first.severity, first.expected, _span(shown), failed, "; ".join(notes))


def _span(values: list[float | None]) -> str:
    """One value, or the lowest to the highest; missing ones are named."""
    known = sorted(v for v in values if v is not None)
    if not known:
        return "missing"
    text = figure(known[0]) if known[0] == known[-1] else f"{figure(known[0])} to {figure(known[-1])}"
    return text + (", some missing" if len(known) < len(values) else "")

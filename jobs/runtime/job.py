"""A job: reads published snapshots, writes immutable runs, is audited, commits one entry.

    JOB = Job("label_impressions", reads=("requests", "events"), writes=("impressions",), run=run)
    if __name__ == "__main__":
        sys.exit(main(JOB))
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta, timezone
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from jobs.runtime import store
from jobs.runtime.config import Config
from jobs.runtime.disk import disk_full
from jobs.runtime.errors import Fenced, InputError
from jobs.runtime.fail_at import reached
from jobs.runtime.heap import heap_spent
from jobs.runtime.manifest import NAME as MANIFEST
from jobs.runtime.manifest import Manifest, check_declared
from jobs.runtime.profile import Profile
from jobs.runtime.readback import describe_folders
from jobs.runtime.session import start_session
from jobs.runtime.snapshots import Entry, Key, SnapshotLog
from jobs.runtime.tally import Described
from jobs.runtime.verdict import RunVerdict
from jobs.runtime.version import code_version
from schemas import DATASETS

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession


@dataclass(frozen=True)
class Job:
    """One entry point: what it reads, what it writes, and the function that does the work."""

    name: str
    reads: tuple[str, ...]
    writes: tuple[str, ...]
    run: Callable[[JobContext], None]
    doc: str = ""


@dataclass
class JobContext:
    """What a job's `run` works with. All reads are from the pinned entry; nothing is visible before the commit."""

    job: Job
    config: Config
    date: date
    entry: Entry
    run_id: str
    session: Callable[[], SparkSession]
    allow_empty: bool = False
    inputs: dict[Key, str] = field(default_factory=dict)
    outputs: dict[Key, Manifest] = field(default_factory=dict)
    started: float = field(default_factory=time.monotonic)
    audited: list[RunVerdict] = field(default_factory=list)
    """What the audit found, one verdict per output; empty before the audit."""
    committed: Entry | None = None
    """The entry that published this run's outputs; None before the commit, or where there was nothing to publish."""
    rows_in: int = 0
    notes: dict[str, Any] = field(default_factory=dict)
    """One-line figures for the summary, such as {"bots": 12}."""

    @cached_property
    def spark(self) -> SparkSession:
        """The session; started at its first use."""
        return self.session()

    @cached_property
    def code_version(self) -> str:
        """Release number and digest of the sources."""
        return code_version()

    @property
    def dt(self) -> str:
        """The date as YYYY-MM-DD."""
        return self.date.isoformat()

    @property
    def warehouse(self) -> Path:
        """Root of the snapshots, absolute."""
        return Path(self.config.paths.warehouse).absolute()

    def days_back(self, days: int) -> list[str]:
        """The `days` days that end at the date, ascending, as dt strings."""
        return [(self.date - timedelta(days=n)).isoformat() for n in reversed(range(days))]

    # -- reading ---------------------------------------------------------------------

    def has(self, dataset: str, dt: str | None = None) -> bool:
        """Whether that dataset and day is published in the pinned entry."""
        self._may(dataset, self.job.reads, "read")
        return self.entry.run(dataset, dt or self.dt) is not None

    def manifest(self, dataset: str, dt: str | None = None) -> Manifest:
        """The published manifest; reading it makes the snapshot an input of this run.

        Raises InputError where nothing is published for that day.
        """
        self._may(dataset, self.job.reads, "read")
        day = dt or self.dt
        run = self.entry.run(dataset, day)
        if run is None:
            raise InputError(
                f"{dataset} dt={day}: not published in {self.warehouse} (entry {self.entry.number}); "
                f"published days: {self.entry.days(dataset) or 'none'}"
            )
        if (dataset, day) not in self.inputs:
            self.inputs[dataset, day] = run
            self.rows_in += Manifest.read(self.folder(dataset, day)).rows
        return Manifest.read(self.folder(dataset, day))

    def watch(self, dataset: str, dt: str) -> bool:
        """Like `has`, but an absence counts as an input too: whoever publishes it meanwhile fences this run."""
        there = self.has(dataset, dt)
        if there:
            self.manifest(dataset, dt)
        else:
            self.inputs[dataset, dt] = ""
        return there

    def folder(self, dataset: str, dt: str | None = None) -> Path:
        """The folder of the published run."""
        day = dt or self.dt
        return store.run_folder(self.warehouse, dataset, day, str(self.entry.run(dataset, day)))

    def files(self, dataset: str, dt: str | None = None) -> list[Path]:
        """The published files, absolute, in name order. Raises InputError where other code wrote other columns into them."""
        manifest = self.manifest(dataset, dt)
        check_declared(manifest, DATASETS[dataset])  # Spark would read a column that is not there as null, without a word
        folder = self.folder(dataset, dt)
        return [folder / f.path for f in manifest.files]

    def read(self, dataset: str, dt: str | None = None) -> DataFrame:
        """The published rows of one day."""
        return store.read_rows(self.spark, DATASETS[dataset], self.files(dataset, dt))

    def read_days(self, dataset: str, days: Iterable[str]) -> DataFrame:
        """The published rows of those of `days` that are published."""
        paths = [p for day in days if self.has(dataset, day) for p in self.files(dataset, day)]
        return store.read_rows(self.spark, DATASETS[dataset], paths)

    # -- writing ---------------------------------------------------------------------

    def write(
        self, dataset: str, frame: DataFrame, dt: str | None = None, *, facts: Mapping[str, Any] | None = None,
        metrics: Mapping[str, float] | None = None, options: Mapping[str, str] | None = None,
        split_by: str | None = None, measure: Callable[[DataFrame], Mapping[str, float]] | None = None,
    ) -> Manifest:
        """Writes rows as the run of one day and reads them back. Not visible before the commit.

        `facts` go into the manifest as they are; `metrics` join the profile that the audit sees, and so do the figures that
        `measure` takes from the committed rows; `options` are Parquet writer options; `split_by` names a column whose values
        get files of their own, below `part=VALUE/`.
        """
        day = dt or self.dt
        folder = self._new_folder(dataset, day)
        store.write_rows(folder, store.check_columns(frame, DATASETS[dataset]), options or {}, split_by)
        return self._describe_rows(dataset, day, folder, facts, metrics, measure)

    def write_days(
        self, dataset: str, frame: DataFrame, days: Iterable[str], day_column: str, *,
        facts: Mapping[str, Any] | None = None, options: Mapping[str, str] | None = None,
        describe: Callable[[DataFrame], Described] | None = None,
    ) -> dict[str, Manifest]:
        """Writes rows of several days in one pass, split by `day_column` (a date of the frame).

        `day_column` may be outside the dataset's columns. Every one of `days` gets a run, empty or
        not; `facts` maps a day to that day's facts. `describe` is called once, with the committed rows
        of all the days, and maps a day to more facts and to metrics that join that day's profile; a Tally
        is counted while the profile reads the rows, by the days they were written for.
        """
        from pyspark.sql import functions as F

        folders = {day: self._new_folder(dataset, day) for day in days}
        staging = self.warehouse / dataset / f"_staging-{self.run_id}"
        declared = store.check_columns(frame.select(*DATASETS[dataset].column_names), DATASETS[dataset])
        split = frame.select(*declared.columns, F.col(day_column).alias("_day"))
        store.write_rows_by_day(staging, split, "_day", folders, options or {})
        profiles, found = describe_folders(self.spark, DATASETS[dataset], folders, describe)

        def manifest(day: str, folder: Path) -> Manifest:
            more, metrics = found.get(day, ({}, {}))
            of_day = {**(facts or {}).get(day, {}), **more}
            return self._describe_rows(dataset, day, folder, of_day, metrics, profiled=profiles[day])

        return {day: manifest(day, folder) for day, folder in folders.items()}

    def written(self, dataset: str, days: Iterable[str]) -> DataFrame:
        """The rows that this run has written for `days`: a job's second step reads what its first left on disk."""
        folders = [store.run_folder(self.warehouse, dataset, day, self.run_id) for day in days]
        return store.read_folders(self.spark, DATASETS[dataset], folders)

    def write_files(
        self, dataset: str, fill: Callable[[Path], None], dt: str | None = None, *,
        facts: Mapping[str, Any] | None = None, metrics: Mapping[str, float] | None = None,
        volatile: Iterable[str] = (),
    ) -> Manifest:
        """Lets `fill(folder)` write files as the run of one day; `volatile` names stay out of the content hash.

        `facts` and `metrics` may be filled by `fill` too: both are read after it has returned.
        """
        day = dt or self.dt
        folder = self._new_folder(dataset, day)
        store.write_files(folder, fill)
        manifest = store.describe_files(
            self, DATASETS[dataset], day, folder, dict(facts or {}), dict(metrics or {}), volatile
        )
        self.outputs[dataset, day] = manifest
        return manifest

    @property
    def rows_out(self) -> int:
        """Rows of everything this run has written."""
        return sum(m.rows for m in self.outputs.values())

    def _describe_rows(
        self, dataset: str, day: str, folder: Path, facts: Mapping[str, Any] | None,
        metrics: Mapping[str, float] | None, measure: Callable[[DataFrame], Mapping[str, float]] | None = None,
        profiled: Profile | None = None,
    ) -> Manifest:
        manifest = store.describe_rows(
            self, DATASETS[dataset], day, folder, dict(facts or {}), dict(metrics or {}), measure, profiled
        )
        self.outputs[dataset, day] = manifest
        return manifest

    def _new_folder(self, dataset: str, day: str) -> Path:
        self._may(dataset, self.job.writes, "write")
        reached("before_write")
        return store.run_folder(self.warehouse, dataset, day, self.run_id)

    def _may(self, dataset: str, allowed: tuple[str, ...], verb: str) -> None:
        """Raises PermissionError where the job did not declare the dataset: hidden truth stays hidden."""
        if dataset not in allowed:
            raise PermissionError(f"{self.job.name} may not {verb} {dataset}; it declares {allowed}")


def check_outputs_stand(context: JobContext) -> None:
    """Raises Fenced where a run that is about to be committed was removed: `mmse forget` found people in it."""
    for dataset, dt in context.outputs:
        folder = store.run_folder(context.warehouse, dataset, dt, context.run_id)
        if not (folder / MANIFEST).is_file():
            raise Fenced(f"{folder}: removed by `mmse forget` while this run was under way; run again")


def new_run_id() -> str:
    """A name for one attempt: UTC time and six random hex digits, so that no two attempts share a folder."""
    return f"{datetime.now(timezone.utc):%Y%m%dT%H%M%S}-{uuid4().hex[:6]}"


def run_job(
    job: Job, config: Config, day: date, session: Callable[[], SparkSession] | None = None, *,
    entry: Entry | None = None, allow_empty: bool = False, chain: str = "",
) -> JobContext:
    """Runs one job: pin, work, audit, commit; prints its summary line. `chain` names the scheduler's run it belongs to.

    Raises what the job raises, Blocked where an audit stops it, Fenced where a rival was faster.
    """
    from jobs.runtime.audit import audit_outputs, record_failure
    from jobs.runtime.logs import log, say

    snapshots = SnapshotLog.opened(config.paths)
    context = JobContext(
        job=job, config=config, date=day, entry=entry or snapshots.head(), run_id=new_run_id(),
        session=session or (lambda: start_session(config, job.name)), allow_empty=allow_empty,
    )
    log("started", job=job.name, dt=context.dt, run_id=context.run_id, base_entry=context.entry.number)
    try:
        job.run(context)
        reached("before_audit")
        audit_outputs(context)
        outputs = {key: manifest.run_id for key, manifest in context.outputs.items()}
        if outputs:
            check_outputs_stand(context)
            reached("before_commit")
            context.committed = snapshots.commit(context.entry, job.name, context.run_id, outputs, context.inputs, chain=chain)
            reached("after_commit")
    except Exception as error:
        record_failure(context, error)
        if short := disk_full(error, config) or heap_spent(error, config):
            raise short from error
        raise
    seconds = time.monotonic() - context.started
    log("committed", job=job.name, dt=context.dt, run_id=context.run_id, seconds=round(seconds, 2),
        entry=context.committed.number if context.committed else None, rows_in=context.rows_in, rows_out=context.rows_out)
    notes = ", ".join(f"{key} {value}" for key, value in context.notes.items())
    say(f"{job.name:<20} {context.dt}  rows in {context.rows_in:>9,}  rows out {context.rows_out:>9,}  {seconds:6.1f} s"
        + (f"  {notes}" if notes else ""))
    return context

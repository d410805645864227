"""What an erasure cannot reach, and what to do about it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from jobs.erasure.people import BY_ID, BY_PERSON
from jobs.erasure.runs import StoredRun, origin_of, stored_runs
from jobs.pipeline import JOB_NAMES
from jobs.runtime.gc import Run
from schemas import DATASETS

REACHED = {*BY_PERSON, *BY_ID, "ledger", "suppressions", "erasures"}
ELSEWHERE = (
    "backups and copies of the warehouse, logs of applications, exports: wherever they were taken to",
    "weights that other systems have loaded: they go on with the model they have",
)


def built_from(warehouse: Path, kept: set[Run], changed: Iterable[tuple[str, str, str]]) -> list[StoredRun]:
    """Kept runs of other datasets that were built, step by step, from runs that are now rewritten."""
    tainted = {(dataset, dt, origin_of(run)) for dataset, dt, run in changed}
    runs = [r for name in DATASETS if name not in REACHED for r in stored_runs(warehouse, name, kept) if r.kept]
    found: list[StoredRun] = []
    while True:
        more = [run for run in runs if run not in found and _inputs(run) & tainted]
        if not more:
            return sorted(found, key=lambda run: (run.manifest.dataset, *run.place))
        found += more
        tainted |= {(run.manifest.dataset, *run.origin) for run in more}


def _inputs(run: StoredRun) -> set[tuple[str, str, str]]:
    named = (name.partition("/dt=") for name in run.manifest.inputs)
    return {
        (dataset, dt, origin_of(source)) for (dataset, _, dt), source in zip(named, run.manifest.inputs.values())
    }


def not_reached(raw: Path, raw_days: int, built: Sequence[StoredRun], rows_of_tuples: dict[str, int]) -> Iterator[str]:
    """One sentence for everything that may still hold or reflect the erased people."""
    if raw_days:
        yield f"raw logs: {raw_days} arrival days in {raw}; ingest refuses these people there, delete them at the producer"
    for run in built:
        count = rows_of_tuples.get(f"{run.place}")
        rows = "" if count is None else f", {count} rows of theirs"
        yield f"{run.manifest.dataset} dt={run.place[0]} run={run.place[1]}: built before{rows}"
    jobs = [name for name in JOB_NAMES if name in {run.manifest.job for run in built}]
    if jobs:
        yield f"rerun for each of these dates, then mmse gc: {', '.join(['label_impressions', *jobs])}"
    yield from ELSEWHERE

"""`mmse forget`: one erasure, from the ids on standard input to the entry that publishes what is left.

    hash the ids -> identify -> rewrite every kept run that holds the people -> suppressions, erasures
                 -> one entry, through which older entries read the new runs too -> delete the old files

Killed before the entry: nothing has changed, and what was written is garbage that holds nobody. Killed after it:
the next `mmse forget` deletes what is left of the old files first. A rival that commits in between makes it begin again;
a run under way that has read a rewritten run, or whose own output held the people, is fenced.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timezone
from pathlib import Path
from typing import TYPE_CHECKING

from pyspark.sql import functions as F

from jobs.erasure.ledgers import Kinds, quarantined, rewrite_ledgers
from jobs.erasure.people import BY_ID, BY_PERSON, NAMES, Identifiers, following, gone, identify, with_theirs
from jobs.erasure.reach import built_from, not_reached
from jobs.erasure.records import write_records
from jobs.erasure.rewrite import Describe, Described, Found, Mark, Rewritten, discard, find, rewrite
from jobs.erasure.runs import StoredRun, bury, bury_replaced, read_runs, stored_runs, unfinished
from jobs.erasure.user_ids import UserKey, hash_user_ids
from jobs.ingest.privacy import hide_keys, load_user_keys
from jobs.ingest.scratch import keep
from jobs.labels.facts import describe_attributions, describe_impressions
from jobs.runtime.audit import audit_outputs, record_failure
from jobs.runtime.errors import Fenced
from jobs.runtime.gc import kept_runs
from jobs.runtime.job import Job, JobContext, new_run_id
from jobs.runtime.logs import log, say
from jobs.runtime.session import start_session
from jobs.runtime.snapshots import SnapshotLog

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

    from jobs.runtime.config import Config

ATTEMPTS = 5
LISTED = 40
"""Lines of counts printed at most; all of them are in the dataset `erasures`."""
JOB = Job("forget", ("suppressions", "erasures"), ("suppressions", "erasures"), lambda context: None)


@dataclass
class Outcome:
    """What an erasure found and did; `entry` is None where there was nothing to publish.

    `finished` counts the runs whose deletion an earlier, killed erasure had left to this one.
    """

    users: int
    known: int = 0
    rows: int = 0
    found: list[Found] = field(default_factory=list)
    finished: int = 0
    entry: int | None = None
    run_id: str = ""
    left: list[str] = field(default_factory=list)


@dataclass
class Attempt:
    """One attempt on one head of the log."""

    context: JobContext
    users: Sequence[UserKey]
    keys: dict[str, bytes]
    runs: dict[str, list[StoredRun]]
    done: Rewritten = field(default_factory=Rewritten)

    @property
    def staging(self) -> Path:
        """Where the identifiers lie while it runs."""
        return self.context.warehouse / "suppressions" / f"_staging-{self.context.run_id}"

    def keep(self, frame: DataFrame, name: str) -> DataFrame:
        """Writes a small frame and reads it back."""
        return keep(frame, self.staging / name)


def forget(
    config: Config, ids: Sequence[str], session: Callable[[], SparkSession] | None = None, *, dry_run: bool = False
) -> Outcome:
    """Erases the people with these user ids from the warehouse; prints counts, never an id.

    Raises Fenced where rivals were faster ATTEMPTS times, Blocked where a rewritten run is not what it should be.
    """
    keys = load_user_keys(config.ingest, Path(config.paths.warehouse).absolute())
    hashed, started = hash_user_ids(ids, keys), time.monotonic()
    snapshots = SnapshotLog(config.paths.warehouse)
    for _ in range(ATTEMPTS):
        head = snapshots.head()
        context = JobContext(
            job=JOB, config=config, date=datetime.now(timezone.utc).date(), entry=head, run_id=new_run_id(),
            session=session or (lambda: start_session(config, JOB.name)),
        )
        finished = 0 if dry_run else bury_replaced(context.warehouse, head)
        if finished:
            say(f"forget: deleted what an interrupted erasure had left of {finished} runs")
        outcome = attempt(context, snapshots, hashed, keys, Outcome(len(ids), finished=finished), dry_run)
        if outcome is not None:
            report(outcome, time.monotonic() - started, dry_run)
            return outcome
        say("forget: another run was published meanwhile; begins again")
    raise Fenced(f"{ATTEMPTS} attempts, and each time another run was published meanwhile; run again when fewer jobs run")


def attempt(
    context: JobContext, snapshots: SnapshotLog, users: Sequence[UserKey], keys: dict[str, bytes], outcome: Outcome,
    dry_run: bool,
) -> Outcome | None:
    """Finds, rewrites, records and commits; None where a rival has committed meanwhile."""
    hide_keys(context.spark)
    kept = kept_runs(snapshots, context.config.snapshots.keep_entries)
    runs = {name: stored_runs(context.warehouse, name, kept) for name in (*BY_PERSON, *BY_ID, "ledger", "tuples")}
    work = Attempt(context, users, keys, runs)
    try:
        outcome.run_id = context.run_id
        known = erase(work, outcome, write=not dry_run)
        outcome.found = [one for one in work.done.found if one.dataset != "ledger"]
        outcome.rows = sum(one.erased for one in outcome.found)
        if not dry_run:
            outcome.left = list(left_over(work, kept, known)) if outcome.found else []
            if not publish(work, outcome, known, snapshots):
                discard(work.done.folders)
                return None
    except Exception as error:
        discard(work.done.folders)
        record_failure(context, error)
        raise
    finally:
        discard([work.staging])
    return outcome


def erase(work: Attempt, outcome: Outcome, write: bool) -> Identifiers | None:
    """Identifies the people and rewrites what holds them; None where no record names one of them."""
    spark, runs = work.context.spark, work.runs
    users = work.keep(spark.createDataFrame([(key,) for _, key in work.users], "user_key string").distinct(), "users")
    records = None
    for name in BY_PERSON:
        frame = read_runs(spark, name, runs[name]).select(*NAMES, "query_id")
        records = frame if records is None else records.unionByName(frame)
    outcome.known = records.join(users, "user_key", "left_semi").select("user_key").distinct().count()
    say(f"forget: {outcome.users} user ids under {len(work.keys)} keys; {outcome.known} user keys are in the warehouse")
    if not outcome.known:
        return None
    known = identify(records, users, work.keep)
    person: Mark = lambda frame: with_theirs(frame, known)  # noqa: E731
    for name in BY_PERSON:
        step(work, name, person, write)
    gone_ids = {
        column: work.keep(gone(person(read_runs(spark, name, runs[name])), column), f"gone_{column}")
        for name, column in (("requests", "query_id"), ("events", "event_id"))
    }
    for name, column in BY_ID.items():
        step(work, name, lambda frame, c=column: following(frame, gone_ids[c], c), write, describer(work.context, name))
    if write:
        refused = quarantined(person(read_runs(spark, "quarantine", runs["quarantine"])))
        siblings = {name: runs[name] for name in (*Kinds, "quarantine")}
        rewrite_ledgers(
            spark, work.context.warehouse, work.context.run_id, runs["ledger"], siblings, refused, work.done
        )
    return known


def step(work: Attempt, name: str, mark: Mark, write: bool, describe: Describe | None = None) -> None:
    """Finds and rewrites the runs of one dataset."""
    spark, context = work.context.spark, work.context
    found = find(spark, name, work.runs[name], mark)
    work.done.found += found
    if found:
        say(f"forget: {name:<18} {sum(f.erased for f in found):>8,} rows in {len(found)} of {len(work.runs[name])} runs")
    if write:
        rewrite(spark, context.warehouse, context.run_id, found, mark, work.done, describe)


def describer(context: JobContext, name: str) -> Describe | None:
    """How the facts of labelled days are counted again."""
    if name == "impressions":
        return lambda rows, days: describe_impressions(days, context.config.stages)(rows)
    if name != "attributions":
        return None

    def rules(rows: DataFrame, days: Sequence[str]) -> Described:
        totals = {day: Counter[str]() for day in days}
        for row in rows.groupBy(F.col("event_date").cast("string").alias("day"), "action").count().collect():
            totals[row["day"]][row["action"]] = row["count"]
        return {day: (facts, {}) for day, (facts, _) in describe_attributions(totals)(rows).items()}

    return rules


def left_over(work: Attempt, kept: set[tuple[str, str, str]], known: Identifiers | None) -> list[str]:
    """Sentences on what was built from the erased records before, and on what lies elsewhere."""
    spark, raw = work.context.spark, Path(work.context.config.paths.raw).absolute()
    built = built_from(work.context.warehouse, kept, list(work.done.written))
    rows: dict[str, int] = {}
    tuples = [run for run in work.runs["tuples"] if run.kept]
    if known is not None and any(run.manifest.files for run in tuples):
        queries = spark.read.parquet(str(work.staging / "gone_query_id"))
        counted = read_runs(spark, "tuples", tuples).join(queries, "query_id", "left_semi").groupBy("_dt", "_run").count()
        rows = {f"{(row['_dt'], row['_run'])}": row["count"] for row in counted.collect()}
    return list(not_reached(raw, len(list(raw.glob("dt=*"))), built, rows))


def publish(work: Attempt, outcome: Outcome, known: Identifiers | None, snapshots: SnapshotLog) -> bool:
    """Commits one entry and deletes the old files; False where a rival was faster."""
    context, done = work.context, work.done
    if not write_records(context, work.users, work.keys, known, done, people=outcome.users):
        clean_up(context, outcome)
        return True
    done.folders += [context.warehouse / d / f"dt={dt}" / f"run={context.run_id}" for d, dt in context.outputs]
    audit_outputs(context)
    outputs = {key: manifest.run_id for key, manifest in context.outputs.items()}
    keep_entries = context.config.snapshots.keep_entries
    entry = snapshots.rewrite(context.entry, JOB.name, context.run_id, outputs, done.replaced(), keep_entries)
    if entry is None:
        return False
    outcome.entry = entry.number
    done.folders.clear()  # they are published now
    # First what no entry names: killed after this line, the rest is found through the entry alone.
    places = {(one.dataset, *one.old.place): one.old.folder for one in done.found}
    discard(folder for place, folder in places.items() if place not in done.written)
    for place, manifest in done.written.items():
        bury(places[place], manifest.run_id)
    clean_up(context, outcome)
    log("erased", run_id=context.run_id, entry=entry.number, people=outcome.users, rows=outcome.rows, runs=len(done.found))
    return True


def clean_up(context: JobContext, outcome: Outcome) -> None:
    """Removes attempts under way and what killed ones left, where they may hold the people too: they are run again."""
    if outcome.rows or outcome.finished:
        discard(unfinished(context.warehouse, (*BY_PERSON, *BY_ID)))


def report(outcome: Outcome, seconds: float, dry_run: bool) -> None:
    """Counts by dataset and day, what is left elsewhere, and one line that sums it up."""
    for one in outcome.found[:LISTED]:
        dt, run = one.old.place
        left = f"{one.rows - one.erased:>9,}" if one.old.kept else "  removed"
        say(f"  {one.dataset:<18} {dt}  {one.rows:>9,} -> {left}  run {run}")
    if len(outcome.found) > LISTED:
        say(f"  ... and {len(outcome.found) - LISTED} more runs: see the dataset erasures")
    if outcome.left:
        say("not reached:")
    for sentence in outcome.left:
        say(f"  {sentence}")
    did = "would erase" if dry_run else "erased"
    where = "" if outcome.entry is None else f", entry {outcome.entry}"
    say(f"forget: {outcome.users} user ids: {did} {outcome.rows:,} rows in {len(outcome.found)} runs, {seconds:.1f} s{where}")

"""`mmse rollback`: back to a release that is kept. One entry of the snapshot log, nothing is copied or computed.

A release that is rolled back stays on disk until `mmse gc` finds no entry that names it: `--to` its day or run goes
forward again.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timezone
from uuid import uuid4

from jobs.release_reader import open_release
from jobs.report.status import aligned
from jobs.runtime.config import Config
from jobs.runtime.errors import Fenced, InputError
from jobs.runtime.logs import log, say
from jobs.runtime.manifest import Manifest
from jobs.runtime.snapshots import Entry, Key, SnapshotLog
from jobs.runtime.store import run_folder

DESCRIPTION = "return to a release that is kept: the one before, or --to a day or a run"
EXAMPLES = """examples:
  mmse rollback --config conf/shop.yaml --list
  mmse rollback --config conf/shop.yaml
  mmse rollback --config conf/shop.yaml --to 2026-01-07"""


@dataclass(frozen=True)
class Kept:
    """A release on disk: its day and run, when it was published (UTC), and its ordered recall where it was measured."""

    day: str
    run: str
    created: str
    recall: str = ""
    in_force: bool = False

    @property
    def key(self) -> Key:
        """Its place in the snapshot log."""
        return ("release", self.day)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """--to, --list."""
    parser.add_argument("--to", metavar="DAY_OR_RUN", help="which release (default: the newest one before that in force)")
    parser.add_argument("--list", action="store_true", help="only list the releases that are kept")


def rollback(config: Config, arguments: argparse.Namespace) -> int:
    """Lists the kept releases, or puts one of them in force."""
    published = SnapshotLog(config.paths.warehouse)
    head = published.head()
    kept = kept_releases(published, head)
    if arguments.list:
        rows = [("day", "run", "written (UTC)", "ordered recall", "")]
        rows += [(r.day, r.run, r.created, r.recall, "in force" if r.in_force else "") for r in kept]
        for line in aligned(rows):
            say(line)
        return 0
    before, target = in_force(kept), choose(kept, arguments.to)
    entry = put_in_force(config, published, head, target)
    say(f"rollback: {before.day} run {before.run} -> {target.day} run {target.run}, entry {entry.number}")
    return 0


def kept_releases(published: SnapshotLog, head: Entry) -> list[Kept]:
    """Every release that some entry of the log names and that is still on disk, newest first."""
    entries = [published.entry(number) for number in published.numbers()]
    named = {(day, str(entry.run("release", day))) for entry in entries for day in entry.days("release")}
    days = head.days("release")
    found = []
    for day, run in named:
        folder = run_folder(published.root, "release", day, run)
        if not folder.is_dir():
            continue
        manifest = Manifest.read(folder)
        serving = bool(days) and (day, run) == (days[-1], head.run("release", days[-1]))
        found.append(Kept(day, run, manifest.created_at, recall_of(manifest), serving))
    return sorted(found, key=lambda kept: (kept.day, kept.created), reverse=True)


def recall_of(manifest: Manifest) -> str:
    """Ordered recall of the index at the release's K, as text; empty where it was not measured."""
    k = manifest.facts.get("k")
    rows = [r for r in manifest.facts.get("recall", ()) if (r["truth"], r["search"], r["k"]) == ("ordered", "ann", k)]
    return f"@{k} {rows[0]['recall']:.3f}" if rows else ""


def in_force(kept: Sequence[Kept]) -> Kept:
    """The release that is served. Raises InputError where none is."""
    for release in kept:
        if release.in_force:
            return release
    raise InputError("rollback: no release is in force; publish one first")


def choose(kept: Sequence[Kept], wanted: str | None) -> Kept:
    """The newest release before that in force, or the one whose day or run is `wanted` (the newest of a day).

    Raises InputError where there is none, or where it is in force already.
    """
    serving = in_force(kept)
    if wanted is None:
        older = kept[kept.index(serving) + 1 :]
        if not older:
            raise InputError(f"rollback: no release before that of {serving.day} (run {serving.run}) is kept")
        return older[0]
    found = [r for r in kept if wanted in (r.day, r.run)]
    if not found:
        days = ", ".join(dict.fromkeys(r.day for r in kept))
        raise InputError(f"rollback --to {wanted!r}: no such release is kept; expected a run, or a day of {days}")
    # Of a day whose newest run is in force, an earlier one is meant.
    other = [r for r in found if not r.in_force]
    if not other:
        raise InputError(f"rollback --to {wanted!r}: that release is in force already")
    return other[0]


def put_in_force(config: Config, published: SnapshotLog, head: Entry, target: Kept) -> Entry:
    """Commits an entry that names `target` and no release of a later day, once it has been opened.

    Raises InputError where a part of it is missing or damaged, Fenced where another release is published meanwhile.
    """
    later = [("release", day) for day in head.days("release") if day > target.day]
    kept = {key: run for key, run in head.snapshots.items() if key not in later}
    open_release(config, replace(head, snapshots={**kept, target.key: target.run}), target.day)
    run_id = f"{datetime.now(timezone.utc):%Y%m%dT%H%M%S}-{uuid4().hex[:6]}"
    outputs = {target.key: target.run}
    entry = published.commit(head, "rollback", run_id, outputs, {key: head.snapshots[key] for key in later}, retired=later)
    days = entry.days("release")
    if days[-1] != target.day:
        raise Fenced(f"release dt={days[-1]}: published while dt={target.day} was put back; roll back again")
    log("rolled back", day=target.day, run=target.run, entry=entry.number, retired=[day for _, day in later])
    return entry

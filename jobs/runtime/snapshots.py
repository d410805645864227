"""The snapshot log: which run of which dataset and day is published, one immutable entry a commit.

An entry is a whole map (dataset, dt) -> run. It is created if absent (jobs/runtime/entry_stores.py),
so that of two writers exactly one gets a number; the other looks at what changed
and either goes on from the new head or is fenced.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from jobs.runtime.errors import Fenced, InputError
from jobs.runtime.log_location import entry_store, settle
from jobs.runtime.sections import PathSettings

Key = tuple[str, str]
"""(dataset, dt)"""
NAME = re.compile(r"(\d+)\.json")
"""Of an entry."""


@dataclass(frozen=True)
class Entry:
    """One entry of the log: the published state after one commit."""

    number: int
    run_id: str
    job: str
    committed_at: str
    snapshots: Mapping[Key, str] = field(default_factory=dict)
    changes: Mapping[Key, str] = field(default_factory=dict)
    replaced: Mapping[Key, Mapping[str, str]] = field(default_factory=dict)
    """(dataset, dt) -> run that was rewritten -> run that holds what is left of it; older entries are read through it."""
    chain: str = ""
    """Whose commit it is where several jobs work for one run of a scheduler, such as "scheduled__2026-01-08"; else empty."""

    def run(self, dataset: str, dt: str) -> str | None:
        """The published run of that dataset and day, or None."""
        return self.snapshots.get((dataset, dt))

    def days(self, dataset: str) -> list[str]:
        """The published days of a dataset, ascending."""
        return sorted(dt for name, dt in self.snapshots if name == dataset)

    def to_json(self) -> dict[str, Any]:
        """The entry as its file holds it."""
        return {
            "number": self.number, "run_id": self.run_id, "job": self.job, "committed_at": self.committed_at,
            "changes": _nest(self.changes), "snapshots": _nest(self.snapshots), "replaced": _nest(self.replaced),
            "chain": self.chain,
        }

    @staticmethod
    def from_json(body: Mapping[str, Any]) -> Entry:
        """The entry of a file's content. Raises KeyError or TypeError where it is none."""
        return Entry(
            number=body["number"], run_id=body["run_id"], job=body["job"], committed_at=body["committed_at"],
            snapshots=_flatten(body["snapshots"]), changes=_flatten(body["changes"]),
            replaced=_flatten(body.get("replaced", {})), chain=body.get("chain", ""),
        )

    def through(self, replaced: Mapping[Key, Mapping[str, str]]) -> Entry:
        """This entry with every rewritten run named by what is left of it."""
        found = {key: replaced.get(key, {}).get(run, run) for key, run in self.snapshots.items()}
        return replace(self, snapshots=found)


EMPTY = Entry(number=0, run_id="", job="", committed_at="")


class SnapshotLog:
    """The log of a warehouse on a local or shared POSIX disk; the log itself may be in an object store."""

    def __init__(self, warehouse: str | Path) -> None:
        if "://" in str(warehouse):
            raise InputError(f"paths.warehouse = {str(warehouse)!r}: expected a path on a local or shared disk")
        self.root = Path(warehouse)
        self.entries = entry_store(self.root)

    @classmethod
    def opened(cls, paths: PathSettings) -> SnapshotLog:
        """The log of a warehouse that is to be written, kept where the settings want it. Raises what `settle` does."""
        log = cls(paths.warehouse)
        settle(log.root, paths.snapshot_log)
        return cls(paths.warehouse)

    def numbers(self) -> list[int]:
        """The numbers of all entries, ascending."""
        return sorted(int(found[1]) for name in self.entries.names() if (found := NAME.fullmatch(name)))

    def head(self) -> Entry:
        """The newest entry; an empty one (number 0) before the first commit."""
        numbers = self.numbers()
        return self.entry(numbers[-1]) if numbers else EMPTY

    def entry(self, number: int) -> Entry:
        """The entry of that number, with runs that were rewritten since by the names of what is left of them.

        Raises InputError where it is missing or unreadable.
        """
        found, newest = self._read(number), max(self.numbers(), default=0)
        return found if newest <= number else found.through(self._read(newest).replaced)

    def newest_of(self, chain: str, since: int) -> Entry:
        """The newest entry after `since` that a job of `chain` committed; entry `since` where none did.

        So each job of a chain reads what the one before it published, and nothing that anybody published after that.
        """
        for number in reversed(self.numbers()):
            if number <= since:
                break
            if self._read(number).chain == chain:
                return self.entry(number)
        return self.entry(since)

    def _read(self, number: int) -> Entry:
        if number == 0:
            return EMPTY
        name = f"{number:06d}.json"
        try:
            return Entry.from_json(json.loads(self.entries.read(name)))
        except FileNotFoundError:
            raise InputError(f"{self.entries}/{name}: no such entry; the log has {len(self.numbers())}") from None
        except (ValueError, KeyError, TypeError) as error:
            raise InputError(f"{self.entries}/{name}: not an entry of the snapshot log ({error})") from None

    def commit(
        self, base: Entry, job: str, run_id: str, outputs: Mapping[Key, str], inputs: Mapping[Key, str],
        retired: Iterable[Key] = (), chain: str = "",
    ) -> Entry:
        """Publishes `outputs` in one entry on top of the newest one, which no longer names `retired`.

        An input that was not published when it was looked for has the run "". Raises Fenced where a rival
        replaced one of `inputs`, or an output that stood in `base`, since this run began; otherwise
        retries until it gets a number.
        """
        gone = set(retired)
        while True:
            head = self.head()
            check_not_fenced(base, head, inputs, outputs)
            kept = {key: run for key, run in head.snapshots.items() if key not in gone}
            entry = self._next(head, job, run_id, {**kept, **outputs}, outputs, head.replaced, chain)
            if self._create(entry):
                return entry

    def rewrite(
        self, head: Entry, job: str, run_id: str, outputs: Mapping[Key, str], rewritten: Mapping[Key, Mapping[str, str]],
        keep_entries: int,
    ) -> Entry | None:
        """Publishes `outputs`, and everywhere in place of each rewritten run what is left of it: in older entries too.

        None where a rival has committed since `head`: what it published was not looked at. Of earlier rewritings
        those are carried on that one of the newest `keep_entries` entries is read through.
        """
        before = self._still_named(head.replaced, keep_entries)
        replaced = chained(before, rewritten)
        named = {**head.through(rewritten).snapshots, **outputs}
        changes = {key: run for key, run in named.items() if head.snapshots.get(key) != run}
        entry = self._next(head, job, run_id, named, changes, replaced)
        return entry if self._create(entry) else None

    def _still_named(
        self, replaced: Mapping[Key, Mapping[str, str]], keep_entries: int
    ) -> dict[Key, dict[str, str]]:
        """What of `replaced` the newest entries, as they were written, still name."""
        kept = [self._read(number).snapshots for number in self.numbers()[-keep_entries:]] if replaced else []
        named = {key: {entry.get(key) for entry in kept} for key in replaced}
        found = {key: {old: new for old, new in runs.items() if old in named[key]} for key, runs in replaced.items()}
        return {key: runs for key, runs in found.items() if runs}

    @staticmethod
    def _next(
        head: Entry, job: str, run_id: str, snapshots: Mapping[Key, str], changes: Mapping[Key, str],
        replaced: Mapping[Key, Mapping[str, str]], chain: str = "",
    ) -> Entry:
        return Entry(
            number=head.number + 1, run_id=run_id, job=job,
            committed_at=datetime.now(timezone.utc).isoformat(timespec="seconds"),
            snapshots=snapshots, changes=dict(changes), replaced=replaced, chain=chain,
        )

    def _create(self, entry: Entry) -> bool:
        """Creates the entry if absent; False where a rival was first."""
        text = json.dumps(entry.to_json(), indent=1, sort_keys=True)
        return self.entries.create(f"{entry.number:06d}.json", text, entry.run_id)


def check_not_fenced(base: Entry, head: Entry, inputs: Mapping[Key, str], outputs: Mapping[Key, str]) -> None:
    """Raises Fenced where the head disagrees with what this run read or is about to replace."""
    for (dataset, dt), run in inputs.items():
        now = head.run(dataset, dt)
        if (now or "") != run:
            raise Fenced(f"{dataset} dt={dt}: read as run {run or None}, now {now} (entry {head.number})")
    for dataset, dt in outputs:
        before, now = base.run(dataset, dt), head.run(dataset, dt)
        if before != now:
            raise Fenced(f"{dataset} dt={dt}: was run {before} when this run began, now {now} (entry {head.number})")


def chained(
    before: Mapping[Key, Mapping[str, str]], rewritten: Mapping[Key, Mapping[str, str]]
) -> dict[Key, dict[str, str]]:
    """Both maps in one: what had become a run that is rewritten now is what is left of that run."""
    found: dict[Key, dict[str, str]] = {}
    for key in {**before, **rewritten}:
        now = dict(rewritten.get(key, {}))
        found[key] = {**{old: now.get(run, run) for old, run in before.get(key, {}).items()}, **now}
    return found


def _nest(flat: Mapping[Key, Any]) -> dict[str, dict[str, Any]]:
    nested: dict[str, dict[str, Any]] = {}
    for (dataset, dt), run in sorted(flat.items()):
        nested.setdefault(dataset, {})[dt] = run
    return nested


def _flatten(nested: Mapping[str, Mapping[str, Any]]) -> dict[Key, Any]:
    return {(dataset, dt): run for dataset, days in nested.items() for dt, run in days.items()}

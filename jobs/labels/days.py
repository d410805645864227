"""Which event days a run labels: those whose inputs, rules or maturity changed since they were published.

Labels are as of the date of the run: they rest on what had arrived by then, whatever has arrived since. A run of an earlier
date therefore repeats its result, and takes back from its days what later runs knew; days that it leaves open are labelled again
by the next run of a later date, however old they are by then.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, timedelta
from typing import TYPE_CHECKING, Any

from jobs.runtime.manifest import Manifest

if TYPE_CHECKING:
    from jobs.runtime.job import JobContext

INPUTS = ("requests", "events")


@dataclass(frozen=True)
class LabelDay:
    """One event day as this run would label it."""

    day: str
    fingerprint: str
    """Digest of everything the labels depend on: the same fingerprint means the same rows."""
    age: int
    """Days from the event day to the date of the run."""
    final: bool
    """No event that is still to arrive can change a label."""

    def facts(self, context: JobContext) -> dict[str, Any]:
        """What the manifests of the day say of it."""
        maturity = {"days": self.age, "final": self.final, "labelled_on": context.dt}
        return {"maturity": maturity, "fingerprint": self.fingerprint}


def label_days(context: JobContext) -> list[LabelDay]:
    """The days of the window that may hold requests, and before them those that were left open, ascending.

    Something arrived that day or within the late days. The log begins with its first arrival day: what trickles in from
    earlier days is no complete day.
    """
    late, reach = context.config.ingest.late_days, context.config.labels.order_window_days
    begins, *_ = context.entry.days("requests")
    window = context.days_back(context.config.labels.window_days)
    wanted = [*left_open(context, begins, window[0]), *window]
    arrived = around(wanted[0], reach, (context.date - date.fromisoformat(wanted[0])).days)
    published = {day: _content(context, day) for day in arrived if context.entry.run("requests", day)}
    days = []
    for day in wanted:
        if day >= begins and any(arrival in published for arrival in around(day, 0, late)):
            age = (context.date - date.fromisoformat(day)).days
            final = age >= reach + late
            arrivals = {a: published[a] for a in around(day, reach, reach + late) if a in published}
            days.append(LabelDay(day, _fingerprint(context, arrivals, final), age, final))
    return days


def left_open(context: JobContext, begins: str, until: str) -> list[str]:
    """Published days from `begins` to before `until` that could still change when they were labelled, ascending.

    Night after night there are none: a day leaves the window final. A run of an earlier date leaves some behind.
    """
    days = [day for day in context.entry.days("attributions") if begins <= day < until]
    return [day for day in days if not Manifest.read(context.folder("attributions", day)).facts["maturity"]["final"]]


def around(day: str, before: int, after: int) -> list[str]:
    """The days from `before` days before `day` to `after` days after it, ascending."""
    middle = date.fromisoformat(day)
    return [(middle + timedelta(days=n)).isoformat() for n in range(-before, after + 1)]


def changed(context: JobContext, days: Iterable[LabelDay]) -> list[LabelDay]:
    """Those of `days` whose published labels are missing or rest on other inputs: fewer, or more than had arrived by the date."""
    return [day for day in days if not _stands(context, "attributions", day) or _outdated(context, "impressions", day)]


def _outdated(context: JobContext, dataset: str, day: LabelDay) -> bool:
    """Published, but not as this run would: a day of events without a search has no impressions at all."""
    return context.entry.run(dataset, day.day) is not None and not _stands(context, dataset, day)


def _stands(context: JobContext, dataset: str, day: LabelDay) -> bool:
    if context.entry.run(dataset, day.day) is None:
        return False
    return Manifest.read(context.folder(dataset, day.day)).facts["fingerprint"] == day.fingerprint


def _content(context: JobContext, day: str) -> dict[str, str]:
    """Content hashes of what arrived on a day (its manifests are read, but are no inputs yet)."""
    arrived = [name for name in INPUTS if context.entry.run(name, day)]
    return {name: Manifest.read(context.folder(name, day)).content_hash for name in arrived}


def _fingerprint(context: JobContext, arrivals: dict[str, dict[str, str]], final: bool) -> str:
    config = context.config
    rules = {
        "labels": config.labels.model_dump(mode="json", exclude={"window_days"}),
        "stages": [s.model_dump(mode="json", include={"name", "source", "evidence"}) for s in config.stages],
        "late_days": config.ingest.late_days, "code": context.code_version, "final": final,
    }
    return hashlib.sha256(json.dumps([rules, arrivals], sort_keys=True).encode()).hexdigest()

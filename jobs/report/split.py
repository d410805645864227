"""Rows and filled slots of each split, and the figures that stand guard between them, from `tuples`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from jobs.runtime.manifest import Manifest
from schemas.tuples import SPLITS, TUPLES

COUNTS = ("requests", "rows", "capped")


@dataclass(frozen=True)
class Split:
    """A row per split: requests, tuples, capped ones, then filled slots by stage; None where not counted."""

    columns: tuple[str, ...]
    rows: tuple[tuple[str, tuple[int | None, ...]], ...]
    guards: tuple[tuple[str, float | None], ...]
    lost: tuple[tuple[str, int], ...]


def split_section(tuples: Manifest) -> Split:
    """The facts and metrics of a tuples manifest; a figure that was not counted is None."""
    counts = {name: tuples.facts[name] for name in COUNTS if name in tuples.facts}
    counts.setdefault("rows", {split: int(tuples.metrics.get(f"{split}_rows", 0)) for split in SPLITS})
    mix: Mapping[str, Mapping[str, int]] = tuples.facts.get("stage_mix", {})
    stages = tuple(dict.fromkeys(s for s in tuples.facts.get("slots", ()) if any(s in mix[split] for split in mix)))
    columns = tuple({"rows": "tuples"}.get(name, name) for name in counts) + stages
    rows = tuple(
        (split, tuple(c.get(split) for c in counts.values()) + tuple(mix.get(split, {}).get(s) for s in stages))
        for split in SPLITS
    )
    return Split(columns, rows, _guards(tuples.metrics), _lost(tuples.facts))


def _guards(metrics: Mapping[str, float]) -> tuple[tuple[str, float | None], ...]:
    checked = dict.fromkeys(c.metric for c in TUPLES.checks if not c.metric.endswith("rows"))
    return tuple((name, metrics.get(name)) for name in checked)


def _lost(facts: Mapping[str, Any]) -> tuple[tuple[str, int], ...]:
    return tuple(
        (f"{what}: {reason}", n)
        for what, name in (("requests left out", "lost_requests"), ("items left out", "lost_items"))
        for reason, n in facts.get(name, {}).items()
    )
